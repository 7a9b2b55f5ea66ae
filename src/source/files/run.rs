//! Drives the lanes of a run against the pipeline.
//!
//! Each lane is a task; this hands it what the pipeline says of it, and records the run as finished
//! when all are committed to their ends.

use super::{
    BATCH_BYTES, FilesError, Plan, Progress,
    lane_task::{LaneEnd, LaneTask, Signal},
    manifest::{Finished, RunStore},
};
use crate::{
    error::{Error, Result},
    event::{Acked, ByteBudget, Intake, Partition, SourceEvent},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

const TICK: Duration = Duration::from_millis(250);

/// The most that a lane holds of objects before a batch takes it.
const MAX_AHEAD_BYTES: u64 = 20 << 20;

/// What each lane may hold of objects before a batch takes it: all together a quarter of what is left of the
/// budget beside a few batches, so that these always find room.
pub(crate) fn ahead_bytes(budget: u64, lanes: usize) -> u64 {
    let all = budget.saturating_sub(4 * BATCH_BYTES as u64) / 4;
    (all / lanes.max(1) as u64).min(MAX_AHEAD_BYTES)
}

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
    /// Bytes of files read, as they are stored.
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
        let lane = LaneTask {
            number,
            run_id: run_id.clone(),
            partition,
            table: table.clone(),
            fresh: plan.fresh,
            known_end: ends.as_ref().and_then(|e| e.get(number as usize).copied()),
            files: manifest.lane_files(number),
            types: types.clone(),
            stores: plan.stores.clone(),
            ahead_bytes: ahead_bytes(budget.limit(), lanes),
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
