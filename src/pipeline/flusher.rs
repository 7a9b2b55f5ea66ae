//! The end of a table's line: upload, dead letters, commit; one flush after the other.
//!
//! The worker goes on decoding and encoding the next batch meanwhile. After a failure that drops
//! files, jobs of the same generation are dropped too: their ranges continue one that did not land.

use super::{
    lane::LetterRange,
    retry::Backoff,
    worker::{FlightBytes, Shared, WorkerGauges},
};
use crate::{
    commit::{CommitOutcome, TableLog, TableState, Upload},
    error::Result,
    event::{BytePermit, CommitRange, DataFile, Epoch, Offset, SourcePartition},
    schema::TableSchema,
    storage::TableLocation,
    write::{EncodedFile, UploadOptions, upload},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Files of one flush uploaded at once.
const UPLOADS: usize = 4;
/// How often an upload is looked at that may be given up.
const GIVEN_UP_POLL: Duration = Duration::from_millis(100);

/// One flush.
pub(crate) struct Job {
    pub(crate) generation: u64,
    pub(crate) files: Vec<EncodedFile>,
    pub(crate) schema: Arc<TableSchema>,
    pub(crate) earlier: Vec<Arc<TableSchema>>,
    /// Empty when no row was taken: then the dead letters alone are durable.
    pub(crate) ranges: Vec<CommitRange>,
    pub(crate) letters: Vec<LetterRange>,
    /// What is settled when the job is done.
    pub(crate) ends: Vec<(SourcePartition, Epoch, Offset)>,
    pub(crate) permit: BytePermit,
    /// The same bytes in the worker's gauges.
    pub(crate) counted: FlightBytes,
    pub(crate) opened: Instant,
    /// Microseconds since the epoch.
    pub(crate) oldest_event: Option<i64>,
    pub(crate) rows: u64,
}

/// What became of a job; each has one.
pub(crate) enum Done {
    /// Of a generation that was reset before its turn came or while its files could not be stored.
    Skipped,
    Settled {
        ends: Vec<(SourcePartition, Epoch, Offset)>,
        version: Option<u64>,
        state: Option<Arc<TableState>>,
    },
    /// The files are dropped; what was taken of these partitions must be read again.
    Dropped {
        generation: u64,
        why: String,
        state: Option<Arc<TableState>>,
    },
}

pub(crate) struct Flusher {
    pub(crate) table: Arc<str>,
    pub(crate) location: TableLocation,
    pub(crate) log: Arc<TableLog>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) cancel: CancellationToken,
    /// The worker's; jobs of an older one are dropped.
    pub(crate) generation: Arc<AtomicU64>,
    pub(crate) gauges: Arc<WorkerGauges>,
    /// Turns of requests, shared by all tables of the store.
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) done: mpsc::UnboundedSender<Done>,
}

impl Flusher {
    pub(crate) async fn run(mut self) {
        let mut dropped: Option<u64> = None;
        while let Some(job) = self.jobs.recv().await {
            if dropped == Some(job.generation)
                || job.generation < self.generation.load(Ordering::Acquire)
            {
                if self.done.send(Done::Skipped).is_err() {
                    return;
                }
                continue;
            }
            let generation = job.generation;
            let span = tracing::debug_span!(
                "flush",
                generation,
                rows = job.rows,
                files = job.files.len()
            );
            let flushed = self.flush(job).instrument(span).await;
            self.gauges.fails.store(false, Ordering::Release);
            match flushed {
                Ok(done) => {
                    if matches!(done, Done::Dropped { .. }) {
                        dropped = Some(generation);
                    }
                    if self.done.send(done).is_err() {
                        return;
                    }
                }
                // Positions tell the next run where to begin.
                Err(error) => {
                    if !self.shared.cancel.is_cancelled() {
                        self.shared.fail(error);
                    }
                    return;
                }
            }
        }
    }

