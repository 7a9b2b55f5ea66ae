//! Valid histories prove; each single change of one is found.

mod letters;
mod properties;

use super::*;
use crate::event::{Counts, OffsetRange};
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
fn rule_21_a_whole_log_is_proved_to_its_end() {
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
