//! The low-water mark of one partition, as a pure account (exactly-once.md, rule 9).
//!
//! Every raw batch read is announced with the tables it feeds; every commit settles what a table
//! held below its end. The mark is the lowest first offset still open in any table, or the end of
//! what was read where nothing is open.
//!
//! A table that lags may be left out: its share of a batch, and of every later batch of the epoch, is
//! withheld. Its first withheld offset is open until the epoch ends, so the mark stays below it, and
//! a later epoch brings it again. Each share that a table is due is numbered, withheld or not, so that
//! whoever gets one can tell that none before it was left out.

use crate::event::{Offset, OffsetRange};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The most runs of gaps remembered; older ones are counted as `elsewhere` from then on.
const MAX_GAP_RUNS: usize = 1 << 16;

/// A table's share of a raw batch.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) table: Arc<str>,
    /// Its first offset in the batch.
    pub(crate) first: Offset,
    /// The table lags: withhold this share and all that follow.
    pub(crate) withhold: bool,
}

/// What becomes of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// To be delivered; how many shares of the epoch the table was due before.
    Numbered(u64),
    Withheld,
}

/// One epoch of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    /// Where this epoch began to read.
    resume: Offset,
    read_end: Offset,
    low_water: Offset,
    open: BTreeMap<Arc<str>, VecDeque<OffsetRange>>,
    /// Shares given or withheld, by table.
    shares: BTreeMap<Arc<str>, u64>,
    /// The tables that get nothing more of this epoch, with the first offset that each was denied;
    /// `None`: none was yet.
    withheld: BTreeMap<Arc<str>, Option<Offset>>,
    gaps: VecDeque<OffsetRange>,
}

impl Tracker {
    pub(crate) fn new(resume: Offset) -> Self {
        Self {
            resume,
            read_end: resume,
            low_water: resume,
            open: BTreeMap::new(),
            shares: BTreeMap::new(),
            withheld: BTreeMap::new(),
            gaps: VecDeque::new(),
        }
    }

    /// The next epoch of a partition that stayed with this process. What is known to hold no record
    /// is still known, for ranges that begin in an earlier epoch.
    pub(crate) fn following(resume: Offset, earlier: Tracker) -> Self {
        Self {
            gaps: earlier.gaps,
            ..Self::new(resume)
        }
    }

    pub(crate) fn resume(&self) -> Offset {
        self.resume
    }

    pub(crate) fn read_end(&self) -> Offset {
        self.read_end
    }

    pub(crate) fn low_water(&self) -> Offset {
        self.low_water
    }

    /// Whether everything read is settled, nothing withheld.
    pub(crate) fn is_settled(&self) -> bool {
        self.low_water == self.read_end
    }

    /// The tables that get nothing more of this epoch, with the first offset each was denied.
    pub(crate) fn withheld(&self) -> &BTreeMap<Arc<str>, Option<Offset>> {
        &self.withheld
    }

    /// The tables that still hold something open. What is withheld is held by nobody.
    pub(crate) fn open_tables(&self) -> impl Iterator<Item = &Arc<str>> {
        self.open.keys()
    }

    /// Whether everything of `table` below `end` was read and is settled.
    pub(crate) fn is_table_settled(&self, table: &str, end: Offset) -> bool {
        self.read_end >= end
            && self
                .open
                .get(table)
                .and_then(VecDeque::front)
                .is_none_or(|range| range.start >= end)
            && self
                .withheld
                .get(table)
                .is_none_or(|first| first.is_none_or(|first| first >= end))
    }

    /// Whether a batch that begins at `start` continues what was read.
    pub(crate) fn continues(&self, start: Offset) -> bool {
        start == self.read_end
    }

    /// A raw batch `[read_end, end)` was read, which feeds these tables. `gaps` are the runs of offsets
    /// in it without a record. Returns what becomes of each share.
    pub(crate) fn read(
        &mut self,
        end: Offset,
        feeds: &[Feed],
        gaps: impl IntoIterator<Item = OffsetRange>,
    ) -> Vec<Given> {
        let given = feeds.iter().map(|feed| self.give(feed, end)).collect();
        // What an earlier epoch passed is known already.
        let known = self.gaps.back().map_or(0, |last| last.end);
        for gap in gaps {
            if gap.end <= known {
                continue;
            }
            let gap = OffsetRange {
                start: gap.start.max(known),
                end: gap.end,
            };
            match self.gaps.back_mut() {
                Some(last) if last.end == gap.start => last.end = gap.end,
                _ => self.gaps.push_back(gap),
            }
        }
        while self.gaps.len() > MAX_GAP_RUNS {
            self.gaps.pop_front();
        }
        self.read_end = end;
        self.advance();
        given
    }

