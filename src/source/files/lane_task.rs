//! One lane of a run against the pipeline.
//!
//! A lane is assigned like any source partition: it begins at the position the tables show, passes as
//! many records, and reads on. On a rewind it is assigned and read anew. It is done when the low-water
//! mark is at its end.

use super::{
    BATCH_BYTES, FilesError, Progress,
    input::{ReadAhead, Reading},
    inputs::is_object_url,
    lane::{LaneChunk, LaneReader},
    object::InputStores,
    plan::blocking,
};
use crate::{
    error::{Error, Kind, Result},
    event::{
        Assignment, ByteBudget, BytePermit, Epoch, Intake, Offset, Partition, RawBatch, RecordSpan,
    },
    source::slab,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Rounds of one lane that may end without the low-water mark having moved.
const MAX_IDLE_ROUNDS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the pipeline said of a lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal {
    /// The latest epoch that must not be read on.
    pub(crate) rewound: Option<Epoch>,
    pub(crate) low_water: Offset,
    /// The pipeline has stopped.
    pub(crate) gone: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneEnd {
    pub(crate) resumed_at: Offset,
    pub(crate) low_water: Offset,
    pub(crate) complete: bool,
}

/// One lane of a run. Its `signal` says what the pipeline said of it.
pub(crate) struct LaneTask {
    pub(crate) number: u32,
    pub(crate) run_id: Arc<str>,
    pub(crate) partition: Arc<Partition>,
    pub(crate) table: Arc<str>,
    pub(crate) fresh: bool,
    pub(crate) known_end: Option<Offset>,
    pub(crate) files: Vec<super::FileEntry>,
    pub(crate) types: Arc<std::collections::BTreeMap<String, super::CsvType>>,
    pub(crate) stores: Arc<dyn InputStores>,
    /// What it may hold of objects that no batch has taken.
    pub(crate) ahead_bytes: u64,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) budget: ByteBudget,
    pub(crate) progress: Progress,
    pub(crate) signal: watch::Receiver<Signal>,
    pub(crate) stop: CancellationToken,
    pub(crate) drain_limit: Duration,
}

/// How one reading of a lane ended.
enum Pass {
    /// Everything up to here was handed on, and it is the end.
    End(Offset),
    Stopped,
    Rewound,
    Failed(Error),
}

impl LaneTask {
    /// Reads the lane to its end, as often as it is sent back.
    pub(crate) async fn drive(mut self) -> Result<LaneEnd> {
        let mut resumed_at = None;
        let (mut best, mut idle) = (None, 0u32);
        loop {
            let (assignment, start) = self.assign().await?;
            if resumed_at.is_none() && self.fresh && start > 0 {
                self.release();
                return Err(FilesError::ManifestLost {
                    run_id: self.run_id.to_string(),
                    lane: self.number,
                    position: start,
                }
                .into());
            }
            let resumed_at = *resumed_at.get_or_insert(start);
            let end = |low_water, complete| LaneEnd {
                resumed_at,
                low_water,
                complete,
            };
            idle = if best >= Some(start) { idle + 1 } else { 0 };
            best = best.max(Some(start));
            if idle > MAX_IDLE_ROUNDS {
                self.release();
                return Err(FilesError::NoProgress {
                    run_id: self.run_id.to_string(),
                    lane: self.number,
                }
                .into());
            }
            if idle > 0 {
                self.pause(idle).await;
            }
            if self.known_end == Some(start) {
                self.release();
                return Ok(end(start, true));
            }
            match self.pass(&assignment, start).await {
                Pass::End(offset) if offset == start => {
                    self.release();
                    return Ok(end(start, true));
                }
                Pass::End(offset) => {
                    let low_water = self.drain().await.unwrap_or(start);
                    if low_water >= offset {
                        return Ok(end(low_water, true));
                    }
                    best = best.max(Some(start));
                }
                Pass::Stopped => {
                    let low_water = self.drain().await.unwrap_or(start);
                    return Ok(end(low_water, false));
                }
                Pass::Rewound => {}
                Pass::Failed(error) => {
                    self.drain().await;
                    return Err(error);
                }
            }
            if self.signal.borrow().gone {
                return Err(FilesError::PipelineStopped.into());
            }
            if self.stop.is_cancelled() {
                return Ok(end(best.unwrap_or(start), false));
            }
        }
    }

    /// The lane's position by the tables; a new lane is recorded to begin at 0.
    async fn assign(&self) -> Result<(Assignment, Offset)> {
        let mut attempt = 0;
        loop {
            match self.try_assign().await {
                Err(e) if e.kind().is_retryable() && attempt < 8 && !self.stop.is_cancelled() => {
                    attempt += 1;
                    self.pause(attempt).await;
                }
                other => return other,
            }
        }
    }

    async fn try_assign(&self) -> Result<(Assignment, Offset)> {
        let assigned = self.intake.assign(vec![self.partition.clone()]).await?;
        let Some(assignment) = assigned.into_iter().next() else {
            return Err(Error::new(
                Kind::Bug,
                format!(
                    "the pipeline assigned nothing partition=`{}`",
                    self.partition.id
                ),
            ));
        };
        match assignment.resume {
            Some(offset) => Ok((assignment, offset)),
            None => {
                self.intake
                    .record_start(vec![(assignment.clone(), 0)])
                    .await?;
                Ok((assignment, 0))
            }
        }
    }

    /// Reads from `start` until the end, a rewind, a stop or an error.
    async fn pass(&mut self, assignment: &Assignment, start: Offset) -> Pass {
        // Ends every wait for a store, also when this pass is dropped.
        let halt = self.stop.child_token();
        let _ended = halt.clone().drop_guard();
        let reading = Reading {
            stores: self.stores.clone(),
            halt: halt.clone(),
            ahead: ReadAhead::within(self.ahead_bytes),
            bytes: self.progress.lane_bytes(self.number),
        };
        // For as long as the pass lasts.
        let mut held = None;
        if self.files.iter().any(|file| is_object_url(&file.url)) {
            let bytes = reading.ahead.total_bytes().min(self.ahead_bytes);
            while held.is_none() {
                tokio::select! {
                    permit = self.budget.acquire(bytes) => held = Some(permit),
                    () = self.stop.cancelled() => return Pass::Stopped,
                    _ = self.signal.changed() => {
                        if self.must_leave(assignment.epoch) {
                            return Pass::Rewound;
                        }
                    }
                }
            }
        }
        let mut reader = LaneReader::new(self.files.clone(), self.types.clone(), reading);
        if start > 0 {
            let skip = blocking(move || reader.skip(start).map(|n| (reader, n)));
            let records = match self.or_halt(assignment.epoch, &halt, skip).await {
                Ok((back, n)) => {
                    reader = back;
                    n
                }
                Err(FilesError::Halted) => return self.halted(),
                Err(e) => return Pass::Failed(e.into()),
            };
            self.progress.skipped();
            if records < start {
                return Pass::Failed(
                    FilesError::PastTheEnd {
                        lane: self.number,
                        position: start,
                        records,
                    }
                    .into(),
                );
            }
        }
        loop {
            if self.stop.is_cancelled() {
                return Pass::Stopped;
            }
            if self.must_leave(assignment.epoch) {
                return Pass::Rewound;
            }
            let target = BATCH_BYTES as u64;
            let permit = tokio::select! {
                permit = self.budget.acquire(target) => permit,
                () = self.stop.cancelled() => return Pass::Stopped,
                // A rewind or the pipeline's end must not wait for room that its own batches hold.
                _ = self.signal.changed() => continue,
            };
            let next = blocking(move || {
                let chunk = reader.next(BATCH_BYTES);
                Ok((reader, chunk))
            });
            let (back, chunk) = match self.or_halt(assignment.epoch, &halt, next).await {
                Ok(next) => next,
                Err(e) => return Pass::Failed(e.into()),
            };
            reader = back;
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Pass::End(reader.offset()),
                Err(FilesError::Halted) => return self.halted(),
                Err(e) => return Pass::Failed(self.left_behind(e, &reader)),
            };
            if let Some(pass) = self.send(assignment, chunk, permit).await {
                return pass;
            }
        }
    }

    async fn send(
        &mut self,
        assignment: &Assignment,
        chunk: LaneChunk,
        mut permit: BytePermit,
    ) -> Option<Pass> {
        permit.resize(chunk.chunk.slab.len() as u64);
        let (records, bytes) = (
            chunk.chunk.records.len() as u64,
            chunk.chunk.slab.len() as u64,
        );
        let batch = raw_batch(
            &self.partition,
            assignment.epoch,
            &self.table,
            chunk,
            permit,
        );
        match self.intake.send(batch).await {
            Ok(()) => {
                self.progress.add_records(records);
                metrics::counter!("alluvium_source_records_total", "source" => "backfill")
                    .increment(records);
                metrics::counter!("alluvium_source_bytes_total", "source" => "backfill")
                    .increment(bytes);
                None
            }
            // The epoch ended while the batch waited.
            Err(e) if matches!(e.kind(), Kind::Fenced | Kind::Conflict) => Some(Pass::Rewound),
            Err(e) => Some(Pass::Failed(e)),
        }
    }

    /// Does blocking work of this lane. Should the lane have to be left meanwhile, it no longer waits for a store.
    async fn or_halt<T>(
        &mut self,
        epoch: Epoch,
        halt: &CancellationToken,
        work: impl Future<Output = std::result::Result<T, FilesError>>,
    ) -> std::result::Result<T, FilesError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                changed = self.signal.changed(), if !halt.is_cancelled() => {
                    if changed.is_err() || self.must_leave(epoch) {
                        halt.cancel();
                    }
                }
            }
        }
    }

    /// How a pass ends whose waiting was ended.
    fn halted(&self) -> Pass {
        match self.stop.is_cancelled() {
            true => Pass::Stopped,
            false => Pass::Rewound,
        }
    }

    fn must_leave(&self, epoch: Epoch) -> bool {
        let signal = self.signal.borrow();
        signal.gone || signal.rewound >= Some(epoch)
    }

    /// Says which files stay unread behind the one that cannot be read.
    fn left_behind(&self, error: FilesError, reader: &LaneReader) -> Error {
        let kind = error.kind();
        let behind: Vec<String> = self
            .files
            .iter()
            .skip(reader.files_read() + 1)
            .filter_map(|file| file.name().ok())
            .collect();
        let mut text = error.to_string();
        if !behind.is_empty() {
            text += &format!(
                "; {} files behind it in its lane were not read, load them as a run of their own: {}{}",
                behind.len(),
                behind.iter().take(5).cloned().collect::<Vec<_>>().join(" "),
                if behind.len() > 5 { " …" } else { "" }
            );
        }
        Error::new(kind, text)
    }

    /// Waits for commits; the low-water mark if the pipeline knows it.
    async fn drain(&self) -> Option<Offset> {
        let acked = self
            .intake
            .drain(std::slice::from_ref(&self.partition), self.drain_limit)
            .await;
        acked
            .into_iter()
            .find(|a| a.partition.id == self.partition.id)
            .map(|a| a.low_water)
    }

    fn release(&self) {
        self.intake.release(std::slice::from_ref(&self.partition));
    }

    /// Longer by the attempt, with jitter, so that two runs do not step on each other in time.
    async fn pause(&self, attempt: u32) {
        let longest = FIRST_PAUSE
            .saturating_mul(1 << attempt.min(10))
            .min(LONGEST_PAUSE);
        let pause = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// A chunk as the pipeline takes it. The partition is the lane's, with the file as `_source`.
pub(crate) fn raw_batch(
    lane: &Partition,
    epoch: Epoch,
    table: &Arc<str>,
    chunk: LaneChunk,
    permit: BytePermit,
) -> RawBatch {
    let LaneChunk {
        path,
        event_time,
        start,
        chunk,
    } = chunk;
    let end = start + chunk.records.len() as u64;
    let records = (start..)
        .zip(chunk.records)
        .map(|(offset, (value, kind))| RecordSpan {
            offset,
            value,
            key: None,
            headers: None,
            event_time,
            table: 0,
            kind,
        })
        .collect();
    RawBatch {
        partition: Arc::new(Partition {
            label: path,
            ..lane.clone()
        }),
        epoch,
        start,
        end,
        slab: slab::share(chunk.slab),
        records,
        tables: vec![table.clone()],
        permit,
    }
}
