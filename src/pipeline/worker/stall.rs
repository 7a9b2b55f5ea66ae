//! Whether a table makes progress, and what it gives up when it does not.
//!
//! A table whose store refuses or is slow holds its inbox, its open rows and its flushes under way. What
//! it gives up is read again once it makes progress: the registry keeps the mark below it.

use super::{
    super::{inbox::Inbox, lane::Lane},
    Control, Shared, Worker,
};
use crate::{
    error::{Error, Kind, Result},
    event::{Offset, SourcePartition},
};
use parking_lot::Mutex;
use std::{
    pin::pin,
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

/// A table that was asked to free bytes and has not done so for so long: others are asked for them too.
const ROOM_OVERDUE: Duration = Duration::from_secs(2);
/// How often the store of a table that gave up its uploads is asked whether it answers again.
const STORE_POLL: Duration = Duration::from_secs(2);

/// What others may see of a worker.
#[derive(Debug)]
pub(crate) struct WorkerGauges {
    /// Bytes that a flush would free: raw batches that wait for a schema, rows, open files, letters.
    pub(crate) open_bytes: AtomicU64,
    /// Bytes that flushes under way hold.
    flight_bytes: AtomicU64,
    /// A flush was asked for and not heard of yet; likewise that it gives up what it holds.
    pub(crate) flush_sent: AtomicBool,
    pub(crate) shed_sent: AtomicBool,
    /// Since when it was asked to free bytes and has not done what it was asked.
    owes_room: Mutex<Option<Instant>>,
    /// Flushes under way.
    in_flight: AtomicUsize,
    /// It takes nothing because its flushes are under way.
    is_full: AtomicBool,
    /// Questions to a store that the worker waits for.
    asking: AtomicUsize,
    /// Part of the flush at work has failed and is tried again.
    pub(crate) fails: AtomicBool,
    /// An upload has failed and is tried again.
    pub(crate) upload_fails: Arc<AtomicBool>,
    /// When a flush last landed, or the worker last waited for none.
    progress: Mutex<Instant>,
}

impl Default for WorkerGauges {
    fn default() -> Self {
        Self {
            open_bytes: AtomicU64::default(),
            flight_bytes: AtomicU64::default(),
            flush_sent: AtomicBool::default(),
            shed_sent: AtomicBool::default(),
            owes_room: Mutex::default(),
            in_flight: AtomicUsize::default(),
            is_full: AtomicBool::default(),
            asking: AtomicUsize::default(),
            fails: AtomicBool::default(),
            upload_fails: Arc::default(),
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

/// Bytes of a flush under way, counted until it is dropped.
pub(crate) struct FlightBytes {
    gauges: Arc<WorkerGauges>,
    bytes: u64,
}

impl Drop for FlightBytes {
    fn drop(&mut self) {
        let bytes = self.bytes;
        self.gauges.flight_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl WorkerGauges {
    pub(crate) fn hand_on(self: &Arc<Self>, bytes: u64) -> FlightBytes {
        self.flight_bytes.fetch_add(bytes, Ordering::AcqRel);
        FlightBytes {
            gauges: self.clone(),
            bytes,
        }
    }

    /// Bytes that would come free if the table, standing still, gave up what it can.
    pub(crate) fn sheddable_bytes(&self) -> u64 {
        let uploads = match self.upload_fails.load(Ordering::Acquire) {
            true => self.flight_bytes.load(Ordering::Acquire),
            false => 0,
        };
        self.open_bytes.load(Ordering::Relaxed) + uploads
    }

    /// Notes that it is asked to free bytes. False: it was long ago, and has not done so.
    pub(crate) fn will_make_room(&self, now: Instant) -> bool {
        let since = *self.owes_room.lock().get_or_insert(now);
        now.saturating_duration_since(since) < ROOM_OVERDUE
    }

    /// It has done what it was asked for.
    pub(super) fn made_room(&self) {
        *self.owes_room.lock() = None;
    }

    /// The store has answered a flush.
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

    #[cfg(test)]
    pub(super) fn stand_still(&self) {
        *self.progress.lock() -= STILL_SILENT;
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
        // An inbox that was shed is shut until a flush has landed since: before that, what came in would
        // only wait in it again. Flushes that were given up say nothing of the store.
        if may_take
            && self.state.ask_store.is_none()
            && let Some(since) = self.inbox.shut_since()
            && (now_in_flight == 0 || *self.gauges.progress.lock() > since)
        {
            self.inbox.open();
        }
    }

    /// A flush was given up: until the store has answered something, nothing is read again for the table.
    pub(super) fn doubt_store(&mut self) {
        self.state.ask_store = Some(Instant::now() + STORE_POLL);
    }

    /// When the store is to be asked whether it answers again: nothing else would tell.
    pub(super) fn store_deadline(&self) -> Option<Instant> {
        let is_shut = self.inbox.shut_since().is_some();
        self.state
            .ask_store
            .filter(|_| is_shut && self.state.in_flight == 0)
    }

    /// Asks it, if that is due.
    pub(super) async fn ask_store(&mut self) -> Result<()> {
        if self.store_deadline().is_none_or(|due| due > Instant::now()) {
            return Ok(());
        }
        let asked = {
            let _asking = self.gauges.asking();
            let log = self.log.clone();
            self.hearing(log.load()).await.map_err(Error::from)
        };
        match asked {
            Ok(_) => self.state.ask_store = None,
            Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Bug) => return Err(error),
            Err(error) => {
                tracing::debug!("the store of a table that was given up does not answer: {error}");
                self.doubt_store();
            }
        }
        Ok(())
    }

    /// Waits for what a store has to answer, for as long as it takes. That others need the budget is heard meanwhile.
    pub(super) async fn hearing<T>(&mut self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                Some(control) = self.control.recv() => self.overhear(control),
            }
        }
    }

    /// What is asked of a table in the middle of its work. All but one waits for the end of it: it could take away what is
    /// worked on.
    pub(super) fn overhear(&mut self, control: Control) {
        match control {
            Control::Shed => {
                self.on_control(control);
                self.note_held();
            }
            // Asked again and again for as long as somebody waits for it.
            Control::Urge(partition, end) => {
                let is_same = |other: &Control| matches!(other, Control::Urge(p, e) if *p == partition && *e == end);
                if !self.state.postponed.iter().any(is_same) {
                    self.state
                        .postponed
                        .push_back(Control::Urge(partition, end));
                }
            }
            later => self.state.postponed.push_back(later),
        }
    }

    /// A flush under way did not land: what it held of partitions that were given up since is open nowhere.
    pub(super) fn withhold_left(&mut self) {
        for (partition, epoch, from) in std::mem::take(&mut self.state.left) {
            self.shared
                .registry
                .withhold(&partition, epoch, &self.table, from);
        }
    }

    /// Gives up everything but the flushes under way, for others need the budget.
    pub(super) fn shed(&mut self) {
        if !self.gauges.stands_still(Instant::now()) {
            return;
        }
        withhold_inbox(&self.shared, &self.table, &self.inbox);
        // An upload that fails holds its files for as long as it is tried again: they are given up too.
        let has_uploads =
            self.state.lanes.values().any(Lane::is_open) || !self.state.left.is_empty();
        let gives_up_uploads = self.state.in_flight > 0
            && has_uploads
            && self.gauges.upload_fails.load(Ordering::Acquire);
        if !self.state.open.is_open() && !gives_up_uploads {
            return;
        }
        let bytes = self.gauges.sheddable_bytes();
        if gives_up_uploads {
            self.generation.fetch_add(1, Ordering::AcqRel);
        } else if self.state.in_flight > 0 {
            let lanes = self.state.lanes.iter();
            let left = lanes.filter(|(_, lane)| lane.handed() > lane.settled());
            let left = left.map(|(id, lane)| (id.clone(), lane.epoch, lane.settled()));
            self.state.left.extend(left);
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