    fn give(&mut self, feed: &Feed, end: Offset) -> Given {
        let number = self.shares.entry(feed.table.clone()).or_default();
        let before = *number;
        *number += 1;
        if feed.withhold || self.withheld.contains_key(&feed.table) {
            self.deny(&feed.table, feed.first);
            return Given::Withheld;
        }
        let range = OffsetRange {
            start: feed.first,
            end,
        };
        self.open
            .entry(feed.table.clone())
            .or_default()
            .push_back(range);
        Given::Numbered(before)
    }

    fn deny(&mut self, table: &Arc<str>, first: Offset) {
        let denied = self.withheld.entry(table.clone()).or_default();
        *denied = Some(denied.map_or(first, |known| known.min(first)));
    }

    /// What `table` was given of batches that end above `from` was dropped, and it gets nothing more of
    /// this epoch. What it has taken below may still be settled.
    pub(crate) fn withhold(&mut self, table: &Arc<str>, from: Offset) {
        self.withheld.entry(table.clone()).or_default();
        let Some(open) = self.open.get_mut(table) else {
            return;
        };
        let kept = open.partition_point(|range| range.end <= from);
        let first = open.get(kept).map(|range| range.start);
        open.truncate(kept);
        if open.is_empty() {
            self.open.remove(table);
        }
        if let Some(first) = first {
            self.deny(table, first);
        }
    }

    /// `table` has settled all its records below `end`. Returns the new mark if it moved.
    pub(crate) fn settled(&mut self, table: &str, end: Offset) -> Option<Offset> {
        if let Some(open) = self.open.get_mut(table) {
            while open.front().is_some_and(|range| range.end <= end) {
                open.pop_front();
            }
            if open.is_empty() {
                self.open.remove(table);
            }
        }
        self.advance()
    }

    /// How many offsets of the range are known to hold no record.
    pub(crate) fn gaps_within(&self, range: OffsetRange) -> u64 {
        let from = self.gaps.partition_point(|gap| gap.end <= range.start);
        self.gaps
            .range(from..)
            .take_while(|gap| gap.start < range.end)
            .map(|gap| gap.end.min(range.end) - gap.start.max(range.start))
            .sum()
    }

    fn advance(&mut self) -> Option<Offset> {
        let mark = self
            .open
            .values()
            .filter_map(|open| open.front())
            .map(|range| range.start)
            .chain(self.withheld.values().copied().flatten())
            .min()
            .unwrap_or(self.read_end);
        if mark > self.low_water {
            self.low_water = mark;
            return Some(mark);
        }
        None
    }
}

