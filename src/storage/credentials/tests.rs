//! By a virtual clock: what is waited for, what is served meanwhile, how often the source is asked.

use super::*;
use crate::{error::Kind, storage::Error};
use futures::{FutureExt, future::BoxFuture, future::join_all};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, advance, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// A time of day that goes with tokio's and can be set.
#[derive(Clone)]
pub(in crate::storage) struct Day {
    start: SystemTime,
    since: Instant,
    moved_seconds: Arc<AtomicI64>,
}

impl Day {
    pub(in crate::storage) fn new() -> Self {
        Self {
            start: SystemTime::UNIX_EPOCH + SECOND * 1_700_000_000,
            since: Instant::now(),
            moved_seconds: Arc::default(),
        }
    }

    pub(in crate::storage) fn now(&self) -> SystemTime {
        let moved = self.moved_seconds.load(SeqCst);
        let now = self.start + self.since.elapsed();
        match u64::try_from(moved) {
            Ok(ahead) => now + Duration::from_secs(ahead),
            Err(_) => now - Duration::from_secs(moved.unsigned_abs()),
        }
    }

    fn jump(&self, seconds: i64) {
        self.moved_seconds.fetch_add(seconds, SeqCst);
    }

    pub(in crate::storage) fn clock(&self) -> Clock {
        let day = self.clone();
        Clock::new(move || day.now())
    }
}

type Answer = Box<dyn Fn(u64, Ask) -> BoxFuture<'static, Result<Lease<u64>>> + Send + Sync>;