    async fn flush(&self, job: Job) -> Result<Done> {
        let uploaded = self.upload(job.files, job.generation).await;
        self.gauges.upload_fails.store(false, Ordering::Release);
        let Some(made) = uploaded? else {
            return Ok(Done::Skipped);
        };
        // Dead letters are committed first, and their verdicts are final (rule 11).
        for letters in &job.letters {
            if let Some(dropped) = self.commit_letters(job.generation, letters).await? {
                return Ok(dropped);
            }
        }
        drop((job.permit, job.counted));
        if job.ranges.is_empty() {
            return Ok(Done::Settled {
                ends: job.ends,
                version: None,
                state: None,
            });
        }
        let (ranges, files) = (job.ranges.clone(), made.len());
        let upload = Upload {
            earlier: job.earlier,
            files: made,
            schema: job.schema,
            ranges: job.ranges,
            marks: Vec::new(),
        };
        let outcome = self.commit(upload).await?;
        if !matches!(outcome, CommitOutcome::Committed { .. }) {
            metrics::counter!("alluvium_write_orphans_total").increment(files as u64);
        }
        Ok(match outcome {
            CommitOutcome::Committed { version, state } => {
                if let Some(oldest) = job.oldest_event {
                    let age = chrono::Utc::now().timestamp_micros() - oldest;
                    metrics::histogram!("alluvium_event_to_commit_seconds")
                        .record(age.max(0) as f64 / 1e6);
                }
                metrics::histogram!("alluvium_batch_age_seconds")
                    .record(job.opened.elapsed().as_secs_f64());
                metrics::counter!("alluvium_commit_rows_total").increment(job.rows);
                self.shared.rates.committed(job.rows);
                self.shared.tally.version(files, &ranges);
                tracing::debug!(table = %self.table, version, rows = job.rows, "committed");
                Done::Settled {
                    ends: job.ends,
                    version: Some(version),
                    state: Some(state),
                }
            }
            CommitOutcome::Stale { state } => Done::Dropped {
                generation: job.generation,
                why: "the table's schema no longer fits the files".into(),
                state: Some(state),
            },
            CommitOutcome::Fenced {
                partition,
                stored,
                state,
            } => Done::Dropped {
                generation: job.generation,
                why: format!(
                    "another writer moved the position, source_partition=`{partition}` stored=`{stored:?}`"
                ),
                state: Some(state),
            },
        })
    }

    /// Until all files are stored or the process stops: a store that refuses now may be mended. `None`: the
    /// worker needs the bytes no more that could not be stored yet.
    async fn upload(
        &self,
        files: Vec<EncodedFile>,
        generation: u64,
    ) -> Result<Option<Vec<DataFile>>> {
        let options = UploadOptions {
            cancel: self.shared.cancel.clone(),
            requests: self.requests.clone(),
            failing: self.gauges.upload_fails.clone(),
            ..UploadOptions::default()
        };
        let options = &options;
        let one = |file: EncodedFile| async move {
            let mut file = file;
            let mut backoff = Backoff::new("upload", &self.table);
            loop {
                match upload(&self.location, file.clone(), options).await {
                    Ok(stored) => return Ok(stored),
                    Err(error) => {
                        self.gauges.fails.store(true, Ordering::Release);
                        self.gauges.upload_fails.store(true, Ordering::Release);
                        backoff.failed(error.into(), &self.shared.cancel).await?;
                        // It may be days later, and an earlier attempt may have landed.
                        file.rename();
                    }
                }
            }
        };
        let all = stream::iter(files).map(one).buffered(UPLOADS).try_collect();
        tokio::select! {
            stored = all => stored.map(Some),
            () = self.given_up(generation) => Ok(None),
        }
    }

    /// Completes when an upload fails whose job the worker has given up.
    async fn given_up(&self, generation: u64) {
        while generation >= self.generation.load(Ordering::Acquire)
            || !self.gauges.upload_fails.load(Ordering::Acquire)
        {
            tokio::time::sleep(GIVEN_UP_POLL).await;
        }
    }

    async fn commit_letters(&self, generation: u64, letters: &LetterRange) -> Result<Option<Done>> {
        let mut backoff = Backoff::new("dead_letters", &self.table);
        loop {
            match self.shared.ledger.commit_letters(letters).await {
                Ok(CommitOutcome::Committed { .. }) => {
                    self.shared.rates.dead_letters(letters.letters.len() as u64);
                    self.shared.tally.dead_letters(letters.letters.len());
                    return Ok(None);
                }
                Ok(CommitOutcome::Stale { .. }) => backoff.wait(&self.cancel).await?,
                Ok(CommitOutcome::Fenced {
                    partition, stored, ..
                }) => {
                    return Ok(Some(Done::Dropped {
                        generation,
                        why: format!(
                            "another writer moved the position of the dead letters, source_partition=`{partition}` stored=`{stored:?}`"
                        ),
                        state: None,
                    }));
                }
                Err(error) => {
                    self.gauges.fails.store(true, Ordering::Release);
                    backoff.failed(error, &self.cancel).await?;
                }
            }
        }
    }

    /// Until it lands, is fenced or stale, or the process stops: a table that refuses now may be
    /// mended by a person, and nothing is lost by waiting (the sources pause).
    async fn commit(&self, upload: Upload) -> Result<CommitOutcome> {
        let mut backoff = Backoff::new("commit", &self.table);
        loop {
            match self.log.commit(upload.clone(), self.cancel.clone()).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => {
                    self.gauges.fails.store(true, Ordering::Release);
                    backoff.failed(error.into(), &self.cancel).await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
