//! Valid histories prove; each single change of one is found.

use super::*;
use proptest::prelude::*;

/// What happened at one offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// A record of this table.
    Row(usize),
    /// A dead letter of this table.
    Dead(usize),
    Unroutable,
    Gap,
}

const TABLES: usize = 3;
const LEDGER: usize = TABLES;
const APP: &str = "default/clicks/clicks#id/0";

/// A fan-out as a daemon commits it: at each step a set of tables commits what lies between its own
/// position and the step's offset; a table with nothing of its own may stay behind.
fn histories(fates: &[Fate], steps: &[(usize, u8)]) -> Vec<TableHistory> {
    let names = ["a", "b", "c", "_dead_letters"];
    let mut all: Vec<TableHistory> = names
        .iter()
        .enumerate()
        .map(|(i, name)| TableHistory {
            table: (*name).into(),
            is_ledger: i == LEDGER,
            versions: vec![],
            positions: BTreeMap::new(),
        })
        .collect();
    for &(to, mask) in steps {
        for (i, table) in all.iter_mut().enumerate() {
            let version = table.versions.len() as u64;
            let mut record = VersionRecord {
                version,
                foreign: true,
                ..VersionRecord::default()
            };
            // The ledger keeps a stream of letters for each table, and one for records without a table.
            let streams: Vec<(String, Option<usize>)> = match i {
                LEDGER => names[..TABLES]
                    .iter()
                    .enumerate()
                    .map(|(t, name)| (format!("{APP}!dead/{name}"), Some(t)))
                    .chain([(format!("{APP}!dead/"), None)])
                    .collect(),
                _ => vec![(APP.to_owned(), Some(i))],
            };
            for (app_id, of) in streams {
                let expected = table.positions.get(&app_id).copied();
                let start = expected.unwrap_or(0);
                let counts = match i {
                    LEDGER => letters(of, &fates[start as usize..to]),
                    _ => counts(i, &fates[start as usize..to]),
                };
                // Letters alone write no range of their table.
                let own = counts.records > 0;
                let asked = i != LEDGER && mask & (1 << i) != 0;
                if (own || asked) && start < to as u64 {
                    record.foreign = false;
                    table.positions.insert(app_id.clone(), to as u64);
                    record.ranges.push(RangeRecord {
                        app_id,
                        start,
                        expected,
                        end: to as u64,
                        counts,
                    });
                }
            }
            table.versions.push(record);
        }
    }
    all
}

fn counts(table: usize, fates: &[Fate]) -> Counts {
    let mut counts = Counts::default();
    for fate in fates {
        match *fate {
            Fate::Gap => counts.gaps += 1,
            Fate::Row(t) if t == table => counts.records += 1,
            Fate::Dead(t) if t == table => counts.dead_letters += 1,
            _ => counts.elsewhere += 1,
        }
    }
    counts.rows = counts.records;
    counts
}

/// The account of a stream of the ledger: a table's letters, or the records without a table.
fn letters(of: Option<usize>, fates: &[Fate]) -> Counts {
    let wanted = of.map_or(Fate::Unroutable, Fate::Dead);
    let records = fates.iter().filter(|fate| **fate == wanted).count() as u64;
    Counts {
        records,
        rows: records,
        elsewhere: fates.len() as u64 - records,
        ..Counts::default()
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => (0..TABLES).prop_map(Fate::Row),
        1 => (0..TABLES).prop_map(Fate::Dead),
        1 => Just(Fate::Unroutable),
        1 => Just(Fate::Gap),
    ];
    prop::collection::vec(fate, 2..60)
}

