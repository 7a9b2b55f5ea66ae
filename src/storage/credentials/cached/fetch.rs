//! One fetch: it is started once for all, and its end is kept or counted as a failure.

use super::{Failed, Failure, Flight, Held, Inner, State};
use crate::{
    error::Kind,
    storage::credentials::{
        Ask, Source,
        lease::{Lease, Life},
    },
};
use futures::FutureExt;
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::time::Instant;

/// A credential that lives only seconds is replaced so long before its end, as far as its life allows.
const LEAST_AHEAD: Duration = Duration::from_secs(3);

impl<S: Source> Inner<S> {
    pub(super) fn start(
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
