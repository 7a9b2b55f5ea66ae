//! What an agent keeps of one table: what it wants, and when it is next served.

use super::super::{
    changes,
    error::ControlError,
    turn::{Failure, Wants},
    warehouse::Target,
};
use crate::{error::Kind, schema::SchemaChange};
use std::time::Duration;
use tokio::time::Instant;

/// The pause after the first failure; each later one is twice as long, up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(15);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);
/// The longest after a statement that was refused: a person is to mend that, and each try wakes the warehouse.
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// The longest while the workspace does not take the credential: it is asked without a warehouse, and a new token is to be
/// found soon.
pub(super) const TOKEN_PAUSE: Duration = Duration::from_secs(60);

pub(super) struct Entry {
    pub(super) target: Target,
    pub(super) wants: Wants,
    /// Something was asked for since the last turn began.
    pub(super) asked: bool,
    /// What is asked for has failed already, and is news still: `kind` is of it.
    pub(super) is_retried: bool,
    /// A turn of it is under way, with what was wanted when it began.
    pub(super) at_work: bool,
    /// Scheduled turns that failed, one after the other.
    pub(super) failures: u32,
    pub(super) not_before: Instant,
    /// News that failed, one after the other. It does not wait for what was refused, only until `news_at`.
    failed_news: u32,
    news_at: Instant,
    /// It was told that refused columns leave no room for new ones.
    is_full: bool,
    /// What was last told of it, and its kind.
    pub(super) told: Option<String>,
    pub(super) kind: Option<Kind>,
}

/// One table's part of a round, as it begins.
pub(super) struct Begun {
    pub(super) wants: Wants,
    /// It is the turn of all that is wanted; else of what is new alone.
    pub(super) is_whole: bool,
}

impl Entry {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            wants: Wants::default(),
            asked: false,
            is_retried: false,
            at_work: false,
            failures: 0,
            not_before: Instant::now(),
            failed_news: 0,
            news_at: Instant::now(),
            is_full: false,
            told: None,
            kind: None,
        }
    }

    /// The catalog is to have the table. Of one that failed somebody may have mended it: that is looked at.
    pub(super) fn register(&mut self) -> bool {
        !self.wants.registered || self.failures > 0
    }

    /// Whether changes are new. No more columns are kept than `room`.
    pub(super) fn want(&mut self, possible: &[SchemaChange], room: usize) -> bool {
        let known = self.wants.all_changes();
        let mut merged = known.clone();
        changes::merge(&mut merged, possible);
        let is_new = merged != known;
        let grows = is_new && changes::columns(&merged) <= room;
        let refused = self.wants.aside.len();
        if is_new && !grows && refused > 0 && !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!(
                table = %self.target.name,
                refused,
                "no more columns are asked for: those that the catalog refused keep the room that is left; see why with `alluvium schema apply`, or raise `max_columns`"
            );
        }
        if grows {
            let aside = &mut self.wants.aside;
            aside.retain(|change| merged.contains(change));
            merged.retain(|change| !aside.contains(change));
            self.wants.changes = merged;
        }
        grows
    }

    pub(super) fn sync(&mut self) -> bool {
        !std::mem::replace(&mut self.wants.sync, true)
    }

    /// When it is to be served; `None` where nothing is wanted.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = match self.asked {
            true => self.news_at.min(self.not_before),
            false => self.not_before,
        };
        (!self.wants.is_done()).then_some(due)
    }

    /// What is to be done now; `None` where nothing is due.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Begun> {
        if self.due()? > now {
            return None;
        }
        let is_whole = self.not_before <= now;
        if is_whole {
            self.wants.changes = self.wants.all_changes();
            self.wants.aside.clear();
        }
        self.asked = false;
        self.at_work = true;
        let wants = self.wants.clone();
        // Asked for again meanwhile, it is another one.
        self.wants.sync = false;
        Some(Begun { wants, is_whole })
    }

    /// What is left, after a turn that left `wants` of what it began with.
    pub(super) fn settle(&mut self, wants: &Wants) {
        let mut wants = wants.clone();
        if self.asked {
            // What stands meanwhile is struck in the next turn, before anything is run.
            changes::merge(&mut wants.changes, &self.wants.changes);
            let aside = &wants.aside;
            wants.changes.retain(|change| !aside.contains(change));
        }
        wants.sync |= self.wants.sync;
        self.at_work = false;
        self.wants = wants;
    }

    /// After a turn that failed. What was refused as it is stands aside, so that what is new goes on without it.
    pub(super) fn failed(&mut self, failure: &Failure, is_whole: bool, jitter: f64) {
        // It may have been dropped from the catalog.
        self.wants.registered &= failure.is_common;
        let pause = |failures: u32, longest: Duration| {
            let doubled = FIRST_PAUSE.saturating_mul(1 << failures.min(16));
            Instant::now() + doubled.min(longest).mul_f64(jitter)
        };
        let is_refused = failure.is_refusal();
        let longest = match failure.error.kind() {
            Kind::Unauthorized if failure.is_common => TOKEN_PAUSE,
            _ => LONGEST_PAUSE,
        };
        self.kind = Some(failure.error.kind());
        let is_first = self.failures == 0;
        if is_whole {
            // What the log never shows, and a race that never ends, are no passing errors either.
            let is_lasting = is_refused
                || failure.error.is_race()
                || matches!(failure.error, ControlError::Unseen { .. });
            let longest = if is_lasting { REFUSED_PAUSE } else { longest };
            self.not_before = pause(self.failures, longest);
            self.failures = self.failures.saturating_add(1);
        }
        if !is_whole || is_refused && is_first {
            self.news_at = pause(self.failed_news, longest);
            self.failed_news = self.failed_news.saturating_add(1);
        } else if !is_refused {
            self.news_at = self.not_before;
        }
        if !is_refused {
            // What is new has not been judged: it is news still.
            self.is_retried = !is_whole && !self.asked;
            self.asked |= !is_whole;
        } else if failure.error.kind() != Kind::Unauthorized && !self.asked {
            self.wants.aside = self.wants.all_changes();
            self.wants.changes.clear();
        }
    }

    /// After a turn that did not fail. Returned is whether a failure is over.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failed_news = 0;
        self.news_at = Instant::now();
        if !self.wants.aside.is_empty() {
            return false;
        }
        self.failures = 0;
        self.is_full = false;
        self.kind = None;
        // Its log is not there yet: whoever makes it asks again.
        self.not_before = match self.wants.is_done() || self.asked {
            true => Instant::now(),
            false => Instant::now() + FIRST_PAUSE,
        };
        self.told.take().is_some()
    }
}
