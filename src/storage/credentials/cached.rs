//! One credential, kept fresh for all who use it.

use super::{
    Ask, Clock, Pace, Renewable, Source,
    lease::{Lease, Life},
};
use crate::{
    error::Kind,
    storage::{Error, Result},
};
use async_trait::async_trait;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::{task::AbortHandle, time::Instant};

/// When a credential is replaced.
#[derive(Clone, Debug)]
pub struct Timing {
    /// How long before its end at most; one that lives less than twice as long is replaced after half its life.
    pub ahead: Duration,
    /// How long before its end it is no longer handed out, at most a tenth of its life.
    pub margin: Duration,
    /// How long one fetch may take.
    pub fetch: Duration,
    /// The pause after a fetch that failed; it doubles from failure to failure, up to `longest_pause`. Renewals that
    /// do not help keep the same distance.
    pub pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ahead: Duration::from_secs(20 * 60),
            margin: Duration::from_secs(5),
            fetch: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// A source with its present credential. Cheap to clone; clones share it.
///
/// A credential is handed out until it has ended but for a margin. From some time before on, whoever takes it starts
/// a fetch of the next one and does not wait for it. Only where there is none that is good do callers wait, all for
/// the same fetch.
pub struct Cached<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    /// `NAME` of `[stores.NAME]`, for metrics and logs.
    store: String,
    source: S,
    timing: Timing,
    clock: Clock,
    state: Mutex<State<S::Credential>>,
}

struct State<C> {
    generation: u64,
    held: Option<Held<C>>,
    flight: Option<Flight<C>>,
    failed: Option<Failed>,
    renewals: Pace,
}

struct Held<C> {
    credential: Arc<C>,
    life: Life,
    /// With less than this left it is replaced.
    ahead: Duration,
    /// With less than this left it is not handed out.
    margin: Duration,
}

/// A fetch under way, in a task of its own, so that it goes on when those who wait for it do not.
struct Flight<C> {
    task: AbortHandle,
    result: Shared<BoxFuture<'static, Result<Arc<C>, Failure>>>,
}

impl<C> Clone for Flight<C> {
    fn clone(&self) -> Self {
        Self {
            task: self.task.clone(),
            result: self.result.clone(),
        }
    }
}

/// An error that many receive.
#[derive(Clone, Debug)]
struct Failure {
    kind: Kind,
    message: String,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::credentials(failure.kind, failure.message)
    }
}

/// The last fetch, which failed.
struct Failed {
    failure: Failure,
    pause: Duration,
    again: Instant,
}

impl<S: Source> Clone for Cached<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Source> fmt::Debug for Cached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("store", &self.0.store)
            .field("source", &self.0.source)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

impl<S: Source> Cached<S> {
    /// `store`: the name under which its refreshes are counted.
    pub fn new(store: &str, source: S) -> Self {
        Self::with(store, source, Timing::default(), Clock::default())
    }

    /// The same with other times and another time of day.
    pub fn with(store: &str, source: S, timing: Timing, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            store: store.to_owned(),
            source,
            state: Mutex::new(State {
                generation: 0,
                held: None,
                flight: None,
                failed: None,
                renewals: Pace::new(timing.pause, timing.longest_pause),
            }),
            timing,
            clock,
        }))
    }

    pub fn source(&self) -> &S {
        &self.0.source
    }

    /// A credential that has not ended.
    ///
    /// Errors only if there is none and the source fails or has failed just now.
    pub async fn get(&self) -> Result<Arc<S::Credential>> {
        let flight = {
            let mut state = self.0.state.lock();
            if let Some((credential, stale)) = state.fresh(&self.0.clock) {
                if stale && !state.flying() && state.paused().is_none() {
                    self.0.start(&mut state, Ask::Ahead);
                }
                return Ok(credential);
            }
            match state.under_way() {
                Some(flight) => flight,
                None => match state.paused() {
                    Some(failure) => return Err(failure.into()),
                    None => self.0.start(&mut state, Ask::Ahead),
                },
            }
        };
        Ok(flight.result.await?)
    }
}

impl<C> State<C> {
    /// The present credential if it is still good, and whether it should be replaced.
    fn fresh(&self, clock: &Clock) -> Option<(Arc<C>, bool)> {
        let held = self.held.as_ref()?;
        let left = held.life.left(clock);
        (left > held.margin).then(|| (Arc::clone(&held.credential), left <= held.ahead))
    }

    fn flying(&self) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|flight| !flight.task.is_finished())
    }

    fn under_way(&self) -> Option<Flight<C>> {
        self.flight
            .as_ref()
            .filter(|flight| !flight.task.is_finished())
            .cloned()
    }

    /// The last failure, as long as the source is left alone for it.
    fn paused(&self) -> Option<Failure> {
        let failed = self.failed.as_ref()?;
        (Instant::now() < failed.again).then(|| failed.failure.clone())
    }
}

