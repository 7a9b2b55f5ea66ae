//! A stand-in for the pipeline.

use super::super::*;
use crate::event::{
    Acked, Assignment, Offer, Offset, Partition, RawBatch, RecordKind, SourceEvent,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// What a record became in the stand-in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Landed {
    pub(super) partition: String,
    pub(super) table: String,
    pub(super) value: String,
    pub(super) rejected: Option<&'static str>,
}

/// A pipeline that remembers what it was given and commits it at once, unless told to hold.
pub(super) struct Pipeline {
    pub(super) landed: Mutex<BTreeMap<Offset, Landed>>,
    /// By app id: what `assign` says.
    pub(super) resume: Mutex<BTreeMap<String, Offset>>,
    pub(super) highest: Mutex<Option<Offset>>,
    pub(super) starts: Mutex<Vec<Offset>>,
    pub(super) epoch: Mutex<u64>,
    pub(super) unavailable: Mutex<bool>,
    pub(super) hold: watch::Sender<bool>,
    pub(super) events: mpsc::UnboundedSender<SourceEvent>,
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<SourceEvent>>,
}

impl Pipeline {
    pub(super) fn new() -> Arc<Self> {
        let (events, inbox) = mpsc::unbounded_channel();
        Arc::new(Self {
            landed: Mutex::default(),
            resume: Mutex::default(),
            highest: Mutex::default(),
            starts: Mutex::default(),
            epoch: Mutex::default(),
            unavailable: Mutex::default(),
            hold: watch::Sender::new(false),
            events,
            inbox: tokio::sync::Mutex::new(inbox),
        })
    }

    pub(super) fn landed(&self) -> Vec<Landed> {
        self.landed.lock().values().cloned().collect()
    }

    pub(super) fn values(&self) -> Vec<String> {
        self.landed()
            .into_iter()
            .map(|landed| landed.value)
            .collect()
    }

    /// Waits until this many records landed.
    pub(super) async fn wait(&self, n: usize) {
        for _ in 0..1_000 {
            if self.landed.lock().len() >= n {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{n} records did not land, only {:?}", self.values());
    }

    fn unavailable(&self) -> Result<()> {
        match *self.unavailable.lock() {
            true => Err(Error::new(Kind::Unavailable, "injected")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Intake for Pipeline {
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        self.unavailable()?;
        *self.epoch.lock() += 1;
        let resume = self.resume.lock();
        let assign = |partition: Arc<Partition>| Assignment {
            epoch: *self.epoch.lock(),
            resume: resume.get(partition.id.app_id()).copied(),
            partition,
        };
        Ok(partitions.into_iter().map(assign).collect())
    }

    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()> {
        self.starts
            .lock()
            .extend(starts.into_iter().map(|(_, start)| start));
        Ok(())
    }

    fn offer(&self, _: RawBatch) -> Offer {
        unreachable!("an HTTP source sends")
    }

    async fn send(&self, batch: RawBatch) -> Result<()> {
        let _ = self.hold.subscribe().wait_for(|hold| !hold).await;
        if batch.epoch != *self.epoch.lock() {
            return Ok(());
        }
        let mut landed = self.landed.lock();
        for record in &batch.records {
            let before = landed.insert(
                record.offset,
                Landed {
                    partition: batch.partition.id.app_id().into(),
                    table: batch.tables[record.table as usize].to_string(),
                    value: String::from_utf8_lossy(batch.value(record)).into_owned(),
                    rejected: match &record.kind {
                        RecordKind::Rejected(reason) => Some(reason.code),
                        _ => None,
                    },
                },
            );
            assert!(before.is_none(), "offset {} landed twice", record.offset);
        }
        drop(landed);
        self.resume
            .lock()
            .insert(batch.partition.id.app_id().into(), batch.end);
        let acked = Acked {
            partition: batch.partition,
            epoch: batch.epoch,
            low_water: batch.end,
        };
        let _ = self.events.send(SourceEvent::Acked(acked));
        Ok(())
    }

    async fn drain(&self, partitions: &[Arc<Partition>], _: Duration) -> Vec<Acked> {
        let resume = self.resume.lock();
        let mark = |partition: &Arc<Partition>| {
            Some(Acked {
                partition: Arc::clone(partition),
                epoch: *self.epoch.lock(),
                low_water: *resume.get(partition.id.app_id())?,
            })
        };
        partitions.iter().filter_map(mark).collect()
    }

    fn release(&self, _: &[Arc<Partition>]) {}

    async fn event(&self) -> Option<SourceEvent> {
        self.inbox.lock().await.recv().await
    }

    async fn committed(&self, _: &str, partition: &Partition, end: Offset) -> Result<u64> {
        loop {
            let position = self.resume.lock().get(partition.id.app_id()).copied();
            if position >= Some(end) {
                return Ok(41);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn highest_position(&self, _: &Partition) -> Result<Option<Offset>> {
        self.unavailable()?;
        Ok(*self.highest.lock())
    }
}
