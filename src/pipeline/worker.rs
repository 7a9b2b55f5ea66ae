//! One table's worker: from routed batches to flush jobs.
//!
//! It owns the table's schema as known, its decoder and its open files; the flusher owns what was
//! handed on. CPU work runs on the blocking pool in rounds: what waits is dealt out to as many engines as
//! the open batch is worth, at most one a core, and a round ends before the next begins.
//!
//! - here: the loop, what it is asked, what became of flushes, and the reset
//! - `state`: what it holds; `take`: batches and epochs; `shape`: the schema
//! - `rows`: decoding, encoding, and the flush; `round`: how much of it at once; `engine`: the CPU work
//! - `stall`: whether it makes progress, and what it gives up when it does not

mod engine;
mod round;
mod rows;
mod shape;
mod stall;
mod state;
mod take;

pub(crate) use stall::{FlightBytes, WorkerGauges, withhold_inbox};
pub(crate) use state::State;

use super::{
    desk::Desk,
    flusher::{Done, Job},
    inbox::{Freed, Inbox},
    ledger::Ledger,
    registry::Registry,
    settings::TableSettings,
    tally::Tally,
};
use crate::{
    batch::FlushReason,
    commit::TableLog,
    error::{Error, Result},
    event::{ByteBudget, Epoch, Offset, RawBatch, RejectReason, RoutedBatch, SourcePartition},
    telemetry::Rates,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Flushes of one table that may be under way: one at work and one behind it.
const MAX_IN_FLIGHT: usize = 2;

/// What a worker is asked to do beside taking batches.
#[derive(Debug)]
pub(crate) enum Control {
    /// Flush whatever is held, as soon as possible.
    Flush(FlushReason),
    /// Flush once everything of the partition below the offset is taken.
    Urge(SourcePartition, Offset),
    /// The partition is no longer ours: drop what is held of it up to this epoch. Later ones belong to an
    /// assignment since.
    Release(SourcePartition, Epoch),
    /// The table's schema was changed at the side: look at it before the next rows.
    Reload,
    /// The table stands still and the budget is nearly spent: give up what is not on its way.
    Shed,
}

/// A share of a raw batch for a worker.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// How many shares of its epoch the table was due before.
    pub(crate) share: u64,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Rows(RoutedBatch),
    /// Records routed nowhere, for the worker that serves the ledger.
    Unroutable {
        raw: Arc<RawBatch>,
        letters: Vec<(u32, RejectReason)>,
    },
}

impl Delivery {
    pub(crate) fn raw(&self) -> &Arc<RawBatch> {
        match &self.what {
            What::Rows(batch) => &batch.raw,
            What::Unroutable { raw, .. } => raw,
        }
    }

    /// How many records it holds.
    pub(crate) fn records(&self) -> u64 {
        let records = match &self.what {
            What::Rows(RoutedBatch { raw, select: None }) => raw.records.len(),
            What::Rows(RoutedBatch {
                select: Some(select),
                ..
            }) => select.len(),
            What::Unroutable { letters, .. } => letters.len(),
        };
        records as u64
    }
}

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: ByteBudget,
    pub(crate) rates: Arc<Rates>,
    /// Permits for CPU work: one a core.
    pub(crate) cores: Arc<Semaphore>,
    pub(crate) core_count: usize,
    pub(crate) cancel: CancellationToken,
    /// Signalled when a worker has taken a delivery, so that sources may offer again.
    pub(crate) room: tokio::sync::Notify,
    /// Places that sources were refused before.
    pub(crate) freed: Freed,
    pub(crate) tally: Tally,
    /// Why the pipeline stopped by itself.
    pub(crate) failure: std::sync::OnceLock<Error>,
}

impl Shared {
    /// A delivery was taken out: its place is free for another.
    fn taken_from(&self, inbox: &Inbox) {
        if inbox.admits() {
            self.freed.add();
        }
        self.room.notify_waiters();
    }

