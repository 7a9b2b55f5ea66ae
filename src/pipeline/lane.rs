//! What one table has taken of one partition: its chain of ranges, as a pure account.
//!
//! A range starts where the table's last range ended, whatever other tables received (rule 1).

use super::ledger::Judged;
use crate::{
    decode::Verdicts,
    event::{
        CommitRange, Counts, DeadLetter, Epoch, Offset, OffsetRange, Partition, RawBatch,
        RoutedBatch, SourcePartition,
    },
};
use std::{collections::HashSet, sync::Arc};

/// One epoch of one partition within one table.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) partition: Arc<Partition>,
    pub(crate) epoch: Epoch,
    /// The first epoch of which it took anything; those since continue it.
    first_epoch: Epoch,
    /// How many shares of the epoch were heard of.
    shares: u64,
    /// Where the first epoch began to read.
    resume: Offset,
    /// The table's position once everything handed to a commit has landed.
    expected: Option<Offset>,
    /// Records below it are taken, or were committed before.
    accepted: Offset,
    /// Records below it are handed to a commit, or were committed before.
    handed: Offset,
    /// Records below it are committed, dead letters or counted skips.
    settled: Offset,
    /// What was taken since `expected`.
    counts: Counts,
    /// Records rejected since the last flush, to be committed before the rows.
    letters: Vec<DeadLetter>,
    /// The dead-letter stream of this table: position and earlier verdicts (rule 11).
    stream: Arc<Partition>,
    stream_expected: Option<Offset>,
    verdicts: Arc<Verdicts>,
    /// Offsets that are dead letters of no table.
    unroutable: HashSet<Offset>,
}

/// Dead letters of one stream, to be committed to the ledger.
#[derive(Clone, Debug)]
pub(crate) struct LetterRange {
    pub(crate) range: CommitRange,
    pub(crate) letters: Vec<DeadLetter>,
    /// Whose letters they are (the stream's partition differs in its identity only).
    pub(crate) partition: Arc<Partition>,
}

/// The identity of the dead letters of one table from one partition: a stream of its own, so that
/// a table never waits for the letters of another.
pub(crate) fn letter_stream(partition: &Partition, table: &str) -> Arc<Partition> {
    Arc::new(Partition {
        id: SourcePartition::new(format!("{}!dead/{table}", partition.id)),
        ..partition.clone()
    })
}

impl Lane {
    /// `position` and `judged` are what the table and the ledger hold now.
    pub(crate) fn new(
        partition: Arc<Partition>,
        epoch: Epoch,
        table: &str,
        resume: Offset,
        position: Option<Offset>,
        judged: Judged,
    ) -> Self {
        let stream = letter_stream(&partition, table);
        Self {
            partition,
            epoch,
            first_epoch: epoch,
            shares: 0,
            resume,
            expected: position,
            accepted: position.unwrap_or(0),
            handed: position.unwrap_or(0),
            settled: position.unwrap_or(0),
            counts: Counts::default(),
            letters: Vec::new(),
            stream,
            stream_expected: judged.position,
            verdicts: Arc::new(judged.verdicts),
            unroutable: judged.unroutable,
        }
    }

    pub(crate) fn verdicts(&self) -> &Arc<Verdicts> {
        &self.verdicts
    }

    /// Whether something taken is not settled yet.
    pub(crate) fn is_open(&self) -> bool {
        self.accepted > self.settled
    }

    pub(crate) fn accepted(&self) -> Offset {
        self.accepted
    }

    /// Goes on in the next epoch, which continues this one: what is taken stays taken.
    pub(crate) fn continue_in(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.shares = 0;
    }

    /// Whether what was taken in `epoch` is part of this lane.
    pub(crate) fn holds(&self, epoch: Epoch) -> bool {
        (self.first_epoch..=self.epoch).contains(&epoch)
    }

