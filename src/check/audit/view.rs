//! One source partition over the tables that are judged together: segments, and what their counts say.

use super::{
    FanOutProof, Finding, Problem, RangeRecord, Rules, TableHistory, TableReport, Why,
    fan_out::ranges,
};
use crate::event::{Offset, OffsetRange};

/// One partition over the tables that are judged together.
pub(super) struct View<'a> {
    pub(super) app_id: &'a str,
    pub(super) histories: Vec<&'a TableHistory>,
    pub(super) tables: Vec<&'a TableReport>,
    pub(super) rules: &'a Rules,
    /// Each table takes every record.
    pub(super) alone: bool,
}

/// One range of one table, of the ledger's stream of records without a table, or of letters that no
/// table states.
#[derive(Clone, Copy, Default)]
pub(super) struct Piece {
    pub(super) table: usize,
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) landed: u128,
    pub(super) skipped: u128,
    pub(super) gaps: u128,
    pub(super) unread: u128,
}

struct Segment {
    start: Offset,
    end: Offset,
    pieces: Vec<Piece>,
}

enum Verdict {
    Proved,
    Undecided(Why),
    Found(Vec<Problem>),
}

/// One table's counts in a segment.
#[derive(Clone, Copy, Default)]
struct Sum {
    /// Offsets of its ranges: all of the segment, or part.
    span: u128,
    landed: u128,
    skipped: u128,
    gaps: u128,
    unread: u128,
}

impl Piece {
    fn of(table: usize, range: &RangeRecord) -> Self {
        let counts = &range.counts;
        Self {
            table,
            start: range.start,
            end: range.end,
            // In the ledger's own stream every letter is a record.
            landed: u128::from(counts.records) + u128::from(counts.dead_letters),
            skipped: u128::from(counts.skipped),
            gaps: u128::from(counts.gaps),
            unread: u128::from(counts.unread),
        }
    }
}