/// Fates and ascending steps that end at the last offset; in the last one table 0 commits in any case.
fn valid() -> impl Strategy<Value = Vec<TableHistory>> {
    (
        fates(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    )
        .prop_map(|(fates, steps)| {
            let n = fates.len();
            let mut steps: Vec<(usize, u8)> = steps
                .into_iter()
                .map(|(at, mask)| (at.index(n - 1) + 1, mask))
                .collect();
            steps.push((n, 1));
            steps.sort();
            histories(&fates, &steps)
        })
}

fn ranges(history: &mut TableHistory) -> Vec<&mut RangeRecord> {
    history
        .versions
        .iter_mut()
        .flat_map(|v| &mut v.ranges)
        .collect()
}

fn one_table(ends: &[u64]) -> TableHistory {
    let fates = vec![Fate::Row(0); *ends.last().unwrap() as usize];
    let steps: Vec<(usize, u8)> = ends.iter().map(|&e| (e as usize, 1)).collect();
    histories(&fates, &steps).swap_remove(0)
}

fn problems(history: &TableHistory) -> Vec<Problem> {
    audit_table(history)
        .findings
        .into_iter()
        .map(|f| f.problem)
        .collect()
}

#[test]
fn a_whole_log_is_proved_to_its_end() {
    let history = one_table(&[10, 25, 30]);
    let report = audit_table(&history);
    assert!(
        report.is_clean() && report.unprovable.is_empty(),
        "{report}"
    );
    let proof = &report.partitions[0];
    assert_eq!(
        (
            proof.window.start,
            proof.window.end,
            proof.ranges,
            proof.complete
        ),
        (0, 30, 3, true)
    );
    assert_eq!(proof.counts.records, 30);
    assert!(report.to_string().contains("accounted for exactly once"));
    assert!(audit_table(&TableHistory::default()).is_clean());
}

#[test]
fn a_cleaned_log_says_what_it_cannot_tell() {
    let mut history = one_table(&[10, 25, 30]);
    history.versions.remove(0);
    let report = audit_table(&history);
    assert!(report.is_clean(), "{report}");
    assert_eq!(
        (
            report.partitions[0].window.start,
            report.partitions[0].complete
        ),
        (10, false)
    );
    let text = report.to_string();
    assert!(
        text.contains("versions below 1") && text.contains("from offset 10 (version 1) on"),
        "{text}"
    );

    history.versions.iter_mut().for_each(|v| v.ranges.clear());
    let report = audit_table(&history);
    assert!(
        report.is_clean() && report.unprovable[1].contains("stands at 30"),
        "{report}"
    );
}

#[test]
fn holes_overlaps_and_moved_positions() {
    let mut hole = one_table(&[10, 20, 30]);
    hole.versions[1].ranges.clear();
    assert_eq!(problems(&hole), [Problem::Hole { from: 10, to: 20 }]);

    let mut twice = one_table(&[10, 20, 30]);
    let again = twice.versions[1].ranges.clone();
    twice.versions[2].ranges = again;
    twice.positions.insert(APP.into(), 20);
    assert_eq!(problems(&twice), [Problem::Overlap { from: 10, to: 20 }]);

    // A reset to the start, then the same offsets in other ranges: every doubled offset is named.
    let mut reset = one_table(&[10, 20]);
    let mut more = one_table(&[5, 20]);
    for version in &mut more.versions {
        version.version += 2;
    }
    reset.versions.append(&mut more.versions);
    let overlaps: Vec<_> = problems(&reset);
    assert_eq!(
        overlaps,
        [
            Problem::Overlap { from: 0, to: 5 },
            Problem::Overlap { from: 5, to: 20 }
        ]
    );

    let mut expired = one_table(&[10, 20]);
    expired.versions[1].ranges[0].expected = None;
    assert_eq!(
        problems(&expired),
        [Problem::PositionMoved { from: 10, to: None }]
    );

    let mut gone = one_table(&[10]);
    gone.positions.clear();
    assert_eq!(
        problems(&gone),
        [Problem::PositionNow {
            position: None,
            end: 10
        }]
    );

    let mut unexplained = one_table(&[10, 20]);
    unexplained.versions[0].ranges.clear();
    unexplained.versions[0].foreign = true;
    assert_eq!(
        problems(&unexplained),
        [Problem::PositionUnexplained { position: 10 }]
    );

    let mut cut = one_table(&[10, 20, 30]);
    cut.versions.remove(1);
    assert_eq!(
        problems(&cut),
        [
            Problem::MissingVersions { expected: 1 },
            Problem::Hole { from: 10, to: 20 }
        ]
    );
}

#[test]
fn hostile_numbers_do_not_panic() {
    let mut history = one_table(&[10, 20]);
    let range = &mut history.versions[0].ranges[0];
    range.counts = Counts {
        records: u64::MAX,
        elsewhere: u64::MAX,
        rows: u64::MAX,
        ..Counts::default()
    };
    history.versions[1].ranges[0].start = u64::MAX;
    assert_eq!(problems(&history).len(), 3, "{}", audit_table(&history));
    let source = audit_source(&[history], &BTreeMap::new(), &Rules::default());
    assert!(!source.is_clean() && !source.to_string().is_empty());
}

#[test]
fn what_no_table_claims_is_undecided_and_what_is_above_the_mark_waits() {
    let fates: Vec<Fate> = (0..20).map(|i| Fate::Row(usize::from(i >= 10))).collect();
    let all = histories(&fates, &[(10, 1), (20, 2)]);
    // Table b's one range covers everything; table a stopped at 10.
    let at = |mark| {
        audit_source(
            &all,
            &BTreeMap::from([(APP.to_owned(), mark)]),
            &Rules::default(),
        )
        .partitions
        .remove(0)
    };
    let done = at(20);
    assert_eq!(done.proved, [OffsetRange { start: 0, end: 20 }]);
    assert!(done.undecided.is_empty() && done.pending.is_none());
    assert_eq!(at(15).pending, Some(OffsetRange { start: 0, end: 20 }));
    let beyond = at(25);
    assert_eq!(
        beyond.undecided[0],
        Undecided {
            range: OffsetRange { start: 20, end: 25 },
            why: Why::Unclaimed,
            landed: Some(0)
        }
    );
}

#[test]
fn a_reset_explains_the_jump_it_announces_and_no_other() {
    let reset = |from, to| ResetRecord {
        app_id: APP.into(),
        from,
        to,
    };
    // Forwards: [20, 30) is given up by hand.
    let mut forwards = one_table(&[10, 20, 30, 40]);
    forwards.versions[2].ranges.clear();
    forwards.versions[2].resets.push(reset(Some(20), 30));
    let report = audit_table(&forwards);
    assert!(report.is_clean(), "{report}");
    let text = report.to_string();
    assert!(text.contains("[20, 30) was given up"), "{text}");
    let source = audit_source(&[forwards.clone()], &BTreeMap::new(), &Rules::default());
    assert!(source.is_clean(), "{source}");

    // The same hole with a reset that says another place.
    forwards.versions[2].resets = vec![reset(Some(20), 25)];
    assert!(problems(&forwards).contains(&Problem::Hole { from: 25, to: 30 }));

    // Backwards: everything stands twice, in ranges of another length.
    let mut back = one_table(&[10, 20]);
    let mut more = one_table(&[5, 20]);
    more.versions[0].ranges[0].expected = Some(0);
    for version in &mut more.versions {
        version.version += 3;
    }
    back.versions.push(VersionRecord {
        version: 2,
        resets: vec![reset(Some(20), 0)],
        ..VersionRecord::default()
    });
    back.versions.append(&mut more.versions);
    let report = audit_table(&back);
    assert!(report.is_clean(), "{report}");
    assert!(report.to_string().contains("may stand twice"));
    let source = audit_source(&[back], &BTreeMap::new(), &Rules::default());
    assert!(source.is_clean(), "{source}");
    assert_eq!(source.partitions[0].undecided[0].why, Why::Reset);

    // A first range from where a reset put it.
    let mut first = one_table(&[10, 20]);
    first.versions[0].ranges.clear();
    first.versions[0].resets.push(reset(None, 10));
    assert_eq!(problems(&first), []);
}

#[test]
fn tables_that_each_take_every_record_are_judged_apart() {
    let mut both = vec![one_table(&[10, 20]), one_table(&[20])];
    both[1].table = "b".into();
    let rules = Rules {
        copied: [APP.to_owned()].into(),
        unplaced: true,
        partial: false,
    };
    let report = audit_source(&both, &BTreeMap::new(), &rules);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.partitions.len(), 2);
    assert!(report.partitions.iter().all(|p| p.undecided.is_empty()));
    let plain = audit_source(&both, &BTreeMap::new(), &Rules::default());
    assert!(!plain.is_clean());
}