/// Hands out the number of the call.
struct Scripted {
    calls: AtomicU64,
    answer: Answer,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl Source for Scripted {
    type Credential = u64;

    async fn fetch(&self, ask: Ask) -> Result<Lease<u64>> {
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        (self.answer)(call, ask).await
    }

    fn describe(&self) -> String {
        "a script".into()
    }
}

fn cached<F>(day: &Day, answer: F) -> Cached<Scripted>
where
    F: Fn(u64, Ask) -> BoxFuture<'static, Result<Lease<u64>>> + Send + Sync + 'static,
{
    let source = Scripted {
        calls: AtomicU64::new(0),
        answer: Box::new(answer),
    };
    Cached::with("lake", source, Timing::default(), day.clock())
}

/// Leases of `life` that come after `takes`.
fn leases(
    day: &Day,
    life: Duration,
    takes: Duration,
) -> impl Fn(u64, Ask) -> BoxFuture<'static, Result<Lease<u64>>> + Send + Sync + 'static {
    let day = day.clone();
    move |call, _| {
        let day = day.clone();
        async move {
            sleep(takes).await;
            Ok(Lease::new(call, Some(day.now() + life)))
        }
        .boxed()
    }
}

fn down() -> Error {
    Error::credentials(Kind::Unavailable, "down")
}

fn calls(cached: &Cached<Scripted>) -> u64 {
    cached.source().calls.load(SeqCst)
}

/// Lets tasks that were started run.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_cause_one_fetch() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 3600, SECOND));
    let all = join_all((0..100).map(|_| cached.get())).await;
    assert!(all.into_iter().all(|one| *one.unwrap() == 1));
    assert_eq!((calls(&cached), cached.generation()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_old_one_serves_while_the_next_is_fetched() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 100, SECOND * 10));
    assert_eq!(*cached.get().await.unwrap(), 1);
    advance(SECOND * 45).await;
    assert_eq!(*cached.get().await.unwrap(), 1);
    settle().await;
    assert_eq!(calls(&cached), 1, "half of its life has not passed");
    advance(SECOND * 11).await;
    for _ in 0..100 {
        let began = Instant::now();
        assert_eq!(*cached.get().await.unwrap(), 1);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    sleep(SECOND * 11).await;
    assert_eq!(calls(&cached), 2);
    assert_eq!(*cached.get().await.unwrap(), 2);
    assert_eq!(cached.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_credential_of_an_hour_is_replaced_twenty_minutes_before_its_end() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 3600, SECOND));
    cached.get().await.unwrap();
    advance(SECOND * 39 * 60).await;
    cached.get().await.unwrap();
    settle().await;
    assert_eq!(calls(&cached), 1);
    advance(SECOND * 4 * 60).await;
    cached.get().await.unwrap();
    settle().await;
    assert_eq!(calls(&cached), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_leaves_the_old_one_until_it_ends_and_is_asked_ever_more_rarely() {
    let day = Day::new();
    let good = leases(&day, SECOND * 1000, Duration::ZERO);
    let cached = cached(&day, move |call, ask| match call {
        1 => good(call, ask),
        _ => async { Err(down()) }.boxed(),
    });
    cached.get().await.unwrap();
    advance(SECOND * 600).await;
    let mut at = Vec::new();
    let began = Instant::now();
    while began.elapsed() < SECOND * 390 {
        let before = calls(&cached);
        assert_eq!(*cached.get().await.unwrap(), 1);
        settle().await;
        if calls(&cached) > before {
            at.push(began.elapsed());
        }
        advance(SECOND / 4).await;
    }
    let pauses: Vec<_> = at.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses[0] < SECOND * 2, "{pauses:?}");
    assert!(
        pauses.windows(2).take(5).all(|two| two[1] >= two[0]),
        "{pauses:?}"
    );
    assert!(
        pauses.iter().all(|pause| *pause < SECOND * 77),
        "{pauses:?}"
    );
    assert!(at.len() < 16, "{at:?}");
    advance(SECOND * 10).await;
    let error = cached.get().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (Kind::Unavailable, "down")
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_heals_is_used_again() {
    let day = Day::new();
    let good = leases(&day, SECOND * 1000, Duration::ZERO);
    let cached = cached(&day, move |call, ask| match call {
        1..=3 => async { Err(down()) }.boxed(),
        _ => good(call, ask),
    });
    let began = Instant::now();
    while cached.get().await.is_err() {
        assert!(began.elapsed() < SECOND * 20);
        advance(SECOND / 10).await;
    }
    assert_eq!(calls(&cached), 4, "in a pause nobody asks");
}

#[tokio::test(start_paused = true)]
async fn a_hung_fetch_holds_up_nobody_who_has_a_credential() {
    let day = Day::new();
    let good = leases(&day, SECOND * 100, Duration::ZERO);
    let cached = cached(&day, move |call, ask| match call {
        1 => good(call, ask),
        _ => futures::future::pending().boxed(),
    });
    cached.get().await.unwrap();
    advance(SECOND * 60).await;
    assert_eq!(*cached.get().await.unwrap(), 1);
    settle().await;
    assert_eq!(calls(&cached), 2);
    advance(SECOND * 29).await;
    let served = timeout(Duration::from_millis(1), cached.get()).await;
    assert_eq!(*served.unwrap().unwrap(), 1);
    advance(SECOND * 7).await;
    let began = Instant::now();
    let error = cached.get().await.unwrap_err();
    assert!(began.elapsed() <= SECOND * 30);
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("within 30s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_goes_on_when_those_who_waited_have_gone() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 100, SECOND * 5));
    assert!(timeout(SECOND, cached.get()).await.is_err());
    assert_eq!(*cached.get().await.unwrap(), 1);
    assert_eq!(calls(&cached), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_neither_prolongs_nor_revives() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 3600, Duration::ZERO));
    cached.get().await.unwrap();
    day.jump(-86_400);
    advance(SECOND * 3599).await;
    assert_eq!(
        *cached.get().await.unwrap(),
        2,
        "its hour is over, whatever the clock says"
    );
    day.jump(86_400);
    assert_eq!(*cached.get().await.unwrap(), 3, "by the clock it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_credential_without_an_end_is_kept_until_it_is_refused() {
    let day = Day::new();
    let cached = cached(&day, |call, _| {
        async move { Ok(Lease::new(call, None)) }.boxed()
    });
    cached.get().await.unwrap();
    advance(SECOND * 86_400 * 365).await;
    assert_eq!(*cached.get().await.unwrap(), 1);
    cached.renew(1).await.unwrap();
    assert_eq!(*cached.get().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_when_it_comes_is_an_error() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, Duration::ZERO, Duration::ZERO));
    let error = cached.get().await.unwrap_err().to_string();
    assert!(
        error.contains("clock") && error.contains("source=`a script`"),
        "{error}"
    );
    assert!(cached.get().await.is_err());
    assert_eq!(calls(&cached), 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_causes_one_fetch() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 3600, SECOND));
    cached.get().await.unwrap();
    let all = join_all((0..100).map(|_| cached.renew(1))).await;
    assert!(all.into_iter().all(|one| one.is_ok()));
    assert_eq!((calls(&cached), cached.generation()), (2, 2));
    for _ in 0..100 {
        cached.renew(1).await.unwrap();
    }
    assert_eq!(calls(&cached), 2, "there is a newer one already");
}

#[tokio::test(start_paused = true)]
async fn renewals_that_do_not_help_become_rare_and_the_credential_stays() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 86_400, Duration::ZERO));
    cached.get().await.unwrap();
    let mut refused = 0;
    for _ in 0..6_000 {
        refused += u32::from(cached.renew(cached.generation()).await.is_err());
        advance(SECOND / 10).await;
    }
    assert!(calls(&cached) < 20, "{} in ten minutes", calls(&cached));
    assert!(refused > 5_900);
    assert!(cached.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn sessions_that_live_seconds_are_renewed_each_time() {
    let day = Day::new();
    let cached = cached(&day, leases(&day, SECOND * 3600, Duration::ZERO));
    cached.get().await.unwrap();
    for life in 1..=20 {
        advance(SECOND * 3).await;
        cached.renew(life).await.unwrap();
        assert_eq!(cached.generation(), life + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_to_the_source_and_its_failure_to_all() {
    let day = Day::new();
    let good = leases(&day, SECOND * 3600, Duration::ZERO);
    let cached = cached(&day, move |call, ask| match ask {
        Ask::Ahead => good(call, ask),
        Ask::Refused => async { Err(Error::credentials(Kind::Unauthorized, "unchanged")) }.boxed(),
    });
    cached.get().await.unwrap();
    let all = join_all((0..10).map(|_| cached.renew(1))).await;
    for one in all {
        let error = one.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Unauthorized, "unchanged")
        );
    }
    assert_eq!(calls(&cached), 2);
    assert_eq!(*cached.get().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_an_error_and_not_the_end() {
    let day = Day::new();
    let good = leases(&day, SECOND * 3600, Duration::ZERO);
    let cached = cached(&day, move |call, ask| match call {
        1 => async { panic!("a bug") }.boxed(),
        _ => good(call, ask),
    });
    assert!(cached.get().await.is_err());
    assert_eq!(*cached.get().await.unwrap(), 2);
}
