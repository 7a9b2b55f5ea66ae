//! Every interleaving of two writers over small histories, with crashes and lost answers, on a
//! model of the log; the loop under test is the one that runs on the kernel.
//!
//! A schedule is a list of choices. The explorer replays the whole history for each schedule and
//! asks at every point where there is a choice (which writer goes next; what becomes of a PUT), so
//! that all of them are tried. Writers step from one operation of the log to the next.

use super::support;
use crate::{
    commit::{
        Upload,
        account::MarkAccount,
        error::{CommitError, Result},
        land::{Landed, land},
        log::{Change, DeltaLog, Put},
    },
    error::Kind,
    event::Offset,
    schema::TableSchema,
};
use futures::{FutureExt, task::noop_waker_ref};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio_util::sync::CancellationToken;

/// One version of the model's table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    number: u64,
    id: &'static str,
    schema: u64,
    txns: BTreeMap<String, Offset>,
    /// The ranges whose rows this version added.
    rows: Vec<(String, Offset, Offset)>,
}

/// The choices of one schedule: those already fixed, then zeros, noting how many there were.
#[derive(Default)]
struct Choices {
    fixed: Vec<usize>,
    widths: Vec<usize>,
    at: usize,
}

impl Choices {
    fn choose(&mut self, width: usize) -> usize {
        let chosen = self.fixed.get(self.at).copied().unwrap_or(0);
        if self.at == self.fixed.len() {
            self.fixed.push(0);
        }
        self.widths.truncate(self.at);
        self.widths.push(width);
        self.at += 1;
        chosen
    }

    /// The next schedule in order; `false` after the last.
    fn advance(&mut self) -> bool {
        self.fixed.truncate(self.at);
        self.at = 0;
        while let Some(last) = self.fixed.pop() {
            let width = self.widths[self.fixed.len()];
            if last + 1 < width {
                self.fixed.push(last + 1);
                return true;
            }
        }
        false
    }
}

#[derive(Default)]
struct World {
    versions: Vec<Version>,
    choices: Choices,
    faults_left: usize,
    /// The store overwrites: what no store we write to does.
    unconditional: bool,
    crashed: [bool; 2],
    /// A PUT that was answered with an error and may still land later.
    late: Option<(Option<Version>, Arc<Change>, Vec<MarkAccount>)>,
}

impl World {
    /// The conditional PUT: writes the version after `base` unless somebody has.
    fn write(
        &mut self,
        base: Option<&Version>,
        change: &Change,
        marks: &[MarkAccount],
    ) -> Option<Version> {
        let number = base.map_or(0, |base| base.number + 1);
        if self.versions.len() as u64 != number && !self.unconditional {
            return None;
        }
        let mut txns = base.map(|base| base.txns.clone()).unwrap_or_default();
        let mut rows = Vec::new();
        for range in &change.ranges {
            let id = range.partition.id.app_id().to_owned();
            if !change.files.is_empty() {
                rows.push((id.clone(), range.range.start, range.range.end));
            }
            txns.insert(id, range.range.end);
        }
        for mark in marks {
            txns.insert(mark.app_id.clone(), mark.version);
        }
        let version = Version {
            number: self.versions.len() as u64,
            id: base.map_or("first", |base| base.id),
            schema: base.map_or(change.schema.fingerprint.0, |base| base.schema),
            txns,
            rows,
        };
        self.versions.push(version.clone());
        Some(version)
    }

    /// Lets a late PUT arrive now, or not yet.
    fn maybe_deliver(&mut self) {
        if self.late.is_some()
            && self.choices.choose(2) == 1
            && let Some((base, change, marks)) = self.late.take()
        {
            self.write(base.as_ref(), &change, &marks);
        }
    }
}

#[derive(Clone)]
struct Model {
    world: Arc<Mutex<World>>,
    writer: usize,
}

/// Hands the turn to the explorer once.
async fn step() {
    let mut yielded = false;
    poll_fn(|_| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        Poll::Pending
    })
    .await;
}

