//! Whether a table makes progress, and what it gives up when it does not.
//!
//! A table whose store refuses or is slow holds its inbox, its open rows and its flushes under way. What
//! it gives up is read again once it makes progress: the registry keeps the mark below it.

use super::{super::inbox::Inbox, Shared, Worker};
use crate::event::{Offset, SourcePartition};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A store that has refused a flush, and since then all attempts for so long, is not waited for by others;
/// one that merely does not answer is a little longer, and one's own work much longer: to be read
/// again costs more than to wait.
const STILL_FAILING: Duration = Duration::from_secs(3);
const STILL_SILENT: Duration = Duration::from_secs(15);
const PATIENCE_FAILING: Duration = Duration::from_millis(1_500);
const PATIENCE_SILENT: Duration = Duration::from_secs(4);
const PATIENCE_AT_WORK: Duration = Duration::from_secs(20);

/// What others may see of a worker.
#[derive(Debug)]
pub(crate) struct WorkerGauges {
    /// Bytes that a flush would free: raw batches that wait for a schema, rows, open files, letters.
    pub(crate) open_bytes: AtomicU64,
    /// Flushes under way.
    in_flight: AtomicUsize,
    /// It takes nothing because its flushes are under way.
    is_full: AtomicBool,
    /// Questions to a store that the worker waits for.
    asking: AtomicUsize,
    /// Part of the flush at work has failed and is tried again.
    pub(crate) fails: AtomicBool,
    /// An upload has failed and is tried again.
    pub(crate) upload_fails: AtomicBool,
    /// When a flush last ended, or the worker last waited for none.
    progress: Mutex<Instant>,
}

impl Default for WorkerGauges {
    fn default() -> Self {
        Self {
            open_bytes: AtomicU64::default(),
            in_flight: AtomicUsize::default(),
            is_full: AtomicBool::default(),
            asking: AtomicUsize::default(),
            fails: AtomicBool::default(),
            upload_fails: AtomicBool::default(),
            progress: Mutex::new(Instant::now()),
        }
    }
}

/// A question to a store, for as long as it is held.
pub(crate) struct Asking(Arc<WorkerGauges>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::AcqRel);
        if self.0.in_flight() == 0 {
            self.0.landed();
        }
    }
}

impl WorkerGauges {
    /// A flush has ended, whatever became of it.
    pub(crate) fn landed(&self) {
        *self.progress.lock() = Instant::now();
    }

    /// The worker waits for a store until the answer is dropped.
    pub(crate) fn asking(self: &Arc<Self>) -> Asking {
        if self.asking.fetch_add(1, Ordering::AcqRel) == 0 && self.in_flight() == 0 {
            self.landed();
        }
        Asking(self.clone())
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// It takes nothing more until its store has answered.
    pub(crate) fn waits_for_store(&self) -> bool {
        self.is_full.load(Ordering::Acquire) || self.asking.load(Ordering::Acquire) > 0
    }

    /// Whether its store has owed it an answer for so long that others must not wait.
    pub(crate) fn stands_still(&self, now: Instant) -> bool {
        if self.in_flight() == 0 && self.asking.load(Ordering::Acquire) == 0 {
            return false;
        }
        let since = now.saturating_duration_since(*self.progress.lock());
        since
            >= if self.fails.load(Ordering::Acquire) {
                STILL_FAILING
            } else {
                STILL_SILENT
            }
    }

    /// How long a source waits for room in the table's inbox before it leaves the table behind, when others
    /// go on.
    pub(crate) fn patience(&self, now: Instant) -> Duration {
        if self.stands_still(now) {
            Duration::ZERO
        } else if !self.waits_for_store() {
            PATIENCE_AT_WORK
        } else if self.fails.load(Ordering::Acquire) {
            PATIENCE_FAILING
        } else {
            PATIENCE_SILENT
        }
    }
}

/// Empties the inbox of a table that stands still; what was in it is read again later. Returns how many
/// records that is.
pub(crate) fn withhold_inbox(shared: &Shared, table: &Arc<str>, inbox: &Inbox) -> u64 {
    let mut records = 0;
    for delivery in inbox.shed(Instant::now()) {
        let raw = delivery.raw();
        shared
            .registry
            .withhold(&raw.partition.id, raw.epoch, table, raw.start);
        records += delivery.records();
    }
    metrics::counter!("alluvium_pipeline_withheld_records_total").increment(records);
    records
}

impl Worker {
    /// Before each turn of its loop.
    pub(super) fn note_progress(&self, may_take: bool) {
        let now_in_flight = self.state.in_flight;
        let before = self.gauges.in_flight.swap(now_in_flight, Ordering::AcqRel);
        if before == 0 {
            self.gauges.landed();
        }
        self.gauges.is_full.store(!may_take, Ordering::Release);
        // An inbox that was shed is shut until a flush has ended since: before that, what came in would
        // only wait in it again.
        if may_take
            && let Some(since) = self.inbox.shut_since()
            && (now_in_flight == 0 || *self.gauges.progress.lock() > since)
        {
            self.inbox.open();
        }
    }

    /// Gives up everything but the flushes under way, for others need the budget.
    pub(super) fn shed(&mut self) {
        if !self.gauges.stands_still(Instant::now()) {
            return;
        }
        withhold_inbox(&self.shared, &self.table, &self.inbox);
        if !self.state.open.is_open() {
            return;
        }
        // An upload that fails holds its files for as long as it is tried again: they are given up too.
        let gives_up_uploads = self.gauges.upload_fails.load(Ordering::Acquire);
        if gives_up_uploads {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        let kept: Vec<(SourcePartition, Offset)> = self
            .state
            .lanes
            .iter()
            .map(|(id, lane)| {
                let from = if gives_up_uploads {
                    lane.settled()
                } else {
                    lane.handed()
                };
                (id.clone(), from)
            })
            .collect();
        let rows = self.state.open.rows();
        let bytes = self.state.open.bytes() + self.state.waiting_slabs;
        let dropped = self.state.clear(&self.shared.budget);
        for (partition, epoch) in &dropped {
            let from = kept.iter().find(|(id, _)| id == partition);
            let from = from.map_or(0, |(_, from)| *from);
            self.shared
                .registry
                .withhold(partition, *epoch, &self.table, from);
        }
        metrics::counter!("alluvium_pipeline_withheld_records_total").increment(rows);
        tracing::info!(
            rows,
            bytes,
            partitions = dropped.len(),
            gives_up_uploads,
            "a table that stands still gave up what it held; it is read again later"
        );
    }
}
