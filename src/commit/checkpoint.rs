//! Checkpoints: background work, never in a commit's way, one at a time in the process.
//!
//! When one is due: a checkpoint names every file of the table, so its cost grows with the table
//! while that of a commit does not. It is written after so many commits or bytes of actions, yet
//! rests long enough that checkpoints take no more than a share of the time
//! ([`CommitOptions::checkpoint_rest`]): a table of 100,000 files that commits once a second is
//! checkpointed as often as asked, one that catches up with a backlog by hundreds of commits a
//! second is not. Readers pay for what is not in a checkpoint yet, so the rest ends after
//! [`MAX_STRETCH_COMMITS`] times the commits or [`MAX_STRETCH_BYTES`] times the bytes. Meanwhile a
//! version checksum, whose cost does not grow, keeps restarts quick.
//!
//! [`CommitOptions::checkpoint_rest`]: super::CommitOptions::checkpoint_rest

use super::{
    checkpoint_file,
    error::{CommitError, Result},
    options::CommitOptions,
    state::TableState,
    table_log::TableLog,
};
use crate::error::Kind;
use delta_kernel::snapshot::SnapshotRef;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How many times `checkpoint_interval_commits` a rest may let pass.
const MAX_STRETCH_COMMITS: u64 = 50;

/// How many times `checkpoint_interval_bytes` a rest may let pass.
const MAX_STRETCH_BYTES: u64 = 4;

/// What was committed since the last checkpoint of ours.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    commits: AtomicU64,
    bytes: AtomicU64,
    running: AtomicBool,
    rest_until: Mutex<Option<Instant>>,
}

/// What is due after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Checksum,
    Checkpoint,
}

impl TableLog {
    /// Writes a checkpoint of the newest version, and the version checksum beside it. Waits for
    /// its turn among the tables.
    ///
    /// # Errors
    /// Those of reading the log and of writing the files. None of them harms the table.
    pub async fn checkpoint(&self) -> Result<()> {
        match self.load().await? {
            Some(state) => self.checkpoint_of(state).await,
            None => Ok(()),
        }
    }