/// The runs of offsets in `[start, end)` that none of the ascending `offsets` is.
pub(crate) fn gap_runs(
    start: Offset,
    end: Offset,
    offsets: impl IntoIterator<Item = Offset>,
) -> Vec<OffsetRange> {
    let mut runs = Vec::new();
    let mut next = start;
    for offset in offsets {
        if offset > next {
            runs.push(OffsetRange {
                start: next,
                end: offset,
            });
        }
        next = offset + 1;
    }
    if end > next {
        runs.push(OffsetRange { start: next, end });
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(table: &str, first: Offset) -> Feed {
        Feed {
            table: table.into(),
            first,
            withhold: false,
        }
    }

    fn late(table: &str, first: Offset) -> Feed {
        Feed {
            withhold: true,
            ..feed(table, first)
        }
    }

    #[test]
    fn the_mark_waits_for_the_slowest_table() {
        let mut tracker = Tracker::new(10);
        tracker.read(20, &[feed("a", 10), feed("b", 15)], []);
        tracker.read(30, &[feed("a", 20)], []);
        assert_eq!(tracker.settled("a", 30), Some(15));
        assert_eq!(tracker.settled("b", 20), Some(30));
        assert!(tracker.is_settled());
    }

    #[test]
    fn a_batch_that_feeds_no_table_moves_the_mark_at_once() {
        let mut tracker = Tracker::new(0);
        tracker.read(5, &[], []);
        assert_eq!(tracker.low_water(), 5);
    }

    #[test]
    fn gaps_are_counted_within_a_range() {
        let mut tracker = Tracker::new(0);
        tracker.read(10, &[], gap_runs(0, 10, [1, 2, 5]));
        tracker.read(20, &[], gap_runs(10, 20, [12]));
        assert_eq!(tracker.gaps_within(OffsetRange { start: 0, end: 20 }), 16);
        assert_eq!(tracker.gaps_within(OffsetRange { start: 3, end: 11 }), 7);
        assert_eq!(tracker.gaps_within(OffsetRange { start: 12, end: 13 }), 0);
    }

    #[test]
    fn gaps_of_an_earlier_epoch_are_known_and_counted_once() {
        let mut tracker = Tracker::new(0);
        tracker.read(10, &[], gap_runs(0, 10, [1, 2, 5]));
        let mut tracker = Tracker::following(4, tracker);
        assert_eq!(tracker.gaps_within(OffsetRange { start: 0, end: 20 }), 7);
        tracker.read(10, &[], gap_runs(4, 10, [5]));
        tracker.read(20, &[], gap_runs(10, 20, [12]));
        assert_eq!(tracker.gaps_within(OffsetRange { start: 0, end: 20 }), 16);
    }

    #[test]
    fn once_withheld_always_withheld_and_the_mark_stays_below() {
        let mut tracker = Tracker::new(0);
        let given = tracker.read(10, &[feed("a", 0), feed("b", 3)], []);
        assert_eq!(given, [Given::Numbered(0), Given::Numbered(0)]);
        let given = tracker.read(20, &[late("a", 12), feed("b", 11)], []);
        assert_eq!(given, [Given::Withheld, Given::Numbered(1)]);
        // It has room again, but the epoch has a hole now.
        let given = tracker.read(30, &[feed("a", 21), feed("b", 20)], []);
        assert_eq!(given, [Given::Withheld, Given::Numbered(2)]);
        assert_eq!(tracker.settled("b", 30), None);
        assert_eq!(tracker.settled("a", 30), Some(12));
        assert!(!tracker.is_settled());
        assert_eq!(tracker.open_tables().count(), 0, "nobody holds anything");
        assert!(tracker.is_table_settled("b", 30) && !tracker.is_table_settled("a", 13));
        assert!(tracker.is_table_settled("a", 12));
    }

    #[test]
    fn what_a_table_was_given_and_dropped_is_withheld_from_there() {
        let mut tracker = Tracker::new(0);
        for end in [10, 20, 30] {
            tracker.read(end, &[feed("a", end - 8)], []);
        }
        tracker.withhold(&"a".into(), 10);
        assert_eq!(tracker.open_tables().count(), 1);
        assert_eq!(tracker.settled("a", 10), Some(12));
        assert_eq!(tracker.read(40, &[feed("a", 33)], []), [Given::Withheld]);
        assert_eq!(tracker.low_water(), 12);
        // A table that dropped nothing is left out all the same.
        let mut tracker = Tracker::new(0);
        tracker.withhold(&"a".into(), 0);
        assert_eq!(tracker.read(4, &[feed("a", 2)], []), [Given::Withheld]);
        assert_eq!(tracker.low_water(), 2);
    }

    proptest! {
        /// The mark is never above an unsettled record, withheld ones included, and shares that are given
        /// after one was withheld are never numbered as if none was.
        #[test]
        fn the_mark_is_safe(steps in prop::collection::vec((0u8..3, 1u64..5, 0u8..3, 0u8..12), 1..60)) {
            let mut tracker = Tracker::new(0);
            let mut unsettled: Vec<(u8, Offset)> = Vec::new();
            let mut taken = [0u64; 3];
            let mut denied: std::collections::BTreeSet<u8> = Default::default();
            let mut end = 0;
            for (table, width, settle, chance) in steps {
                let start = end;
                end += width;
                let share = Feed { withhold: chance == 0, ..feed(&table.to_string(), start) };
                match tracker.read(end, &[share], [])[0] {
                    Given::Numbered(number) => {
                        prop_assert!(!denied.contains(&table));
                        prop_assert_eq!(number, taken[usize::from(table)]);
                        taken[usize::from(table)] += 1;
                    }
                    Given::Withheld => {
                        prop_assert!(chance == 0 || denied.contains(&table));
                        denied.insert(table);
                    }
                }
                unsettled.extend((start..end).map(|o| (table, o)));
                if chance == 1 {
                    tracker.withhold(&settle.to_string().into(), start);
                    denied.insert(settle);
                }
                if !denied.contains(&settle) {
                    tracker.settled(&settle.to_string(), start);
                    unsettled.retain(|(t, o)| *t != settle || *o >= start);
                }
                for (_, offset) in &unsettled {
                    prop_assert!(tracker.low_water() <= *offset);
                }
            }
            for table in (0..3u8).filter(|table| !denied.contains(table)) {
                tracker.settled(&table.to_string(), end);
                unsettled.retain(|(t, _)| *t != table);
            }
            let lowest = unsettled.iter().map(|(_, o)| *o).min().unwrap_or(end);
            prop_assert!(tracker.low_water() <= lowest);
            if denied.is_empty() {
                prop_assert_eq!(tracker.low_water(), end);
            }
        }
    }
}
