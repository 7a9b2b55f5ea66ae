//! Keeping the ledger's low-water marks current, at the side (rule 9).

use super::{ledger::marks, worker::Shared};
use crate::error::{Kind, Result};
use std::{sync::Arc, time::Duration};

/// How often marks that moved are written. They are always safe, so only the length of the next
/// run's re-reading depends on it.
const INTERVAL: Duration = Duration::from_secs(10);

/// Writes all marks that moved, in one commit.
pub(crate) async fn write_due(shared: &Arc<Shared>) -> Result<()> {
    let due = shared.registry.due_marks();
    if due.is_empty() {
        return Ok(());
    }
    let of = due
        .iter()
        .map(|mark| (mark.partition.low_water_app_id(), mark.low_water));
    shared.ledger.write_marks(marks(of)).await?;
    for mark in &due {
        shared.registry.mark_written(mark);
    }
    Ok(())
}

/// Runs until the pipeline stops.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shared.cancel.cancelled() => return,
        }
        if let Err(error) = write_due(&shared).await {
            if matches!(error.kind(), Kind::Corrupt | Kind::Bug) {
                shared.fail(error);
                return;
            }
            tracing::warn!("low-water marks not written, they stay due: {error}");
        }
    }
}
