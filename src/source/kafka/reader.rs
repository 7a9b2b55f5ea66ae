//! The thread that polls: records into slabs, slabs to the pipeline, rebalances answered.
//!
//! The thread never waits for the pipeline: `offer` answers at once, and what takes time (positions,
//! draining) runs on the async side and comes back as a [`Note`]. So the member keeps polling and the
//! group never takes it for dead. Two properties of librdkafka 2.12 carry the design:
//!
//! - after a rebalance event it sends no other, and delivers no records, until an assign or unassign call
//!   (`rd_kafka_rebalance_op`, `RD_KAFKA_CGRP_WAIT_ASSIGN_CALL`), which may come much later;
//! - pausing throws fetched records away and resuming fetches them again from behind the last record that
//!   the consumer took (`rd_kafka_toppar_pause_resume`): nothing is lost, but pausing is dear, so it comes last. Room that
//!   comes back in moments is waited for, the fetched records staying where they are.
//!
//! Records come in batches through a queue of their own ([`FetchQueue`]), everything else by `poll`. A batch is taken whole
//! before anything else is done, so that librdkafka's position and the slabs' agree whenever somebody looks.

mod rebalance;
mod upkeep;

use super::{
    error::KafkaSourceError,
    fetch::{FetchQueue, Record},
    metrics::{SourceCounters, TopicCounters},
    pace::Pace,
    positions::{GroupConsumer, Positioner, Ready},
    slab::{Limits, Slab},
};
use crate::event::{
    Acked, ByteBudget, Epoch, Intake, Offer, Offset, Partition, RawBatch, SourceEvent,
};
use rdkafka::{TopicPartitionList, consumer::Consumer, message::Message};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Events (rebalances, errors, log lines, …) served in a turn without records; one where there are records.
const EVENTS: usize = 16;
const WAIT_IDLE: Duration = Duration::from_millis(50);
const WAIT_BUSY: Duration = Duration::from_millis(5);
/// How long a spent budget is waited for before partitions are paused.
const PAUSE_GRACE: Duration = Duration::from_millis(100);
/// How long a batch waits for room before its partition is paused and the others are read on. A table at work makes room
/// sooner, and tables beside it have as much to do from their inboxes.
const ROOM_GRACE: Duration = Duration::from_millis(50);
/// How long a partition is silent before offsets without records behind its last one are looked for.
const SILENCE: Duration = Duration::from_secs(1);
const TIDY: Duration = Duration::from_secs(1);
const GROUP_OFFSETS: Duration = Duration::from_secs(5);
const TOPIC_IDS: Duration = Duration::from_secs(10);
/// Refused credentials may be in the middle of a rotation; refused for so long, they stop the source.
const AUTH_PATIENCE: Duration = Duration::from_secs(30);
const CLOSE_PATIENCE: Duration = Duration::from_secs(15);

/// What the async side tells the thread.
pub(crate) enum Note {
    Event(SourceEvent),
    PipelineGone,
    /// `None`: cancelled.
    Positioned {
        ticket: u64,
        result: Option<Result<Vec<Ready>, KafkaSourceError>>,
    },
    Drained {
        ticket: u64,
        acked: Vec<Acked>,
    },
    IdsChecked(Result<(), KafkaSourceError>),
    Failed(KafkaSourceError),
}

/// The switches of the thread.
#[derive(Default)]
pub(crate) struct Control {
    pub(crate) stop_intake: AtomicBool,
    pub(crate) stop: AtomicBool,
    pub(crate) intake_stopped: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    /// Records are ignored until the partition is sought to its new start.
    Rewinding,
    /// Revoked, or reading has stopped: records are ignored and nothing more is offered.
    Leaving,
}

/// A batch for which there was no room.
struct Held {
    batch: RawBatch,
    /// Until when the partition is not paused for it, and nothing else is read.
    patience: Instant,
}

/// A partition this process reads.
struct Owned {
    partition: Arc<Partition>,
    epoch: Epoch,
    slab: Slab,
    /// A batch answered `Full`, to be offered again after `Room`.
    held: Option<Held>,
    /// The last batch that waited did so in vain: for the next one nobody waits.
    is_slow: bool,
    phase: Phase,
    paused: bool,
    last_record: Instant,
    low_water: Offset,
    stored: Offset,
    counters: TopicCounters,
}