    /// Stops the pipeline; positions tell the next run where to begin.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(kind = error.kind().as_str(), "{error}");
        // The first reason is the one that the process exits with.
        let _ = self.failure.set(error);
        self.cancel.cancel();
    }
}

pub(crate) struct Worker {
    pub(crate) table: Arc<str>,
    pub(crate) settings: Arc<TableSettings>,
    /// Where a catalog has the table.
    pub(crate) desk: Option<Desk>,
    pub(crate) log: Arc<TableLog>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) control: mpsc::UnboundedReceiver<Control>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) gauges: Arc<WorkerGauges>,
    /// Jobs of an older generation are dropped by the flusher.
    pub(crate) generation: Arc<AtomicU64>,
    pub(crate) state: State,
}

impl Worker {
    /// Runs until the pipeline stops.
    pub(crate) async fn run(mut self) {
        // While the pipeline runs, an error here must not pass for an idle table.
        // Where a channel has closed, the task at its other end says why.
        if let Err(error) = self.work().await
            && !self.shared.cancel.is_cancelled()
            && !super::retry::is_stopping(&error)
        {
            self.shared.fail(error);
        }
    }

    async fn work(&mut self) -> Result<()> {
        loop {
            while let Some(control) = self.state.postponed.pop_front() {
                self.on_control(control);
            }
            let due = [self.deadline(), self.store_deadline()];
            let deadline = due.into_iter().flatten().min();
            let may_take = self.may_take();
            self.note_progress(may_take);
            tokio::select! {
                biased;
                () = self.shared.cancel.cancelled() => return Ok(()),
                Some(done) = self.done.recv() => self.on_done(done),
                Some(control) = self.control.recv() => self.on_control(control),
                delivery = self.inbox.recv(), if may_take => {
                    if let Some(delivery) = delivery {
                        self.shared.taken_from(&self.inbox);
                        self.take(delivery).await?;
                        self.gather().await?;
                    }
                }
                () = until(deadline), if deadline.is_some() => {}
            }
            if let Some(reason) = self.flush_reason() {
                self.flush(reason).await?;
            }
            self.ask_store().await?;
            self.note_held();
        }
    }

    /// After each turn of the loop.
    fn note_held(&self) {
        let held = self.state.open.bytes() + self.state.waiting_slabs;
        self.gauges.open_bytes.store(held, Ordering::Relaxed);
        if self.state.asked.is_none() {
            self.gauges.made_room();
        }
    }

    fn may_flush(&self) -> bool {
        self.state.in_flight < MAX_IN_FLIGHT
    }

    /// With its flushes under way and the next one due, the table takes no more, and the partitions
    /// that feed it pause.
    fn may_take(&self) -> bool {
        self.may_flush() || self.due().is_none()
    }

    fn due(&self) -> Option<FlushReason> {
        self.settings.policy.due(&self.state.open, Instant::now())
    }

    fn deadline(&self) -> Option<Instant> {
        self.may_flush()
            .then(|| self.settings.policy.deadline(&self.state.open))
            .flatten()
    }

    fn flush_reason(&self) -> Option<FlushReason> {
        if !self.may_flush() || !self.state.open.is_open() {
            return None;
        }
        self.state.asked.or_else(|| self.due())
    }

    fn on_control(&mut self, control: Control) {
        match control {
            Control::Flush(reason) => {
                self.gauges.flush_sent.store(false, Ordering::Release);
                if self.state.open.is_open() {
                    self.state.asked = Some(reason);
                }
            }
            Control::Urge(partition, end) => {
                let urge = (partition, end);
                if !self.state.urges.contains(&urge) {
                    self.state.urges.push(urge);
                }
                self.check_urges();
            }
            Control::Release(partition, epoch) => {
                self.inbox.forget(&partition, epoch);
                let lane = self.state.lanes.get(&partition);
                let Some(lane) = lane.filter(|lane| lane.epoch <= epoch) else {
                    return;
                };
                self.state.dropped.insert(partition.clone(), lane.epoch);
                if lane.is_open() && self.state.open.is_open() {
                    // Its rows may already be encoded beside others': all of them are read again.
                    self.reset("a partition that was taken away held uncommitted rows");
                }
                self.state.lanes.remove(&partition);
            }
            Control::Reload => self.state.loaded = false,
            Control::Shed => {
                self.gauges.shed_sent.store(false, Ordering::Release);
                self.shed();
            }
        }
    }