    async fn checkpoint_of(&self, state: Arc<TableState>) -> Result<()> {
        let options = &self.log.inner.options;
        let _turn = options
            .checkpoint_permits
            .acquire()
            .await
            .map_err(|error| CommitError::corrupt(self.name(), "checkpoint", error))?;
        self.checkpoints.reset();
        let started = Instant::now();
        let before = state.clone();
        let snapshot = self
            .log
            .blocking(move |table, engine| {
                let engine = engine.as_ref();
                let snapshot = table.with_readable(engine, &state, |snapshot| {
                    let listed = snapshot.log_segment();
                    if listed.checkpoint_version != Some(listed.end_version) {
                        let file = checkpoint_file::write(table, engine, snapshot)?;
                        *table.last_checkpoint.lock() = Some(file);
                    }
                    Ok(snapshot.clone())
                })?;
                sum_up(&table.name, engine, &snapshot)
            })
            .await?;
        self.checkpoints.rest(started.elapsed(), options);
        metrics::counter!("alluvium_commit_checkpoints_total").increment(1);
        if before.snapshot.crc_at_version().is_none() {
            // The next commit starts from the checksum, where there is one now, and carries it on:
            // from this state while it is the newest, else the log is read up to its end.
            if let Some(snapshot) = snapshot.filter(|found| found.version() == before.version) {
                self.log.keep(&Arc::new(before.at(snapshot)));
            }
            self.refresh.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts a commit that stands and starts a checkpoint when one is due.
    pub(super) fn after_commit(&self, bytes: u64) {
        let options = &self.log.inner.options;
        let due = self.checkpoints.count(bytes, options, Instant::now());
        if due == Due::Nothing {
            return;
        }
        let Some(state) = self.log.state() else {
            return;
        };
        if self.checkpoints.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let background = TableLog {
            log: self.log.clone(),
            checkpoints: self.checkpoints.clone(),
            table_id: self.table_id.clone(),
            refresh: self.refresh.clone(),
        };
        tokio::spawn(async move {
            let done = match due {
                Due::Checkpoint => background.checkpoint_of(state).await,
                _ => background.checksum_of(state).await,
            };
            if let Err(error) = done {
                metrics::counter!(
                    "alluvium_errors_total", "stage" => "checkpoint", "kind" => error.kind().as_str()
                )
                .increment(1);
                tracing::warn!(table = background.name(), %error, "no checkpoint was written; the next is tried after as many commits");
                background.checkpoints.reset();
            }
            background
                .checkpoints
                .running
                .store(false, Ordering::Release);
        });
    }

    /// Writes the version checksum of `state`, where it is at hand.
    async fn checksum_of(&self, state: Arc<TableState>) -> Result<()> {
        if state.snapshot.crc_at_version().is_none() {
            return Ok(());
        }
        self.log
            .blocking(move |table, engine| sum_up(&table.name, engine.as_ref(), &state.snapshot))
            .await
            .map(|_| ())
    }
}

impl Checkpoints {
    fn count(&self, bytes: u64, options: &CommitOptions, now: Instant) -> Due {
        let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let reached = |have: u64, interval: u64, stretch: u64| {
            interval > 0 && have >= interval.saturating_mul(stretch)
        };
        let after = options.checkpoint_interval_commits;
        let after_bytes = options.checkpoint_interval_bytes;
        if !reached(commits, after, 1) && !reached(bytes, after_bytes, 1) {
            return Due::Nothing;
        }
        let rests = self.rest_until.lock().is_some_and(|until| now < until);
        if !rests
            || reached(commits, after, MAX_STRETCH_COMMITS)
            || reached(bytes, after_bytes, MAX_STRETCH_BYTES)
        {
            return Due::Checkpoint;
        }
        if after > 0 && commits.is_multiple_of(after) {
            return Due::Checksum;
        }
        Due::Nothing
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    fn rest(&self, took: Duration, options: &CommitOptions) {
        *self.rest_until.lock() =
            Instant::now().checked_add(took.saturating_mul(options.checkpoint_rest));
    }

    fn reset(&self) {
        self.commits.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

/// Writes the version checksum, so that positions are at hand at the next start. Returns the snapshot
/// that knows it; not every log can be summed up.
fn sum_up(
    table: &str,
    engine: &dyn delta_kernel::Engine,
    snapshot: &SnapshotRef,
) -> Result<Option<SnapshotRef>> {
    match snapshot.write_checksum(engine) {
        Ok((_, snapshot)) => Ok(Some(snapshot)),
        Err(error) => {
            let error = CommitError::kernel(table, "sum up", error);
            if error.kind() == Kind::Unauthorized {
                return Err(error);
            }
            tracing::debug!(table, %error, "no checksum was written");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn options() -> CommitOptions {
        CommitOptions {
            checkpoint_interval_commits: 10,
            checkpoint_interval_bytes: 1000,
            checkpoint_rest: 20,
            ..CommitOptions::default()
        }
    }

    /// What came due over `commits` of `bytes` each, as (number, what).
    fn run(checkpoints: &Checkpoints, commits: u64, bytes: u64, now: Instant) -> Vec<(u64, Due)> {
        (1..=commits)
            .map(|number| (number, checkpoints.count(bytes, &options(), now)))
            .filter(|(_, due)| *due != Due::Nothing)
            .inspect(|(_, due)| {
                if *due == Due::Checkpoint {
                    checkpoints.reset();
                }
            })
            .collect()
    }

    #[test]
    fn due_after_commits_or_bytes() {
        let now = Instant::now();
        let found = run(&Checkpoints::default(), 25, 1, now);
        assert_eq!(found, [(10, Due::Checkpoint), (20, Due::Checkpoint)]);
        let found = run(&Checkpoints::default(), 5, 400, now);
        assert_eq!(found, [(3, Due::Checkpoint)]);
    }

    #[test]
    fn a_checkpoint_that_took_long_rests_but_not_for_ever() {
        let checkpoints = Checkpoints::default();
        checkpoints.rest(SECOND, &options());
        let now = Instant::now();
        // A checksum each ten commits, and at fifty times as many the checkpoint.
        let found = run(&checkpoints, 500, 1, now);
        assert_eq!(found.len(), 50);
        assert!(found[..49].iter().all(|(_, due)| *due == Due::Checksum));
        assert_eq!(found[49], (500, Due::Checkpoint));
        // Much in few commits: four times the bytes.
        let found = run(&checkpoints, 9, 500, now);
        assert_eq!(found, [(8, Due::Checkpoint)]);
        // Twenty times as long as the checkpoint took.
        checkpoints.reset();
        let found = run(&checkpoints, 10, 1, now + 19 * SECOND);
        assert_eq!(found, [(10, Due::Checksum)]);
        checkpoints.reset();
        let found = run(&checkpoints, 10, 1, now + 21 * SECOND);
        assert_eq!(found, [(10, Due::Checkpoint)]);
    }
}
