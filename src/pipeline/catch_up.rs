//! When a table that was left behind is given again what it lacks.
//!
//! Its partition is read again from the low-water mark under a new epoch; the other tables skip what they
//! have. Meanwhile those get nothing new, so it happens only once the table makes progress, and seldom:
//! at most a fifth of the time goes into reading again, and a table that falls behind again without having
//! got further waits twice as long each time.

use super::{registry::Seen, tables::Tables};
use crate::event::{Epoch, Offset, SourcePartition};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(200);
/// Between two rereads of a partition.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How many times the length of a reread passes before the next.
const REST: u32 = 4;
/// A reread that has not come back to where reading was is no longer waited for.
const GIVE_UP: Duration = Duration::from_secs(600);

/// What is known of every partition with lagging tables. Pure: time and state are given to it.
#[derive(Default)]
struct CatchUp {
    turns: HashMap<SourcePartition, Turn>,
}

struct Turn {
    /// The furthest that any epoch has read.
    head: Offset,
    /// The tables left behind and not yet seen to have caught up, with what each lacked first.
    behind: HashMap<Arc<str>, Offset>,
    /// What each lacked first when it was last read again for.
    before: HashMap<Arc<str>, Offset>,
    /// When a reread began that has not reached `target` yet.
    rereading: Option<Instant>,
    target: Offset,
    wait: Duration,
    not_before: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Reread(SourcePartition, Epoch),
    CaughtUp(SourcePartition, Arc<str>),
}

impl CatchUp {
    fn step(&mut self, now: Instant, seen: &[Seen], is_still: impl Fn(&str) -> bool) -> Vec<Step> {
        let mut steps = Vec::new();
        // What was given up is another process's to catch up with.
        self.turns
            .retain(|id, _| seen.iter().any(|seen| seen.partition.id == *id));
        for seen in seen {
            let id = &seen.partition.id;
            if seen.withheld.is_empty() && !self.turns.contains_key(id) {
                continue;
            }
            let turn = self
                .turns
                .entry(id.clone())
                .or_insert_with(|| Turn::new(now));
            turn.look(now, seen, &mut steps);
            if turn.may_reread(now, seen, &is_still) {
                steps.push(Step::Reread(id.clone(), seen.epoch));
            }
        }
        self.turns.retain(|_, turn| !turn.is_over(now));
        steps
    }

    /// The tables that have not caught up.
    fn lagging(&self) -> BTreeSet<&Arc<str>> {
        self.turns
            .values()
            .flat_map(|turn| turn.behind.keys())
            .collect()
    }
}

impl Turn {
    fn new(now: Instant) -> Self {
        Self {
            head: 0,
            behind: HashMap::new(),
            before: HashMap::new(),
            rereading: None,
            target: 0,
            wait: FIRST_WAIT,
            not_before: now,
        }
    }

    fn look(&mut self, now: Instant, seen: &Seen, steps: &mut Vec<Step>) {
        let Some(read_end) = seen.read_end else {
            return;
        };
        self.head = self.head.max(read_end);
        for (table, first) in &seen.withheld {
            self.behind.insert(table.clone(), first.unwrap_or(read_end));
        }
        let target = match self.rereading {
            Some(_) => self.target,
            // The epoch may have ended for another reason, which brought everything again as well.
            None => self.head,
        };
        if read_end >= target {
            if let Some(begun) = self.rereading.take() {
                let rest = now.saturating_duration_since(begun) * REST;
                self.not_before = self.not_before.max(now + rest);
            }
            self.behind.retain(|table, _| {
                let is_behind = seen.withheld.contains_key(table);
                if !is_behind {
                    steps.push(Step::CaughtUp(seen.partition.id.clone(), table.clone()));
                }
                is_behind
            });
        } else if let Some(begun) = self.rereading
            && now.saturating_duration_since(begun) >= GIVE_UP
        {
            self.rereading = None;
        }
    }

    fn may_reread(&mut self, now: Instant, seen: &Seen, is_still: impl Fn(&str) -> bool) -> bool {
        let moving: Vec<&Arc<str>> = seen
            .withheld
            .keys()
            .filter(|table| !is_still(table))
            .collect();
        if moving.is_empty() || self.rereading.is_some() || now < self.not_before {
            return false;
        }
        let gets_further = moving.iter().any(|table| {
            let lacks = self.behind.get(*table);
            self.before
                .get(*table)
                .is_none_or(|before| lacks > Some(before))
        });
        self.wait = if gets_further {
            FIRST_WAIT
        } else {
            (self.wait * 2).min(LONGEST_WAIT)
        };
        self.not_before = now + self.wait;
        self.rereading = Some(now);
        self.target = self.head;
        for table in moving {
            if let Some(lacks) = self.behind.get(table) {
                self.before.insert(table.clone(), *lacks);
            }
        }
        true
    }

    /// Nothing lags, and the next to lag would not have to wait.
    fn is_over(&self, now: Instant) -> bool {
        self.behind.is_empty() && now >= self.not_before
    }
}

