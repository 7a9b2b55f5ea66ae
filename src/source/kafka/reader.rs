//! The thread that polls: records into slabs, slabs to the pipeline, rebalances answered.
//!
//! The thread never waits for the pipeline: `offer` answers at once, and what takes time (positions,
//! draining) runs on the async side and comes back as a [`Note`]. So the member keeps polling and the
//! group never takes it for dead. Two properties of librdkafka 2.12 carry the design:
//!
//! - after a rebalance event it sends no other, and delivers no records, until an assign or unassign call
//!   (`rd_kafka_rebalance_op`, `RD_KAFKA_CGRP_WAIT_ASSIGN_CALL`), which may come much later;
//! - pausing throws fetched records away and resuming fetches them again from behind the last record that
//!   `poll` returned (`rd_kafka_toppar_pause_resume`): nothing is lost, but pausing is dear, so it comes last.

use super::{
    context::Rebalance,
    error::KafkaSourceError,
    metrics::{SourceCounters, TopicCounters},
    positions::{GroupConsumer, Positioner, Ready},
    slab::{Limits, Slab},
};
use crate::event::{
    Acked, ByteBudget, Epoch, Intake, Offer, Offset, Partition, RawBatch, SourceEvent,
};
use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Message},
};
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

/// Records taken between two looks at everything else.
const BURST: usize = 512;
const WAIT_IDLE: Duration = Duration::from_millis(50);
const WAIT_BUSY: Duration = Duration::from_millis(5);
/// How long a spent budget is waited for before partitions are paused.
const PAUSE_GRACE: Duration = Duration::from_millis(100);
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
    /// Revoked: records are ignored.
    Leaving,
}

