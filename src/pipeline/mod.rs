//! Wires the stages together.

mod request;

pub use request::{BackfillFiles, BackfillRange, Bound, Listening, ResetPlan, ResetPositions};

use crate::{
    config::Config,
    error::{Error, Kind, Result},
    telemetry::Telemetry,
};

fn unsupported<T>(what: &str) -> Result<T> {
    Err(Error::new(
        Kind::Unsupported,
        format!("this build has no pipeline yet, command=`{what}`"),
    ))
}

/// Takes events until SIGTERM or SIGINT. `on_ready` is called once listeners are bound.
pub async fn serve(
    _config: Config,
    _telemetry: Telemetry,
    _on_ready: impl FnOnce(&Listening) + Send,
) -> Result<()> {
    unsupported("serve")
}

/// Lands files in a table. Prints progress on the screen; returns the summary.
pub async fn backfill_files(
    _config: Config,
    _telemetry: Telemetry,
    _request: BackfillFiles,
) -> Result<crate::check::Report> {
    unsupported("backfill")
}

/// Lands a range of a Kafka source.
pub async fn backfill_range(
    _config: Config,
    _telemetry: Telemetry,
    _request: BackfillRange,
) -> Result<crate::check::Report> {
    unsupported("backfill")
}

/// What a reset of positions would do, read from the table and the source.
pub async fn plan_reset(_config: &Config, _request: &ResetPositions) -> Result<ResetPlan> {
    unsupported("table positions reset")
}

/// Does what the plan says.
pub async fn apply_reset(_config: &Config, _plan: ResetPlan) -> Result<()> {
    unsupported("table positions reset")
}
