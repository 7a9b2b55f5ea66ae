//! From the spool to the pipeline, and the acks back.

use crate::{
    error::{Error, Kind, Result},
    event::{Assignment, ByteBudget, Intake, Offset, Partition, RawBatch, RecordSpan, SourceEvent},
    source::spool::{Chunk, Reader, Spool},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// The most bytes of one raw batch, single records apart.
const BATCH_BYTES: u64 = 1 << 20;
/// After a batch smaller than this the next is taken a moment later, so that it is larger.
const SMALL_BYTES: u64 = 64 << 10;
const LINGER: Duration = Duration::from_millis(5);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// Reads a spool's durable events into the pipeline, one source partition at a time: an earlier
/// identity's to its end first (exactly-once.md, rule 17).
pub(super) struct Pump {
    pub(super) source: Arc<str>,
    pub(super) spool: Arc<Spool>,
    pub(super) intake: Arc<dyn Intake>,
    pub(super) budget: ByteBudget,
    pub(super) shutdown: CancellationToken,
    /// When set: read what is there, have it committed, and end by then.
    pub(super) stop: watch::Receiver<Option<Instant>>,
}

/// How one epoch ended.
enum Turn {
    /// Take the partition on anew.
    Again,
    Ended,
}

impl Pump {
    /// Runs until it is stopped or the pipeline is. An error is one that asking again does not mend.
    pub(super) async fn run(mut self) -> Result<()> {
        let shutdown = self.shutdown.clone();
        let mut wait = FIRST_RETRY;
        loop {
            let turn = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                turn = Box::pin(self.epoch()) => turn,
            };
            match turn {
                Ok(Turn::Ended) => return Ok(()),
                Ok(Turn::Again) => wait = FIRST_RETRY,
                Err(error) if error.kind().is_retryable() => {
                    metrics::counter!("alluvium_errors_total", "stage" => "source", "kind" => error.kind().as_str()).increment(1);
                    tracing::warn!(source = &*self.source, %error, retry_seconds = wait.as_secs_f64(), "the pipeline does not take events; they stay in the spool");
                    let stopped = async {
                        // The sender lives as long as the source; without it nobody waits for a drain.
                        let _ = self.stop.wait_for(Option::is_some).await;
                    };
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(()),
                        // The events are durable and stay for the next run.
                        () = stopped => return Ok(()),
                        () = tokio::time::sleep(wait.mul_f64(0.75 + 0.5 * fastrand::f64())) => {}
                    }
                    wait = (wait * 2).min(LAST_RETRY);
                }
                Err(error) => {
                    metrics::counter!("alluvium_errors_total", "stage" => "source", "kind" => error.kind().as_str()).increment(1);
                    return Err(error);
                }
            }
        }
    }

    async fn epoch(&mut self) -> Result<Turn> {
        self.settle_identity().await?;
        let generations = self.spool.generations();
        let Some(generation) = generations.first() else {
            return Ok(Turn::Ended);
        };
        let partition = Arc::clone(&generation.partition);
        let Some(assignment) = self
            .intake
            .assign(vec![Arc::clone(&partition)])
            .await?
            .into_iter()
            .next()
        else {
            return Err(Error::new(
                Kind::Bug,
                format!(
                    "the pipeline did not assign the partition it was asked for, partition=`{}`",
                    partition.id
                ),
            ));
        };
        let start = match assignment.resume {
            Some(resume) => self.above_what_is_gone(&partition, resume).await?,
            None => {
                let start = self.spool.head().max(generation.first);
                self.intake
                    .record_start(vec![(assignment.clone(), start)])
                    .await?;
                start
            }
        };
        if let Some(end) = generation.end
            && start >= end
        {
            return Ok(self.finished(&partition, end));
        }
        if generation.end.is_none() && start > self.spool.durable() {
            // Letting go below such a position would lose what was accepted since.
            return Err(Error::new(
                Kind::Corrupt,
                format!(
                    "the tables' position is above everything the spool gave out; run `alluvium table positions` and report it, partition=`{}` position=`{start}` durable=`{}`",
                    partition.id,
                    self.spool.durable()
                ),
            ));
        }
        self.spool.truncate_below(start);
        let reader = self.spool.reader(start, generation.end)?;
        tracing::info!(source = &*self.source, partition = %partition.id, position = start, "reading the spool");
        self.read_and_ack(assignment, reader, start, generation.end)
            .await
    }

    /// Where to read. The ledger's mark is written now and then, so after a kill it may lie below what
    /// the spool has let go since, all of it committed: a position as high proves that. Without one the
    /// tables were put back to an older state, and the reader refuses `resume`.
    async fn above_what_is_gone(&self, partition: &Partition, resume: Offset) -> Result<Offset> {
        let gone = self.spool.let_go();
        if resume >= gone {
            return Ok(resume);
        }
        let highest = self.intake.highest_position(partition).await?;
        Ok(if highest >= Some(gone) { gone } else { resume })
    }

    /// Rule 17: a table above what this disk held when it was opened means that the disk lost records.
    /// Settled before any number given out since then is handed on.
    async fn settle_identity(&self) -> Result<()> {
        let (Some(from), Some(current)) = (
            self.spool.unconfirmed_from(),
            self.spool.generations().pop(),
        ) else {
            return Ok(());
        };
        let highest = self.intake.highest_position(&current.partition).await?;
        if let Some(highest) = highest.filter(|highest| *highest > from) {
            self.spool.adopt_new_identity().await?;
            tracing::warn!(
                source = &*self.source,
                old = %current.partition.id,
                spool_end = from,
                table_position = highest,
                "a table is ahead of the spool: its disk was restored or lost records; the spool goes on under a new identity"
            );
        } else {
            self.spool.confirm_identity().await?;
        }
        Ok(())
    }

    async fn read_and_ack(
        &mut self,
        assignment: Assignment,
        mut reader: Reader,
        start: Offset,
        end: Option<Offset>,
    ) -> Result<Turn> {
        let partition = Arc::clone(&assignment.partition);
        let sent = AtomicU64::new(start);
        let reading = self.read(&assignment, &mut reader, &sent);
        tokio::pin!(reading);
        let stopping = caught_up(self.stop.clone(), &self.spool, &sent);
        tokio::pin!(stopping);
        let mut low_water = start;
        // The end of an earlier identity's last record, once it is read.
        let mut last: Option<Offset> = None;
        let deadline = loop {
            if let (Some(last), Some(end)) = (last, end)
                && low_water >= last
            {
                return Ok(self.finished(&partition, end));
            }
            tokio::select! {
                event = self.intake.event() => match event {
                    None => return Ok(Turn::Ended),
                    Some(SourceEvent::Acked(acked)) if acked.partition.id == partition.id => {
                        low_water = low_water.max(acked.low_water);
                        self.acked(low_water);
                    }
                    Some(SourceEvent::Rewind { partition: rewound, epoch })
                        if rewound.id == partition.id && epoch == assignment.epoch =>
                    {
                        tracing::info!(source = &*self.source, partition = %partition.id, "reading again from the tables' position");
                        return Ok(Turn::Again);
                    }
                    // An epoch that is over, or room, which `send` waits for itself.
                    Some(_) => {}
                },
                read = &mut reading, if last.is_none() => last = Some(read?),
                deadline = &mut stopping => break deadline,
            }
        };
        self.drain(&partition, deadline).await;
        Ok(Turn::Ended)
    }

    /// Has what was handed on committed.
    async fn drain(&self, partition: &Arc<Partition>, deadline: Instant) {
        let partitions = [Arc::clone(partition)];
        let limit = deadline.saturating_duration_since(Instant::now());
        let draining = self.intake.drain(&partitions, limit);
        tokio::pin!(draining);
        let mut events = true;
        let marks = loop {
            tokio::select! {
                marks = &mut draining => break marks,
                event = self.intake.event(), if events => match event {
                    Some(SourceEvent::Acked(acked)) if acked.partition.id == partition.id => self.acked(acked.low_water),
                    Some(_) => {}
                    None => events = false,
                },
            }
        };
        for mark in marks
            .iter()
            .filter(|mark| mark.partition.id == partition.id)
        {
            self.acked(mark.low_water);
        }
    }

    fn acked(&self, low_water: Offset) {
        self.spool.truncate_below(low_water);
        let lag = self.spool.durable().saturating_sub(low_water);
        metrics::gauge!("alluvium_source_lag_records", "source" => self.source.to_string())
            .set(lag as f64);
    }

    /// An earlier identity is committed to its end; numbers up to `end` that no record has are passed.
    fn finished(&self, partition: &Arc<Partition>, end: Offset) -> Turn {
        tracing::info!(source = &*self.source, partition = %partition.id, "the spool's earlier identity is committed to its end");
        self.intake.release(std::slice::from_ref(partition));
        self.spool.truncate_below(end);
        Turn::Again
    }

    /// Hands on batches for ever, or to the end of an earlier identity; returns where that is.
    async fn read(
        &self,
        assignment: &Assignment,
        reader: &mut Reader,
        sent: &AtomicU64,
    ) -> Result<Offset> {
        let source = || self.source.to_string();
        let counted_records =
            metrics::counter!("alluvium_source_records_total", "source" => source());
        let counted_bytes = metrics::counter!("alluvium_source_bytes_total", "source" => source());
        loop {
            let Some(bytes) = reader.ready().await else {
                return Ok(reader.position());
            };
            let (chunk, permit) = match reader.recent() {
                Some(mut chunk) => {
                    let permit = chunk.permit.take();
                    let permit = permit.unwrap_or_else(|| self.budget.charge(cost(&chunk)));
                    (chunk, permit)
                }
                None => {
                    // Room before the read: what waits for room waits on the disk.
                    let bytes = bytes.min(BATCH_BYTES);
                    let mut permit = match self.budget.try_acquire(bytes) {
                        Some(permit) => permit,
                        None => {
                            reader.make_room();
                            self.budget.acquire(bytes).await
                        }
                    };
                    let Some(chunk) = reader.next(BATCH_BYTES).await? else {
                        return Ok(reader.position());
                    };
                    permit.resize(cost(&chunk));
                    (chunk, permit)
                }
            };
            let (end, records, bytes) = (
                chunk.end,
                chunk.records.len() as u64,
                chunk.slab.len() as u64,
            );
            self.intake
                .send(RawBatch {
                    partition: Arc::clone(&assignment.partition),
                    epoch: assignment.epoch,
                    start: chunk.start,
                    end,
                    slab: chunk.slab,
                    records: chunk.records,
                    tables: chunk.tables,
                    permit,
                })
                .await?;
            counted_records.increment(records);
            counted_bytes.increment(bytes);
            sent.store(end, Ordering::Release);
            if bytes < SMALL_BYTES {
                // Small requests in a row cost less together: the next ones wait for company.
                tokio::time::sleep(LINGER).await;
            }
        }
    }
}

fn cost(chunk: &Chunk) -> u64 {
    (chunk.slab.len() + chunk.records.len() * size_of::<RecordSpan>()) as u64
}

/// Waits until a stop is asked for and what was durable then is handed on, or half its time is over.
async fn caught_up(
    mut stop: watch::Receiver<Option<Instant>>,
    spool: &Spool,
    sent: &AtomicU64,
) -> Instant {
    let asked = stop
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|deadline| *deadline);
    let Some(deadline) = asked else {
        // The handle is gone without a stop: only the shutdown ends the pump.
        return std::future::pending().await;
    };
    let target = spool.durable();
    let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    while sent.load(Ordering::Acquire) < target && Instant::now() < half {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    deadline
}
