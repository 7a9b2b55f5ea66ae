//! What an audit of one table takes and gives.

use super::Finding;
use crate::event::{Counts, Offset, OffsetRange};
use std::collections::BTreeMap;

/// What a table's log says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableHistory {
    pub table: String,
    /// Whether it is the dead-letter table.
    pub is_ledger: bool,
    /// Every version still in the log, ascending, the latest last.
    pub versions: Vec<VersionRecord>,
    /// The `txn`s of the latest version.
    pub positions: BTreeMap<String, Offset>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VersionRecord {
    pub version: u64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub ranges: Vec<RangeRecord>,
    /// Positions that a person set in this version.
    pub resets: Vec<ResetRecord>,
    /// Made by another writer, so without ranges of ours.
    pub foreign: bool,
}

/// A position that a person set (`alluvium table positions reset`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetRecord {
    pub app_id: String,
    pub from: Option<Offset>,
    pub to: Offset,
}

/// What a commit says of one source partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeRecord {
    pub app_id: String,
    pub start: Offset,
    /// The position that the table showed before.
    pub expected: Option<Offset>,
    pub end: Offset,
    pub counts: Counts,
}

/// What holds of one source partition in one table.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionProof {
    pub app_id: String,
    /// From the first range that the log still has to the last. Where no finding names the partition,
    /// its ranges join here and their counts add up.
    pub window: OffsetRange,
    pub from_version: u64,
    /// The first range is the first of the table ever: nothing lies below.
    pub complete: bool,
    pub ranges: usize,
    /// Of all ranges together.
    pub counts: Counts,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableReport {
    pub table: String,
    /// First and last version in the log.
    pub versions: Option<(u64, u64)>,
    pub foreign_versions: usize,
    pub partitions: Vec<PartitionProof>,
    /// The jumps that a person ordered, with their versions: they are no findings.
    pub resets: Vec<(u64, ResetRecord)>,
    pub findings: Vec<Finding>,
    /// What the log no longer tells, for people.
    pub unprovable: Vec<String>,
}

impl TableReport {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}
