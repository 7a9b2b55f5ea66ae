//! When a call is sent again, and after which pause.
//!
//! As Databricks' SDKs do: after 429 and 503, after lost connections and timeouts, and after a few messages that tell of
//! passing trouble; not after a plain 500 or 504, which may have done their work.

use super::http::{Answer, Failure};
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::{fmt::Display, time::Duration};
use tokio::time::Instant;

/// The pause after 429 or 503 that names none.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
const LONGEST_PAUSE_SECONDS: u32 = 10;
/// Longer ones of the service's are as long as this, so that they can be added to a time.
const LONGEST_TOLD_SECONDS: u64 = 7 * 86_400;
/// What the service says of trouble that passes.
const PASSING: [&str; 8] = [
    "com.databricks.backend.manager.util.UnknownWorkerEnvironmentException",
    "does not have any associated worker environments",
    "There is no worker environment with id",
    "Unknown worker environment",
    "ClusterNotReadyException",
    "Unexpected error",
    "Please try again later or try a faster operation.",
    "RPC token bucket limit has been exceeded",
];

/// Why and after how long a call is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The service named it.
    Told(Duration),
    /// It grows from try to try.
    Growing,
}

impl Pause {
    /// The pause before the try after `tried` ones, with jitter, so that many callers do not come back at once.
    pub(super) fn length(self, tried: u32) -> Duration {
        let base = match self {
            Self::Told(told) => told,
            Self::Growing => Duration::from_secs(tried.clamp(1, LONGEST_PAUSE_SECONDS).into()),
        };
        base + Duration::from_millis(fastrand::u64(50..750))
    }
}

/// The tries of one call, within its budget if it has one.
pub(super) struct Tries<'a> {
    /// The connection's name, for the log; `None` where the errors name the host.
    connection: Option<&'a str>,
    started: Instant,
    budget: Option<Duration>,
    /// Made so far, the one under way included.
    pub(super) made: u32,
}

impl<'a> Tries<'a> {
    /// Before the first try.
    pub(super) fn within(budget: Duration, connection: impl Into<Option<&'a str>>) -> Self {
        Self {
            budget: Some(budget),
            ..Self::unlimited(connection)
        }
    }

    /// Of a caller that counts them itself.
    pub(super) fn unlimited(connection: impl Into<Option<&'a str>>) -> Self {
        Self {
            connection: connection.into(),
            started: Instant::now(),
            budget: None,
            made: 1,
        }
    }

    pub(super) fn left(&self) -> Option<Duration> {
        let budget = self.budget?;
        Some(budget.saturating_sub(self.started.elapsed()))
    }

    /// Waits until the next try is due. `false`: the budget does not reach so far, so `error` is how the call ends.
    ///
    /// The first time it is logged, since whoever waits for the call may wait for long.
    pub(super) async fn again(&mut self, pause: Duration, error: impl Display) -> bool {
        let left = self.left();
        if left.is_some_and(|left| pause >= left) {
            return false;
        }
        let (connection, pause_seconds) = (self.connection, pause.as_secs_f64());
        let until = left.map(|left| {
            (Utc::now() + left)
                .format(" until %H:%M:%S UTC")
                .to_string()
        });
        let until = until.unwrap_or_default();
        if self.made == 1 {
            tracing::warn!(connection, "tried again{until}: {error}");
        } else {
            tracing::debug!(
                connection,
                pause_seconds,
                tries = self.made,
                "tried again: {error}"
            );
        }
        tokio::time::sleep(pause).await;
        self.made += 1;
        true
    }
}

/// Whether a call that was answered so is sent again.
///
/// `repeatable`: it may be carried out twice. One that may not is sent again only where the service says that it refused:
/// by 429, or by 503 with a time to come back.
pub(super) fn after_answer(answer: &Answer, message: &str, repeatable: bool) -> Option<Pause> {
    let told = retry_after(&answer.headers, Utc::now());
    match answer.status {
        429 => Some(Pause::Told(told.unwrap_or(DEFAULT_RETRY_AFTER))),
        503 if repeatable || told.is_some() => {
            Some(Pause::Told(told.unwrap_or(DEFAULT_RETRY_AFTER)))
        }
        400.. if repeatable && PASSING.iter().any(|phrase| message.contains(phrase)) => {
            Some(Pause::Growing)
        }
        _ => None,
    }
}

/// Whether a call without an answer is sent again.
pub(super) fn after_failure(failure: &Failure, repeatable: bool) -> Option<Pause> {
    match failure {
        Failure::Unreachable(_) => Some(Pause::Growing),
        Failure::Lost(_) | Failure::TimedOut if repeatable => Some(Pause::Growing),
        _ => None,
    }
}

/// `Retry-After`: seconds, or a date. `None` where there is none that can be read.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(LONGEST_TOLD_SECONDS)));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(
        (date.with_timezone(&Utc) - now)
            .to_std()
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_too_long_to_be_added_to_a_time() {
        let headers = [(RETRY_AFTER, u64::MAX.into())].into_iter().collect();
        let told = retry_after(&headers, Utc::now()).unwrap();
        assert_eq!(told, Duration::from_secs(LONGEST_TOLD_SECONDS));
        assert!(Pause::Told(told).length(1) > told);
    }
}
