//! When a landing zone is asked, and when a new signature is demanded of it.

use super::{
    client::{Client, Demanded},
    expiry::shown,
    oauth::Http,
    reply::Reply,
    sas::Signature,
    settling::{Settling, TAKES_EFFECT_WITHIN},
};
use crate::{
    error::Kind,
    storage::{
        Error, LandingZoneOptions, Result, StoreOptions,
        credentials::{Ask, Clock, Lease, Pace, Source},
    },
};
use async_trait::async_trait;
use object_store::azure::AzureCredential;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// A demand follows the last one after a third of the margin at the earliest, and after this long at the latest.
const LONGEST_DISTANCE: Duration = Duration::from_secs(300);
/// The distance between demands that follow one another doubles up to this.
const RAREST: Duration = Duration::from_secs(86_400);
/// When the present signature is refused, somebody's refresh may be under way: the service is asked again after these.
const AGAIN_AFTER: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// Of daemons whose margins begin at the same moment one should come first; each waits a part of this.
const STAGGER: Duration = Duration::from_secs(5);

/// A signature that may be used for less than this counts as inside its margin, so that none comes as it ends.
const LEAST_USE: Duration = Duration::from_secs(1);

/// How long one fetch may take, with a token, GETs, waits and a refresh.
pub(in crate::storage) const FETCH: Duration = Duration::from_secs(150);

/// A container that a web service hands out the credentials of.
pub(in crate::storage) struct LandingZone {
    client: Client,
    container: String,
    /// The account of the store's URL, if it names one.
    account: Option<String>,
    plain_http: bool,
    may_refresh: bool,
    margin: Duration,
    settling: Arc<Settling>,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    /// What was handed out last, and when its signature came.
    handed: Option<(Reply, Instant)>,
    demands: Pace,
}

impl LandingZone {
    /// Makes no request. `settling` learns of each new signature.
    pub(in crate::storage) fn new(
        http: Http,
        container: &str,
        account: Option<&str>,
        zone: &LandingZoneOptions,
        store: &StoreOptions,
        settling: Arc<Settling>,
        clock: Clock,
    ) -> Result<Self> {
        let margin = Duration::try_from_secs_f64(zone.margin_seconds).map_err(|_| {
            Error::credentials(
                Kind::Config,
                format!(
                    "landing zone: not a time, margin_seconds=`{}`",
                    zone.margin_seconds
                ),
            )
        })?;
        let distance = (margin / 3).clamp(Duration::from_millis(100), LONGEST_DISTANCE);
        Ok(Self {
            client: Client::new(http, zone, store)?,
            container: container.to_owned(),
            account: account.map(str::to_owned),
            plain_http: store
                .endpoint
                .as_deref()
                .is_some_and(|endpoint| endpoint.starts_with("http:")),
            may_refresh: zone.refresh,
            margin,
            settling,
            clock,
            state: Mutex::new(State {
                handed: None,
                demands: Pace::new(distance, RAREST),
            }),
        })
    }

    /// The storage account, once a signature came.
    pub(in crate::storage) fn account(&self) -> Option<String> {
        self.state
            .lock()
            .handed
            .as_ref()
            .map(|(reply, _)| reply.account.clone())
    }

    /// A plain GET, whose container must be ours.
    async fn get(&self) -> Result<Reply> {
        let reply = self.client.get().await?;
        self.ours(reply)
    }

    fn ours(&self, reply: Reply) -> Result<Reply> {
        let other = |what, theirs: &str, ours: &str| {
            let text = format!(
                "the landing zone is of another {what} than the store's URL, set the URL to it, landing_zone=`{theirs}` url=`{ours}` endpoint=`{}`",
                self.client.place()
            );
            Err(Error::credentials(Kind::Unauthorized, text))
        };
        if reply.container != self.container {
            return other("container", &reply.container, &self.container);
        }
        let account = self.account.clone().or_else(|| self.account());
        if let Some(ours) = account.filter(|ours| !ours.eq_ignore_ascii_case(&reply.account)) {
            return other("account", &reply.account, &ours);
        }
        Ok(reply)
    }

    /// How long a signature may still be used: `None` if it does not end.
    fn usable(&self, reply: &Reply) -> Option<Duration> {
        let end = reply.ends?.checked_sub(self.margin)?;
        Some(end.duration_since(self.clock.now()).unwrap_or_default())
    }

    fn inside_margin(&self, reply: &Reply) -> bool {
        let least = LEAST_USE.min(self.margin / 100);
        self.usable(reply).is_some_and(|left| left <= least)
    }

    /// When its signature came, if it is that which was handed out last.
    fn handed(&self, reply: &Reply) -> Option<Instant> {
        let state = self.state.lock();
        let (handed, came) = state.handed.as_ref()?;
        handed.signature.is(&reply.signature).then_some(*came)
    }

