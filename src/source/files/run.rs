//! Drives the lanes of a run against the pipeline.
//!
//! A lane is assigned like any source partition: it begins at the position the tables show, passes as
//! many records, and reads on. On a rewind it is assigned and read anew. It is done when the low-water
//! mark is at its end; when all lanes are, the run is recorded as finished.

use super::{
    BATCH_BYTES, FilesError, Plan, Progress,
    lane::{LaneChunk, LaneReader},
    manifest::{Finished, RunStore},
    plan::blocking,
};
use crate::{
    error::{Error, Kind, Result},
    event::{
        Acked, Assignment, ByteBudget, BytePermit, Epoch, Intake, Offset, Partition, RawBatch,
        RecordSpan, SourceEvent,
    },
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Rounds of one lane that may end without the low-water mark having moved.
const MAX_IDLE_ROUNDS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(250);

pub struct RunArgs {
    pub plan: Plan,
    /// Cancelled: reading ends, what was read is committed, the run can be resumed.
    pub stop: CancellationToken,
    /// How long one wait for commits may take before the lane asks where it stands.
    pub drain_limit: Duration,
}

/// What a run did. Rows, rescued values and versions are the pipeline's to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub run_id: String,
    /// Records committed when this run began.
    pub resumed_at: u64,
    /// Records committed by the end, those before included.
    pub committed: u64,
    /// Records handed on by this run; one read again after a rewind counts again.
    pub records: u64,
    /// Bytes of files read, as they are on disk.
    pub bytes: u64,
    pub files: usize,
    pub lanes: usize,
    /// Every lane is committed to its end.
    pub complete: bool,
    /// It was so before this run, which did nothing.
    pub already_complete: bool,
}

/// Reads a planned run to its end. An error leaves what is committed committed: the same command goes
/// on from there. When one lane fails the others still go to their ends first.
pub async fn run(
    args: RunArgs,
    intake: Arc<dyn Intake>,
    budget: ByteBudget,
    progress: Progress,
) -> Result<Summary> {
    let RunArgs {
        plan,
        stop,
        drain_limit,
    } = args;
    if !plan.recorded {
        return Err(FilesError::NotRecorded.into());
    }
    let manifest = &plan.manifest;
    let lanes = manifest.lanes as usize;
    let ends = plan.finished.as_ref().map(|f| f.lane_records.clone());
    let types = Arc::new(manifest.csv_types.clone());
    let table: Arc<str> = manifest.table.as_str().into();
    let run_id: Arc<str> = manifest.run_id.as_str().into();

    let mut signals = Vec::with_capacity(lanes);
    let mut tasks = JoinSet::new();
    for number in 0..manifest.lanes {
        let (sender, signal) = watch::channel(Signal::default());
        let partition = Arc::new(manifest.partition(number));
        signals.push((partition.clone(), sender));
        let lane = Lane {
            number,
            run_id: run_id.clone(),
            partition,
            table: table.clone(),
            fresh: plan.fresh,
            known_end: ends.as_ref().and_then(|e| e.get(number as usize).copied()),
            files: manifest.lane_files(number),
            types: types.clone(),
            intake: intake.clone(),
            budget: budget.clone(),
            progress: progress.clone(),
            signal,
            stop: stop.clone(),
            drain_limit,
        };
        tasks.spawn(async move { (number as usize, lane.drive().await) });
    }

    let mut outcomes: Vec<Option<LaneEnd>> = vec![None; lanes];
    let mut failure: Option<Error> = None;
    let mut listening = true;
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok((lane, Ok(end)))) => {
                    if let Some(slot) = outcomes.get_mut(lane) {
                        *slot = Some(end);
                    }
                }
                Some(Ok((lane, Err(e)))) => {
                    tracing::warn!(lane, error = %e, "a lane of the backfill stopped");
                    failure.get_or_insert(e);
                }
                Some(Err(e)) => {
                    failure.get_or_insert(FilesError::Task(e.to_string()).into());
                }
            },
            event = intake.event(), if listening => match event {
                Some(event) => deliver(&signals, event),
                None => {
                    listening = false;
                    for (_, signal) in &signals {
                        signal.send_modify(|s| s.gone = true);
                    }
                }
            },
            _ = tick.tick() => {
                progress.set_committed(signals.iter().map(|(_, s)| s.borrow().low_water).sum());
                progress.tick();
            }
        }
    }
    let committed = outcomes.iter().flatten().map(|end| end.low_water).sum();
    progress.set_committed(committed);
    progress.finish();
    if let Some(error) = failure {
        return Err(error);
    }

    let ends: Vec<LaneEnd> = outcomes.into_iter().flatten().collect();
    let complete = ends.len() == lanes && ends.iter().all(|end| end.complete);
    if complete && plan.finished.is_none() {
        record_finished(&plan.store, &plan, &ends).await?;
    }
    Ok(Summary {
        run_id: run_id.to_string(),
        resumed_at: ends.iter().map(|end| end.resumed_at).sum(),
        committed,
        records: progress.records(),
        bytes: progress.bytes_read(),
        files: plan.manifest.files.len(),
        lanes,
        complete,
        already_complete: complete
            && plan.finished.is_some()
            && ends.iter().all(|end| end.resumed_at == end.low_water),
    })
}

