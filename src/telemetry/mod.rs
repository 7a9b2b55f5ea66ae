//! Logs, metrics, health and the live line.
//!
//! In: what every room tells (`tracing` events, `metrics` by name, [`Health`], [`Rates`]). Out: lines
//! on stderr, and `/metrics`, `/healthz`, `/readyz` on the admin address. No secret passes (invariant 7).

pub mod admin;
mod format;
mod health;
mod log;
pub mod names;
mod prometheus;
mod rates;
mod screen;
mod seldom;
#[cfg(test)]
pub(crate) mod testing;
mod withheld;

pub use health::{Health, Reporter, Role};
pub use log::LogFormat;
pub use metrics_exporter_prometheus::PrometheusHandle;
pub use rates::{Rates, Totals, live_line};
pub use screen::Screen;
pub(crate) use seldom::Seldom;

use crate::error::{Error, Kind};

/// What went wrong while telemetry was set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "the log filter is not understood; write a level, or directives as in `info,alluvium::commit=debug`, filter=`{filter}`"
    )]
    Filter {
        filter: String,
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("logs or metrics are set up already in this process: {0}")]
    Twice(String),
    #[error("the histogram buckets of the metrics are refused: {0}")]
    Buckets(String),
}

impl TelemetryError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Filter { .. } => Kind::Config,
            Self::Twice(_) | Self::Buckets(_) => Kind::Bug,
        }
    }
}

impl From<TelemetryError> for Error {
    fn from(error: TelemetryError) -> Self {
        let kind = error.kind();
        Error::new(kind, error.to_string())
    }
}

/// The process's telemetry. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    pub screen: Screen,
    /// Renders what `/metrics` answers, in a process that answers it.
    pub recorder: Option<PrometheusHandle>,
    /// Whether there is a terminal for a live line or progress bars: stderr is one and logs are text.
    pub live: bool,
}

/// Sets up logs on stderr and, where `metrics` are asked for, their recorder, once a process.
///
/// A process that nobody asks for its metrics should have no recorder: it would keep every value, and its clock is
/// calibrated at the start by milliseconds of CPU time, on a busy machine by up to two hundred.
///
/// # Errors
/// A filter that does not parse; a second call.
pub fn start(format: LogFormat, filter: &str, metrics: bool) -> Result<Telemetry, TelemetryError> {
    let screen = Screen::stderr();
    let live = log::start(format, filter, &screen)?;
    let recorder = match metrics {
        true => Some(prometheus::install()?),
        false => None,
    };
    names::describe();
    Ok(Telemetry {
        screen,
        recorder,
        live,
    })
}
