//! The low-water mark of one partition, as a pure account (exactly-once.md, rule 9).
//!
//! Every raw batch read is announced with the tables it feeds; every commit settles what a table
//! held below its end. The mark is the lowest first offset still open in any table, or the end of
//! what was read where nothing is open.

use crate::event::{Offset, OffsetRange};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The most runs of gaps remembered; older ones are counted as `elsewhere` from then on.
const MAX_GAP_RUNS: usize = 1 << 16;

/// One epoch of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    /// Where this epoch began to read.
    resume: Offset,
    read_end: Offset,
    low_water: Offset,
    open: BTreeMap<Arc<str>, VecDeque<OffsetRange>>,
    gaps: VecDeque<OffsetRange>,
}

impl Tracker {
    pub(crate) fn new(resume: Offset) -> Self {
        Self {
            resume,
            read_end: resume,
            low_water: resume,
            open: BTreeMap::new(),
            gaps: VecDeque::new(),
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

    /// Whether everything read is settled.
    pub(crate) fn is_settled(&self) -> bool {
        self.low_water == self.read_end
    }

    /// The tables that still hold something open.
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
    }

    /// Whether a batch that begins at `start` continues what was read.
    pub(crate) fn continues(&self, start: Offset) -> bool {
        start == self.read_end
    }

    /// A raw batch `[read_end, end)` was read; each table of `feeds` holds records from `first` on.
    /// `gaps` are the runs of offsets in it without a record.
    pub(crate) fn read(
        &mut self,
        end: Offset,
        feeds: impl IntoIterator<Item = (Arc<str>, Offset)>,
        gaps: impl IntoIterator<Item = OffsetRange>,
    ) -> Option<Offset> {
        for (table, first) in feeds {
            self.open
                .entry(table)
                .or_default()
                .push_back(OffsetRange { start: first, end });
        }
        for gap in gaps {
            match self.gaps.back_mut() {
                Some(last) if last.end == gap.start => last.end = gap.end,
                _ => self.gaps.push_back(gap),
            }
        }
        while self.gaps.len() > MAX_GAP_RUNS {
            self.gaps.pop_front();
        }
        self.read_end = end;
        self.advance()
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

    fn name(table: &str) -> Arc<str> {
        table.into()
    }

    #[test]
    fn the_mark_waits_for_the_slowest_table() {
        let mut tracker = Tracker::new(10);
        tracker.read(20, [(name("a"), 10), (name("b"), 15)], []);
        tracker.read(30, [(name("a"), 20)], []);
        assert_eq!(tracker.settled("a", 30), Some(15));
        assert_eq!(tracker.settled("b", 20), Some(30));
        assert!(tracker.is_settled());
    }

    #[test]
    fn a_batch_that_feeds_no_table_moves_the_mark_at_once() {
        let mut tracker = Tracker::new(0);
        assert_eq!(tracker.read(5, [], []), Some(5));
    }

    #[test]
    fn gaps_are_counted_within_a_range() {
        let mut tracker = Tracker::new(0);
        tracker.read(10, [], gap_runs(0, 10, [1, 2, 5]));
        tracker.read(20, [], gap_runs(10, 20, [12]));
        assert_eq!(tracker.gaps_within(OffsetRange { start: 0, end: 20 }), 16);
        assert_eq!(tracker.gaps_within(OffsetRange { start: 3, end: 11 }), 7);
        assert_eq!(tracker.gaps_within(OffsetRange { start: 12, end: 13 }), 0);
    }

    proptest! {
        /// The mark is never above an unsettled record and reaches the end when all are settled.
        #[test]
        fn the_mark_is_safe(steps in prop::collection::vec((0u8..3, 1u64..5, 0u8..3), 1..60)) {
            let mut tracker = Tracker::new(0);
            let mut unsettled: Vec<(u8, Offset)> = Vec::new();
            let mut end = 0;
            for (table, width, settle) in steps {
                let start = end;
                end += width;
                tracker.read(end, [(name(&table.to_string()), start)], []);
                unsettled.extend((start..end).map(|o| (table, o)));
                tracker.settled(&settle.to_string(), start);
                unsettled.retain(|(t, o)| *t != settle || *o >= start);
                for (_, offset) in &unsettled {
                    prop_assert!(tracker.low_water() <= *offset);
                }
            }
            for table in 0..3u8 {
                tracker.settled(&table.to_string(), end);
            }
            prop_assert_eq!(tracker.low_water(), end);
        }
    }
}