impl Owned {
    /// Nothing more of it is offered; what it holds is read again by whoever comes next, and gives its bytes back.
    fn leave(&mut self) {
        self.phase = Phase::Leaving;
        self.held = None;
        self.slab = Slab::new(self.slab.next());
    }
}

enum Answering {
    Assign {
        ticket: u64,
        cancel: CancellationToken,
    },
    Revoke {
        partitions: Vec<(Arc<str>, i32)>,
        lost: bool,
        draining: Option<u64>,
    },
}

pub(crate) struct Reader {
    pub(crate) source: Arc<str>,
    pub(crate) consumer: Arc<GroupConsumer>,
    pub(crate) queue: Arc<FetchQueue>,
    pub(crate) positioner: Arc<Positioner>,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) budget: ByteBudget,
    pub(crate) limits: Limits,
    pub(crate) drain_timeout: Duration,
    pub(crate) control: Arc<Control>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) notes: mpsc::Receiver<Note>,
    pub(crate) notes_in: mpsc::Sender<Note>,
    pub(crate) state: State,
}

/// What the thread keeps.
pub(crate) struct State {
    owned: Vec<Owned>,
    index: HashMap<Arc<str>, HashMap<i32, usize>>,
    /// The last partition found: records come in runs. The topic's address serves as its name.
    last_found: Option<(usize, i32, usize)>,
    answering: Option<Answering>,
    rewinds: HashMap<u64, (Arc<str>, i32, CancellationToken)>,
    tickets: u64,
    stopped: bool,
    budget_spent: bool,
    ids_asked: bool,
    diagnosing: bool,
    tidied: Instant,
    offsets_stored: Instant,
    ids_checked: Instant,
    /// First and last refusal of our credentials.
    refused: Option<(Instant, Instant)>,
    counters: SourceCounters,
}

