//! Waiting between attempts: growing, jittered, and audible only as often as a person wants to read.
//!
//! A store that refuses for want of rights (a credential that ended, a role that was taken away) is waited for
//! like one that is down: what is held stays, its sources pause, and when the rights return it goes on. Since
//! only a person brings them back, it is told as an error, and a gauge shows it for as long as it lasts.

use crate::{
    error::{Error, Kind, Result},
    telemetry::Seldom,
};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

/// The state of one retried operation.
pub(crate) struct Backoff<'a> {
    what: &'static str,
    name: &'a str,
    wait: Duration,
    warnings: Seldom,
    refused: Option<Refused>,
}

/// An operation that a store refuses for want of rights, counted until it is dropped.
struct Refused;

impl Refused {
    fn new() -> Self {
        metrics::gauge!("alluvium_pipeline_unauthorized_operations").increment(1.0);
        Self
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        metrics::gauge!("alluvium_pipeline_unauthorized_operations").decrement(1.0);
    }
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(what: &'static str, name: &'a str) -> Self {
        Self {
            what,
            name,
            wait: FIRST,
            warnings: Seldom::default(),
            refused: None,
        }
    }

    /// Logs the error, at growing intervals, and waits. An error: cancelled, or one that neither time
    /// nor a person mends while the process runs: a table that is another one than before or whose log
    /// is broken (rule 6), or a mistake of our own.
    pub(crate) async fn failed(&mut self, error: Error, cancel: &CancellationToken) -> Result<()> {
        metrics::counter!("alluvium_errors_total", "stage" => self.what, "kind" => error.kind().as_str())
            .increment(1);
        if matches!(error.kind(), Kind::Corrupt | Kind::Bug) {
            return Err(error);
        }
        let is_refused = error.kind() == Kind::Unauthorized;
        // The most urgent news is not kept back by a warning before it.
        let is_news = is_refused && self.refused.is_none();
        self.refused = match is_refused {
            true => Some(self.refused.take().unwrap_or_else(Refused::new)),
            false => None,
        };
        if self.warnings.is_due(Instant::now()) || is_news {
            let (name, kind) = (self.name, error.kind().as_str());
            if is_refused {
                tracing::error!(
                    name,
                    kind,
                    "{}: {error}; nothing is lost, it goes on when the rights are back",
                    self.what
                );
            } else {
                tracing::warn!(name, kind, "{}: {error}; trying again", self.what);
            }
        }
        self.wait(cancel).await
    }

    /// Waits once. An error: cancelled.
    pub(crate) async fn wait(&mut self, cancel: &CancellationToken) -> Result<()> {
        let jittered = self.wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.wait = (self.wait * 2).min(LONGEST);
        tokio::select! {
            () = tokio::time::sleep(jittered) => Ok(()),
            () = cancel.cancelled() => Err(stopping()),
        }
    }
}

const STOPPING: &str = "the pipeline is stopping";

/// The error of whatever is given up because the process stops.
pub(crate) fn stopping() -> Error {
    Error::new(Kind::Unavailable, STOPPING)
}

/// Whether an error is [`stopping`].
pub(crate) fn is_stopping(error: &Error) -> bool {
    error.kind() == Kind::Unavailable && error.to_string() == STOPPING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn missing_rights_show_for_as_long_as_they_are_missing() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let shows = |count: u32| {
            let line = format!("alluvium_pipeline_unauthorized_operations {count}");
            metrics.render().lines().any(|found| found == line)
        };
        let cancel = CancellationToken::new();
        let refused = || Error::new(Kind::Unauthorized, "no");
        let mut upload = Backoff::new("upload", "t");
        upload.failed(refused(), &cancel).await.unwrap();
        upload.failed(refused(), &cancel).await.unwrap();
        let mut commit = Backoff::new("commit", "t");
        commit.failed(refused(), &cancel).await.unwrap();
        assert!(shows(2), "{}", metrics.render());
        let down = Error::new(Kind::Unavailable, "down");
        upload.failed(down, &cancel).await.unwrap();
        assert!(shows(1), "{}", metrics.render());
        drop(commit);
        assert!(shows(0), "{}", metrics.render());
        cancel.cancel();
        assert!(is_stopping(
            &upload.failed(refused(), &cancel).await.unwrap_err()
        ));
    }
}