    /// Turns the urges that are met into a flush.
    fn check_urges(&mut self) {
        let lanes = &self.state.lanes;
        let met = |(partition, end): &(SourcePartition, Offset)| {
            lanes
                .get(partition)
                .is_some_and(|lane| lane.accepted() >= *end)
        };
        if self.state.urges.iter().any(met) {
            self.state.urges.retain(|urge| !met(urge));
            if self.state.open.is_open() {
                self.state.asked = Some(FlushReason::Asked);
            }
        }
        // An urge about offsets that went to other tables is over when they are settled; whoever waits
        // repeats it.
        let registry = &self.shared.registry;
        self.state.urges.retain(|(partition, end)| {
            registry
                .low_water(partition)
                .is_some_and(|mark| mark < *end)
        });
    }

    /// Every job ends in one of these, whatever became of it.
    fn on_done(&mut self, done: Done) {
        self.state.in_flight = self.state.in_flight.saturating_sub(1);
        match done {
            // That it was given up says nothing of the store.
            Done::Skipped => {
                self.withhold_left();
                self.doubt_store();
            }
            Done::Settled {
                ends,
                version,
                state,
            } => {
                self.store_answered();
                if let Some(state) = state {
                    let before = self.state.schema.clone();
                    self.adopt(state);
                    // Somebody else changed the table: it is looked at again before the next rows.
                    if before != self.state.schema {
                        self.state.loaded = false;
                    }
                }
                for (partition, epoch, end) in ends {
                    if let Some(lane) = self.state.lanes.get_mut(&partition)
                        && lane.holds(epoch)
                    {
                        lane.settle(end);
                    }
                    for (id, _, settled) in &mut self.state.left {
                        if *id == partition {
                            *settled = end.max(*settled);
                        }
                    }
                    self.shared
                        .registry
                        .settled(&partition, epoch, &self.table, end, version);
                }
            }
            Done::Dropped {
                generation,
                why,
                state,
            } => {
                self.store_answered();
                self.withhold_left();
                if let Some(state) = state {
                    self.adopt(state);
                    // Somebody else changed the table: it is looked at again before the next rows.
                    self.state.loaded = false;
                }
                if generation == self.generation.load(Ordering::Acquire) {
                    self.reset(&why);
                }
            }
        }
        if self.state.in_flight == 0 {
            self.state.left.clear();
        }
    }

    fn store_answered(&mut self) {
        self.gauges.landed();
        self.state.ask_store = None;
    }

    /// Drops everything not committed and asks the sources to read it again (rules 4 and 5). Jobs under
    /// way may still land; their positions tell.
    fn reset(&mut self, why: &str) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        let open = self.state.clear(&self.shared.budget);
        tracing::info!(
            partitions = open.len(),
            "reading again what was not committed: {why}"
        );
        metrics::counter!("alluvium_pipeline_rewinds_total").increment(open.len() as u64);
        for (partition, epoch) in open {
            self.shared.registry.rewind(&partition, epoch);
        }
    }

    /// Waits until no flush is under way: what they did is known then.
    async fn settle_in_flight(&mut self) -> Result<()> {
        while self.state.in_flight > 0 {
            tokio::select! {
                biased;
                () = self.shared.cancel.cancelled() => return Err(super::retry::stopping()),
                Some(control) = self.control.recv() => self.overhear(control),
                done = self.done.recv() => match done {
                    Some(done) => self.on_done(done),
                    None => return Err(super::retry::stopping()),
                },
            }
        }
        Ok(())
    }

    fn serves_ledger(&self) -> bool {
        self.table == self.shared.ledger.name
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