impl View<'_> {
    pub(super) fn judge_all(&self, mark: Option<Offset>) -> (FanOutProof, Vec<Finding>) {
        let (known_from, lowest_end) = self.bounds();
        let letters = self.letters();
        let known_from = known_from.max(letters.known_from);
        let judged_to = mark.unwrap_or(lowest_end);
        let mut proof = FanOutProof {
            app_id: self.app_id.to_owned(),
            table: None,
            proved: Vec::new(),
            undecided: Vec::new(),
            pending: None,
        };
        let mut problems: Vec<(String, Problem)> = Vec::new();
        let mut reached: Option<Offset> = None;
        for segment in self.segments(&letters.pieces) {
            if let Some(reached) = reached.filter(|&r| r < segment.start && r < judged_to) {
                let (from, to) = (reached.max(known_from), segment.start.min(judged_to));
                proof.undecide(from, to, Why::Unclaimed, Some(0));
            }
            reached = Some(segment.end);
            if segment.end > judged_to {
                let pending = proof.pending.get_or_insert(OffsetRange {
                    start: segment.start,
                    end: segment.end,
                });
                pending.end = pending.end.max(segment.end);
            } else if self.was_reset(&segment) {
                proof.undecide(segment.start, segment.end, Why::Reset, None);
            } else if segment.start < known_from {
                proof.undecide(segment.start, segment.end, Why::Cleaned, None);
            } else {
                let (verdict, landed) = self.judge(&segment);
                match verdict {
                    Verdict::Proved => proof.prove(segment.start, segment.end),
                    Verdict::Undecided(why) => {
                        proof.undecide(segment.start, segment.end, why, Some(landed));
                    }
                    Verdict::Found(found) => {
                        problems.extend(found.into_iter().map(|p| (String::new(), p)));
                    }
                }
            }
        }
        if let Some(reached) = reached.filter(|&r| r < judged_to) {
            proof.undecide(reached.max(known_from), judged_to, Why::Unclaimed, Some(0));
        }
        problems.extend(letters.problems);
        let findings = problems.into_iter().map(|(table, problem)| Finding {
            table,
            app_id: self.app_id.to_owned(),
            version: None,
            problem,
        });
        (proof, findings.collect())
    }

    /// From where all tables' ranges are known, and the lowest end of any.
    fn bounds(&self) -> (Offset, Offset) {
        let (mut known_from, mut lowest_end) = (0, Offset::MAX);
        let mut unroutable_end: Offset = 0;
        let unroutable = format!("{}!dead/", self.app_id);
        for (history, report) in self.histories.iter().zip(&self.tables) {
            // The ledger's stream goes only as far as the last record without a table.
            let id = if history.is_ledger {
                &unroutable
            } else {
                self.app_id
            };
            match report.partitions.iter().find(|p| p.app_id == id) {
                Some(proof) => {
                    if history.is_ledger {
                        unroutable_end = proof.window.end;
                    } else {
                        lowest_end = lowest_end.min(proof.window.end);
                    }
                    if !proof.complete {
                        known_from = known_from.max(proof.window.start);
                    }
                }
                None => {
                    if let Some(&position) = history.positions.get(id) {
                        known_from = known_from.max(position);
                    }
                }
            }
        }
        if lowest_end == Offset::MAX {
            lowest_end = unroutable_end;
        }
        (known_from, lowest_end)
    }

    /// Ranges of all tables in stretches that share no offset.
    fn segments(&self, letters: &[Piece]) -> Vec<Segment> {
        let unroutable = format!("{}!dead/", self.app_id);
        let mut pieces: Vec<Piece> = letters.to_vec();
        for (table, history) in self.histories.iter().enumerate() {
            let id = if history.is_ledger {
                &unroutable
            } else {
                self.app_id
            };
            pieces.extend(ranges(history, id).map(|range| Piece::of(table, range)));
        }
        pieces.sort_by_key(|p| (p.start, p.end));
        let mut segments: Vec<Segment> = Vec::new();
        for piece in pieces {
            let (start, end) = (piece.start, piece.end);
            match segments.last_mut() {
                Some(last) if start < last.end => {
                    last.end = last.end.max(end);
                    last.pieces.push(piece);
                }
                _ => segments.push(Segment {
                    start,
                    end,
                    pieces: vec![piece],
                }),
            }
        }
        segments
    }

    /// Whether a person moved a table's position over offsets of the segment.
    fn was_reset(&self, segment: &Segment) -> bool {
        self.resets().any(|reset| {
            let from = reset.from.unwrap_or(reset.to);
            from.min(reset.to) < segment.end && from.max(reset.to) > segment.start
        })
    }

    fn resets(&self) -> impl Iterator<Item = &super::ResetRecord> {
        self.histories
            .iter()
            .flat_map(|h| &h.versions)
            .flat_map(|v| &v.resets)
            .filter(|reset| reset.app_id == self.app_id)
    }

    fn judge(&self, segment: &Segment) -> (Verdict, u64) {
        let mut sums = vec![Sum::default(); self.histories.len()];
        for piece in &segment.pieces {
            if let Some(sum) = sums.get_mut(piece.table) {
                sum.span += u128::from(piece.end - piece.start);
                sum.landed += piece.landed;
                sum.skipped += piece.skipped;
                sum.gaps += piece.gaps;
                sum.unread += piece.unread;
            }
        }
        let (from, to) = (segment.start, segment.end);
        let span = u128::from(to - from);
        let records: u128 = sums.iter().map(|s| s.landed).sum();
        let landed: u128 = records + sums.iter().map(|s| s.skipped).sum::<u128>();
        // Who read it all knows which offsets held nothing. A compacted topic shows more of them to
        // later readers, so the fewest count. The ledger's stream knows of none.
        let reader = sums
            .iter()
            .zip(&self.histories)
            .filter(|(s, h)| s.span == span && !h.is_ledger)
            .map(|(s, _)| s)
            .min_by_key(|s| s.gaps + s.unread);
        let mut problems = Vec::new();
        if landed > span || reader.is_some_and(|r| landed + r.gaps > span) {
            let most = span - reader.map_or(0, |r| r.gaps).min(span);
            problems.push(Problem::Doubled {
                from,
                to,
                surplus: clamp(landed - most),
            });
        }
        let short = reader.map_or(0, |r| span.saturating_sub(landed + r.gaps + r.unread));
        if short > 0 && !self.rules.unplaced && !self.rules.partial {
            problems.push(Problem::Lost {
                from,
                to,
                at_least: clamp(short),
            });
        }
        let verdict = match reader {
            _ if !problems.is_empty() => Verdict::Found(problems),
            _ if landed == span => Verdict::Proved,
            None => Verdict::Undecided(Why::NotCovered),
            Some(reader) if landed + reader.gaps == span => Verdict::Proved,
            Some(_) if short > 0 && self.rules.partial => Verdict::Undecided(Why::Partial),
            Some(_) if short > 0 => Verdict::Undecided(Why::Unplaced),
            Some(_) => Verdict::Undecided(Why::Unread),
        };
        (verdict, clamp(records))
    }
}

pub(super) fn clamp(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
