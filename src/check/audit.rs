//! Proves from tables alone that offsets were accounted for once (exactly-once.md, rule 21).
//!
//! In: what the commits of a table say in their metadata, as far back as its log goes. Out: for each
//! source partition the window in which its ranges join and its counts add up, and findings where they
//! do not. Everything here is a pure function; reading logs is the caller's.
//!
//! A jump that a reset's own commit announces is told, not counted as a fault.
//!
//! What is not proved: that rows are still there (a DELETE is lawful, so commit metadata is what
//! counts), and that a range's counts are true. What a cleaned log no longer tells is said, not
//! guessed.

mod fan_out;
mod finding;
mod letters;
mod proof;
mod report;
#[cfg(test)]
mod tests;

pub use fan_out::audit_source;
pub use finding::{Finding, Problem};
pub use proof::{FanOutProof, Rules, SourceReport, Undecided, Why};

use crate::event::{Counts, Offset, OffsetRange};
use std::collections::{BTreeMap, btree_map::Entry};

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

/// Audits one table.
pub fn audit_table(history: &TableHistory) -> TableReport {
    let mut audit = Audit {
        table: &history.table,
        states: BTreeMap::new(),
        resets: Vec::new(),
        reset_first: BTreeMap::new(),
        findings: Vec::new(),
    };
    audit.versions(&history.versions);
    let first = history.versions.first().map(|v| v.version);
    let from_the_beginning = first == Some(0);

    let mut unprovable = Vec::new();
    if let Some(first) = first.filter(|&v| v > 0) {
        unprovable.push(format!(
            "versions below {first} are cleaned from the log; what they committed cannot be proved any more"
        ));
    }
    for (app_id, state) in &audit.states {
        if !state.proof.complete && !from_the_beginning {
            unprovable.push(format!(
                "{app_id}: proved from offset {} (version {}) on; of the offsets below only the position is known",
                state.proof.window.start, state.proof.from_version
            ));
        }
    }
    audit.last_positions(&history.positions);
    for (app_id, position) in &history.positions {
        // The ledger keeps low-water marks and starts beside positions: `SourcePartition`.
        let is_mark = app_id.ends_with("!low-water") || app_id.ends_with("!start");
        let is_set = audit.reset_first.contains_key(app_id);
        if !audit.states.contains_key(app_id) && !is_mark && !is_set {
            unprovable.push(format!(
                "{app_id}: stands at {position}, but no range in the log names it; it was committed before \
                 version {} or by another writer",
                first.unwrap_or(0)
            ));
        }
    }
    if from_the_beginning {
        audit.first_ranges();
    }
    TableReport {
        table: history.table.clone(),
        versions: first.zip(history.versions.last().map(|v| v.version)),
        foreign_versions: history.versions.iter().filter(|v| v.foreign).count(),
        partitions: audit.states.into_values().map(|s| s.proof).collect(),
        resets: audit.resets,
        findings: audit.findings,
        unprovable,
    }
}

struct Audit<'a> {
    table: &'a str,
    states: BTreeMap<String, State>,
    resets: Vec<(u64, ResetRecord)>,
    /// Where a reset put partitions of which no range was seen before.
    reset_first: BTreeMap<String, Offset>,
    findings: Vec<Finding>,
}

struct State {
    proof: PartitionProof,
    /// The end of the last range: the position after it.
    position: Offset,
    /// The highest end so far.
    high: Offset,
    first_expected: Option<Offset>,
    last_version: u64,
}

