//! What a source sees of the pipeline: where to read, where to put what was read, what is committed.

use super::{Epoch, Offset, Partition, RawBatch};
use crate::error::{Error, Kind, Result};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

/// A partition this process may read, for as long as `epoch` is current.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub partition: Arc<Partition>,
    pub epoch: Epoch,
    /// The low-water mark: read from here. `None`: no table and no ledger knows the partition; apply
    /// the start policy, then call [`Intake::record_start`] before the first record.
    pub resume: Option<Offset>,
}

/// Everything below `low_water` is in a committed version, a dead letter or a counted skip.
#[derive(Clone, Debug)]
pub struct Acked {
    pub partition: Arc<Partition>,
    pub epoch: Epoch,
    pub low_water: Offset,
}

/// What the pipeline tells a source.
#[derive(Clone, Debug)]
pub enum SourceEvent {
    /// The low-water mark moved.
    Acked(Acked),
    /// Room came back for a partition whose batch was answered [`Offer::Full`].
    Room(Arc<Partition>),
    /// Stop reading this epoch and call [`Intake::assign`] again: another writer moved a table's
    /// position, or files had to be discarded and their range read again.
    Rewind {
        partition: Arc<Partition>,
        epoch: Epoch,
    },
}

/// The answer to [`Intake::offer`].
#[derive(Debug)]
pub enum Offer {
    Accepted,
    /// The tables fed by this partition have no room. Keep the batch, pause the partition, offer the
    /// same batch again after [`SourceEvent::Room`].
    Full(RawBatch),
    /// The epoch is no longer current; the batch was dropped.
    Stale,
}

/// The pipeline as a source sees it. One handle a source.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Takes partitions on: reads fresh positions from the tables and the ledger, begins a new epoch
    /// of each. An error of a retryable kind means ask again; others stop the source.
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>>;

    /// Makes the first offsets to be read durable (ledger), so that a crash before the first commit
    /// does not apply the start policy anew. Needed when [`Assignment::resume`] is `None`.
    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()>;

    /// Hands a batch on without waiting. Batches of one partition must be offered in order.
    fn offer(&self, batch: RawBatch) -> Offer;

    /// Hands a batch on, waiting for room.
    async fn send(&self, batch: RawBatch) -> Result<()>;

    /// Flushes what is held of these partitions and waits until all that was offered is committed,
    /// at most `limit`; then forgets them (what is uncommitted is dropped). Returns the low-water marks.
    async fn drain(&self, partitions: &[Arc<Partition>], limit: Duration) -> Vec<Acked>;

    /// Forgets partitions at once: their assignment was lost.
    fn release(&self, partitions: &[Arc<Partition>]);

    /// The next event for this source; `None` when the pipeline has stopped. One consumer a source.
    async fn event(&self) -> Option<SourceEvent>;

    /// Waits until every table holds this partition's records below `end`, flushing early. Returns
    /// the table's version that covers them (`ack = "commit"`).
    async fn committed(&self, table: &str, partition: &Partition, end: Offset) -> Result<u64>;

    /// The highest position that any table or the ledger holds for this partition, tables not yet
    /// open in this process included; `None` if none knows it. A spool asks once after opening whether
    /// tables are ahead of its disk (exactly-once.md, rule 17), which the low-water mark does not tell.
    async fn highest_position(&self, partition: &Partition) -> Result<Option<Offset>> {
        Err(Error::new(
            Kind::Bug,
            format!(
                "this intake does not know the highest position, partition=`{}`",
                partition.id
            ),
        ))
    }
}
