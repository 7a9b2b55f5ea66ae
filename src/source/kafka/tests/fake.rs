//! A pipeline that commits at once, to stand behind a source.

use crate::{
    error::{Error, Kind, Result},
    event::{
        Acked, Assignment, Epoch, Intake, Offer, Offset, Partition, RawBatch, RecordKind,
        SourceEvent, SourcePartition,
    },
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// What is committed, shared by the daemons of a test.
#[derive(Default)]
pub(super) struct Table {
    pub(super) positions: HashMap<SourcePartition, Offset>,
    pub(super) records: BTreeMap<(Arc<str>, i32), Vec<Record>>,
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) offset: Offset,
    pub(super) value: Vec<u8>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Option<Vec<u8>>,
    pub(super) kind: RecordKind,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) epochs: HashMap<SourcePartition, Epoch>,
    pub(super) last_epoch: Epoch,
    /// Partitions answered `Full`.
    pub(super) full: HashSet<i32>,
    /// Every batch is answered `Full` once, and has room a moment later.
    pub(super) stutters: bool,
    pub(super) refused: HashSet<SourcePartition>,
    pub(super) refusals: u64,
    pub(super) hold: bool,
    pub(super) held: Vec<RawBatch>,
    pub(super) assign_failures: Vec<Kind>,
    pub(super) starts: Vec<(i32, Offset)>,
    pub(super) drained: usize,
    pub(super) released: usize,
    pub(super) batches: usize,
}

/// A pipeline that commits at once.
pub(super) struct Fake {
    pub(super) table: Arc<Mutex<Table>>,
    pub(super) state: Mutex<State>,
    pub(super) events: mpsc::UnboundedSender<SourceEvent>,
    pub(super) receiver: tokio::sync::Mutex<mpsc::UnboundedReceiver<SourceEvent>>,
}

impl Fake {
    pub(super) fn new(table: &Arc<Mutex<Table>>) -> Arc<Self> {
        let (events, receiver) = mpsc::unbounded_channel();
        Arc::new(Self {
            table: Arc::clone(table),
            state: Mutex::default(),
            events,
            receiver: tokio::sync::Mutex::new(receiver),
        })
    }

    pub(super) fn count(&self) -> usize {
        self.table.lock().records.values().map(Vec::len).sum()
    }

    pub(super) fn offsets(&self, number: i32) -> Vec<Offset> {
        let table = self.table.lock();
        let records = table.records.iter().filter(|((_, n), _)| *n == number);
        records
            .flat_map(|(_, r)| r.iter().map(|r| r.offset))
            .collect()
    }

    pub(super) fn position(&self, number: i32) -> Option<Offset> {
        let table = self.table.lock();
        let end = format!("/{number}");
        table
            .positions
            .iter()
            .find(|(p, _)| p.app_id().ends_with(&end))
            .map(|(_, o)| *o)
    }

    pub(super) fn commit(&self, batch: &RawBatch) {
        let mut table = self.table.lock();
        let p = &batch.partition;
        if let Some(at) = table.positions.insert(p.id.clone(), batch.end) {
            assert_eq!(at, batch.start, "ranges join");
        }
        let records = table
            .records
            .entry((Arc::clone(&p.topic), p.number))
            .or_default();
        let mut next = batch.start;
        for r in &batch.records {
            assert!(
                r.offset >= next && r.offset < batch.end,
                "in order, inside the range"
            );
            next = r.offset + 1;
            records.push(Record {
                offset: r.offset,
                value: batch.value(r).to_vec(),
                key: batch.key(r).map(<[u8]>::to_vec),
                headers: batch.headers(r).map(<[u8]>::to_vec),
                kind: r.kind.clone(),
            });
        }
        let _ = self.events.send(SourceEvent::Acked(Acked {
            partition: Arc::clone(p),
            epoch: batch.epoch,
            low_water: batch.end,
        }));
    }
}

#[async_trait]
impl Intake for Fake {
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut state = self.state.lock();
        if let Some(kind) = state.assign_failures.pop() {
            return Err(Error::new(kind, "store does not answer"));
        }
        let table = self.table.lock();
        Ok(partitions
            .into_iter()
            .map(|partition| {
                state.last_epoch += 1;
                let epoch = state.last_epoch;
                state.epochs.insert(partition.id.clone(), epoch);
                let resume = table.positions.get(&partition.id).copied();
                Assignment {
                    partition,
                    epoch,
                    resume,
                }
            })
            .collect())
    }

    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()> {
        for (assignment, start) in starts {
            self.state
                .lock()
                .starts
                .push((assignment.partition.number, start));
            self.table
                .lock()
                .positions
                .insert(assignment.partition.id.clone(), start);
        }
        Ok(())
    }

    fn offer(&self, batch: RawBatch) -> Offer {
        let mut state = self.state.lock();
        if state.epochs.get(&batch.partition.id) != Some(&batch.epoch) {
            return Offer::Stale;
        }
        if state.full.contains(&batch.partition.number) {
            return Offer::Full(batch);
        }
        let id = &batch.partition.id;
        if state.stutters && !state.refused.remove(id) {
            state.refused.insert(id.clone());
            state.refusals += 1;
            let room = SourceEvent::Room(Arc::clone(&batch.partition));
            let _ = self.events.send(room);
            return Offer::Full(batch);
        }
        // Another writer was here: fenced, as a commit would find.
        if self.table.lock().positions.get(&batch.partition.id) != Some(&batch.start) && !state.hold
        {
            state.epochs.remove(&batch.partition.id);
            let partition = Arc::clone(&batch.partition);
            let _ = self.events.send(SourceEvent::Rewind {
                partition,
                epoch: batch.epoch,
            });
            return Offer::Stale;
        }
        state.batches += 1;
        if state.hold {
            state.held.push(batch);
        } else {
            self.commit(&batch);
        }
        Offer::Accepted
    }

    async fn send(&self, batch: RawBatch) -> Result<()> {
        self.offer(batch);
        Ok(())
    }

    async fn drain(&self, partitions: &[Arc<Partition>], _: Duration) -> Vec<Acked> {
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.state.lock().drained += partitions.len();
        self.forget(partitions);
        Vec::new()
    }

    fn release(&self, partitions: &[Arc<Partition>]) {
        self.state.lock().released += partitions.len();
        self.forget(partitions);
    }

    async fn event(&self) -> Option<SourceEvent> {
        self.receiver.lock().await.recv().await
    }

    async fn committed(&self, _: &str, _: &Partition, _: Offset) -> Result<u64> {
        Err(Error::new(Kind::Unsupported, "not in this test"))
    }
}

impl Fake {
    pub(super) fn forget(&self, partitions: &[Arc<Partition>]) {
        let mut state = self.state.lock();
        for partition in partitions {
            state.epochs.remove(&partition.id);
        }
    }
}
