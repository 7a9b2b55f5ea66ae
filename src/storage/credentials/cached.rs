//! One credential, kept fresh for all who use it.

use super::{Ask, Clock, Pace, Renewable, Source, lease::Life};
use crate::{
    error::Kind,
    storage::{Error, Result},
};
use async_trait::async_trait;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{task::AbortHandle, time::Instant};

mod fetch;

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
    /// do not help become as rare, from a quarter of it on.
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
                renewals: Pace::new(timing.pause / 4, timing.longest_pause),
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

#[async_trait]
impl<S: Source> Renewable for Cached<S> {
    fn generation(&self) -> u64 {
        self.0.state.lock().generation
    }

    fn expires(&self) -> Option<SystemTime> {
        let state = self.0.state.lock();
        state.held.as_ref().and_then(|held| held.life.expires())
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