async fn record_finished(
    store: &RunStore,
    plan: &Plan,
    ends: &[LaneEnd],
) -> Result<(), FilesError> {
    store
        .record_finished(&Finished {
            run_id: plan.manifest.run_id.clone(),
            lane_records: ends.iter().map(|end| end.low_water).collect(),
        })
        .await
}

/// What the pipeline said of a lane.
#[derive(Clone, Debug, Default)]
struct Signal {
    /// The latest epoch that must not be read on.
    rewound: Option<Epoch>,
    low_water: Offset,
    gone: bool,
}

fn deliver(signals: &[(Arc<Partition>, watch::Sender<Signal>)], event: SourceEvent) {
    let find = |partition: &Partition| signals.iter().find(|(p, _)| p.id == partition.id);
    match event {
        SourceEvent::Acked(Acked {
            partition,
            low_water,
            ..
        }) => {
            if let Some((_, signal)) = find(&partition) {
                signal.send_modify(|s| s.low_water = s.low_water.max(low_water));
            }
        }
        SourceEvent::Rewind { partition, epoch } => {
            if let Some((_, signal)) = find(&partition) {
                signal.send_modify(|s| s.rewound = s.rewound.max(Some(epoch)));
            }
        }
        // Lanes use `send`, which waits by itself.
        SourceEvent::Room(_) => {}
    }
}

#[derive(Clone, Copy, Debug)]
struct LaneEnd {
    resumed_at: Offset,
    low_water: Offset,
    complete: bool,
}

struct Lane {
    number: u32,
    run_id: Arc<str>,
    partition: Arc<Partition>,
    table: Arc<str>,
    fresh: bool,
    known_end: Option<Offset>,
    files: Vec<super::FileEntry>,
    types: Arc<std::collections::BTreeMap<String, super::CsvType>>,
    intake: Arc<dyn Intake>,
    budget: ByteBudget,
    progress: Progress,
    signal: watch::Receiver<Signal>,
    stop: CancellationToken,
    drain_limit: Duration,
}

/// How one reading of a lane ended.
enum Pass {
    /// Everything up to here was handed on, and it is the end.
    End(Offset),
    Stopped,
    Rewound,
    Failed(Error),
}

impl Lane {
    async fn drive(mut self) -> Result<LaneEnd> {
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
        let mut reader = LaneReader::new(
            self.files.clone(),
            self.types.clone(),
            self.progress.lane_bytes(self.number),
        );
        if start > 0 {
            let skipped = blocking(move || reader.skip(start).map(|n| (reader, n))).await;
            let records = match skipped {
                Ok((back, n)) => {
                    reader = back;
                    n
                }
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
            })
            .await;
            let (back, chunk) = match next {
                Ok(next) => next,
                Err(e) => return Pass::Failed(e.into()),
            };
            reader = back;
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Pass::End(reader.offset()),
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
            .filter_map(|file| file.path().ok())
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
        slab: Bytes::from(chunk.slab),
        records,
        tables: vec![table.clone()],
        permit,
    }
}
