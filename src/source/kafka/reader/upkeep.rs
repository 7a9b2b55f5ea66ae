//! What the thread does beside reading: notes of the async side, group offsets, trailing gaps, errors.

use super::{
    AUTH_PATIENCE, Answering, GROUP_OFFSETS, Note, Owned, Phase, Reader, SILENCE, TIDY, TOPIC_IDS,
    offset,
};
use crate::{
    event::{Acked, Offset, SourceEvent},
    source::kafka::error::{KafkaSourceError, is_unreadable, unreadable},
};
use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{sync::Arc, time::Instant};

impl Reader {
    pub(super) fn note(&mut self, note: Note) -> Result<(), KafkaSourceError> {
        match note {
            Note::Event(SourceEvent::Acked(acked)) => self.acked(&acked),
            Note::Event(SourceEvent::Room(partition)) => {
                if let Some(i) = self.state.find(&partition.topic, partition.number)
                    && self.state.owned[i].partition.id == partition.id
                    && let Some(held) = self.state.owned[i].held.take()
                {
                    self.offer(i, held.batch, held.patience);
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

    pub(super) fn acked(&mut self, acked: &Acked) {
        if let Some(i) = self.state.find_partition(&acked.partition, acked.epoch) {
            let owned = &mut self.state.owned[i];
            owned.low_water = owned.low_water.max(acked.low_water);
        }
    }

    pub(super) fn tidy(&mut self) {
        let now = Instant::now();
        if now - self.state.tidied < TIDY {
            return;
        }
        self.state.tidied = now;
        self.attach_again(now);
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

    /// A partition that came back just after it was given up may have been detached late ([`FetchQueue`]).
    ///
    /// [`FetchQueue`]: crate::source::kafka::fetch::FetchQueue
    fn attach_again(&self, now: Instant) {
        for owned in &self.state.owned {
            if owned.phase == Phase::Reading && !owned.paused && now - owned.last_record >= SILENCE
            {
                self.queue
                    .attach(&owned.partition.topic, owned.partition.number);
            }
        }
    }

    /// Hands on the offsets behind a silent partition's last record that hold none: transaction markers,
    /// whose offset librdkafka adds to the position when this thread passes them.
    pub(super) fn pass_trailing_gaps(&mut self, now: Instant) {
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
    pub(super) fn store_group_offsets(&mut self) {
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

    pub(super) fn poll_failed(&mut self, error: &KafkaError) -> Result<(), KafkaSourceError> {
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
            code if is_unreadable(code) => {
                let reason = self.consumer.context().reason(code);
                let owned = self.state.owned.iter();
                return Err(unreadable(
                    &self.source,
                    owned.map(|o| (&*o.partition.topic, o.partition.number, o.slab.next())),
                    reason.unwrap_or_else(|| code.to_string()),
                ));
            }
            // Of brokers and connections: librdkafka tries again by itself and has told the log.
            _ => {}
        }
        Ok(())
    }
}
