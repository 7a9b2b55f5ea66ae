//! Checkpoints: background work, never in a commit's way, one at a time in the process.

use super::{
    error::{CommitError, Result},
    table_log::TableLog,
};
use crate::error::Kind;
use delta_kernel::snapshot::SnapshotRef;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What was committed since the last checkpoint of ours.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    commits: AtomicU64,
    bytes: AtomicU64,
    running: AtomicBool,
}

impl TableLog {
    /// Writes a checkpoint of the newest version, and the version checksum beside it. Waits for
    /// its turn among the tables.
    ///
    /// # Errors
    /// Those of reading the log and of writing the files. None of them harms the table.
    pub async fn checkpoint(&self) -> Result<()> {
        let options = &self.log.inner.options;
        let _turn = options
            .checkpoint_permits
            .acquire()
            .await
            .map_err(|error| CommitError::corrupt(self.name(), "checkpoint", error))?;
        let Some(state) = self.load().await? else {
            return Ok(());
        };
        self.checkpoints.reset();
        let snapshot = state.snapshot.clone();
        self.log
            .blocking(move |table, engine| write(&table.name, engine.as_ref(), &snapshot))
            .await?;
        metrics::counter!("alluvium_commit_checkpoints_total").increment(1);
        // The next commit starts from the checkpoint, and lets go of the commits below it.
        self.refresh.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Counts a commit of ours and starts a checkpoint when one is due.
    pub(super) fn after_commit(&self, bytes: u64) {
        let options = &self.log.inner.options;
        let commits = self.checkpoints.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.checkpoints.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let due = |have: u64, interval: u64| interval > 0 && have >= interval;
        if !due(commits, options.checkpoint_interval_commits)
            && !due(bytes, options.checkpoint_interval_bytes)
        {
            return;
        }
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
            if let Err(error) = background.checkpoint().await {
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
}

impl Checkpoints {
    fn reset(&self) {
        self.commits.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

fn write(table: &str, engine: &dyn delta_kernel::Engine, snapshot: &SnapshotRef) -> Result<()> {
    let (_, snapshot) = snapshot
        .checkpoint(engine, None)
        .map_err(|error| CommitError::kernel(table, "checkpoint", error))?;
    // Positions are then at hand at the next start; not every log can be summed up.
    if let Err(error) = snapshot.write_checksum(engine) {
        let error = CommitError::kernel(table, "sum up", error);
        if error.kind() == Kind::Unauthorized {
            return Err(error);
        }
        tracing::debug!(table, %error, "no checksum was written");
    }
    Ok(())
}
