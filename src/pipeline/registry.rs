//! Every partition this process reads: its epoch, its account, and who waits for it.

mod lagging;

pub(crate) use lagging::Seen;

use super::tracker::{Feed, Given, Tracker, gap_runs};
use crate::event::{
    Acked, Epoch, Offset, OffsetRange, Partition, RawBatch, SourceEvent, SourcePartition,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, mpsc, oneshot};

/// The shared account of all partitions. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Shared>);

#[derive(Default)]
struct Shared {
    entries: Mutex<HashMap<SourcePartition, Entry>>,
    /// Epochs rise over all partitions and assignments, so that what is left of an old one is known
    /// as old even where the partition went and came back.
    epochs: AtomicU64,
    /// Signalled whenever a mark moves or a partition is released.
    moved: Notify,
    /// The process drains.
    stops: AtomicBool,
}

struct Entry {
    partition: Arc<Partition>,
    epoch: Epoch,
    /// `None` between epochs: nothing may be offered or settled.
    tracker: Option<Tracker>,
    /// The account of the epoch before.
    earlier: Option<Tracker>,
    /// The first epoch of those that continue one another: what a table took of one of them is still
    /// its in the next.
    first_epoch: Epoch,
    /// The next epoch continues this one.
    continues: bool,
    /// It is about to be given up: what is held of it is committed, nothing is read again.
    drains: bool,
    /// Every table that it was seen to feed.
    fed: BTreeSet<Arc<str>>,
    ledgered: bool,
    /// The source deletes what is acknowledged to it (a spool).
    keeps_records: bool,
    /// The mark the ledger holds.
    written: Option<Offset>,
    /// How far commits of this epoch have moved the table's own position, where there is one table.
    committed: Option<Offset>,
    events: mpsc::UnboundedSender<SourceEvent>,
    waiters: Vec<Waiter>,
    versions: BTreeMap<Arc<str>, u64>,
}

struct Waiter {
    /// Empty: all tables.
    tables: Vec<Arc<str>>,
    end: Offset,
    answer: oneshot::Sender<Option<u64>>,
}

/// A mark to be written to the ledger.
#[derive(Clone, Debug)]
pub(crate) struct DueMark {
    pub(crate) partition: SourcePartition,
    pub(crate) low_water: Offset,
}

/// A partition that was given up.
#[derive(Debug)]
pub(crate) struct Released {
    /// No epoch of the assignment was later; those of the next all are.
    pub(crate) epoch: Epoch,
    /// How far it came, where that is known.
    pub(crate) acked: Option<Acked>,
}

impl Registry {
    /// Begins a new epoch; the account starts with [`Registry::begin`].
    pub(crate) fn next_epoch(
        &self,
        partition: &Arc<Partition>,
        events: &mpsc::UnboundedSender<SourceEvent>,
    ) -> Epoch {
        let mut entries = self.0.entries.lock();
        let entry = entries
            .entry(partition.id.clone())
            .or_insert_with(|| Entry {
                partition: partition.clone(),
                epoch: 0,
                tracker: None,
                earlier: None,
                first_epoch: 0,
                continues: false,
                drains: false,
                fed: BTreeSet::new(),
                ledgered: false,
                keeps_records: false,
                written: None,
                committed: None,
                events: events.clone(),
                waiters: Vec::new(),
                versions: BTreeMap::new(),
            });
        entry.partition = partition.clone();
        entry.epoch = self.0.epochs.fetch_add(1, Ordering::Relaxed) + 1;
        entry.end_epoch();
        if !std::mem::take(&mut entry.continues) {
            entry.first_epoch = entry.epoch;
        }
        entry.committed = None;
        entry.events = events.clone();
        entry.epoch
    }

    /// The ledger's part of an epoch: whether the mark is kept there and what it holds now.
    pub(crate) fn set_ledgered(
        &self,
        partition: &SourcePartition,
        ledgered: bool,
        keeps_records: bool,
        written: Option<Offset>,
    ) {
        if let Some(entry) = self.0.entries.lock().get_mut(partition) {
            // A mark that was ever kept is kept on.
            entry.ledgered |= ledgered;
            entry.keeps_records = keeps_records;
            entry.written = entry.written.max(written);
            entry.answer_waiters();
        }
    }

