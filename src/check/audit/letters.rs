//! Dead letters that no range of their table states.
//!
//! A table states its dead letters in the range it commits with the next rows. Letters that no rows
//! followed, and those that a restart left below where it resumed (`unread`), are told by the ledger's
//! stream alone, `<partition>!dead/<table>`. Ranges of table and stream that overlap, taken together,
//! hold each letter of the table's ranges once in both; what the stream holds beyond it fills offsets.

use super::{
    Problem, RangeRecord,
    fan_out::ranges,
    view::{Piece, View, clamp},
};
use crate::event::Offset;
use std::collections::{BTreeMap, BTreeSet};

/// What the ledger's streams of one partition add to what tables state.
#[derive(Default)]
pub(super) struct Letters {
    /// Letters that only the ledger tells of, within these offsets.
    pub(super) pieces: Vec<Piece>,
    /// Below it, which letters a table states is not known: a log was cleaned, or a reset came between.
    pub(super) known_from: Offset,
    /// By table: it states more than its stream holds.
    pub(super) problems: Vec<(String, Problem)>,
}

/// Ranges of a table and of its stream that overlap.
struct Cluster<'a> {
    start: Offset,
    end: Offset,
    kept: u128,
    own: Vec<&'a RangeRecord>,
}

/// From where on a table and its stream are known in full, and whether a person moved either.
struct Known {
    table: Offset,
    stream: Option<Offset>,
    is_reset: bool,
}

impl View<'_> {
    /// The letters beyond those that tables state. The ledger may hold more than is stated: letters
    /// are committed before the rows they belong with. Without a ledger what tables say counts.
    pub(super) fn letters(&self) -> Letters {
        let mut letters = Letters::default();
        let Some((index, ledger)) = self
            .histories
            .iter()
            .enumerate()
            .find(|(_, history)| history.is_ledger)
        else {
            return letters;
        };
        let prefix = format!("{}!dead/", self.app_id);
        let mut streams: BTreeMap<&str, Vec<&RangeRecord>> = BTreeMap::new();
        for range in ledger.versions.iter().flat_map(|v| &v.ranges) {
            if let Some(table) = range.app_id.strip_prefix(&prefix)
                && !table.is_empty()
                && range.start < range.end
            {
                streams.entry(table).or_default().push(range);
            }
        }
        let mut names: BTreeSet<&str> = self
            .histories
            .iter()
            .filter(|history| !history.is_ledger)
            .map(|history| history.table.as_str())
            .collect();
        // Where each table takes every record, the letters of another fill nothing.
        if !self.alone {
            names.extend(streams.keys());
        }
        for name in names {
            let stream = streams.remove(name).unwrap_or_default();
            self.letters_of(name, index, &stream, &mut letters);
        }
        letters
    }

    fn letters_of(
        &self,
        table: &str,
        ledger: usize,
        stream: &[&RangeRecord],
        letters: &mut Letters,
    ) {
        let known = self.known(table);
        let own: Vec<&RangeRecord> = self
            .histories
            .iter()
            .filter(|history| !history.is_ledger && history.table == table)
            .flat_map(|history| ranges(history, self.app_id))
            .collect();
        let from = known.table.max(known.stream.unwrap_or(0));
        let mut short: Option<(Offset, Offset, u128, u128)> = None;
        for cluster in clusters(&own, stream) {
            let stated = cluster
                .own
                .iter()
                .map(|r| u128::from(r.counts.dead_letters));
            let stated: u128 = stated.sum();
            let unstated = cluster.unstated();
            if known.is_reset || cluster.start < from {
                if cluster.kept > 0 && unstated.is_some() {
                    letters.known_from = letters.known_from.max(cluster.end);
                }
                if known.is_reset || known.stream.is_some_and(|at| cluster.start < at) {
                    continue;
                }
            }
            if stated > cluster.kept {
                let sum = short.get_or_insert((cluster.start, cluster.end, 0, 0));
                sum.1 = cluster.end;
                sum.2 += stated;
                sum.3 += cluster.kept;
            } else if let Some((start, end)) = unstated
                && cluster.start >= from
                && stated < cluster.kept
            {
                letters.pieces.push(Piece {
                    table: ledger,
                    start,
                    end,
                    landed: cluster.kept - stated,
                    ..Piece::default()
                });
            }
        }
        if let Some((from, to, stated, kept)) = short {
            let problem = Problem::DeadLetters {
                from,
                to,
                stated: clamp(stated),
                kept: clamp(kept),
            };
            letters.problems.push((table.to_owned(), problem));
        }
    }

    fn known(&self, table: &str) -> Known {
        let stream = format!("{}!dead/{table}", self.app_id);
        let mut known = Known {
            table: 0,
            stream: None,
            is_reset: false,
        };
        for (history, report) in self.histories.iter().zip(&self.tables) {
            let id = match history.is_ledger {
                true => stream.as_str(),
                false if history.table == table => self.app_id,
                false => continue,
            };
            let resets = history.versions.iter().flat_map(|v| &v.resets);
            // After a reset letters are judged, and stated, once more.
            known.is_reset |= resets.into_iter().any(|reset| reset.app_id == id);
            let from = match report.partitions.iter().find(|p| p.app_id == id) {
                Some(proof) if proof.complete => None,
                Some(proof) => Some(proof.window.start),
                None if history.is_ledger => history.positions.get(id).map(|_| Offset::MAX),
                None => history.positions.get(id).copied(),
            };
            match history.is_ledger {
                true => known.stream = from,
                false => known.table = from.unwrap_or(0),
            }
        }
        known
    }
}

fn clusters<'a>(own: &[&'a RangeRecord], stream: &[&'a RangeRecord]) -> Vec<Cluster<'a>> {
    let mut all: Vec<(bool, &RangeRecord)> = Vec::with_capacity(own.len() + stream.len());
    all.extend(own.iter().map(|range| (true, *range)));
    all.extend(stream.iter().map(|range| (false, *range)));
    all.sort_by_key(|(_, range)| (range.start, range.end));
    let mut clusters: Vec<Cluster<'a>> = Vec::new();
    for (is_own, range) in all {
        if clusters.last().is_none_or(|last| last.end <= range.start) {
            clusters.push(Cluster {
                start: range.start,
                end: range.end,
                kept: 0,
                own: Vec::new(),
            });
        }
        if let Some(cluster) = clusters.last_mut() {
            cluster.end = cluster.end.max(range.end);
            match is_own {
                true => cluster.own.push(range),
                false => cluster.kept += u128::from(range.counts.records),
            }
        }
    }
    clusters
}

impl Cluster<'_> {
    /// The stretch from the first to the last offset that the table states nothing of. What a range
    /// has not read again is its beginning.
    fn unstated(&self) -> Option<(Offset, Offset)> {
        let mut stretch: Option<(Offset, Offset)> = None;
        let mut at = self.start;
        let mut leave = |from: Offset, to: Offset| {
            if from < to {
                stretch.get_or_insert((from, to)).1 = to;
            }
        };
        for range in &self.own {
            let read_from = range.start.saturating_add(range.counts.unread);
            leave(at, read_from.min(range.end));
            at = at.max(range.end);
        }
        leave(at, self.end);
        stretch
    }
}
