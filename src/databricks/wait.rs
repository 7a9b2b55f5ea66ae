//! Looking again and again until something has come to pass: pauses that grow, an end, progress, and a way to stop.

use super::{Error, Kind, Result};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is told at each look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `warehouse`, `cluster`, `statement`, `command`, `context`.
    pub what: &'static str,
    pub id: String,
    /// As the service spells it.
    pub state: String,
    /// What the service says of the state; empty if it says nothing.
    pub message: String,
    pub waited: Duration,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, id, state) = (self.what, &self.id, &self.state);
        write!(f, "{what} {id} is {state}")?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write!(f, " ({} s)", self.waited.as_secs())
    }
}

type Told = Arc<dyn Fn(&Progress) + Send + Sync>;

/// How something is waited for. Dropping the future that waits ends the wait too.
#[derive(Clone)]
pub struct Waiting {
    /// The pause before the second look; each pause is longer than the one before by as much.
    pub first: Duration,
    pub longest: Duration,
    /// After this long the wait ends with [`Error::kind`] `Timeout`; what was waited for goes on.
    pub limit: Duration,
    progress: Option<Told>,
    stop: CancellationToken,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("first", &self.first)
            .field("longest", &self.longest)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Default for Waiting {
    /// Pauses of 1 to 10 s, 20 minutes in all, as the SDKs wait for compute.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(10),
            limit: Duration::from_secs(20 * 60),
            progress: None,
            stop: CancellationToken::new(),
        }
    }
}

impl Waiting {
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// `told` hears of every look that does not end the wait.
    pub fn progress(mut self, told: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(told));
        self
    }

    /// Cancelling `stop` ends the wait with `Canceled`.
    pub fn stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Looks until `look` has an answer. Where a look comes to nothing for what may pass, the next one follows.
    ///
    /// Errors: others of `look`, `Timeout` after [`Waiting::limit`], `Canceled` if it was stopped.
    pub(super) async fn until<T>(
        &self,
        what: &'static str,
        id: impl fmt::Display,
        mut look: impl AsyncFnMut() -> Result<Look<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        let mut pauses = Pauses::new(self.first, self.longest);
        let mut last = String::from("unknown");
        loop {
            // A look that is under way is not worth waiting for once nobody wants its answer.
            let looked = tokio::select! {
                looked = look() => looked,
                () = self.stop.cancelled() => return Err(self.stopped(what, &id)),
            };
            let (state, message) = match looked {
                Ok(Look::Done(answer)) => return Ok(answer),
                Ok(Look::Again { state, message }) => (state, message),
                Err(error) if error.is_passing() => (last, error.to_string()),
                Err(error) => return Err(error),
            };
            last = state.clone();
            let waited = began.elapsed();
            let progress = Progress {
                what,
                id: id.to_string(),
                state,
                message,
                waited,
            };
            if let Some(told) = &self.progress {
                told(&progress);
            }
            let Some(left) = self
                .limit
                .checked_sub(waited)
                .filter(|left| !left.is_zero())
            else {
                return Err(Error::told(
                    Kind::Timeout,
                    format!(
                        "the {what} was waited for in vain, look at it in the workspace or wait longer, {what}=`{id}` state=`{}` message=`{}` waited_seconds=`{}`",
                        progress.state,
                        progress.message,
                        waited.as_secs()
                    ),
                ));
            };
            tokio::select! {
                () = tokio::time::sleep(pauses.next().min(left)) => {}
                () = self.stop.cancelled() => return Err(self.stopped(what, &id)),
            }
        }
    }

    fn stopped(&self, what: &str, id: &impl fmt::Display) -> Error {
        Error::told(
            Kind::Canceled,
            format!("the wait was stopped, {what}=`{id}`"),
        )
    }
}

/// What a look shows.
pub(super) enum Look<T> {
    Done(T),
    Again { state: String, message: String },
}

/// Pauses `first`, `2 first`, `3 first`, … up to `longest`, each up to a tenth longer by chance, so that many who wait do not ask at once.
struct Pauses {
    first: Duration,
    longest: Duration,
    number: u32,
}

impl Pauses {
    fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            number: 0,
        }
    }

    fn next(&mut self) -> Duration {
        self.number = self.number.saturating_add(1);
        let pause = self.first.saturating_mul(self.number).min(self.longest);
        pause.mul_f64(1.0 + fastrand::f64() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    fn again<T>(state: &str) -> Result<Look<T>> {
        Ok(Look::Again {
            state: state.into(),
            message: String::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_the_longest_and_progress_is_told() {
        let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let heard = Arc::clone(&told);
        let waiting =
            Waiting::default().progress(move |progress| heard.lock().push(progress.clone()));
        let mut looks = Vec::new();
        let began = Instant::now();
        let answer = waiting
            .until("warehouse", "w", async || {
                looks.push(began.elapsed().as_secs_f64());
                match looks.len() {
                    15 => Ok(Look::Done(7)),
                    _ => again("STARTING"),
                }
            })
            .await
            .unwrap();
        assert_eq!(answer, 7);
        let pauses: Vec<f64> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let least = (n as f64 + 1.0).min(10.0);
            assert!((least..least * 1.1 + 0.01).contains(pause), "{pauses:?}");
        }
        let told = told.lock();
        assert_eq!(told.len(), 14);
        assert_eq!(told[0].to_string(), "warehouse w is STARTING (0 s)");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_at_its_limit_to_the_second() {
        let began = Instant::now();
        let error = Waiting::default()
            .until("cluster", "c", async || again::<()>("PENDING"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout);
        assert_eq!(began.elapsed().as_secs(), 20 * 60);
        let text = error.to_string();
        assert!(
            text.contains("state=`PENDING`") && text.contains("cluster=`c`"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_fails_in_passing_ends_no_wait_but_at_its_limit() {
        let lost = || Error::Network {
            request: "GET /x".into(),
            reason: "reset".into(),
        };
        let waiting = Waiting::default();
        let mut looks = 0;
        let answer = waiting.until("cluster", "c", async || {
            looks += 1;
            match looks {
                1 => again("PENDING"),
                2 | 3 => Err(lost()),
                _ => Ok(Look::Done(looks)),
            }
        });
        assert_eq!(answer.await.unwrap(), 4);
        let began = Instant::now();
        let mut first = true;
        let vain = waiting.until("cluster", "c", async || match std::mem::take(&mut first) {
            true => again::<()>("PENDING"),
            false => Err(lost()),
        });
        let error = vain.await.unwrap_err();
        assert_eq!(
            (error.kind(), began.elapsed().as_secs()),
            (Kind::Timeout, 20 * 60)
        );
        let text = error.to_string();
        assert!(
            text.contains("state=`PENDING`") && text.contains("reset"),
            "{text}"
        );
        // What we conclude ourselves stays, whatever its kind.
        let ended = waiting.until("cluster", "c", async || -> Result<Look<()>> {
            Err(Error::told(Kind::Unavailable, "it has ended"))
        });
        assert_eq!(ended.await.unwrap_err().kind(), Kind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_stopped_at_once_even_within_a_look() {
        let stop = CancellationToken::new();
        let waiting = Waiting::default().stop(stop.clone());
        let began = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            stop.cancel();
        });
        let error = waiting
            .until("cluster", "c", async || -> Result<Look<()>> {
                std::future::pending().await
            })
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Canceled);
        assert_eq!(began.elapsed(), Duration::from_millis(1500));
    }
}
