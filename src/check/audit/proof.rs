//! What an audit over several tables takes and gives.

use super::{Finding, TableReport};
use crate::event::{Offset, OffsetRange};
use std::{collections::BTreeSet, fmt};

/// What the configuration says of a source, as far as counts depend on it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Source partitions each of whose records goes to every table that reads them.
    pub copied: BTreeSet<String>,
    /// Whether a record may be in no count at all: a tombstone that no table can be named for.
    pub unplaced: bool,
    /// Whether a table could not be read: records that are in none of the others may be in it.
    pub partial: bool,
}

/// What holds of one source partition over all tables.
#[derive(Clone, Debug, PartialEq)]
pub struct FanOutProof {
    pub app_id: String,
    /// The table, where each takes every record; else it is of all of them together.
    pub table: Option<String>,
    /// Where the counts of all tables fill the offsets, ascending, joined where they touch.
    pub proved: Vec<OffsetRange>,
    /// Where counts alone decide nothing; reading the source again may.
    pub undecided: Vec<Undecided>,
    /// Not judged yet: committed by some tables, above the low-water mark.
    pub pending: Option<OffsetRange>,
}

/// Offsets that counts alone do not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    pub range: OffsetRange,
    pub why: Why,
    /// Records (not tombstones) that tables and ledger account for; `None`: not all of it is known.
    pub landed: Option<u64>,
}

/// Why counts alone do not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Unclaimed,
    Cleaned,
    NotCovered,
    Unread,
    Unplaced,
    Partial,
    Reset,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unclaimed => "below the low-water mark and in no table's range",
            Self::Cleaned => "a table's log does not tell of it any more",
            Self::NotCovered => {
                "no one table read all of it, so the offsets without a record are not known"
            }
            Self::Unread => "a table that read it began above it",
            Self::Unplaced => {
                "tables hold fewer records than were read: tombstones that belong to no table, or a loss"
            }
            Self::Partial => "records may be in the table that cannot be read",
            Self::Reset => "a reset gave some of it up or read it again",
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceReport {
    pub tables: Vec<TableReport>,
    pub partitions: Vec<FanOutProof>,
    /// Over several tables; each table's own are in its report.
    pub findings: Vec<Finding>,
}

impl SourceReport {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.tables.iter().all(TableReport::is_clean)
    }
}

impl FanOutProof {
    pub(super) fn prove(&mut self, start: Offset, end: Offset) {
        match self.proved.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.proved.push(OffsetRange { start, end }),
        }
    }

    pub(super) fn undecide(&mut self, start: Offset, end: Offset, why: Why, landed: Option<u64>) {
        if start >= end {
            return;
        }
        // Reading again decides stretch by stretch; what it cannot decide is told in one.
        let is_final = matches!(why, Why::Cleaned | Why::Partial | Why::Reset);
        match self.undecided.last_mut() {
            Some(last) if is_final && last.why == why && last.range.end == start => {
                last.range.end = end;
                last.landed = last.landed.zip(landed).map(|(a, b)| a.saturating_add(b));
            }
            _ => self.undecided.push(Undecided {
                range: OffsetRange { start, end },
                why,
                landed,
            }),
        }
    }
}