    /// Takes a raw batch into the account, and says what becomes of each table's share. `None`: the epoch
    /// is over or the batch does not continue it.
    pub(crate) fn read(&self, batch: &RawBatch, feeds: &[Feed]) -> Option<Vec<Given>> {
        let mut entries = self.0.entries.lock();
        let entry = entries.get_mut(&batch.partition.id)?;
        if entry.epoch != batch.epoch {
            return None;
        }
        let tracker = entry.tracker.get_or_insert_with(|| {
            match entry.earlier.take() {
                // Below a mark of our own every share was taken by its table.
                Some(earlier)
                    if entry.first_epoch < entry.epoch && batch.start <= earlier.low_water() =>
                {
                    Tracker::following(batch.start, earlier)
                }
                _ => {
                    entry.first_epoch = entry.epoch;
                    Tracker::new(batch.start)
                }
            }
        });
        if !tracker.continues(batch.start) {
            return None;
        }
        let gaps = if batch.records.len() as u64 == batch.end - batch.start {
            Vec::new()
        } else {
            gap_runs(
                batch.start,
                batch.end,
                batch.records.iter().map(|record| record.offset),
            )
        };
        for feed in feeds {
            if !entry.fed.contains(&feed.table) {
                entry.fed.insert(feed.table.clone());
            }
        }
        // A second table makes the partition a fan-out: from now on its mark belongs in the ledger.
        entry.ledgered |= entry.fed.len() > 1;
        let before = tracker.low_water();
        let given = tracker.read(batch.end, feeds, gaps);
        let mark = tracker.low_water();
        entry.answer_waiters();
        if mark > before {
            self.announce(entry, mark);
        }
        Some(given)
    }

    /// `table` has committed, or settled without a commit, everything below `end`.
    pub(crate) fn settled(
        &self,
        partition: &SourcePartition,
        epoch: Epoch,
        table: &Arc<str>,
        end: Offset,
        version: Option<u64>,
    ) {
        let mut entries = self.0.entries.lock();
        let Some(entry) = entries.get_mut(partition) else {
            return;
        };
        // What a flush of an earlier epoch held is still what the table took, where this one continues it.
        if !(entry.first_epoch..=entry.epoch).contains(&epoch) {
            return;
        }
        if let Some(version) = version {
            entry.versions.insert(table.clone(), version);
            entry.committed = entry.committed.max(Some(end));
        }
        let Some(tracker) = entry.tracker.as_mut() else {
            return;
        };
        let moved = tracker.settled(table, end);
        entry.answer_waiters();
        if let Some(mark) = moved {
            self.announce(entry, mark);
        }
    }

    /// Tells the source, and whoever waits. What a source deletes upon an ack must be in the ledger
    /// first, where the mark is kept there: else the next run would find its mark below the records.
    fn announce(&self, entry: &Entry, low_water: Offset) {
        if !entry.acks_when_written() {
            entry.ack(low_water);
        }
        self.0.moved.notify_waiters();
    }

    /// Where the current epoch began, if `epoch` is current and something was read.
    pub(crate) fn resume(&self, partition: &SourcePartition, epoch: Epoch) -> Option<Offset> {
        self.with_tracker(partition, epoch, Tracker::resume)
    }

    /// Offsets of the range that are known to hold no record.
    pub(crate) fn gaps(
        &self,
        partition: &SourcePartition,
        epoch: Epoch,
        range: OffsetRange,
    ) -> u64 {
        let entries = self.0.entries.lock();
        entries
            .get(partition)
            .filter(|entry| (entry.first_epoch..=entry.epoch).contains(&epoch))
            .and_then(|entry| entry.tracker.as_ref().or(entry.earlier.as_ref()))
            .map_or(0, |tracker| tracker.gaps_within(range))
    }

    fn with_tracker<T>(
        &self,
        partition: &SourcePartition,
        epoch: Epoch,
        f: impl FnOnce(&Tracker) -> T,
    ) -> Option<T> {
        let entries = self.0.entries.lock();
        let entry = entries.get(partition)?;
        if entry.epoch != epoch {
            return None;
        }
        entry.tracker.as_ref().map(f)
    }

    /// Ends an epoch and asks the source to begin another, of which every table reads its position anew.
    pub(crate) fn rewind(&self, partition: &SourcePartition, epoch: Epoch) {
        self.end(partition, epoch, false);
    }

    fn end(&self, partition: &SourcePartition, epoch: Epoch, continues: bool) -> bool {
        let mut entries = self.0.entries.lock();
        let Some(entry) = entries.get_mut(partition) else {
            return false;
        };
        if entry.epoch != epoch {
            return false;
        }
        // The next number is given by `next_epoch`; until then nothing of the old one is taken.
        entry.epoch = self.0.epochs.fetch_add(1, Ordering::Relaxed) + 1;
        entry.end_epoch();
        entry.continues = continues;
        let _ = entry.events.send(SourceEvent::Rewind {
            partition: entry.partition.clone(),
            epoch,
        });
        true
    }

    /// Whether `epoch` is the partition's current one.
    pub(crate) fn is_current(&self, partition: &SourcePartition, epoch: Epoch) -> bool {
        self.0
            .entries
            .lock()
            .get(partition)
            .is_some_and(|entry| entry.epoch == epoch)
    }

    /// Forgets a partition; what is open of it will be settled to nobody. `None`: it is not known.
    pub(crate) fn release(&self, partition: &SourcePartition) -> Option<Released> {
        let entry = self.0.entries.lock().remove(partition)?;
        self.0.moved.notify_waiters();
        let low_water = match entry.written {
            written if entry.acks_when_written() => written,
            _ => entry.tracker.as_ref().map(Tracker::low_water),
        };
        Some(Released {
            epoch: entry.epoch,
            acked: low_water.map(|low_water| Acked {
                partition: entry.partition,
                epoch: entry.epoch,
                low_water,
            }),
        })
    }

