//! Whether the ranges of one table join, version by version, and their counts add up.

use super::{Finding, PartitionProof, Problem, RangeRecord, ResetRecord, VersionRecord};
use crate::event::{Counts, Offset, OffsetRange};
use std::collections::{BTreeMap, btree_map::Entry};

/// The ranges of one table, one after another.
pub(super) struct Audit<'a> {
    pub(super) table: &'a str,
    pub(super) states: BTreeMap<String, State>,
    pub(super) resets: Vec<(u64, ResetRecord)>,
    /// Where a reset put partitions of which no range was seen before.
    pub(super) reset_first: BTreeMap<String, Offset>,
    pub(super) findings: Vec<Finding>,
}

pub(super) struct State {
    pub(super) proof: PartitionProof,
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

    pub(super) fn versions(&mut self, versions: &[VersionRecord]) {
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
    pub(super) fn last_positions(&mut self, positions: &BTreeMap<String, Offset>) {
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
    pub(super) fn first_ranges(&mut self) {
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
