//! Tables that are left behind: what is withheld from them, and when a partition is read again for them.

use super::{Registry, Tracker};
use crate::event::{Epoch, Offset, Partition, SourcePartition};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

/// A partition as seen by whoever decides when lagging tables may catch up.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) partition: Arc<Partition>,
    pub(crate) epoch: Epoch,
    /// `None`: nothing of the epoch was read yet.
    pub(crate) read_end: Option<Offset>,
    /// The tables that get nothing more of the epoch, with the first offset each was denied.
    pub(crate) withheld: BTreeMap<Arc<str>, Option<Offset>>,
}

impl Registry {
    /// As [`Registry::rewind`], for tables that were left behind: the others go on where they are. False:
    /// the epoch was over, or the partition drains.
    pub(crate) fn reread(&self, partition: &SourcePartition, epoch: Epoch) -> bool {
        let drains = self
            .0
            .entries
            .lock()
            .get(partition)
            .is_none_or(|e| e.drains);
        if drains || self.0.stops.load(Ordering::Acquire) {
            return false;
        }
        self.end(partition, epoch, true)
    }

    /// The partition is about to be given up.
    pub(crate) fn drain(&self, partition: &SourcePartition) {
        if let Some(entry) = self.0.entries.lock().get_mut(partition) {
            entry.drains = true;
        }
    }

    /// The process is about to stop.
    pub(crate) fn stop_rereads(&self) {
        self.0.stops.store(true, Ordering::Release);
    }

    /// What `table` was given of batches that end above `from` was dropped; it gets nothing more of the
    /// epoch, and the mark stays below.
    pub(crate) fn withhold(
        &self,
        partition: &SourcePartition,
        epoch: Epoch,
        table: &Arc<str>,
        from: Offset,
    ) {
        let mut entries = self.0.entries.lock();
        if let Some(entry) = entries.get_mut(partition)
            && entry.epoch == epoch
            && let Some(tracker) = entry.tracker.as_mut()
        {
            tracker.withhold(table, from);
        }
        // Whoever drains waits for what is held, which is less now.
        self.0.moved.notify_waiters();
    }

    /// The tables that get nothing more of an epoch; `None` if it is not the current one.
    pub(crate) fn withheld(
        &self,
        partition: &SourcePartition,
        epoch: Epoch,
    ) -> Option<Vec<Arc<str>>> {
        let entries = self.0.entries.lock();
        let entry = entries.get(partition)?;
        if entry.epoch != epoch {
            return None;
        }
        let tables = entry.tracker.as_ref().map(Tracker::withheld);
        Some(tables.map_or_else(Vec::new, |tables| tables.keys().cloned().collect()))
    }

    /// Every table that the partition was seen to feed.
    pub(crate) fn fed(&self, partition: &SourcePartition) -> BTreeSet<Arc<str>> {
        let entries = self.0.entries.lock();
        entries
            .get(partition)
            .map(|entry| entry.fed.clone())
            .unwrap_or_default()
    }

    /// Every partition, for whoever decides when lagging tables may catch up.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let entries = self.0.entries.lock();
        let seen = entries.values().map(|entry| Seen {
            partition: entry.partition.clone(),
            epoch: entry.epoch,
            read_end: entry.tracker.as_ref().map(Tracker::read_end),
            withheld: entry
                .tracker
                .as_ref()
                .map(|tracker| tracker.withheld().clone())
                .unwrap_or_default(),
        });
        seen.collect()
    }

    /// Whether what a table took in `earlier` continues in `epoch`, the current one.
    pub(crate) fn is_continued(
        &self,
        partition: &SourcePartition,
        earlier: Epoch,
        epoch: Epoch,
    ) -> bool {
        let entries = self.0.entries.lock();
        entries.get(partition).is_some_and(|entry| {
            entry.epoch == epoch && entry.tracker.is_some() && entry.first_epoch <= earlier
        })
    }
}
