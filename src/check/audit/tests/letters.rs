//! Letters that no table's range states.

use super::*;
use crate::event::{Counts, OffsetRange};

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
    let report = audit_source(std::slice::from_ref(&letters), &to(3), &Rules::default());
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