impl<S: Source> Inner<S> {
    fn start(
        self: &Arc<Self>,
        state: &mut State<S::Credential>,
        ask: Ask,
    ) -> Flight<S::Credential> {
        let inner = Arc::clone(self);
        let task = tokio::spawn(async move { inner.fetch(ask).await });
        let flight = Flight {
            task: task.abort_handle(),
            result: async move {
                task.await.unwrap_or_else(|error| {
                    Err(Failure {
                        kind: Kind::Unavailable,
                        message: format!("the fetch of credentials was broken off: {error}"),
                    })
                })
            }
            .boxed()
            .shared(),
        };
        state.flight = Some(flight.clone());
        flight
    }

    async fn fetch(&self, ask: Ask) -> Result<Arc<S::Credential>, Failure> {
        let answer = tokio::time::timeout(self.timing.fetch, self.source.fetch(ask)).await;
        let mut state = self.state.lock();
        state.flight = None;
        let (outcome, failure) = match answer {
            Ok(Ok(lease)) => {
                let life = Life::new(lease.expires, &self.clock);
                if !life.whole().is_zero() {
                    return Ok(self.hold(&mut state, lease, life));
                }
                let message = format!(
                    "the credential had ended when it came; check this machine's clock and the issuer's, store=`{}` source=`{}`",
                    self.store,
                    self.source.describe()
                );
                ("ended", (Kind::Unavailable, message))
            }
            Ok(Err(error)) => ("failed", (error.kind(), error.to_string())),
            Err(_) => {
                let message = format!(
                    "no credential came within {:?}; check that its issuer can be reached, store=`{}` source=`{}`",
                    self.timing.fetch,
                    self.store,
                    self.source.describe()
                );
                ("timeout", (Kind::Unavailable, message))
            }
        };
        let (kind, message) = failure;
        Err(self.fail(&mut state, outcome, Failure { kind, message }))
    }

    fn hold(
        &self,
        state: &mut State<S::Credential>,
        lease: Lease<S::Credential>,
        life: Life,
    ) -> Arc<S::Credential> {
        let whole = life.whole();
        // A tenth of jitter, so that a fleet started at once does not ask at once for ever.
        let ahead = (whole / 2)
            .min(self.timing.ahead)
            .max(LEAST_AHEAD)
            .min(whole - whole / 4)
            .mul_f64(0.9 + 0.1 * fastrand::f64());
        state.generation += 1;
        state.failed = None;
        self.count("ok");
        if let Some(expires) = lease.expires {
            let at = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
            metrics::gauge!("alluvium_credentials_expiry_seconds", "store" => self.store.clone())
                .set(at.as_secs_f64());
        }
        tracing::debug!(
            store = %self.store,
            generation = state.generation,
            lives_seconds = lease.expires.map(|_| whole.as_secs()),
            "new credentials"
        );
        let credential = Arc::clone(&lease.credential);
        state.held = Some(Held {
            credential: lease.credential,
            ahead,
            margin: self.timing.margin.min(whole / 10),
            life,
        });
        credential
    }

    fn fail(
        &self,
        state: &mut State<S::Credential>,
        outcome: &'static str,
        failure: Failure,
    ) -> Failure {
        let pause = match &state.failed {
            Some(failed) => (failed.pause * 2).min(self.timing.longest_pause),
            None => self.timing.pause,
        };
        let jittered = pause.mul_f64(0.75 + 0.5 * fastrand::f64());
        self.count(outcome);
        let left = state.held.as_ref().map(|held| held.life.left(&self.clock));
        tracing::warn!(
            store = %self.store,
            error = %failure.message,
            pause_seconds = jittered.as_secs_f64(),
            present_lives_seconds = left.filter(|left| *left < Duration::MAX).map(|left| left.as_secs()),
            "no new credentials"
        );
        state.failed = Some(Failed {
            failure: failure.clone(),
            pause,
            again: Instant::now() + jittered,
        });
        failure
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("alluvium_credentials_refresh_total", "store" => self.store.clone(), "outcome" => outcome)
            .increment(1);
    }
}

/// A credential that lives only seconds is replaced so long before its end, as far as its life allows.
const LEAST_AHEAD: Duration = Duration::from_secs(3);

#[async_trait]
impl<S: Source> Renewable for Cached<S> {
    fn generation(&self) -> u64 {
        self.0.state.lock().generation
    }

    async fn renew(&self, seen: u64) -> Result<()> {
        let flight = {
            let mut state = self.0.state.lock();
            if state.generation > seen {
                return Ok(());
            }
            match (state.under_way(), state.paused()) {
                (Some(flight), _) => flight,
                (None, Some(failure)) => return Err(failure.into()),
                (None, None) if state.renewals.admit() => self.0.start(&mut state, Ask::Refused),
                (None, None) => {
                    let message = format!(
                        "the store refuses the credential that was renewed for it just now, store=`{}` source=`{}`",
                        self.0.store,
                        self.0.source.describe()
                    );
                    return Err(Error::credentials(Kind::Unauthorized, message));
                }
            }
        };
        flight.result.await?;
        Ok(())
    }
}

#[async_trait]
impl<S: Source> object_store::CredentialProvider for Cached<S> {
    type Credential = S::Credential;

    async fn get_credential(&self) -> object_store::Result<Arc<S::Credential>> {
        self.get()
            .await
            .map_err(|error| object_store::Error::Generic {
                store: "credentials",
                source: Box::new(error),
            })
    }
}