impl Audit<'_> {
    fn find(&mut self, app_id: &str, version: Option<u64>, problem: Problem) {
        self.findings.push(Finding {
            table: self.table.to_owned(),
            app_id: app_id.to_owned(),
            version,
            problem,
        });
    }

    fn versions(&mut self, versions: &[VersionRecord]) {
        let mut next: Option<u64> = None;
        for version in versions {
            if let Some(next) = next.filter(|&next| next != version.version) {
                self.find(
                    "",
                    Some(version.version),
                    Problem::MissingVersions { expected: next },
                );
            }
            next = version.version.checked_add(1);
            for reset in &version.resets {
                self.reset(version.version, reset);
            }
            for (i, range) in version.ranges.iter().enumerate() {
                let twice = version
                    .ranges
                    .iter()
                    .take(i)
                    .any(|r| r.app_id == range.app_id);
                if twice {
                    self.find(
                        &range.app_id,
                        Some(version.version),
                        Problem::TwiceInVersion,
                    );
                }
                self.range(version.version, range);
            }
        }
    }

    /// A person moved the position: the next range starts there, and nothing else does.
    fn reset(&mut self, version: u64, reset: &ResetRecord) {
        self.resets.push((version, reset.clone()));
        let Some(state) = self.states.get_mut(&reset.app_id) else {
            self.reset_first.insert(reset.app_id.clone(), reset.to);
            return;
        };
        let left = state.position;
        state.position = reset.to;
        state.high = reset.to;
        state.last_version = version;
        if reset.from != Some(left) {
            let problem = Problem::PositionMoved {
                from: left,
                to: reset.from,
            };
            self.find(&reset.app_id, Some(version), problem);
        }
    }

    fn range(&mut self, version: u64, range: &RangeRecord) {
        let &RangeRecord {
            ref app_id,
            start,
            expected,
            end,
            ref counts,
        } = range;
        if start > end {
            self.find(app_id, Some(version), Problem::Backwards { start, end });
            return;
        }
        if expected.is_some_and(|e| e != start) {
            let expected = expected.unwrap_or(start);
            self.find(
                app_id,
                Some(version),
                Problem::StartNotExpected { start, expected },
            );
        }
        self.counts(version, range);
        let joined = match self.states.entry(app_id.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(State {
                    proof: PartitionProof {
                        app_id: app_id.clone(),
                        window: OffsetRange { start, end },
                        from_version: version,
                        complete: expected.is_none(),
                        ranges: 1,
                        counts: counts.clone(),
                    },
                    position: end,
                    high: end,
                    first_expected: expected,
                    last_version: version,
                });
                None
            }
            Entry::Occupied(slot) => {
                let state = slot.into_mut();
                let problem = if start < state.high && end > start {
                    Some(Problem::Overlap {
                        from: start,
                        to: state.high.min(end),
                    })
                } else if start > state.high {
                    Some(Problem::Hole {
                        from: state.high,
                        to: start,
                    })
                } else if expected != Some(state.position) {
                    Some(Problem::PositionMoved {
                        from: state.position,
                        to: expected,
                    })
                } else {
                    None
                };
                state.position = end;
                state.high = state.high.max(end);
                state.last_version = version;
                let proof = &mut state.proof;
                proof.window.start = proof.window.start.min(start);
                proof.window.end = proof.window.end.max(end);
                proof.ranges += 1;
                add(&mut proof.counts, counts);
                problem
            }
        };
        if let Some(problem) = joined {
            self.find(app_id, Some(version), problem);
        }
    }

    fn counts(&mut self, version: u64, range: &RangeRecord) {
        let counts = &range.counts;
        let (span, counted) = (range.end - range.start, accounted(counts));
        if counted != u128::from(span) {
            let problem = Problem::Counts { span, counted };
            self.find(&range.app_id, Some(version), problem);
        }
        if counts.rows < counts.records {
            let problem = Problem::FewerRows {
                records: counts.records,
                rows: counts.rows,
            };
            self.find(&range.app_id, Some(version), problem);
        }
        if counts.rescued > counts.rows {
            let problem = Problem::MoreRescued {
                rows: counts.rows,
                rescued: counts.rescued,
            };
            self.find(&range.app_id, Some(version), problem);
        }
    }

    /// The `txn`s must be where the last ranges end.
    fn last_positions(&mut self, positions: &BTreeMap<String, Offset>) {
        let mut found = Vec::new();
        for (app_id, state) in &self.states {
            let position = positions.get(app_id).copied();
            if position != Some(state.position) {
                let problem = Problem::PositionNow {
                    position,
                    end: state.position,
                };
                found.push((app_id.clone(), state.last_version, problem));
            }
        }
        for (app_id, version, problem) in found {
            self.find(&app_id, Some(version), problem);
        }
    }

    /// In a whole log nothing explains a position before the first range.
    fn first_ranges(&mut self) {
        let mut found = Vec::new();
        for (app_id, state) in &self.states {
            if let Some(position) = state.first_expected
                && self.reset_first.get(app_id) != Some(&position)
            {
                let problem = Problem::PositionUnexplained { position };
                found.push((app_id.clone(), state.proof.from_version, problem));
            }
        }
        for (app_id, version, problem) in found {
            self.find(&app_id, Some(version), problem);
        }
    }
}

/// [`Counts::offsets`] of numbers that were read from a log and may be anything.
fn accounted(counts: &Counts) -> u128 {
    [
        counts.records,
        counts.dead_letters,
        counts.skipped,
        counts.elsewhere,
        counts.gaps,
        counts.unread,
    ]
    .into_iter()
    .map(u128::from)
    .sum()
}

/// [`Counts::add`], saturating, without the fields' own counts.
fn add(to: &mut Counts, more: &Counts) {
    for (to, more) in [
        (&mut to.records, more.records),
        (&mut to.rows, more.rows),
        (&mut to.rescued, more.rescued),
        (&mut to.dead_letters, more.dead_letters),
        (&mut to.skipped, more.skipped),
        (&mut to.elsewhere, more.elsewhere),
        (&mut to.gaps, more.gaps),
        (&mut to.unread, more.unread),
    ] {
        *to = to.saturating_add(more);
    }
    for (field, n) in &more.rescued_fields {
        let sum = to.rescued_fields.entry(field.clone()).or_default();
        *sum = sum.saturating_add(*n);
    }
}
