//! One token, kept fresh for all who use it.
//!
//! As Databricks' SDKs time it: a token is no longer handed out with 40 s left (Azure 30 s); with less than half its life
//! left, or 20 minutes, one fetch of the next one starts in the background while the old one serves, and after a failure
//! the next waits for a minute. Where there is none that is good, all callers wait for one fetch.

use super::token::{Issuer, Token};
use crate::{
    databricks::{Error, Kind, Result},
    secret::Secret,
};
use futures::future::{BoxFuture, FutureExt, Shared};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

pub(super) const MARGIN: Duration = Duration::from_secs(40);
pub(super) const AZURE_MARGIN: Duration = Duration::from_secs(30);
const LONGEST_STALE: Duration = Duration::from_secs(20 * 60);
const PAUSE: Duration = Duration::from_secs(60);
/// A token that is refused so soon after it was handed out is not the cause; another would be refused too.
const YOUNG: Duration = Duration::from_secs(5);

/// An issuer with its present token. Cheap to clone; clones share it.
#[derive(Clone)]
pub(super) struct TokenCache(Arc<Inner>);

struct Inner {
    connection: String,
    issuer: Box<dyn Issuer>,
    margin: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    generation: u64,
    held: Option<Held>,
    flight: Option<Flight>,
    /// After a failure: before, no fetch but where a token is a must.
    paused_until: Option<Instant>,
}

struct Held {
    value: Secret,
    since: Instant,
    stale: Instant,
    /// From when on it is not handed out.
    ended: Instant,
    /// Its end by the issuer's word.
    end: SystemTime,
}

/// A fetch under way, in a task of its own, so that it goes on when those who wait for it do not.
type Flight = Shared<BoxFuture<'static, Result<(Secret, u64), (Kind, String)>>>;

impl TokenCache {
    pub(super) fn new(connection: &str, issuer: impl Issuer + 'static, margin: Duration) -> Self {
        Self(Arc::new(Inner {
            connection: connection.to_owned(),
            issuer: Box::new(issuer),
            margin,
            state: Mutex::default(),
        }))
    }

    /// A token that has not ended, and its generation. Errors only where there is none and the issuer gives none.
    pub(super) async fn get(&self) -> Result<(Secret, u64)> {
        let flight = {
            let mut state = self.0.state.lock();
            let now = Instant::now();
            let generation = state.generation;
            if let Some(held) = state.held.as_ref().filter(|held| now < held.ended) {
                let value = held.value.clone();
                let rests = state.paused_until.is_some_and(|until| now < until);
                if now >= held.stale && state.under_way().is_none() && !rests {
                    // It goes on by itself.
                    drop(self.0.start(&mut state));
                }
                return Ok((value, generation));
            }
            match state.under_way() {
                Some(flight) => flight,
                None => self.0.start(&mut state),
            }
        };
        flight
            .await
            .map_err(|(kind, message)| Error::Token { kind, message })
    }

    /// When the present token ends.
    pub(super) fn end(&self) -> Option<SystemTime> {
        self.0.state.lock().held.as_ref().map(|held| held.end)
    }

    /// As [`Self::get`], for what can be done without: after a failure nothing is asked for a minute. `None`: it rests.
    pub(super) async fn get_if_offered(&self) -> Result<Option<Secret>> {
        let rests = {
            let state = self.0.state.lock();
            let now = Instant::now();
            let has = state.held.as_ref().is_some_and(|held| now < held.ended);
            !has && state.paused_until.is_some_and(|until| now < until)
        };
        match rests {
            true => Ok(None),
            false => self.get().await.map(|(token, _)| Some(token)),
        }
    }

    /// Replaces a token that was refused. `seen`: its generation; a newer one stands already where that is lower.
    ///
    /// `false`: the token is so young that another would be refused too.
    pub(super) async fn renew(&self, seen: u64) -> Result<bool> {
        let flight = {
            let mut state = self.0.state.lock();
            if state.generation > seen {
                return Ok(true);
            }
            let young = state
                .held
                .as_ref()
                .is_some_and(|held| held.since.elapsed() < YOUNG);
            match state.under_way() {
                Some(flight) => flight,
                None if young && state.generation > 1 => return Ok(false),
                None => {
                    state.held = None;
                    self.0.start(&mut state)
                }
            }
        };
        match flight.await {
            Ok(_) => Ok(true),
            Err((kind, message)) => Err(Error::Token { kind, message }),
        }
    }
}

impl State {
    fn under_way(&self) -> Option<Flight> {
        self.flight.clone().filter(|flight| flight.peek().is_none())
    }
}

impl Inner {
    fn start(self: &Arc<Self>, state: &mut State) -> Flight {
        let inner = Arc::clone(self);
        let task = tokio::spawn(async move {
            let result = inner.issuer.token().await;
            inner.finish(result)
        });
        let flight = async move {
            match task.await {
                Ok(result) => result,
                Err(_) => Err((
                    Kind::Unavailable,
                    "the fetch of a token was broken off".into(),
                )),
            }
        };
        let flight = flight.boxed().shared();
        state.flight = Some(flight.clone());
        flight
    }

    fn finish(&self, result: Result<Token>) -> Result<(Secret, u64), (Kind, String)> {
        let mut state = self.state.lock();
        state.flight = None;
        match result {
            Ok(token) => {
                let now = Instant::now();
                let margin = self.margin.min(token.life / 2);
                let end = SystemTime::now() + token.life;
                let held = Held {
                    end,
                    value: token.value.clone(),
                    since: now,
                    stale: now + (token.life - LONGEST_STALE.min(token.life / 2)),
                    ended: now + (token.life - margin),
                };
                state.held = Some(held);
                state.generation += 1;
                state.paused_until = None;
                let seconds = end
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs_f64();
                metrics::gauge!("alluvium_databricks_token_expiry_seconds", "connection" => self.connection.clone()).set(seconds);
                Ok((token.value, state.generation))
            }
            Err(error) => {
                state.paused_until = Some(Instant::now() + PAUSE);
                if state.held.is_some() {
                    tracing::warn!(connection = %self.connection, %error, "a token could not be renewed; the present one serves on, the next try is in a minute");
                }
                Err((error.kind(), error.to_string()))
            }
        }
    }
}