    /// The tables that still hold something open of a partition.
    pub(crate) fn open_tables(&self, partition: &SourcePartition) -> Vec<Arc<str>> {
        self.0
            .entries
            .lock()
            .get(partition)
            .and_then(|entry| entry.tracker.as_ref())
            .map(|tracker| tracker.open_tables().cloned().collect())
            .unwrap_or_default()
    }

    /// Every table with something open, of any partition.
    pub(crate) fn all_open_tables(&self) -> Vec<Arc<str>> {
        let entries = self.0.entries.lock();
        let mut tables: Vec<_> = entries
            .values()
            .filter_map(|entry| entry.tracker.as_ref())
            .flat_map(|tracker| tracker.open_tables().cloned())
            .collect();
        tables.sort();
        tables.dedup();
        tables
    }

    /// Whether everything of the partition below `end` was read.
    pub(crate) fn has_read(&self, partition: &SourcePartition, end: Offset) -> bool {
        self.0
            .entries
            .lock()
            .get(partition)
            .and_then(|entry| entry.tracker.as_ref())
            .is_some_and(|tracker| tracker.read_end() >= end)
    }

    /// The mark of a partition's current epoch.
    pub(crate) fn low_water(&self, partition: &SourcePartition) -> Option<Offset> {
        let entries = self.0.entries.lock();
        Some(entries.get(partition)?.tracker.as_ref()?.low_water())
    }

    /// Marks that the ledger does not hold yet. A partition of one table joins them when its mark has
    /// passed the table's position: what was skipped or rejected since moves no position, and would be
    /// looked for again when the source no longer has it.
    pub(crate) fn due_marks(&self) -> Vec<DueMark> {
        let mut entries = self.0.entries.lock();
        for entry in entries.values_mut().filter(|entry| !entry.ledgered) {
            entry.ledgered = entry.tracker.as_ref().is_some_and(|tracker| {
                tracker.is_settled()
                    && Some(tracker.low_water()) > entry.committed.max(Some(tracker.resume()))
            });
        }
        entries
            .values()
            .filter(|entry| entry.ledgered)
            .filter_map(|entry| {
                let low_water = entry.tracker.as_ref()?.low_water();
                (entry.written.is_none_or(|written| written < low_water)).then(|| DueMark {
                    partition: entry.partition.id.clone(),
                    low_water,
                })
            })
            .collect()
    }

    /// The ledger holds this mark now.
    pub(crate) fn mark_written(&self, mark: &DueMark) {
        if let Some(entry) = self.0.entries.lock().get_mut(&mark.partition) {
            entry.written = entry.written.max(Some(mark.low_water));
            if entry.acks_when_written() {
                entry.ack(mark.low_water);
            }
        }
    }

    /// Resolves when `tables` (or, with none, every table) have settled the partition's records below
    /// `end`, with the first one's version that did it; `None` where an earlier run or dead letters did.
    pub(crate) fn wait(
        &self,
        partition: &SourcePartition,
        tables: Vec<Arc<str>>,
        end: Offset,
    ) -> Option<oneshot::Receiver<Option<u64>>> {
        let (answer, receiver) = oneshot::channel();
        let mut entries = self.0.entries.lock();
        let entry = entries.get_mut(partition)?;
        entry.waiters.push(Waiter {
            tables,
            end,
            answer,
        });
        entry.answer_waiters();
        Some(receiver)
    }

    /// Completes at the next move of any mark.
    pub(crate) fn moved(&self) -> impl Future<Output = ()> + '_ {
        self.0.moved.notified()
    }
}

impl Entry {
    fn end_epoch(&mut self) {
        if let Some(tracker) = self.tracker.take() {
            self.earlier = Some(tracker);
        }
    }

    fn acks_when_written(&self) -> bool {
        self.ledgered && self.keeps_records
    }

    fn ack(&self, low_water: Offset) {
        let acked = Acked {
            partition: self.partition.clone(),
            epoch: self.epoch,
            low_water,
        };
        // A source that has gone no longer needs to know.
        let _ = self.events.send(SourceEvent::Acked(acked));
    }

    fn answer_waiters(&mut self) {
        let (tracker, versions) = (self.tracker.as_ref(), &self.versions);
        // What lies below the ledger's mark is not read again, so no account of this epoch holds it.
        let mark = self.written;
        let ready = self.waiters.extract_if(.., |waiter| {
            let settled = tracker.is_some_and(|tracker| match waiter.tables.as_slice() {
                [] => tracker.low_water() >= waiter.end,
                tables => tables
                    .iter()
                    .all(|table| tracker.is_table_settled(table, waiter.end)),
            });
            settled || mark.is_some_and(|mark| mark >= waiter.end)
        });
        for waiter in ready {
            let version = match waiter.tables.first() {
                Some(table) => versions.get(table).copied(),
                None => versions.values().copied().max(),
            };
            let _ = waiter.answer.send(version);
        }
    }
}

#[cfg(test)]
mod tests;