    /// The signature of a plain GET is the one the store refused: perhaps it is being replaced right now. A refusal
    /// is no reason to demand another one, for it may be a proxy's.
    async fn instead_of_refused(&self, mut reply: Reply) -> Result<Reply> {
        let mut came = Instant::now();
        for pause in AGAIN_AFTER {
            tokio::time::sleep(pause).await;
            reply = self.get().await?;
            came = match self.handed(&reply) {
                Some(came) => came,
                None => return Ok(reply),
            };
        }
        if came.elapsed() < TAKES_EFFECT_WITHIN || self.inside_margin(&reply) {
            // It may not have taken effect everywhere yet; or it ends, which is another matter.
            return Ok(reply);
        }
        let text = format!(
            "the store refuses the signature that the landing zone still hands out, and another one is not demanded before its end, for that would revoke everybody's; see what refuses it (a proxy, network rules), or have it replaced by hand, ends=`{}` endpoint=`{}`",
            ends(&reply),
            self.client.place()
        );
        Err(Error::credentials(Kind::Unauthorized, text))
    }

    /// The signature of a plain GET is inside the margin.
    async fn instead_of_ending(&self, reply: Reply) -> Result<Reply> {
        if !self.may_refresh {
            let text = format!(
                "the landing zone's signature ends too soon to be used; a new one comes after its end, or set refresh = true to have it replaced for all users of the container, ends=`{}` margin_seconds=`{}` endpoint=`{}`",
                ends(&reply),
                self.margin.as_secs_f64(),
                self.client.place()
            );
            return Err(Error::credentials(Kind::Unavailable, text));
        }
        let stagger = STAGGER.min(self.margin / 20).mul_f64(fastrand::f64());
        tokio::time::sleep(stagger).await;
        let reply = self.get().await?;
        if !self.inside_margin(&reply) {
            return Ok(reply);
        }
        self.demand(&reply.signature).await
    }

    /// Has the signature replaced. The answer is another one that may be used, or an error.
    async fn demand(&self, old: &Signature) -> Result<Reply> {
        let place = self.client.place();
        if !self.state.lock().demands.admit() {
            let text = format!(
                "the landing zone was made to replace its signature a short while ago, it will not be again yet, endpoint=`{place}`"
            );
            return Err(Error::credentials(Kind::Unavailable, text));
        }
        tracing::info!(endpoint = %place, "demanding a new signature, which revokes the present one");
        let reply = match self.client.refresh().await {
            Demanded::Answered(reply) => self.ours(reply)?,
            Demanded::Refused(error) => return Err(error),
            Demanded::Unknown(why) => {
                tracing::warn!(endpoint = %place, %why, "it is not known whether the signature was replaced, looking");
                self.get().await?
            }
        };
        if reply.signature.is(old) {
            let text = format!(
                "the landing zone was asked to replace its signature and did not; check refresh_method, endpoint=`{place}`"
            );
            return Err(Error::credentials(Kind::Unavailable, text));
        }
        if self.inside_margin(&reply) {
            let text = format!(
                "the landing zone's new signature ends too soon to be used, lower margin_seconds, ends=`{}` margin_seconds=`{}` endpoint=`{place}`",
                ends(&reply),
                self.margin.as_secs_f64()
            );
            return Err(Error::credentials(Kind::Unauthorized, text));
        }
        Ok(reply)
    }

    /// The signature as a lease, and its coming told where it is a new one.
    fn hand_out(&self, reply: Reply) -> Result<Lease<AzureCredential>> {
        let place = self.client.place();
        reply.signature.check(self.clock.now(), self.plain_http).map_err(|unusable| {
            let kind = if unusable.passing { Kind::Unavailable } else { Kind::Unauthorized };
            Error::credentials(kind, format!("the landing zone's signature cannot be used: {unusable}, endpoint=`{place}`"))
        })?;
        let came = self.handed(&reply).unwrap_or_else(|| {
            self.settling.came(&reply.signature);
            tracing::info!(
                endpoint = %place,
                ends = %ends(&reply),
                si = reply.signature.get("si").unwrap_or_default(),
                "new signature of a landing zone"
            );
            if let Some(what) = reply.contradiction {
                tracing::warn!(endpoint = %place, "the landing zone's SASUri has another {what} than its other fields, which are used");
            }
            Instant::now()
        });
        let expires: Option<SystemTime> = self.usable(&reply).map(|left| self.clock.now() + left);
        let lease = Lease::new(reply.signature.credential(), expires);
        self.state.lock().handed = Some((reply, came));
        Ok(lease)
    }
}

fn ends(reply: &Reply) -> String {
    reply.ends.map_or_else(|| "unknown".into(), shown)
}

#[async_trait]
impl Source for Arc<LandingZone> {
    type Credential = AzureCredential;

    async fn fetch(&self, ask: Ask) -> Result<Lease<AzureCredential>> {
        let mut reply = self.get().await?;
        if ask == Ask::Refused && self.handed(&reply).is_some() {
            reply = self.instead_of_refused(reply).await?;
        }
        if self.inside_margin(&reply) {
            reply = self.instead_of_ending(reply).await?;
        }
        self.hand_out(reply)
    }

    fn describe(&self) -> String {
        format!("{:?}", **self)
    }
}

impl fmt::Debug for LandingZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state.lock().handed {
            Some((reply, _)) => write!(
                f,
                "landing zone, {}, endpoint=`{}`",
                reply.signature,
                self.client.place()
            ),
            None => write!(f, "landing zone, endpoint=`{}`", self.client.place()),
        }
    }
}

#[cfg(test)]
mod tests;