    /// Hears of a share of the epoch. False: one before it was left out, so that taking this one would
    /// pass over records; none may be taken until a new epoch brings them again.
    #[must_use]
    pub(crate) fn follows(&mut self, share: u64) -> bool {
        let follows = share == self.shares;
        self.shares += u64::from(follows);
        follows
    }

    /// Everything accepted is handed to a commit; up to where.
    pub(crate) fn hand_on(&mut self) -> Offset {
        self.handed = self.accepted;
        self.handed
    }

    /// Records below it are handed to a commit or committed: what a lane that is dropped leaves behind.
    pub(crate) fn handed(&self) -> Offset {
        self.handed
    }

    pub(crate) fn settled(&self) -> Offset {
        self.settled
    }

    /// The part of a routed batch that the table does not have yet; `None` if it has all of it.
    /// Takes the whole batch into the account of what is accepted.
    pub(crate) fn accept(&mut self, batch: RoutedBatch) -> Option<RoutedBatch> {
        let end = batch.raw.end;
        if end <= self.accepted {
            return None;
        }
        let from = self.accepted;
        self.accepted = end;
        if batch.raw.start >= from && self.unroutable.is_empty() {
            return Some(batch);
        }
        let is_new = |offset: Offset| offset >= from && !self.unroutable.contains(&offset);
        let select = select(&batch.raw, batch.select, is_new);
        Some(RoutedBatch {
            raw: batch.raw,
            select: Some(select),
        })
    }

    /// What decoding made of an accepted batch. Returns the bytes that its dead letters hold.
    pub(crate) fn add(&mut self, counts: &Counts, letters: Vec<DeadLetter>) -> u64 {
        self.counts.add(counts);
        let mut bytes = 0;
        for mut letter in letters {
            if self.verdicts.dead.contains(&(letter.offset, letter.index)) {
                continue;
            }
            // A slice would keep the whole slab alive, whose permit is given back after decoding.
            letter.value = bytes::Bytes::copy_from_slice(&letter.value);
            bytes += (letter.value.len() + size_of::<DeadLetter>()) as u64;
            self.letters.push(letter);
        }
        bytes
    }

    /// The range of everything taken since the last commit. `gaps` tells how many offsets of a
    /// range are known to hold no record. Call it only for a commit that holds the lane's rows.
    pub(crate) fn take_range(&mut self, gaps: impl Fn(OffsetRange) -> u64) -> Option<CommitRange> {
        let start = self.expected.unwrap_or(self.resume.min(self.accepted));
        if self.accepted <= start {
            return None;
        }
        let range = OffsetRange {
            start,
            end: self.accepted,
        };
        let mut counts = std::mem::take(&mut self.counts);
        counts.unread = self.resume.clamp(start, self.accepted) - start;
        // Gaps of earlier epochs are known too: what is unread is counted once.
        counts.gaps = gaps(OffsetRange {
            start: start + counts.unread,
            end: self.accepted,
        });
        counts.elsewhere = range.span().saturating_sub(counts.offsets());
        let expected = self.expected.replace(self.accepted);
        Some(CommitRange {
            partition: self.partition.clone(),
            expected,
            range,
            counts,
        })
    }

    /// The dead letters since the last flush, if any.
    pub(crate) fn take_letters(&mut self) -> Option<LetterRange> {
        if self.letters.is_empty() {
            return None;
        }
        let letters = std::mem::take(&mut self.letters);
        let start = self
            .stream_expected
            .unwrap_or(self.resume.min(letters[0].offset));
        // A letter below the position (routing was edited, or tables filled their number in another
        // order) is committed all the same; its range only needs to move the position.
        let end = self.accepted.max(start + 1);
        let range = OffsetRange { start, end };
        let records = letters
            .iter()
            .filter(|letter| letter.offset >= start)
            .count() as u64;
        let counts = Counts {
            records,
            rows: records,
            elsewhere: range.span().saturating_sub(records),
            ..Counts::default()
        };
        let expected = self.stream_expected.replace(end);
        Some(LetterRange {
            range: CommitRange {
                partition: self.stream.clone(),
                expected,
                range,
                counts,
            },
            letters,
            partition: self.partition.clone(),
        })
    }