#[test]
fn without_the_dead_letter_table_what_tables_say_of_dead_letters_counts() {
    let fates = [
        Fate::Row(0),
        Fate::Dead(0),
        Fate::Row(1),
        Fate::Dead(1),
        Fate::Gap,
    ];
    let mut all = histories(&fates, &[(5, 3)]);
    all.truncate(LEDGER);
    let marks = BTreeMap::from([(APP.to_owned(), 5)]);
    let report = audit_source(&all, &marks, &Rules::default());
    assert!(report.is_clean(), "{report}");
    assert_eq!(
        report.partitions[0].proved,
        [OffsetRange { start: 0, end: 5 }]
    );
    let counts = &mut ranges(&mut all[1])[0].counts;
    counts.dead_letters -= 1;
    counts.elsewhere += 1;
    let lost = &audit_source(&all, &marks, &Rules::default()).findings[0].problem;
    assert_eq!(
        *lost,
        Problem::Lost {
            from: 0,
            to: 5,
            at_least: 1
        }
    );
}

/// The ledger's range of the letters of table `a`: `records` of them in `[start, end)`.
fn stream(start: u64, expected: Option<u64>, end: u64, records: u64) -> VersionRecord {
    VersionRecord {
        ranges: vec![RangeRecord {
            app_id: format!("{APP}!dead/a"),
            start,
            expected,
            end,
            counts: Counts {
                records,
                rows: records,
                elsewhere: end - start - records,
                ..Counts::default()
            },
        }],
        ..VersionRecord::default()
    }
}