impl State {
    pub(crate) fn new(source: &str) -> Self {
        let now = Instant::now();
        Self {
            owned: Vec::new(),
            index: HashMap::new(),
            last_found: None,
            answering: None,
            rewinds: HashMap::new(),
            tickets: 0,
            stopped: false,
            budget_spent: false,
            ids_asked: false,
            diagnosing: false,
            tidied: now,
            offsets_stored: now,
            ids_checked: now,
            refused: None,
            counters: SourceCounters::new(source),
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn find(&self, topic: &str, number: i32) -> Option<usize> {
        self.index.get(topic)?.get(&number).copied()
    }

    fn find_partition(&self, partition: &Partition, epoch: Epoch) -> Option<usize> {
        let i = self.find(&partition.topic, partition.number)?;
        let owned = &self.owned[i];
        (owned.epoch == epoch && owned.partition.id == partition.id).then_some(i)
    }

    fn reindex(&mut self) {
        self.last_found = None;
        self.index.clear();
        for (i, owned) in self.owned.iter().enumerate() {
            self.index
                .entry(Arc::clone(&owned.partition.topic))
                .or_default()
                .insert(owned.partition.number, i);
        }
        self.counters.assigned.set(self.owned.len() as f64);
    }
}

impl Reader {
    /// Reads until stopped or failed, then leaves the group.
    pub(crate) fn run(mut self) -> Result<(), KafkaSourceError> {
        let result = self.read();
        if let Err(error) = &result {
            super::metrics::error(error.kind());
            tracing::error!(source = &*self.source, %error, "source stops");
        }
        self.close(result.is_err());
        result
    }

    fn read(&mut self) -> Result<(), KafkaSourceError> {
        let queue = Arc::clone(&self.queue);
        let (mut pace, mut idle, mut woken) = (Pace::new(), true, None);
        while !self.control.stop.load(Ordering::Acquire) {
            if !self.state.stopped
                && (self.control.stop_intake.load(Ordering::Acquire)
                    || self.shutdown.is_cancelled())
            {
                self.stop_reading();
            }
            while let Some(note) = woken.take().or_else(|| self.notes.try_recv().ok()) {
                if matches!(note, Note::PipelineGone) {
                    return Ok(());
                }
                self.note(note)?;
            }
            self.serve_rebalance()?;
            self.hand_on_due(Instant::now());
            self.look_at_budget();
            self.settle_pauses();
            self.tidy();

            let wait = self.wait(Instant::now());
            self.serve_events(wait, idle)?;
            if self.waits_for_room(Instant::now()) {
                woken = self.notes.recv_timeout(WAIT_BUSY).ok();
                continue;
            }
            let batch = queue.take(pace.records(), wait);
            self.state.counters.polls.increment(1);
            idle = batch.is_empty();
            let (now, mut bytes, mut records) = (Instant::now(), 0, 0);
            let mut failures = Vec::new();
            for record in batch.iter() {
                match record {
                    Ok(record) => {
                        records += 1;
                        bytes += record.value().len();
                        self.take(&record, now)?;
                    }
                    Err(failure) => {
                        self.poll_failed(&queue.tell(&failure))?;
                        failures.push(failure);
                    }
                }
            }
            self.seek_back(&failures);
            pace.learn(records, bytes);
        }
        Ok(())
    }

    /// Serves what is no record. A call of `poll` serves one event at most and does not say whether it did.
    fn serve_events(&mut self, wait: Duration, idle: bool) -> Result<(), KafkaSourceError> {
        let consumer = Arc::clone(&self.consumer);
        // Without partitions there are no records to wait for.
        let mut wait = if self.state.owned.is_empty() {
            wait
        } else {
            Duration::ZERO
        };
        for _ in 0..if idle { EVENTS } else { 1 } {
            match consumer.poll(wait) {
                None => {}
                Some(Ok(message)) => self.strayed(message.topic(), message.partition()),
                Some(Err(error)) => self.poll_failed(&error)?,
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// A record came among the events. Partitions are attached before they are assigned, so this is not to be; as order
    /// between the queues is unknown, the partition is read again.
    fn strayed(&mut self, topic: &str, number: i32) {
        if let Some(i) = self.state.find(topic, number)
            && self.state.owned[i].phase == Phase::Reading
        {
            tracing::warn!(source = &*self.source, partition = %self.state.owned[i].partition.id, "a record strayed");
            self.queue.attach(topic, number);
            self.rewind(i);
        }
    }

    fn wait(&self, now: Instant) -> Duration {
        let busy = self.state.answering.is_some()
            || !self.state.rewinds.is_empty()
            || self.state.budget_spent
            || self.state.owned.iter().any(|o| o.held.is_some());
        let most = if busy { WAIT_BUSY } else { WAIT_IDLE };
        self.state
            .owned
            .iter()
            .filter_map(|o| o.slab.due(&self.limits))
            .map(|due| due.saturating_duration_since(now))
            .min()
            .map_or(most, |due| due.clamp(Duration::from_millis(1), most))
    }

    fn take(&mut self, record: &Record<'_>, now: Instant) -> Result<(), KafkaSourceError> {
        let place = (record.topic_address(), record.partition());
        let i = match self.state.last_found {
            Some((topic, number, i)) if (topic, number) == place => i,
            _ => {
                let Some(i) = self.state.find(&record.topic(), record.partition()) else {
                    return Ok(());
                };
                self.state.last_found = Some((place.0, place.1, i));
                i
            }
        };
        let owned = &mut self.state.owned[i];
        if owned.phase != Phase::Reading {
            return Ok(());
        }
        owned.last_record = now;
        self.state.refused = None;
        if let Err(framed) = owned.slab.append(record, &self.limits, &self.budget, now) {
            return Err(KafkaSourceError::MagicByte {
                source_name: self.source.to_string(),
                topic: owned.partition.topic.to_string(),
                partition: owned.partition.number,
                offset: framed.offset,
                schema_id: framed.schema_id,
            });
        }
        if owned.slab.is_full(&self.limits) {
            self.hand_on(i);
            self.settle_pauses();
        }
        Ok(())
    }

    fn hand_on_due(&mut self, now: Instant) {
        for i in 0..self.state.owned.len() {
            let slab = &self.state.owned[i].slab;
            if slab.due(&self.limits).is_some_and(|due| due <= now) || slab.is_full(&self.limits) {
                self.hand_on(i);
            }
        }
    }

    /// Offers what a partition's slab holds, unless an older batch still waits.
    fn hand_on(&mut self, i: usize) {
        let owned = &mut self.state.owned[i];
        if owned.held.is_some() || owned.phase != Phase::Reading {
            return;
        }
        if let Some(batch) = owned.slab.cut(&owned.partition, owned.epoch, &self.budget) {
            owned.counters.records.increment(batch.records.len() as u64);
            owned.counters.bytes.increment(batch.slab.len() as u64);
            owned
                .counters
                .tombstones
                .increment(std::mem::take(&mut owned.slab.tombstones));
            let mut patience = Instant::now();
            if !std::mem::take(&mut owned.is_slow) {
                patience += ROOM_GRACE;
            }
            self.offer(i, batch, patience);
        }
    }

    fn offer(&mut self, i: usize, batch: RawBatch, patience: Instant) {
        match self.intake.offer(batch) {
            Offer::Accepted => {}
            Offer::Full(batch) => self.state.owned[i].held = Some(Held { batch, patience }),
            // The pipeline has begun another epoch or is about to ask for one: take it up now. Its own
            // Rewind of the old epoch is then ignored.
            Offer::Stale if self.state.owned[i].phase == Phase::Reading => self.rewind(i),
            Offer::Stale => {}
        }
    }

    /// Whether room is expected in moments: records stay in librdkafka's queue, which bounds them.
    fn waits_for_room(&self, now: Instant) -> bool {
        let waits = |o: &Owned| !o.paused && o.held.as_ref().is_some_and(|h| now < h.patience);
        self.state.owned.iter().any(waits)
    }

    fn look_at_budget(&mut self) {
        if !self.state.budget_spent && self.budget.is_spent() {
            // What the slabs hold may be all that the budget waits for, and only this thread can hand it on: of many
            // partitions each may hold a part of a batch that is neither full nor old for long.
            for i in 0..self.state.owned.len() {
                self.hand_on(i);
            }
            let begun = Instant::now();
            while self.budget.is_spent() && begun.elapsed() < PAUSE_GRACE {
                std::thread::sleep(Duration::from_millis(2));
            }
            if self.budget.is_spent() {
                self.state.budget_spent = true;
                self.state.counters.paused_for_budget.increment(1);
            }
        } else if self.state.budget_spent && self.budget.used() <= self.budget.limit() / 4 * 3 {
            self.state.budget_spent = false;
        }
    }

    /// Pauses and resumes so that exactly the partitions with room are read.
    fn settle_pauses(&mut self) {
        let (all, now) = (
            self.state.stopped || self.state.budget_spent,
            Instant::now(),
        );
        let is_held = |o: &Owned| o.held.as_ref().is_some_and(|held| held.patience <= now);
        let wanted = |o: &Owned| all || o.phase != Phase::Reading || is_held(o);
        if self.state.owned.iter().all(|o| wanted(o) == o.paused) {
            return;
        }
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for owned in &mut self.state.owned {
            let wanted = wanted(owned);
            if wanted != owned.paused {
                let list = if wanted { &mut pause } else { &mut resume };
                list.add_partition(&owned.partition.topic, owned.partition.number);
                if wanted && is_held(owned) {
                    owned.is_slow = true;
                    self.state.counters.paused_for_room.increment(1);
                }
                owned.paused = wanted;
            }
        }
        if pause.count() > 0
            && let Err(error) = self.consumer.pause(&pause)
        {
            tracing::warn!(source = &*self.source, %error, "partitions are not paused");
        }
        if resume.count() > 0
            && let Err(error) = self.consumer.resume(&resume)
        {
            tracing::warn!(source = &*self.source, %error, "partitions are not resumed");
        }
    }

    fn stop_reading(&mut self) {
        self.state.stopped = true;
        self.settle_pauses();
        for i in 0..self.state.owned.len() {
            self.hand_on(i);
            // What found no room is read again by whoever comes next, and so must be all behind it.
            self.state.owned[i].leave();
        }
        if let Some(Answering::Assign { cancel, .. }) = &self.state.answering {
            cancel.cancel();
        }
        self.control.intake_stopped.cancel();
    }
}

fn offset(offset: Offset) -> rdkafka::Offset {
    rdkafka::Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}