    /// Everything below `end` is settled.
    pub(crate) fn settle(&mut self, end: Offset) {
        self.settled = self.settled.max(end);
    }
}

fn select(raw: &RawBatch, select: Option<Vec<u32>>, is_new: impl Fn(Offset) -> bool) -> Vec<u32> {
    let is_new = |i: &u32| is_new(raw.records[*i as usize].offset);
    match select {
        Some(select) => select.into_iter().filter(is_new).collect(),
        None => (0..raw.records.len() as u32).filter(is_new).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::RejectReason,
        pipeline::{
            testing::{partition, raw_batch},
            tracker::{Tracker, gap_runs},
        },
    };

    fn batch(offsets: &[Offset], start: Offset, end: Offset) -> RoutedBatch {
        RoutedBatch {
            raw: Arc::new(raw_batch(1, offsets.iter().copied(), start, end)),
            select: None,
        }
    }

    fn lane(resume: Offset, position: Option<Offset>, stream: Option<Offset>) -> Lane {
        let judged = Judged {
            position: stream,
            verdicts: Verdicts {
                until: stream.unwrap_or(0),
                dead: [(1, 0)].into(),
            },
            unroutable: HashSet::new(),
        };
        Lane::new(partition(), 1, "t", resume, position, judged)
    }

    fn own(records: u64) -> Counts {
        Counts {
            records,
            rows: records,
            ..Counts::default()
        }
    }

    #[test]
    fn what_the_table_has_is_not_taken_again() {
        let mut lane = lane(0, Some(3), None);
        assert!(lane.accept(batch(&[0, 1], 0, 2)).is_none());
        let taken = lane.accept(batch(&[2, 3, 4], 2, 5)).unwrap();
        assert_eq!(taken.select, Some(vec![1, 2]));
        assert!(lane.accept(batch(&[2, 3, 4], 2, 5)).is_none());
    }

    #[test]
    fn a_share_behind_one_that_was_left_out_is_refused_until_the_next_epoch() {
        let mut lane = lane(0, None, None);
        assert!(lane.follows(0) && lane.follows(1));
        assert!(!lane.follows(3), "the third was withheld");
        assert!(!lane.follows(4), "and so it stays");
        lane.continue_in(7);
        assert!(lane.holds(1) && lane.holds(7) && !lane.holds(8));
        assert!(!lane.follows(1));
        assert!(lane.follows(0));
    }

    #[test]
    fn a_lane_that_goes_on_in_another_epoch_takes_nothing_twice() {
        let mut lane = lane(0, None, None);
        lane.accept(batch(&[0, 1], 0, 4));
        lane.add(&own(2), Vec::new());
        assert_eq!(lane.hand_on(), 4);
        lane.accept(batch(&[5], 4, 6));
        lane.continue_in(2);
        assert_eq!((lane.handed(), lane.settled()), (4, 0));
        assert!(lane.accept(batch(&[1], 0, 4)).is_none());
        let taken = lane.accept(batch(&[3, 5, 7], 3, 8)).unwrap();
        assert_eq!(taken.select, Some(vec![2]));
    }

    #[test]
    fn a_range_starts_at_the_tables_own_end_and_its_counts_add_up() {
        let mut lane = lane(6, Some(3), None);
        lane.accept(batch(&[6, 8], 6, 10));
        lane.add(&own(2), Vec::new());
        let range = lane.take_range(|_| 1).unwrap();
        assert_eq!(range.expected, Some(3));
        assert_eq!(range.range, OffsetRange { start: 3, end: 10 });
        assert_eq!(range.counts.unread, 3);
        assert_eq!(range.counts.gaps, 1);
        assert_eq!(range.counts.elsewhere, 1);
        assert_eq!(range.counts.offsets(), 7);
        assert!(lane.take_range(|_| 0).is_none());
        lane.accept(batch(&[10], 10, 11));
        lane.add(&own(1), Vec::new());
        let next = lane.take_range(|_| 0).unwrap();
        assert_eq!(next.expected, Some(10));
        assert_eq!(next.counts.offsets(), 1);
    }

    #[test]
    fn a_gap_below_where_the_epoch_began_is_unread_and_no_gap() {
        let mut tracker = Tracker::new(0);
        tracker.read(6, &[], gap_runs(0, 6, [0, 1, 5]));
        let mut tracker = Tracker::following(4, tracker);
        tracker.read(10, &[], gap_runs(4, 10, [5, 6, 8]));
        let mut lane = lane(4, Some(1), None);
        lane.accept(batch(&[5, 6, 8], 4, 10));
        lane.add(&own(3), Vec::new());
        let range = lane.take_range(|range| tracker.gaps_within(range)).unwrap();
        assert_eq!(range.range, OffsetRange { start: 1, end: 10 });
        assert_eq!(range.counts.unread, 3);
        assert_eq!(range.counts.gaps, 3, "4, 7 and 9");
        assert_eq!(range.counts.elsewhere, 0);
        assert_eq!(range.counts.offsets(), range.range.span());
    }

    #[test]
    fn a_new_table_begins_where_the_epoch_did_and_expects_nothing() {
        let mut lane = lane(5, None, None);
        lane.accept(batch(&[7], 5, 8));
        lane.add(&own(1), Vec::new());
        let range = lane.take_range(|_| 0).unwrap();
        assert_eq!(range.expected, None);
        assert_eq!(range.range, OffsetRange { start: 5, end: 8 });
        assert_eq!(range.counts.offsets(), 3);
    }

    #[test]
    fn a_letter_of_no_table_is_no_row_wherever_it_is_routed_now() {
        let judged = Judged {
            unroutable: [1].into(),
            ..Judged::default()
        };
        let mut lane = Lane::new(partition(), 1, "t", 0, None, judged);
        let taken = lane.accept(batch(&[0, 1, 2], 0, 3)).unwrap();
        assert_eq!(taken.select, Some(vec![0, 2]));
    }

    #[test]
    fn a_letter_below_the_streams_position_still_moves_it() {
        for end in [3, 5] {
            let mut lane = lane(0, None, Some(5));
            lane.accept(batch(&[2], 0, end));
            lane.add(&own(0), vec![letter(2)]);
            let letters = lane.take_letters().unwrap();
            assert_eq!(letters.letters.len(), 1);
            assert_eq!(letters.range.expected, Some(5));
            assert_eq!(letters.range.range, OffsetRange { start: 5, end: 6 });
        }
    }

    fn letter(offset: Offset) -> DeadLetter {
        DeadLetter {
            offset,
            index: 0,
            table: "t".into(),
            reason: RejectReason {
                code: "malformed",
                detail: "".into(),
            },
            value: bytes::Bytes::new(),
            event_time: 0,
        }
    }

    #[test]
    fn letters_that_the_ledger_holds_are_not_sent_twice() {
        let mut lane = lane(0, None, Some(2));
        lane.accept(batch(&[0, 1, 2, 3], 0, 4));
        lane.add(&own(0), vec![letter(1), letter(3)]);
        let letters = lane.take_letters().unwrap();
        assert_eq!(letters.letters.len(), 1);
        assert_eq!(letters.range.expected, Some(2));
        assert_eq!(letters.range.range, OffsetRange { start: 2, end: 4 });
        assert_eq!(letters.range.counts.offsets(), 2);
        assert_eq!(letters.range.partition.id.app_id(), "p/s/t#1/0!dead/t");
    }
}
