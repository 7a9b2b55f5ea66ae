//! The verdict on a source in words, and what reading it again adds to a proof.

use super::super::audit::{FanOutProof, Finding, Problem, TableReport};
use crate::event::{Offset, OffsetRange};
use std::{collections::BTreeMap, fmt::Write};

pub(super) fn plural<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

/// In plain words: what is proved, and what cannot be proved any more and why.
pub(super) fn verdict(source: &str, partitions: &[FanOutProof], faults: usize) -> String {
    let span = |ranges: &[OffsetRange]| ranges.iter().map(OffsetRange::span).sum::<u64>();
    let proved: u64 = partitions.iter().map(|p| span(&p.proved)).sum();
    let mut out = format!("\nverdict on source {source}\n");
    if partitions.is_empty() {
        out.push_str("  no table in the lake holds anything of it: there is nothing to prove\n");
        return out;
    }
    if proved == 0 {
        out.push_str("  nothing is proved over all tables\n");
    } else {
        let _ = writeln!(
            out,
            "  PROVED: {proved} offsets of {} source {} are accounted for exactly once, over all tables",
            partitions.len(),
            plural(partitions.len(), "partition", "partitions")
        );
    }
    for partition in partitions {
        let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
        for one in &partition.undecided {
            *by_reason.entry(one.why.to_string()).or_default() += one.range.span();
        }
        for (why, offsets) in by_reason {
            let _ = writeln!(
                out,
                "  not provable: {offsets} offsets of {}: {why}",
                partition.app_id
            );
        }
        if let Some(pending) = &partition.pending {
            let _ = writeln!(
                out,
                "  not judged yet: {} offsets of {} reach above its low-water mark, which moves within ten \
                 seconds of the last commit; ask again when the daemon is idle or stopped",
                pending.span(),
                partition.app_id
            );
        }
    }
    if faults > 0 {
        let _ = writeln!(
            out,
            "  NOT PROVED: {faults} {}, told above",
            plural(faults, "finding", "findings")
        );
    }
    out
}

/// A finding of reading the source again.
pub(in crate::check) fn lost(app_id: &str, range: OffsetRange, at_least: u64) -> Finding {
    Finding {
        table: String::new(),
        app_id: app_id.to_owned(),
        version: None,
        problem: Problem::Lost {
            from: range.start,
            to: range.end,
            at_least,
        },
    }
}

/// Adds proved offsets, keeping the list sorted and joined.
pub(in crate::check) fn prove(proof: &mut FanOutProof, range: OffsetRange) {
    proof.proved.push(range);
    proof.proved.sort_by_key(|r| r.start);
    let mut joined: Vec<OffsetRange> = Vec::new();
    for range in proof.proved.drain(..) {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    proof.proved = joined;
}

/// The highest position that a table holds of a partition.
pub(in crate::check) fn highest(tables: &[TableReport], app_id: &str) -> Offset {
    let all = tables.iter().flat_map(|table| &table.partitions);
    all.filter(|partition| partition.app_id == app_id)
        .map(|partition| partition.window.end)
        .max()
        .unwrap_or(0)
}
