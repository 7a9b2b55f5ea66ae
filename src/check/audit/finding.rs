//! What an audit found: what, where, and what to do.

use crate::event::Offset;

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Empty where it concerns several tables.
    pub table: String,
    /// The source partition; empty where it concerns the log as such.
    pub app_id: String,
    pub version: Option<u64>,
    pub problem: Problem,
}

/// Offset ranges are half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Offsets between two ranges of a table are in neither.
    Hole { from: Offset, to: Offset },
    /// Offsets are in two ranges of a table.
    Overlap { from: Offset, to: Offset },
    /// A range ends before it starts.
    Backwards { start: Offset, end: Offset },
    /// A range does not start at the position the commit itself saw.
    StartNotExpected { start: Offset, expected: Offset },
    /// The ranges join, but the commit saw another position than the one before it left.
    PositionMoved { from: Offset, to: Option<Offset> },
    /// The log is whole, yet the first commit of the partition saw a position.
    PositionUnexplained { position: Offset },
    /// The table's position is not where its last range ends.
    PositionNow {
        position: Option<Offset>,
        end: Offset,
    },
    /// The counts of a range do not sum to its offsets.
    Counts { span: u64, counted: u128 },
    /// Fewer rows than records that became rows.
    FewerRows { records: u64, rows: u64 },
    /// More rows with rescued values than rows.
    MoreRescued { rows: u64, rescued: u64 },
    /// One version states two ranges of a partition.
    TwiceInVersion,
    /// Versions are missing in the log, or out of order.
    MissingVersions { expected: u64 },
    /// Over all tables: at least so many offsets were read as records and are in none.
    Lost {
        from: Offset,
        to: Offset,
        at_least: u64,
    },
    /// Over all tables: so many records more than offsets that can hold one.
    Doubled {
        from: Offset,
        to: Offset,
        surplus: u64,
    },
    /// Tables say more dead letters than the dead-letter table has.
    DeadLetters {
        from: Offset,
        to: Offset,
        stated: u64,
        kept: u64,
    },
}

impl Finding {
    /// What is wrong.
    pub fn what(&self) -> String {
        match &self.problem {
            Problem::Hole { from, to } => {
                format!("offsets [{from}, {to}) are in no range of the table")
            }
            Problem::Overlap { from, to } => {
                format!(
                    "offsets [{from}, {to}) are in two ranges of the table, so rows may stand twice"
                )
            }
            Problem::Backwards { start, end } => {
                format!("a range ends before it starts: [{start}, {end})")
            }
            Problem::StartNotExpected { start, expected } => {
                format!("a range starts at {start}, but the commit saw position {expected}")
            }
            Problem::PositionMoved { from, to } => format!(
                "the position was left at {from} and then seen at {}",
                position(*to)
            ),
            Problem::PositionUnexplained { position } => {
                format!(
                    "the first commit of the partition saw position {position}, which no version made"
                )
            }
            Problem::PositionNow { position: now, end } => format!(
                "the last range ends at {end}, but the table's position is {}",
                position(*now)
            ),
            Problem::Counts { span, counted } => {
                format!("the counts account for {counted} offsets of a range of {span}")
            }
            Problem::FewerRows { records, rows } => {
                format!("{records} records became only {rows} rows")
            }
            Problem::MoreRescued { rows, rescued } => {
                format!("{rescued} rows with rescued values among {rows} rows")
            }
            Problem::TwiceInVersion => "the version states two ranges of the partition".to_owned(),
            Problem::MissingVersions { expected } => {
                format!("version {expected} should come here in the log")
            }
            Problem::Lost { from, to, at_least } => format!(
                "of offsets [{from}, {to}) at least {at_least} were read as records and are in no table"
            ),
            Problem::Doubled { from, to, surplus } => format!(
                "for offsets [{from}, {to}) the tables account for {surplus} records more than there can be"
            ),
            Problem::DeadLetters {
                from,
                to,
                stated,
                kept,
            } => format!(
                "for offsets [{from}, {to}) tables state {stated} dead letters, the dead-letter table holds {kept}"
            ),
        }
    }

    /// Where it is.
    pub fn place(&self) -> String {
        let mut parts = Vec::new();
        if !self.table.is_empty() {
            parts.push(format!("table `{}`", self.table));
        }
        if let Some(version) = self.version {
            parts.push(format!("version {version}"));
        }
        if !self.app_id.is_empty() {
            parts.push(format!("partition `{}`", self.app_id));
        }
        parts.join(", ")
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self.problem {
            Problem::Hole { .. } => {
                "no reset in the log explains it: load the offsets into another table by `backfill --source`, and compare"
            }
            Problem::Overlap { .. } => {
                "no reset in the log explains it, so two writers shared the table without the check of \
                 positions: look for rows with the same _source, _partition and _offset, and delete one"
            }
            Problem::PositionMoved { .. }
            | Problem::PositionUnexplained { .. }
            | Problem::PositionNow { .. } => {
                "expected after RESTORE or an expired txn; else another program writes \
                 txn actions with this app id"
            }
            Problem::MissingVersions { .. } => {
                "a file of _delta_log was deleted by hand: restore it from a backup, or audit from a later version"
            }
            Problem::Backwards { .. }
            | Problem::StartNotExpected { .. }
            | Problem::Counts { .. }
            | Problem::FewerRows { .. }
            | Problem::MoreRescued { .. }
            | Problem::TwiceInVersion => {
                "the commit contradicts itself: keep the log file of this version and report it as a bug"
            }
            Problem::Lost { .. } => {
                "while the topic still has these offsets, load them by `backfill --source` into another table and compare; \
                 what a spool has let go of can only be sent again"
            }
            Problem::Doubled { .. } => {
                "expected where the topic was compacted between two readings, or tables were bound to the source \
                 in between; else look for the same _source, _partition and _offset in two tables"
            }
            Problem::DeadLetters { .. } => {
                "the dead-letter table was made anew or lost rows of its log: compare it with a backup"
            }
        }
    }
}

fn position(position: Option<Offset>) -> String {
    position.map_or_else(|| "absent".to_owned(), |p| p.to_string())
}
