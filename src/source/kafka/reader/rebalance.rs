//! Partitions that come, go and are read again.

use super::{Answering, CLOSE_PATIENCE, Note, Owned, Phase, Reader, offset};
use crate::{
    event::{Offset, Partition},
    source::kafka::{
        context::Rebalance, error::KafkaSourceError, fetch::Failure, metrics::TopicCounters,
        positions::Ready, slab::Slab,
    },
};
use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer, RebalanceProtocol},
    error::KafkaResult,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

impl Reader {
    pub(super) fn rewind(&mut self, i: usize) {
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

    pub(super) fn ask_positions(
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

    pub(super) fn positioned(
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
    pub(super) fn seek(&self, ready: &Ready) -> Result<(), KafkaSourceError> {
        let mut tries = 0;
        loop {
            match self.try_seek(&ready.partition, ready.start) {
                Ok(()) => return Ok(()),
                Err(_) if tries < 50 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(KafkaSourceError::broker("seeking a partition", &error)),
            }
        }
    }

    fn try_seek(&self, partition: &Partition, start: Offset) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.number, offset(start))
            .and_then(|()| self.consumer.seek_partitions(list, Duration::from_secs(5)))
            .and_then(|list| list.elements().iter().try_for_each(|e| e.error()))
    }

    /// Takes librdkafka's positions back to where the slabs end, once a batch with these errors is taken. Epochs and what
    /// is held stay, so that errors, however often they come, do not keep the partition from being committed.
    pub(super) fn seek_back(&mut self, failures: &[Failure]) {
        if failures.is_empty() || self.state.diagnosing {
            return;
        }
        let passed_over = |failure: &Failure| {
            let i = self.state.find(&failure.topic, failure.partition)?;
            let owned = &self.state.owned[i];
            let reading = owned.phase == Phase::Reading;
            (reading && failure.passes_over(owned.slab.next())).then_some(i)
        };
        let mut astray: Vec<usize> = failures.iter().filter_map(passed_over).collect();
        astray.sort_unstable();
        astray.dedup();
        for i in astray {
            let owned = &self.state.owned[i];
            if let Err(error) = self.try_seek(&owned.partition, owned.slab.next()) {
                tracing::warn!(source = &*self.source, partition = %owned.partition.id, %error, "a fetch failed and its partition is not sought back");
                self.rewind(i);
            }
        }
    }

    pub(super) fn serve_rebalance(&mut self) -> Result<(), KafkaSourceError> {
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
                            self.state.owned[i].leave();
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
    pub(super) fn begin_leaving(&mut self) -> Result<(), KafkaSourceError> {
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

    pub(super) fn is_cooperative(&self) -> bool {
        matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        )
    }

    /// Answers an assignment with offsets of ours.
    pub(super) fn assign(&mut self, ready: Vec<Ready>) -> Result<(), KafkaSourceError> {
        let doing = "assigning partitions";
        let mut list = TopicPartitionList::new();
        for r in &ready {
            self.queue.attach(&r.partition.topic, r.partition.number);
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
                is_slow: false,
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
    pub(super) fn unassign(
        &mut self,
        partitions: &[(Arc<str>, i32)],
    ) -> Result<(), KafkaSourceError> {
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

    /// Answers what is unanswered, stores group offsets and leaves the group.
    pub(super) fn close(mut self, failed: bool) {
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
            queue,
            positioner,
            ..
        } = self;
        drop((queue, positioner));
        let begun = Instant::now();
        while Arc::strong_count(&consumer) > 1 && begun.elapsed() < CLOSE_PATIENCE {
            let _ = consumer.poll(Duration::from_millis(20));
        }
        drop(consumer);
    }
}
