//! What the tables of one source prove together.
//!
//! Each table says of its own ranges how many offsets were its records, how many belonged elsewhere
//! and how many held nothing. Where ranges of several tables lie over the same offsets, the records of
//! all of them and the offsets without a record must fill those offsets. Counts are per range, not per
//! offset, so this is asked of segments: stretches of offsets that no range enters or leaves midway.
//!
//! Said plainly: a record in two tables and another in none cancel out in one segment; and offsets in
//! no table's range at all (tombstones that no table counts, or a loss) are left undecided. Only
//! reading the source again tells those apart.

use super::{Finding, Problem, TableHistory, TableReport, audit_table};
use crate::event::{Offset, OffsetRange};
use std::collections::{BTreeMap, BTreeSet};

/// What holds of one source partition over all tables.
#[derive(Clone, Debug, PartialEq)]
pub struct FanOutProof {
    pub app_id: String,
    /// Where the counts of all tables fill the offsets, ascending, joined where they touch.
    pub proved: Vec<OffsetRange>,
    /// Where counts alone decide nothing, with the reason; reading the source again does.
    pub undecided: Vec<(OffsetRange, &'static str)>,
    /// Not judged yet: committed by some tables, above the low-water mark.
    pub pending: Option<OffsetRange>,
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

/// Audits all tables of a source, the dead-letter table among them. `low_water`: the ledger's marks by
/// app id; a partition without one is judged up to the lowest end of its tables.
pub fn audit_source(
    histories: &[TableHistory],
    low_water: &BTreeMap<String, Offset>,
) -> SourceReport {
    let tables: Vec<TableReport> = histories.iter().map(audit_table).collect();
    let app_ids: BTreeSet<&str> = tables
        .iter()
        .flat_map(|t| &t.partitions)
        .map(|p| p.app_id.as_str())
        .collect();
    let mut report = SourceReport::default();
    for app_id in app_ids {
        let mark = low_water.get(app_id).copied();
        let (proof, findings) = partition(app_id, histories, &tables, mark);
        report.partitions.push(proof);
        report.findings.extend(findings);
    }
    report.tables = tables;
    report
}

/// One range of one table.
struct Piece<'a> {
    table: usize,
    range: &'a super::RangeRecord,
}

struct Segment<'a> {
    start: Offset,
    end: Offset,
    pieces: Vec<Piece<'a>>,
}

fn partition(
    app_id: &str,
    histories: &[TableHistory],
    tables: &[TableReport],
    mark: Option<Offset>,
) -> (FanOutProof, Vec<Finding>) {
    let (known_from, lowest_end) = bounds(app_id, histories, tables);
    let judged_to = mark.unwrap_or(lowest_end);
    let mut proof = FanOutProof {
        app_id: app_id.to_owned(),
        proved: Vec::new(),
        undecided: Vec::new(),
        pending: None,
    };
    let mut findings = Vec::new();
    let has_ledger = histories.iter().any(|h| h.is_ledger);
    let mut reached: Option<Offset> = None;
    for segment in segments(app_id, histories) {
        if let Some(reached) = reached.filter(|&r| r < segment.start && r < judged_to) {
            proof.undecide(
                reached.max(known_from),
                segment.start.min(judged_to),
                UNCLAIMED,
            );
        }
        reached = Some(segment.end);
        if segment.end > judged_to {
            let pending = proof.pending.get_or_insert(OffsetRange {
                start: segment.start,
                end: segment.end,
            });
            pending.end = pending.end.max(segment.end);
        } else if segment.start < known_from {
            proof.undecide(segment.start, segment.end, CLEANED);
        } else {
            match judge(&segment, histories, has_ledger) {
                Verdict::Proved => proof.prove(segment.start, segment.end),
                Verdict::Undecided(why) => proof.undecide(segment.start, segment.end, why),
                Verdict::Found(problems) => {
                    findings.extend(problems.into_iter().map(|problem| Finding {
                        table: String::new(),
                        app_id: app_id.to_owned(),
                        version: None,
                        problem,
                    }))
                }
            }
        }
    }
    if let Some(reached) = reached.filter(|&r| r < judged_to) {
        proof.undecide(reached.max(known_from), judged_to, UNCLAIMED);
    }
    (proof, findings)
}

const UNCLAIMED: &str = "below the low-water mark and in no table's range";
const CLEANED: &str = "a table's log is cleaned so far";
const NOT_COVERED: &str =
    "no one table read all of it, so the offsets without a record are not known";
const UNREAD: &str = "a table that read it began above it";

