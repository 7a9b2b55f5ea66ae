//! One-shot runs: files, or ranges of Kafka, into tables.
//!
//! They use the same line as the daemon, with app ids of their own, so that a run killed and started
//! again goes on where its positions stand (rules 16 and 20).

mod dry_run;
mod files;
mod kafka;

pub use dry_run::{DryRun, dry_run};
pub use files::{BackfillFiles, FilesSummary, backfill_files};
pub use kafka::{BackfillKafka, KafkaSummary, backfill_kafka};

use super::Pipeline;
use crate::error::Result;
use std::time::Duration;

/// How long one wait for commits may take before the run looks again where it stands.
const DRAIN: Duration = Duration::from_secs(60);

/// Ends the workers of a run that is done or has failed.
async fn close(pipeline: &Pipeline, upkeep: tokio_util::task::TaskTracker) -> Result<()> {
    let failed = pipeline.failed();
    pipeline.shared().cancel.cancel();
    upkeep.close();
    upkeep.wait().await;
    pipeline.tables().stopped().await;
    failed
}
