//! What the tables of one source prove together.
//!
//! Each table says of its own ranges how many offsets were its records, its dead letters or its
//! tombstones, how many belonged elsewhere and how many held nothing. Where ranges of several tables
//! lie over the same offsets, the records of all of them and the offsets without a record must fill
//! those offsets. Counts are per range, not per offset, so this is asked of segments: stretches of
//! offsets that no range enters or leaves midway.
//!
//! The ledger keeps dead letters as streams of their own, `<partition>!dead/<table>`, with ranges of
//! their own. A table counts its dead letters itself, so its stream is held against that count, and
//! only what it holds beyond it fills offsets (`letters`); records that no table could be named for are
//! in the stream `<partition>!dead/` alone, and that one fills offsets as a table does.
//!
//! Said plainly: a record in two tables and another in none cancel out in one segment; and offsets in
//! no table's range at all (tombstones that no table counts, or a loss) are left undecided. Only
//! reading the source again tells those apart.

use super::{RangeRecord, Rules, SourceReport, TableHistory, TableReport, audit_table, view::View};
use crate::event::Offset;
use std::collections::{BTreeMap, BTreeSet};

/// Audits all tables of a source, the dead-letter table among them. `low_water`: the ledger's marks by
/// app id; a partition without one is judged up to the lowest end of its tables.
pub fn audit_source(
    histories: &[TableHistory],
    low_water: &BTreeMap<String, Offset>,
    rules: &Rules,
) -> SourceReport {
    let tables: Vec<TableReport> = histories.iter().map(audit_table).collect();
    let app_ids: BTreeSet<&str> = tables
        .iter()
        .flat_map(|t| &t.partitions)
        .map(|p| p.app_id.split_once("!dead/").map_or(&*p.app_id, |(p, _)| p))
        .collect();
    let mut report = SourceReport::default();
    for app_id in app_ids {
        let all: Vec<usize> = (0..histories.len()).collect();
        let groups = match rules.copied.contains(app_id) {
            false => vec![all],
            true => each_with_ledger(app_id, histories),
        };
        let alone = groups.len() > 1 || rules.copied.contains(app_id);
        for members in groups {
            let view = View {
                app_id,
                histories: members.iter().filter_map(|i| histories.get(*i)).collect(),
                tables: members.iter().filter_map(|i| tables.get(*i)).collect(),
                rules,
                alone,
            };
            let (mut proof, findings) = view.judge_all(low_water.get(app_id).copied());
            if alone {
                let own = view.histories.iter().find(|h| !h.is_ledger);
                proof.table = own.map(|h| h.table.clone());
            }
            report.partitions.push(proof);
            report.findings.extend(findings);
        }
    }
    report.tables = tables;
    report
}

/// Each table that reads the partition, with the ledger beside it.
fn each_with_ledger(app_id: &str, histories: &[TableHistory]) -> Vec<Vec<usize>> {
    let ledgers: Vec<usize> = (0..histories.len())
        .filter(|i| histories.get(*i).is_some_and(|h| h.is_ledger))
        .collect();
    histories
        .iter()
        .enumerate()
        .filter(|(_, h)| !h.is_ledger && (ranges(h, app_id).next().is_some()))
        .map(|(i, _)| std::iter::once(i).chain(ledgers.iter().copied()).collect())
        .collect()
}

pub(super) fn ranges<'a>(
    history: &'a TableHistory,
    app_id: &str,
) -> impl Iterator<Item = &'a RangeRecord> {
    history
        .versions
        .iter()
        .flat_map(|v| &v.ranges)
        .filter(move |r| r.app_id == app_id && r.start < r.end)
}