/// From where all tables' ranges are known, and the lowest end of any.
fn bounds(app_id: &str, histories: &[TableHistory], tables: &[TableReport]) -> (Offset, Offset) {
    let (mut known_from, mut lowest_end) = (0, Offset::MAX);
    for (history, report) in histories.iter().zip(tables) {
        match report.partitions.iter().find(|p| p.app_id == app_id) {
            Some(proof) => {
                lowest_end = lowest_end.min(proof.window.end);
                if !proof.complete {
                    known_from = known_from.max(proof.window.start);
                }
            }
            None => {
                if let Some(&position) = history.positions.get(app_id) {
                    known_from = known_from.max(position);
                }
            }
        }
    }
    (known_from, lowest_end)
}

/// Ranges of all tables in stretches that share no offset.
fn segments<'a>(app_id: &str, histories: &'a [TableHistory]) -> Vec<Segment<'a>> {
    let mut pieces: Vec<Piece<'a>> = histories
        .iter()
        .enumerate()
        .flat_map(|(table, history)| {
            history
                .versions
                .iter()
                .flat_map(|v| &v.ranges)
                .filter(|r| r.app_id == app_id && r.start < r.end)
                .map(move |range| Piece { table, range })
        })
        .collect();
    pieces.sort_by_key(|p| (p.range.start, p.range.end));
    let mut segments: Vec<Segment<'a>> = Vec::new();
    for piece in pieces {
        let (start, end) = (piece.range.start, piece.range.end);
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

enum Verdict {
    Proved,
    Undecided(&'static str),
    Found(Vec<Problem>),
}

/// One table's counts in a segment.
#[derive(Clone, Copy, Default)]
struct Sum {
    /// Offsets of its ranges: all of the segment, or part.
    span: u128,
    landed: u128,
    dead_letters: u128,
    gaps: u128,
    unread: u128,
}

fn judge(segment: &Segment<'_>, histories: &[TableHistory], has_ledger: bool) -> Verdict {
    let mut sums = vec![Sum::default(); histories.len()];
    for piece in &segment.pieces {
        if let Some(sum) = sums.get_mut(piece.table) {
            let counts = &piece.range.counts;
            sum.span += u128::from(piece.range.end - piece.range.start);
            sum.landed += u128::from(counts.records) + u128::from(counts.skipped);
            sum.dead_letters += u128::from(counts.dead_letters);
            sum.gaps += u128::from(counts.gaps);
            sum.unread += u128::from(counts.unread);
        }
    }
    let (start, end) = (segment.start, segment.end);
    let span = u128::from(end - start);
    let stated: u128 = sums.iter().map(|s| s.dead_letters).sum();
    let mut landed: u128 = sums.iter().map(|s| s.landed).sum();
    let mut problems = Vec::new();
    if has_ledger {
        // A dead letter is a record of the dead-letter table; counting it here too would be twice.
        let kept: u128 = sums
            .iter()
            .zip(histories)
            .filter(|(_, h)| h.is_ledger)
            .map(|(s, _)| s.landed)
            .sum();
        if stated > kept {
            problems.push(Problem::DeadLetters {
                from: start,
                to: end,
                stated: clamp(stated),
                kept: clamp(kept),
            });
        }
    } else {
        landed += stated;
    }
    // Who read it all knows which offsets held nothing. A compacted topic shows more of them to later
    // readers, so the fewest count.
    let reader = sums
        .iter()
        .filter(|s| s.span == span)
        .min_by_key(|s| s.gaps + s.unread);
    if landed > span || reader.is_some_and(|r| landed + r.gaps > span) {
        let most = span - reader.map_or(0, |r| r.gaps).min(span);
        problems.push(Problem::Doubled {
            from: start,
            to: end,
            surplus: clamp(landed - most),
        });
    }
    if let Some(reader) = reader
        && landed + reader.gaps + reader.unread < span
    {
        problems.push(Problem::Lost {
            from: start,
            to: end,
            at_least: clamp(span - landed - reader.gaps - reader.unread),
        });
    }
    match reader {
        _ if !problems.is_empty() => Verdict::Found(problems),
        None => Verdict::Undecided(NOT_COVERED),
        Some(reader) if landed + reader.gaps == span => Verdict::Proved,
        Some(_) => Verdict::Undecided(UNREAD),
    }
}

fn clamp(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl FanOutProof {
    fn prove(&mut self, start: Offset, end: Offset) {
        match self.proved.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.proved.push(OffsetRange { start, end }),
        }
    }

    fn undecide(&mut self, start: Offset, end: Offset, why: &'static str) {
        if start < end {
            self.undecided.push((OffsetRange { start, end }, why));
        }
    }
}