fn unavailable() -> CommitError {
    CommitError::Log {
        kind: Kind::Unavailable,
        action: "write to",
        table: "t".into(),
        message: "lost".into(),
    }
}

impl DeltaLog for Model {
    type Snapshot = Version;

    async fn latest(&self) -> Result<Option<Version>> {
        step().await;
        let mut world = self.world.lock();
        world.maybe_deliver();
        Ok(world.versions.last().cloned())
    }

    async fn positions(&self, snapshot: &Version, ids: &[String]) -> Result<Vec<Option<Offset>>> {
        Ok(ids
            .iter()
            .map(|id| snapshot.txns.get(id).copied())
            .collect())
    }

    async fn put(
        &self,
        base: Option<&Version>,
        change: &Arc<Change>,
        marks: &[MarkAccount],
    ) -> Put<Version> {
        step().await;
        let mut world = self.world.lock();
        world.maybe_deliver();
        // 0: as it should be; 1: never arrives; 2: lands, the answer is lost; 3: the writer dies
        // before it; 4: dies after it; 5: answered with an error, and may land later.
        let fault = if world.faults_left > 0 {
            world.choices.choose(6)
        } else {
            0
        };
        world.faults_left -= usize::from(fault > 0);
        if fault == 5 {
            world.late = Some((base.cloned(), change.clone(), marks.to_vec()));
        }
        let committed = if matches!(fault, 0 | 2 | 4) {
            world.write(base, change, marks)
        } else {
            None
        };
        world.crashed[self.writer] = matches!(fault, 3 | 4);
        match committed {
            Some(version) if fault == 0 => Put::Committed(version),
            _ => Put::Unknown(unavailable()),
        }
    }

    async fn pause(&self, _failures: u32) {}

    fn now(&self) -> i64 {
        chrono::Utc::now().timestamp_millis()
    }

    fn table_id<'a>(&self, snapshot: &'a Version) -> &'a str {
        snapshot.id
    }

    fn fits(&self, snapshot: &Version, schema: &TableSchema) -> bool {
        snapshot.schema == schema.fingerprint.0
    }

    fn longest_file_age(&self, _snapshot: &Version) -> i64 {
        i64::MAX
    }

    fn name(&self) -> &str {
        "t"
    }
}

/// What one writer does: lands `chunk` records of each of its partitions at a time until `until`,
/// all in one version, as a group does, and goes back to the table's positions after a fence.
async fn produce(model: Model, partitions: &'static [&'static str], chunk: Offset, until: Offset) {
    let schema = support::schema();
    let ids: Vec<String> = partitions.iter().map(|id| (*id).to_owned()).collect();
    let mut cached = model.latest().await.unwrap();
    loop {
        let positions = match &cached {
            Some(version) => model.positions(version, &ids).await.unwrap(),
            None => vec![None; ids.len()],
        };
        let mut upload: Option<Upload> = None;
        for (id, position) in ids.iter().zip(positions) {
            let start = position.unwrap_or(0);
            if start >= until {
                continue;
            }
            let part = support::upload(&schema, id, position, (start + chunk).min(until));
            match &mut upload {
                None => upload = Some(part),
                Some(upload) => {
                    upload.files.extend(part.files);
                    upload.ranges.extend(part.ranges);
                }
            }
        }
        let Some(upload) = upload else { return };
        let change = Arc::new(Change::new("t", upload).unwrap());
        let cancel = CancellationToken::new();
        match land(&model, cached.take(), None, change.clone(), &cancel).await {
            Ok(Landed::Committed { snapshot, .. }) => {
                // Invariant 1: what is acked stands in a version now.
                for range in &change.ranges {
                    assert!(snapshot.txns[range.partition.id.app_id()] >= range.range.end);
                }
                cached = Some(snapshot);
            }
            Ok(Landed::Fenced { snapshot, .. }) => cached = Some(snapshot),
            Ok(Landed::Stale { .. }) => unreachable!("the model's schema does not change"),
            Err(error) => panic!("{error}"),
        }
    }
}

type Writer = Pin<Box<dyn Future<Output = ()>>>;

