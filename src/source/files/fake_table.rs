//! A pipeline in memory that commits, rewinds and dies on command.

use crate::{
    error::{Error, Kind, Result},
    event::{Acked, Assignment, Epoch, Intake, Offer, Offset, Partition, RawBatch, SourceEvent},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// Committed records of a lane in order: label and text.
pub(crate) type Rows = Vec<(String, String)>;

#[derive(Default)]
pub(crate) struct LaneState {
    epoch: Epoch,
    committed: Rows,
    pub(crate) position: Option<Offset>,
    /// Offered in this epoch, not yet committed.
    held: Rows,
}

/// A table in memory: `held` is lost by a rewind or a crash, `committed` never.
#[derive(Default)]
pub(crate) struct FakeTable {
    pub(crate) lanes: Mutex<BTreeMap<String, LaneState>>,
    events: Mutex<VecDeque<SourceEvent>>,
    ring: Notify,
    /// After so many batches: a rewind of the lane that sent it, or the end of the pipeline.
    pub(crate) rewind_at: Mutex<Vec<usize>>,
    pub(crate) die_at: Mutex<Option<usize>>,
    batches: Mutex<usize>,
    dead: Mutex<bool>,
}

impl FakeTable {
    fn tell(&self, event: SourceEvent) {
        self.events.lock().push_back(event);
        self.ring.notify_one();
    }

    pub(crate) fn rows(&self) -> Rows {
        let mut all: Rows = self
            .lanes
            .lock()
            .values()
            .flat_map(|lane| lane.committed.clone())
            .collect();
        all.sort();
        all
    }

    /// A crash: what was held is gone, a new process reads.
    pub(crate) fn restart(&self) {
        *self.dead.lock() = false;
        *self.die_at.lock() = None;
        self.events.lock().clear();
        for lane in self.lanes.lock().values_mut() {
            lane.held.clear();
        }
    }
}

#[async_trait]
impl Intake for FakeTable {
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        let mut lanes = self.lanes.lock();
        Ok(partitions
            .into_iter()
            .map(|partition| {
                let lane = lanes.entry(partition.id.app_id().to_owned()).or_default();
                lane.epoch += 1;
                lane.held.clear();
                Assignment {
                    epoch: lane.epoch,
                    resume: lane.position,
                    partition,
                }
            })
            .collect())
    }

    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()> {
        for (assignment, offset) in starts {
            let mut lanes = self.lanes.lock();
            lanes
                .entry(assignment.partition.id.app_id().to_owned())
                .or_default()
                .position = Some(offset);
        }
        Ok(())
    }

    fn offer(&self, batch: RawBatch) -> Offer {
        let mut lanes = self.lanes.lock();
        let lane = lanes.get_mut(batch.partition.id.app_id()).unwrap();
        if lane.epoch != batch.epoch {
            return Offer::Stale;
        }
        let next = lane.position.unwrap() + lane.held.len() as u64;
        assert_eq!(batch.start, next, "batches of an epoch join");
        assert_eq!(batch.end - batch.start, batch.records.len() as u64);
        for (i, record) in batch.records.iter().enumerate() {
            assert_eq!(record.offset, batch.start + i as u64);
            assert_eq!(&*batch.tables[record.table as usize], "events");
            let text = String::from_utf8(batch.value(record).to_vec()).unwrap();
            lane.held.push((batch.partition.label.to_string(), text));
        }
        let mut count = self.batches.lock();
        *count += 1;
        if self.rewind_at.lock().contains(&count) {
            lane.held.clear();
            lane.epoch += 1;
            self.tell(SourceEvent::Rewind {
                partition: batch.partition.clone(),
                epoch: batch.epoch,
            });
        } else if count.is_multiple_of(3) {
            commit(lane);
            self.tell(SourceEvent::Acked(Acked {
                partition: batch.partition.clone(),
                epoch: batch.epoch,
                low_water: lane.position.unwrap(),
            }));
        }
        if self.die_at.lock().is_some_and(|at| *count >= at) {
            *self.dead.lock() = true;
            self.ring.notify_one();
        }
        Offer::Accepted
    }

    async fn send(&self, batch: RawBatch) -> Result<()> {
        tokio::task::yield_now().await;
        if *self.dead.lock() {
            return Err(Error::new(Kind::Unavailable, "killed"));
        }
        self.offer(batch);
        Ok(())
    }

    async fn drain(&self, partitions: &[Arc<Partition>], _: Duration) -> Vec<Acked> {
        let mut lanes = self.lanes.lock();
        let dead = *self.dead.lock();
        partitions
            .iter()
            .map(|partition| {
                let lane = lanes.get_mut(partition.id.app_id()).unwrap();
                if !dead {
                    commit(lane);
                }
                Acked {
                    partition: partition.clone(),
                    epoch: lane.epoch,
                    low_water: lane.position.unwrap(),
                }
            })
            .collect()
    }

    fn release(&self, partitions: &[Arc<Partition>]) {
        for partition in partitions {
            if let Some(lane) = self.lanes.lock().get_mut(partition.id.app_id()) {
                lane.held.clear();
            }
        }
    }

    async fn event(&self) -> Option<SourceEvent> {
        loop {
            if *self.dead.lock() {
                return None;
            }
            if let Some(event) = self.events.lock().pop_front() {
                return Some(event);
            }
            self.ring.notified().await;
        }
    }

    async fn committed(&self, _: &str, _: &Partition, _: Offset) -> Result<u64> {
        Ok(0)
    }
}

fn commit(lane: &mut LaneState) {
    let n = lane.held.len() as u64;
    lane.committed.append(&mut lane.held);
    *lane.position.as_mut().unwrap() += n;
}
