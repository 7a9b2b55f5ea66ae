//! One-shot runs: files, or ranges of Kafka, into tables.
//!
//! They use the same line as the daemon, with app ids of their own, so that a run killed and started
//! again goes on where its positions stand (rules 16 and 20).

pub(crate) mod catalog;
mod dry_run;
mod files;
mod kafka;

pub use files::backfill_files;
pub use kafka::backfill_range;
pub(super) use kafka::everywhere;

use super::{Pipeline, tally::Committed};
use crate::error::Result;
use std::{fmt::Write, time::Duration};

/// How long one wait for commits may take before the run looks again where it stands.
const DRAIN: Duration = Duration::from_secs(60);

/// What this run committed, line by line.
fn rows(text: &mut String, committed: &Committed) {
    let Committed {
        rows,
        rescued_rows,
        skipped,
        dead_letters,
        files,
        versions,
    } = committed;
    let _ = writeln!(text, "rows       {rows}");
    let _ = writeln!(text, "rescued    {rescued_rows}");
    let _ = writeln!(text, "rejected   {dead_letters}");
    if *skipped > 0 {
        let _ = writeln!(text, "skipped    {skipped}");
    }
    let _ = writeln!(text, "files      {files}");
    let _ = writeln!(text, "versions   {versions}");
}

/// Ends the workers of a run that is done or has failed.
async fn close(pipeline: &Pipeline, upkeep: tokio_util::task::TaskTracker) -> Result<()> {
    let failed = pipeline.failed();
    pipeline.shared().cancel.cancel();
    upkeep.close();
    upkeep.wait().await;
    pipeline.tables().stopped().await;
    failed
}