/// Runs every schedule. A crashed writer starts anew, knowing only what the table tells.
fn explore(
    unconditional: bool,
    faults: usize,
    writers: [(&'static [&'static str], Offset); 2],
    until: Offset,
    check: impl Fn(&[Version]),
) -> usize {
    let mut choices = Choices::default();
    let mut schedules = 0;
    loop {
        let world = Arc::new(Mutex::new(World {
            choices: std::mem::take(&mut choices),
            faults_left: faults,
            unconditional,
            ..World::default()
        }));
        let start = |writer: usize| -> Writer {
            let model = Model {
                world: world.clone(),
                writer,
            };
            let (partitions, chunk) = writers[writer];
            produce(model, partitions, chunk, until).boxed_local()
        };
        let mut running: [Option<Writer>; 2] = [Some(start(0)), Some(start(1))];
        let mut steps = 0;
        while running.iter().any(Option::is_some) {
            steps += 1;
            assert!(steps < 500, "a schedule without end");
            let ready: Vec<usize> = (0..2).filter(|n| running[*n].is_some()).collect();
            let next = match ready[..] {
                [only] => only,
                _ => world.lock().choices.choose(2),
            };
            let Some(writer) = running[next].as_mut() else {
                continue;
            };
            let mut context = Context::from_waker(noop_waker_ref());
            let done = writer.as_mut().poll(&mut context).is_ready();
            let crashed = std::mem::take(&mut world.lock().crashed[next]);
            if crashed {
                running[next] = Some(start(next));
            } else if done {
                running[next] = None;
            }
        }
        drop(running);
        let mut world = world.lock();
        check(&world.versions);
        schedules += 1;
        choices = std::mem::take(&mut world.choices);
        if !choices.advance() {
            return schedules;
        }
    }
}

/// Invariants 1 and 2: every record below `until` stands in exactly one row.
fn exactly_once(versions: &[Version], partition: &str, until: Offset) {
    let mut rows: Vec<_> = versions
        .iter()
        .flat_map(|version| &version.rows)
        .filter(|(id, ..)| id == partition)
        .collect();
    rows.sort();
    let mut at = 0;
    for (_, start, end) in rows {
        assert_eq!(*start, at, "a hole or a double: {versions:?}");
        at = *end;
    }
    assert_eq!(at, until, "not whole: {versions:?}");
}

#[test]
fn rules_2_3_5_and_6_two_writers_of_one_partition_never_double_it() {
    // The second is a zombie of a rebalance: the same partition, other boundaries.
    for chunks in [(1, 1), (1, 2), (2, 2)] {
        let schedules = explore(
            false,
            1,
            [(&["p"], chunks.0), (&["p"], chunks.1)],
            2,
            |versions| {
                exactly_once(versions, "p", 2);
            },
        );
        assert!(schedules > 100, "only {schedules} schedules for {chunks:?}");
    }
}

#[test]
fn rule_3_two_faults_in_one_history() {
    let schedules = explore(false, 2, [(&["p"], 1), (&["p"], 1)], 1, |versions| {
        exactly_once(versions, "p", 1);
    });
    assert!(schedules > 1_000, "only {schedules} schedules");
}

#[test]
fn rule_6_two_writers_of_two_partitions_share_a_table_from_its_creation() {
    explore(false, 1, [(&["p"], 1), (&["q"], 2)], 2, |versions| {
        exactly_once(versions, "p", 2);
        exactly_once(versions, "q", 2);
    });
}

#[test]
fn rule_5_a_commit_of_two_partitions_lands_whole_or_not_at_all() {
    explore(false, 1, [(&["p", "q"], 2), (&["q"], 1)], 2, |versions| {
        exactly_once(versions, "p", 2);
        exactly_once(versions, "q", 2);
    });
}

#[test]
fn the_explorer_finds_the_double_where_a_put_is_not_conditional() {
    let found = std::panic::catch_unwind(|| {
        explore(true, 1, [(&["p"], 1), (&["p"], 1)], 2, |versions| {
            exactly_once(versions, "p", 2);
        })
    });
    assert!(
        found.is_err(),
        "no double was found where there must be some"
    );
}
