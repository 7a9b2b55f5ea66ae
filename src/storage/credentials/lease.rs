//! A credential and its end.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// A credential as its source handed it out.
pub struct Lease<T> {
    pub credential: Arc<T>,
    /// When it ends by the issuer's word; `None` if it does not say or it never does.
    pub expires: Option<SystemTime>,
}

impl<T> Lease<T> {
    pub fn new(credential: T, expires: Option<SystemTime>) -> Self {
        Self {
            credential: Arc::new(credential),
            expires,
        }
    }
}

impl<T> Clone for Lease<T> {
    fn clone(&self) -> Self {
        Self {
            credential: Arc::clone(&self.credential),
            expires: self.expires,
        }
    }
}

/// Shows no credential.
impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The time of day, which issuers speak of. It may jump.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// How long a lease still lives, by the time of day and by the time that has passed since it came, whichever is less:
/// a clock set back must not prolong it, and a machine that slept has not counted its sleep.
#[derive(Debug)]
pub(super) struct Life {
    expires: Option<SystemTime>,
    came: Instant,
    /// How long it had when it came.
    whole: Duration,
}

impl Life {
    pub(super) fn new(expires: Option<SystemTime>, clock: &Clock) -> Self {
        let whole = match expires {
            Some(expires) => expires.duration_since(clock.now()).unwrap_or_default(),
            None => Duration::MAX,
        };
        Self {
            expires,
            came: Instant::now(),
            whole,
        }
    }

    /// How long it had when it came; [`Duration::MAX`] if it has no end.
    pub(super) fn whole(&self) -> Duration {
        self.whole
    }

    pub(super) fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// How long it has now.
    pub(super) fn left(&self, clock: &Clock) -> Duration {
        let Some(expires) = self.expires else {
            return Duration::MAX;
        };
        let by_day = expires.duration_since(clock.now()).unwrap_or_default();
        by_day.min(self.whole.saturating_sub(self.came.elapsed()))
    }
}