/// A partition this process reads.
struct Owned {
    partition: Arc<Partition>,
    epoch: Epoch,
    slab: Slab,
    /// A batch answered `Full`, to be offered again after `Room`.
    held: Option<RawBatch>,
    phase: Phase,
    paused: bool,
    last_record: Instant,
    low_water: Offset,
    stored: Offset,
    counters: TopicCounters,
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
            tracing::error!(source = &*self.source, %error, "source stops");
        }
        self.close(result.is_err());
        result
    }

    fn read(&mut self) -> Result<(), KafkaSourceError> {
        let consumer = Arc::clone(&self.consumer);
        while !self.control.stop.load(Ordering::Acquire) {
            if !self.state.stopped
                && (self.control.stop_intake.load(Ordering::Acquire)
                    || self.shutdown.is_cancelled())
            {
                self.stop_reading();
            }
            while let Ok(note) = self.notes.try_recv() {
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

            let mut wait = self.wait(Instant::now());
            let mut now = Instant::now();
            let mut polls = 0;
            for n in 0..BURST {
                polls = n;
                match consumer.poll(wait) {
                    None => break,
                    Some(Ok(message)) => {
                        if !wait.is_zero() {
                            now = Instant::now();
                            wait = Duration::ZERO;
                        }
                        self.take(&message, now)?;
                    }
                    Some(Err(error)) => self.poll_failed(&error)?,
                }
                if self.budget.is_spent() {
                    break;
                }
            }
            self.state.counters.polls.increment(polls as u64 + 1);
        }
        Ok(())
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

    // ---- records

    fn take(
        &mut self,
        message: &BorrowedMessage<'_>,
        now: Instant,
    ) -> Result<(), KafkaSourceError> {
        let place = (message.topic_ptr() as usize, message.partition());
        let i = match self.state.last_found {
            Some((topic, number, i)) if (topic, number) == place => i,
            _ => {
                let Some(i) = self.state.find(message.topic(), message.partition()) else {
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
        if let Err(framed) = owned.slab.append(message, &self.limits, &self.budget, now) {
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
        if owned.held.is_some() || owned.phase == Phase::Rewinding {
            return;
        }
        if let Some(batch) = owned.slab.cut(&owned.partition, owned.epoch, &self.budget) {
            owned.counters.records.increment(batch.records.len() as u64);
            owned.counters.bytes.increment(batch.slab.len() as u64);
            owned
                .counters
                .tombstones
                .increment(std::mem::take(&mut owned.slab.tombstones));
            self.offer(i, batch);
        }
    }

    fn offer(&mut self, i: usize, batch: RawBatch) {
        match self.intake.offer(batch) {
            Offer::Accepted => {}
            Offer::Full(batch) => {
                self.state.owned[i].held = Some(batch);
                self.state.counters.pause("full");
            }
            // The pipeline has begun another epoch or is about to ask for one: take it up now. Its own
            // Rewind of the old epoch is then ignored.
            Offer::Stale if self.state.owned[i].phase == Phase::Reading => self.rewind(i),
            Offer::Stale => {}
        }
    }

    // ---- room

    fn look_at_budget(&mut self) {
        if !self.state.budget_spent && self.budget.is_spent() {
            let begun = Instant::now();
            while self.budget.is_spent() && begun.elapsed() < PAUSE_GRACE {
                std::thread::sleep(Duration::from_millis(2));
                // What the slabs hold may be what the budget waits for.
                self.hand_on_due(Instant::now());
            }
            if self.budget.is_spent() {
                self.state.budget_spent = true;
                self.state.counters.pause("budget");
            }
        } else if self.state.budget_spent && self.budget.used() <= self.budget.limit() / 4 * 3 {
            self.state.budget_spent = false;
        }
    }

    /// Pauses and resumes so that exactly the partitions with room are read.
    fn settle_pauses(&mut self) {
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for owned in &mut self.state.owned {
            let wanted = self.state.stopped
                || self.state.budget_spent
                || owned.held.is_some()
                || owned.phase != Phase::Reading;
            if wanted != owned.paused {
                let list = if wanted { &mut pause } else { &mut resume };
                list.add_partition(&owned.partition.topic, owned.partition.number);
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
            // What found no room is read again by whoever comes next.
            self.state.owned[i].held = None;
        }
        if let Some(Answering::Assign { cancel, .. }) = &self.state.answering {
            cancel.cancel();
        }
        self.control.intake_stopped.cancel();
    }

    // ---- notes

    fn note(&mut self, note: Note) -> Result<(), KafkaSourceError> {
        match note {
            Note::Event(SourceEvent::Acked(acked)) => self.acked(&acked),
            Note::Event(SourceEvent::Room(partition)) => {
                if let Some(i) = self.state.find(&partition.topic, partition.number)
                    && self.state.owned[i].partition.id == partition.id
                    && let Some(batch) = self.state.owned[i].held.take()
                {
                    self.offer(i, batch);
                }
            }
            Note::Event(SourceEvent::Rewind { partition, epoch }) => {
                if let Some(i) = self.state.find_partition(&partition, epoch)
                    && self.state.owned[i].phase == Phase::Reading
                {
                    self.rewind(i);
                }
            }
            Note::Positioned { ticket, result } => self.positioned(ticket, result)?,
            Note::Drained { ticket, acked } => {
                for acked in &acked {
                    self.acked(acked);
                }
                if let Some(Answering::Revoke {
                    partitions,
                    draining: Some(t),
                    ..
                }) = &self.state.answering
                    && *t == ticket
                {
                    let partitions = partitions.clone();
                    self.state.answering = None;
                    self.unassign(&partitions)?;
                }
            }
            Note::IdsChecked(result) => {
                self.state.ids_asked = false;
                result?;
            }
            Note::Failed(error) => return Err(error),
            Note::PipelineGone => {}
        }
        Ok(())
    }

    fn acked(&mut self, acked: &Acked) {
        if let Some(i) = self.state.find_partition(&acked.partition, acked.epoch) {
            let owned = &mut self.state.owned[i];
            owned.low_water = owned.low_water.max(acked.low_water);
        }
    }

    // ---- rewind

    fn rewind(&mut self, i: usize) {
        let ticket = self.state.ticket();
        let cancel = CancellationToken::new();
        let owned = &mut self.state.owned[i];
        owned.phase = Phase::Rewinding;
        owned.held = None;
        owned.slab = Slab::new(owned.slab.next());
        let place = (Arc::clone(&owned.partition.topic), owned.partition.number);
        tracing::info!(source = &*self.source, partition = %owned.partition.id, epoch = owned.epoch, "rewinding");
        self.state
            .rewinds
            .insert(ticket, (Arc::clone(&place.0), place.1, cancel.clone()));
        self.state.counters.rewind();
        self.settle_pauses();
        self.ask_positions(ticket, vec![place], cancel);
    }

    fn ask_positions(
        &self,
        ticket: u64,
        partitions: Vec<(Arc<str>, i32)>,
        cancel: CancellationToken,
    ) {
        let positioner = Arc::clone(&self.positioner);
        let notes = self.notes_in.clone();
        self.runtime.spawn(async move {
            let result = tokio::select! {
                () = cancel.cancelled() => None,
                result = positioner.take_on(partitions) => Some(result),
            };
            let _ = notes.send(Note::Positioned { ticket, result });
        });
    }

    fn positioned(
        &mut self,
        ticket: u64,
        result: Option<Result<Vec<Ready>, KafkaSourceError>>,
    ) -> Result<(), KafkaSourceError> {
        if let Some((topic, number, _)) = self.state.rewinds.remove(&ticket) {
            let Some(result) = result else { return Ok(()) };
            let ready = result?.into_iter().next();
            let Some(i) = self.state.find(&topic, number) else {
                return Ok(());
            };
            // Revoked meanwhile: the revocation drains or releases whatever epoch is current.
            if self.state.owned[i].phase != Phase::Rewinding {
                return Ok(());
            }
            let Some(ready) = ready else { return Ok(()) };
            self.seek(&ready)?;
            let owned = &mut self.state.owned[i];
            owned.partition = ready.partition;
            owned.epoch = ready.epoch;
            owned.slab = Slab::new(ready.start);
            owned.phase = Phase::Reading;
            owned.last_record = Instant::now();
            owned.low_water = ready.start;
            return Ok(());
        }
        if let Some(Answering::Assign { ticket: t, .. }) = &self.state.answering
            && *t == ticket
        {
            self.state.answering = None;
            // Once reading has stopped, what was taken on is not read: answer with nothing.
            let ready = result.transpose()?.unwrap_or_default();
            self.assign(if self.state.stopped {
                Vec::new()
            } else {
                ready
            })?;
        }
        Ok(())
    }

    /// Seeks a partition that is assigned; waits for librdkafka to have started it. The position it
    /// reports becomes invalid until the next record, so that no stale one is taken for a gap.
    fn seek(&self, ready: &Ready) -> Result<(), KafkaSourceError> {
        let mut tries = 0;
        loop {
            let mut list = TopicPartitionList::new();
            let p = &ready.partition;
            let result = list
                .add_partition_offset(&p.topic, p.number, offset(ready.start))
                .and_then(|()| self.consumer.seek_partitions(list, Duration::from_secs(5)))
                .and_then(|list| list.elements().iter().try_for_each(|e| e.error()));
            match result {
                Ok(()) => return Ok(()),
                Err(_) if tries < 50 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(KafkaSourceError::broker("seeking a partition", &error)),
            }
        }
    }

    // ---- rebalance

    fn serve_rebalance(&mut self) -> Result<(), KafkaSourceError> {
        if self.state.answering.is_none() {
            match self.consumer.context().next_rebalance() {
                None => return Ok(()),
                Some(Rebalance::Assign(partitions)) => {
                    tracing::info!(
                        source = &*self.source,
                        partitions = partitions.len(),
                        "partitions assigned"
                    );
                    self.state.counters.rebalance("assign");
                    self.state.refused = None;
                    if self.state.stopped || partitions.is_empty() {
                        return self.assign(Vec::new());
                    }
                    let (ticket, cancel) = (self.state.ticket(), CancellationToken::new());
                    self.state.answering = Some(Answering::Assign {
                        ticket,
                        cancel: cancel.clone(),
                    });
                    self.ask_positions(ticket, partitions, cancel);
                }
                Some(Rebalance::Revoke { partitions, lost }) => {
                    tracing::info!(
                        source = &*self.source,
                        partitions = partitions.len(),
                        lost,
                        "partitions revoked"
                    );
                    self.state
                        .counters
                        .rebalance(if lost { "lost" } else { "revoke" });
                    for (topic, number) in &partitions {
                        if let Some(i) = self.state.find(topic, *number) {
                            if self.state.owned[i].phase == Phase::Reading && !lost {
                                self.hand_on(i);
                            }
                            self.state.owned[i].phase = Phase::Leaving;
                            self.state.owned[i].held = None;
                        }
                    }
                    for (topic, number, cancel) in self.state.rewinds.values() {
                        if partitions.iter().any(|(t, n)| t == topic && n == number) {
                            cancel.cancel();
                        }
                    }
                    self.state.answering = Some(Answering::Revoke {
                        partitions,
                        lost,
                        draining: None,
                    });
                }
            }
        }
        self.begin_leaving()
    }

    /// Drains or releases revoked partitions, once no rewind of them is under way any more.
    fn begin_leaving(&mut self) -> Result<(), KafkaSourceError> {
        let Some(Answering::Revoke {
            partitions,
            lost,
            draining: None,
        }) = &self.state.answering
        else {
            return Ok(());
        };
        if self
            .state
            .rewinds
            .values()
            .any(|(topic, number, _)| partitions.iter().any(|(t, n)| t == topic && n == number))
        {
            return Ok(());
        }
        let identities: Vec<Arc<Partition>> = partitions
            .iter()
            .filter_map(|(topic, number)| self.state.find(topic, *number))
            .map(|i| Arc::clone(&self.state.owned[i].partition))
            .collect();
        if *lost || identities.is_empty() {
            let partitions = partitions.clone();
            self.intake.release(&identities);
            self.state.answering = None;
            return self.unassign(&partitions);
        }
        let ticket = self.state.ticket();
        if let Some(Answering::Revoke { draining, .. }) = &mut self.state.answering {
            *draining = Some(ticket);
        }
        let (intake, notes, limit) = (
            Arc::clone(&self.intake),
            self.notes_in.clone(),
            self.drain_timeout,
        );
        self.runtime.spawn(async move {
            let drain = intake.drain(&identities, limit);
            // The pipeline keeps the limit; the group must not wait if it does not.
            let acked = match tokio::time::timeout(limit + Duration::from_secs(5), drain).await {
                Ok(acked) => acked,
                Err(_) => {
                    intake.release(&identities);
                    Vec::new()
                }
            };
            let _ = notes.send(Note::Drained { ticket, acked });
        });
        Ok(())
    }

    fn is_cooperative(&self) -> bool {
        matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        )
    }

    /// Answers an assignment with offsets of ours.
    fn assign(&mut self, ready: Vec<Ready>) -> Result<(), KafkaSourceError> {
        let doing = "assigning partitions";
        let mut list = TopicPartitionList::new();
        for r in &ready {
            list.add_partition_offset(&r.partition.topic, r.partition.number, offset(r.start))
                .map_err(|e| KafkaSourceError::broker(doing, &e))?;
        }
        if self.is_cooperative() {
            self.consumer.incremental_assign(&list)
        } else {
            self.consumer.assign(&list)
        }
        .map_err(|e| KafkaSourceError::broker(doing, &e))?;
        let now = Instant::now();
        for r in ready {
            self.state.owned.push(Owned {
                counters: TopicCounters::new(&self.source, &r.partition.topic),
                partition: r.partition,
                epoch: r.epoch,
                slab: Slab::new(r.start),
                held: None,
                phase: Phase::Reading,
                // A pause may outlive an unassign in librdkafka; resuming what is not paused does nothing.
                paused: true,
                last_record: now,
                low_water: r.start,
                stored: r.start,
            });
        }
        self.state.reindex();
        self.settle_pauses();
        Ok(())
    }

    /// Answers a revocation.
    fn unassign(&mut self, partitions: &[(Arc<str>, i32)]) -> Result<(), KafkaSourceError> {
        self.store_group_offsets();
        let mut list = TopicPartitionList::new();
        for (topic, number) in partitions {
            // What never came to be read (its topic was gone) is not in librdkafka's assignment.
            if self.state.find(topic, *number).is_some() {
                list.add_partition(topic, *number);
            }
        }
        if self.is_cooperative() {
            self.consumer.incremental_unassign(&list)
        } else {
            self.consumer.unassign()
        }
        .map_err(|e| KafkaSourceError::broker("giving partitions up", &e))?;
        self.state.owned.retain(|o| {
            !partitions
                .iter()
                .any(|(t, n)| *t == o.partition.topic && *n == o.partition.number)
        });
        self.state.reindex();
        Ok(())
    }

    // ---- upkeep

    fn tidy(&mut self) {
        let now = Instant::now();
        if now - self.state.tidied < TIDY {
            return;
        }
        self.state.tidied = now;
        self.pass_trailing_gaps(now);
        if now - self.state.offsets_stored >= GROUP_OFFSETS {
            self.state.offsets_stored = now;
            self.store_group_offsets();
        }
        if now - self.state.ids_checked >= TOPIC_IDS
            && !self.state.ids_asked
            && !self.state.owned.is_empty()
        {
            self.state.ids_checked = now;
            self.state.ids_asked = true;
            let topics = self.state.index.keys().map(|t| t.to_string()).collect();
            let (positioner, notes) = (Arc::clone(&self.positioner), self.notes_in.clone());
            self.runtime.spawn(async move {
                let _ = notes.send(Note::IdsChecked(positioner.check_ids(topics).await));
            });
        }
    }

    /// Hands on the offsets behind a silent partition's last record that hold none: transaction markers,
    /// whose offset librdkafka adds to the position when this thread passes them.
    fn pass_trailing_gaps(&mut self, now: Instant) {
        let silent = |o: &Owned| {
            o.phase == Phase::Reading
                && !o.paused
                && o.held.is_none()
                && o.slab.is_empty()
                && now - o.last_record >= SILENCE
        };
        if self.state.answering.is_some() || !self.state.owned.iter().any(silent) {
            return;
        }
        let Ok(positions) = self.consumer.position() else {
            return;
        };
        for element in positions.elements() {
            let rdkafka::Offset::Offset(position) = element.offset() else {
                continue;
            };
            let (Ok(position), Some(i)) = (
                Offset::try_from(position),
                self.state.find(element.topic(), element.partition()),
            ) else {
                continue;
            };
            let owned = &mut self.state.owned[i];
            if silent(owned) && position > owned.slab.next() {
                owned.slab.pass(position);
                self.hand_on(i);
            }
        }
    }

    /// Tells the group the low-water marks, for lag tools; nobody reads them back.
    fn store_group_offsets(&mut self) {
        let mut list = TopicPartitionList::new();
        for owned in &mut self.state.owned {
            if owned.low_water > owned.stored
                && list
                    .add_partition_offset(
                        &owned.partition.topic,
                        owned.partition.number,
                        offset(owned.low_water),
                    )
                    .is_ok()
            {
                owned.stored = owned.low_water;
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::warn!(source = &*self.source, %error, "group offsets are not stored");
        }
    }

    fn poll_failed(&mut self, error: &KafkaError) -> Result<(), KafkaSourceError> {
        use RDKafkaErrorCode as C;
        if let KafkaError::MessageConsumptionFatal(code) = error {
            // A fatal error hides its cause behind one code.
            let error = match (code, self.consumer.client().fatal_error()) {
                (C::Fatal, Some((code, _))) => KafkaError::MessageConsumptionFatal(code),
                _ => error.clone(),
            };
            return Err(KafkaSourceError::broker("reading", &error));
        }
        let Some(code) = error.rdkafka_error_code() else {
            return Ok(());
        };
        match code {
            C::AutoOffsetReset | C::OffsetOutOfRange if !self.state.diagnosing => {
                self.state.diagnosing = true;
                let reason = self
                    .consumer
                    .context()
                    .reason(code)
                    .unwrap_or_else(|| "offset out of range".into());
                let read = self
                    .state
                    .owned
                    .iter()
                    .map(|o| (Arc::clone(&o.partition), o.slab.next()))
                    .collect();
                let (positioner, notes) = (Arc::clone(&self.positioner), self.notes_in.clone());
                self.runtime.spawn(async move {
                    let _ = notes.send(Note::Failed(positioner.diagnose(read, reason).await));
                });
            }
            C::TopicAuthorizationFailed
            | C::GroupAuthorizationFailed
            | C::FencedInstanceId
            | C::InvalidTopic => {
                return Err(KafkaSourceError::broker("reading", error));
            }
            C::Authentication | C::SaslAuthenticationFailed => {
                let now = Instant::now();
                let first = match self.state.refused {
                    Some((first, last)) if now - last < 2 * AUTH_PATIENCE => first,
                    _ => now,
                };
                self.state.refused = Some((first, now));
                if now - first >= AUTH_PATIENCE {
                    return Err(KafkaSourceError::broker("authenticating", error));
                }
            }
            // librdkafka tries again by itself and has told the log.
            _ => {}
        }
        Ok(())
    }

    // ---- the end

    /// Answers what is unanswered, stores group offsets and leaves the group.
    fn close(mut self, failed: bool) {
        self.consumer.context().close();
        if failed {
            let all: Vec<_> = self
                .state
                .owned
                .iter()
                .map(|o| Arc::clone(&o.partition))
                .collect();
            self.intake.release(&all);
        }
        for (_, _, cancel) in self.state.rewinds.values() {
            cancel.cancel();
        }
        let unanswered = match self.state.answering.take() {
            Some(Answering::Assign { cancel, .. }) => {
                cancel.cancel();
                Some(Vec::new())
            }
            Some(Answering::Revoke { partitions, .. }) => Some(partitions),
            None => self
                .consumer
                .context()
                .next_rebalance()
                .map(|rebalance| match rebalance {
                    Rebalance::Assign(_) => Vec::new(),
                    Rebalance::Revoke { partitions, .. } => partitions,
                }),
        };
        self.store_group_offsets();
        // librdkafka closes only when it has its answer; closing then takes every partition back.
        let answer = match unanswered {
            None => Ok(()),
            Some(partitions) if partitions.is_empty() => self.assign(Vec::new()),
            Some(partitions) => self.unassign(&partitions),
        };
        if let Err(error) = answer {
            tracing::debug!(source = &*self.source, %error, "answering a rebalance while closing");
        }
        self.control.intake_stopped.cancel();
        self.state.counters.assigned.set(0.0);
        // Questions under way hold the consumer; they end by their own time limits. It must be dropped
        // here, for dropping it polls until the group is left.
        let Self {
            consumer,
            positioner,
            ..
        } = self;
        drop(positioner);
        let begun = Instant::now();
        while Arc::strong_count(&consumer) > 1 && begun.elapsed() < CLOSE_PATIENCE {
            let _ = consumer.poll(Duration::from_millis(20));
        }
        drop(consumer);
    }
}

fn offset(offset: Offset) -> rdkafka::Offset {
    rdkafka::Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}