fn ledger(mut versions: Vec<VersionRecord>) -> TableHistory {
    for (i, version) in versions.iter_mut().enumerate() {
        version.version = i as u64;
    }
    let ranges = versions.iter().flat_map(|v| &v.ranges);
    TableHistory {
        table: "_dead_letters".into(),
        is_ledger: true,
        positions: ranges.map(|r| (r.app_id.clone(), r.end)).collect(),
        versions,
    }
}

fn to(mark: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(APP.to_owned(), mark)])
}

#[test]
fn the_last_event_malformed_is_proved_by_its_letter() {
    let table = one_table(&[2, 3]);
    let letter = ledger(vec![stream(0, None, 4, 1)]);
    let report = audit_source(&[table.clone(), letter], &to(4), &Rules::default());
    assert!(report.is_clean(), "{report}");
    let proof = &report.partitions[0];
    assert_eq!(proof.proved, [OffsetRange { start: 0, end: 4 }], "{report}");
    assert!(proof.undecided.is_empty() && proof.pending.is_none());

    // One letter does not account for two offsets.
    let letter = ledger(vec![stream(0, None, 5, 1)]);
    let report = audit_source(&[table, letter], &to(5), &Rules::default());
    let proof = &report.partitions[0];
    assert_eq!(proof.proved, [OffsetRange { start: 0, end: 3 }], "{report}");
    assert_eq!(proof.undecided[0].why, Why::NotCovered);
}

#[test]
fn only_malformed_events_are_proved_by_their_letters() {
    let letters = ledger(vec![stream(0, None, 2, 2), stream(2, Some(2), 3, 1)]);
    let report = audit_source(&[letters.clone()], &to(3), &Rules::default());
    assert!(report.is_clean(), "{report}");
    let whole = OffsetRange { start: 0, end: 3 };
    assert_eq!(report.partitions[0].proved, [whole], "{report}");
    let report = audit_source(&[letters], &BTreeMap::new(), &Rules::default());
    assert!(report.partitions[0].pending.is_some(), "{report}");
}

#[test]
fn letters_of_a_table_without_rows_are_not_lost_to_another() {
    // Offset 1 of three is a letter of table a, which has no rows; the others are rows of b.
    let fates = [Fate::Row(1), Fate::Dead(0), Fate::Row(1)];
    let report = audit_source(&histories(&fates, &[(3, 2)]), &to(3), &Rules::default());
    assert!(report.is_clean(), "{report}");
    let whole = OffsetRange { start: 0, end: 3 };
    assert_eq!(report.partitions[0].proved, [whole], "{report}");
}

#[test]
fn a_letter_that_a_restart_left_unread_is_proved() {
    // A row, a letter, a restart above both, a row: the table's second range did not read the letter.
    let mut table = one_table(&[1, 3]);
    let counts = &mut table.versions[1].ranges[0].counts;
    *counts = Counts {
        records: 1,
        rows: 1,
        unread: 1,
        ..Counts::default()
    };
    let letter = ledger(vec![stream(0, None, 2, 1)]);
    let report = audit_source(&[table, letter], &to(3), &Rules::default());
    assert!(report.is_clean(), "{report}");
    let whole = OffsetRange { start: 0, end: 3 };
    assert_eq!(report.partitions[0].proved, [whole], "{report}");
}

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
    fn one_change_of_a_table_is_found(mut all in valid(), table in 0usize..4, which in any::<prop::sample::Index>(), change in 0usize..9) {
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