/// Runs until the pipeline stops.
pub(crate) async fn keep(tables: Arc<Tables>) {
    let shared = tables.shared().clone();
    let mut catch_up = CatchUp::default();
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shared.cancel.cancelled() => return,
        }
        let seen = shared.registry.seen();
        for step in catch_up.step(Instant::now(), &seen, |table| tables.is_shut(table)) {
            match step {
                Step::Reread(partition, epoch) => {
                    if shared.registry.reread(&partition, epoch) {
                        metrics::counter!("alluvium_pipeline_rereads_total").increment(1);
                        tracing::info!(%partition, epoch, "reading again for tables that were left behind");
                    }
                }
                Step::CaughtUp(partition, table) => {
                    tracing::info!(%partition, table = &*table, "the table that was left behind has what it lacked");
                }
            }
        }
        metrics::gauge!("alluvium_pipeline_lagging_tables").set(catch_up.lagging().len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::partition;

    fn seen(epoch: Epoch, read_end: Option<Offset>, withheld: &[(&str, Offset)]) -> Seen {
        Seen {
            partition: partition(),
            epoch,
            read_end,
            withheld: withheld
                .iter()
                .map(|(table, first)| ((*table).into(), Some(*first)))
                .collect(),
        }
    }

    fn reread(steps: &[Step]) -> bool {
        steps.iter().any(|step| matches!(step, Step::Reread(..)))
    }

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    #[test]
    fn a_table_that_stands_still_is_not_read_again_for() {
        let mut catch_up = CatchUp::default();
        let now = Instant::now();
        let lagging = [seen(1, Some(100), &[("a", 10)])];
        for second in 0..100 {
            assert!(!reread(&catch_up.step(
                now + seconds(second.into()),
                &lagging,
                |_| true
            )));
        }
        assert_eq!(catch_up.lagging().len(), 1);
        assert!(reread(&catch_up.step(
            now + seconds(100.0),
            &lagging,
            |_| false
        )));
    }

    #[test]
    fn it_has_caught_up_when_reading_is_back_where_it_was() {
        let mut catch_up = CatchUp::default();
        let now = Instant::now();
        let moving = |_: &str| false;
        assert!(reread(&catch_up.step(
            now,
            &[seen(1, Some(100), &[("a", 10)])],
            moving
        )));
        assert!(catch_up.step(now, &[seen(2, None, &[])], moving).is_empty());
        assert!(
            catch_up
                .step(now, &[seen(3, Some(50), &[])], moving)
                .is_empty()
        );
        assert_eq!(catch_up.lagging().len(), 1);
        let steps = catch_up.step(now + seconds(2.0), &[seen(3, Some(110), &[])], moving);
        assert_eq!(steps, [Step::CaughtUp(partition().id.clone(), "a".into())]);
        assert!(catch_up.lagging().is_empty());
        // The reread took two seconds: eight pass before the next.
        let again = [seen(3, Some(120), &[("a", 115)])];
        assert!(!reread(&catch_up.step(now + seconds(9.9), &again, moving)));
        assert!(reread(&catch_up.step(now + seconds(10.1), &again, moving)));
    }

    /// How many rereads ten minutes see of a table that lags again at once, getting `further` each time.
    fn rereads(further: Offset) -> usize {
        let mut catch_up = CatchUp::default();
        let start = Instant::now();
        let (mut lacks, mut count, mut epoch) = (10, 0, 1);
        for tick in 0..3_000 {
            let now = start + seconds(f64::from(tick) / 5.0);
            let state = [seen(epoch, Some(1_000_000), &[("a", lacks)])];
            if reread(&catch_up.step(now, &state, |_| false)) {
                count += 1;
                epoch += 1;
                lacks += further;
            }
        }
        count
    }

    #[test]
    fn one_that_gets_no_further_waits_twice_as_long_each_time() {
        let vain = rereads(0);
        assert!((5..=8).contains(&vain), "{vain}");
        let useful = rereads(10);
        assert!((100..=121).contains(&useful), "{useful}");
    }

    #[test]
    fn a_rewind_for_another_reason_brings_what_was_lacking_too() {
        let mut catch_up = CatchUp::default();
        let now = Instant::now();
        catch_up.step(now, &[seen(1, Some(100), &[("a", 10)])], |_| true);
        assert!(
            catch_up
                .step(now, &[seen(2, Some(99), &[])], |_| true)
                .is_empty()
        );
        assert_eq!(catch_up.lagging().len(), 1);
        let steps = catch_up.step(now, &[seen(2, Some(100), &[])], |_| true);
        assert_eq!(steps, [Step::CaughtUp(partition().id.clone(), "a".into())]);
        assert!(catch_up.lagging().is_empty());
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten() {
        let mut catch_up = CatchUp::default();
        let now = Instant::now();
        catch_up.step(now, &[seen(1, Some(9), &[("a", 3)])], |_| true);
        catch_up.step(now, &[], |_| true);
        assert!(catch_up.lagging().is_empty());
    }
}
