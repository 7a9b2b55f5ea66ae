//! Whatever a daemon commits proves; any one change of it is found.

use super::*;
use crate::event::{Counts, OffsetRange};

proptest! {
    #[test]
    fn what_a_daemon_commits_is_clean_and_proved(all in valid()) {
        let end = all.iter().filter_map(|h| h.positions.get(APP)).max().copied().unwrap();
        let report = audit_source(&all, &BTreeMap::from([(APP.to_owned(), end)]), &Rules::default());
        prop_assert!(report.is_clean(), "{}", report);
        let proof = &report.partitions[0];
        // Table 0 reads every offset, so nothing stays undecided.
        prop_assert!(proof.undecided.is_empty() && proof.pending.is_none(), "{}", report);
        prop_assert_eq!(&proof.proved, &vec![OffsetRange { start: 0, end }]);
    }

    #[test]
    fn rule_21_one_change_of_a_table_is_found(mut all in valid(), table in 0usize..4, which in any::<prop::sample::Index>(), change in 0usize..9) {
        let history = &mut all[table];
        let count = ranges(history).len();
        prop_assume!(count > 0);
        let at = which.index(count);
        {
            let mut list = ranges(history);
            let range = &mut *list[at];
            match change {
                0 => range.counts.records += 1,
                1 => range.counts.gaps += 1,
                2 => range.end += 1,
                3 => range.start += 1,
                4 => range.expected = Some(range.expected.map_or(0, |e| e + 1)),
                5 => range.counts.rescued = range.counts.rows + 1,
                6 => {
                    prop_assume!(range.counts.records > 0);
                    range.counts.rows = range.counts.records - 1;
                }
                7 => {
                    range.app_id.push('x');
                }
                _ => {
                    let whole = range.end - range.start;
                    prop_assume!(whole > 0);
                    range.end = range.start;
                    range.counts = Counts::default();
                }
            }
        }
        prop_assert!(!audit_table(history).is_clean(), "{}", audit_table(history));
    }

    #[test]
    fn a_record_moved_out_of_all_tables_or_into_two_is_found(mut all in valid(), table in 0usize..3, which in any::<prop::sample::Index>(), double in any::<bool>()) {
        let end = all.iter().filter_map(|h| h.positions.get(APP)).max().copied().unwrap();
        let mut list = ranges(&mut all[table]);
        let wanted: Vec<usize> = (0..list.len())
            .filter(|&i| if double { list[i].counts.elsewhere > 0 } else { list[i].counts.records > 0 })
            .collect();
        prop_assume!(!wanted.is_empty());
        let counts = &mut list[wanted[which.index(wanted.len())]].counts;
        // Each range still adds up by itself.
        if double {
            counts.elsewhere -= 1;
            counts.records += 1;
        } else {
            counts.records -= 1;
            counts.elsewhere += 1;
        }
        counts.rows = counts.records;
        let report = audit_source(&all, &BTreeMap::from([(APP.to_owned(), end)]), &Rules::default());
        prop_assert!(report.tables.iter().all(TableReport::is_clean), "{}", report);
        let one = match report.findings.as_slice() {
            [Finding { problem: Problem::Doubled { surplus, .. }, .. }] if double => *surplus,
            [Finding { problem: Problem::Lost { at_least, .. }, .. }] if !double => *at_least,
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(one, 1);
    }

    #[test]
    fn a_dead_letter_that_is_not_kept_is_found(mut all in valid(), which in any::<prop::sample::Index>()) {
        let end = all.iter().filter_map(|h| h.positions.get(APP)).max().copied().unwrap();
        let stated = all[..TABLES].iter_mut().flat_map(ranges).any(|r| r.counts.dead_letters > 0);
        prop_assume!(stated);
        let mut list = ranges(&mut all[LEDGER]);
        prop_assume!(!list.is_empty());
        let at = which.index(list.len());
        prop_assume!(list[at].counts.records > 0);
        list[at].counts.records -= 1;
        list[at].counts.rows -= 1;
        list[at].counts.elsewhere += 1;
        let report = audit_source(&all, &BTreeMap::from([(APP.to_owned(), end)]), &Rules::default());
        prop_assert!(!report.is_clean(), "{}", report);
    }
}
