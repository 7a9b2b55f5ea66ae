//! The fan-out as a model: every interleaving of two processes, crashes and lost answers over a
//! small history, with the real lanes, tracker, resume rule and commit decision.
//!
//! One source partition feeds tables A and B; one record of A is malformed. A process may be taken
//! for dead while it still commits. In every state reached, no record stands twice (invariant 2), the
//! mark is below everything unsettled (rule 9), and a process that starts afresh from the tables
//! and the ledger alone completes the history (invariant 1, rules 1–3, 5, 9–11).

use super::{
    lane::{Lane, LetterRange, letter_stream},
    ledger::Judged,
    resume::{self, Known},
    testing::{partition, raw_batch},
    tracker::Tracker,
};
use crate::{
    commit::decide::{Claim, Decision, Evidence, decide},
    decode::Verdicts,
    event::{CommitRange, Counts, DeadLetter, Offset, RejectReason, RoutedBatch},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Record {
    Good(usize),
    Bad(usize),
}

const TABLES: [&str; 2] = ["a", "b"];

fn batch(offset: Offset) -> RoutedBatch {
    RoutedBatch {
        raw: Arc::new(raw_batch(1, [offset], offset, offset + 1)),
        select: None,
    }
}

fn letter(offset: Offset) -> DeadLetter {
    DeadLetter {
        offset,
        index: 0,
        table: "".into(),
        reason: RejectReason {
            code: "malformed",
            detail: "".into(),
        },
        value: bytes::Bytes::new(),
        event_time: 0,
    }
}

/// What storage holds: all that survives a crash.
#[derive(Clone, Debug, Default)]
struct World {
    positions: [Option<Offset>; 2],
    rows: [BTreeMap<Offset, u32>; 2],
    low_water: Option<Offset>,
    streams: [Option<Offset>; 2],
    dead: [BTreeMap<Offset, u32>; 2],
}

#[derive(Clone, Debug)]
struct Job {
    letters: Option<LetterRange>,
    range: Option<CommitRange>,
    rows: Vec<Offset>,
    end: Offset,
}

#[derive(Clone, Debug)]
struct Process {
    tracker: Tracker,
    lanes: [Option<Lane>; 2],
    open: [Vec<Offset>; 2],
    jobs: [Option<Job>; 2],
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start(usize),
    Read(usize),
    Flush(usize, usize),
    /// A PUT whose answer is not known yet.
    Put(usize, usize),
    /// Reload, read the positions, decide.
    Learn(usize, usize),
    Mark(usize),
    Crash(usize),
}

#[derive(Clone, Debug)]
struct State {
    world: World,
    processes: [Option<Process>; 2],
    starts: [u32; 2],
}

fn verdict(claim: Claim) -> Decision {
    decide(&Evidence {
        claims: &[claim],
        marks: &[],
        same_table: true,
        fits: true,
        fresh: true,
    })
}

impl World {
    /// A fan-out's start is in the ledger before its first record is read.
    fn assign(&mut self) -> Process {
        let known = Known {
            low_water: self.low_water,
            fan_out: true,
            ..Known::default()
        };
        let at = resume::decide(&known).at.unwrap_or(0);
        self.low_water.get_or_insert(0);
        Process {
            tracker: Tracker::new(at),
            lanes: [None, None],
            open: [Vec::new(), Vec::new()],
            jobs: [None, None],
        }
    }

    fn lane(&self, table: usize, resume: Offset) -> Lane {
        let position = self.positions[table];
        let until = self.streams[table].unwrap_or(0);
        let from = position.unwrap_or(resume);
        let dead = self.dead[table]
            .keys()
            .filter(|offset| (from..until).contains(offset))
            .map(|offset| (*offset, 0))
            .collect();
        let judged = Judged {
            position: self.streams[table],
            verdicts: Verdicts { until, dead },
            ..Judged::default()
        };
        Lane::new(partition(), 1, TABLES[table], resume, position, judged)
    }

    fn letters_claim(&self, table: usize, letters: &LetterRange) -> Claim {
        Claim {
            expected: letters.range.expected,
            end: letters.range.range.end,
            stored: self.streams[table],
        }
    }

    fn range_claim(&self, table: usize, range: &CommitRange) -> Claim {
        Claim {
            expected: range.expected,
            end: range.range.end,
            stored: self.positions[table],
        }
    }
}

impl Process {
    fn read(&mut self, world: &World, history: &[Record]) -> bool {
        let offset = self.tracker.read_end();
        let Some(record) = history.get(offset as usize) else {
            return false;
        };
        let (Record::Good(table) | Record::Bad(table)) = *record;
        let resume = self.tracker.resume();
        self.tracker
            .read(offset + 1, [(TABLES[table].into(), offset)], []);
        let lane = self.lanes[table].get_or_insert_with(|| world.lane(table, resume));
        if lane.accept(batch(offset)).is_none() {
            self.tracker.settled(TABLES[table], offset + 1);
            return true;
        }
        let verdicts = lane.verdicts().clone();
        // The decoder's side of rule 11.
        let was_judged = offset < verdicts.until;
        let is_dead = if was_judged {
            verdicts.dead.contains(&(offset, 0))
        } else {
            matches!(record, Record::Bad(_))
        };
        if is_dead {
            let counts = Counts {
                dead_letters: 1,
                ..Counts::default()
            };
            let letters = if was_judged {
                vec![]
            } else {
                vec![letter(offset)]
            };
            lane.add(&counts, letters);
        } else {
            let counts = Counts {
                records: 1,
                rows: 1,
                ..Counts::default()
            };
            lane.add(&counts, Vec::new());
            self.open[table].push(offset);
        }
        true
    }

    fn flush(&mut self, table: usize) -> bool {
        let Some(lane) = self.lanes[table].as_mut().filter(|lane| lane.is_open()) else {
            return false;
        };
        if self.jobs[table].is_some() {
            return false;
        }
        let rows = std::mem::take(&mut self.open[table]);
        let letters = lane.take_letters();
        let range = if rows.is_empty() {
            None
        } else {
            lane.take_range(|_| 0)
        };
        if let Some(range) = &range {
            assert_eq!(range.counts.offsets(), range.range.span(), "{range:?}");
        }
        self.jobs[table] = Some(Job {
            letters,
            range,
            rows,
            end: lane.accepted(),
        });
        true
    }

    fn put(&mut self, world: &mut World, table: usize) -> bool {
        let Some(job) = &mut self.jobs[table] else {
            return false;
        };
        if let Some(letters) = &job.letters {
            if verdict(world.letters_claim(table, letters)) != Decision::Commit {
                return false;
            }
            for letter in &letters.letters {
                *world.dead[table].entry(letter.offset).or_default() += 1;
            }
            world.streams[table] = Some(letters.range.range.end);
        } else if let Some(range) = &job.range {
            if verdict(world.range_claim(table, range)) != Decision::Commit {
                return false;
            }
            for row in &job.rows {
                *world.rows[table].entry(*row).or_default() += 1;
            }
            world.positions[table] = Some(range.range.end);
        } else {
            return false;
        }
        true
    }

    /// `None`: fenced, begin a new epoch.
    fn learn(&mut self, world: &World, table: usize) -> Option<bool> {
        let Some(job) = &mut self.jobs[table] else {
            return Some(false);
        };
        if let Some(letters) = &job.letters {
            return match verdict(world.letters_claim(table, letters)) {
                Decision::Landed => {
                    job.letters = None;
                    Some(true)
                }
                Decision::Fenced { .. } => None,
                _ => Some(false),
            };
        }
        if let Some(range) = &job.range {
            match verdict(world.range_claim(table, range)) {
                Decision::Landed => {}
                Decision::Fenced { .. } => return None,
                _ => return Some(false),
            }
        }
        let end = job.end;
        self.jobs[table] = None;
        if let Some(lane) = &mut self.lanes[table] {
            lane.settle(end);
        }
        self.tracker.settled(TABLES[table], end);
        Some(true)
    }
}

impl State {
    fn step(&self, step: Step, history: &[Record]) -> Option<State> {
        let mut next = self.clone();
        let State {
            world,
            processes,
            starts,
        } = &mut next;
        let changed = match step {
            Step::Start(p) => {
                if processes[p].is_some() || starts[p] == 2 {
                    return None;
                }
                starts[p] += 1;
                processes[p] = Some(world.assign());
                true
            }
            Step::Read(p) => processes[p].as_mut()?.read(world, history),
            Step::Flush(p, table) => processes[p].as_mut()?.flush(table),
            Step::Put(p, table) => processes[p].as_mut()?.put(world, table),
            Step::Learn(p, table) => match processes[p].as_mut()?.learn(world, table) {
                Some(changed) => changed,
                None => {
                    processes[p] = Some(world.assign());
                    true
                }
            },
            Step::Mark(p) => {
                let mark = processes[p].as_ref()?.tracker.low_water();
                let forward = world.low_water < Some(mark);
                world.low_water = world.low_water.max(Some(mark));
                forward
            }
            Step::Crash(p) => processes[p].take().is_some(),
        };
        changed.then_some(next)
    }

    fn check(&self, history: &[Record]) {
        let world = &self.world;
        for (offset, record) in history.iter().enumerate() {
            let offset = offset as Offset;
            let (Record::Good(table) | Record::Bad(table)) = *record;
            let rows = world.rows[table].get(&offset).copied().unwrap_or(0);
            let dead = world.dead[table].get(&offset).copied().unwrap_or(0);
            assert!(rows + dead <= 1, "twice: {offset} in {self:#?}");
            if world.low_water.is_some_and(|mark| offset < mark) {
                assert_eq!(
                    rows + dead,
                    1,
                    "below the mark yet nowhere: {offset} in {self:#?}"
                );
            }
        }
    }

    /// A process that knows nothing but the storage completes the history.
    fn recover(&self, history: &[Record]) {
        let mut world = self.world.clone();
        let mut process = world.assign();
        while process.read(&world, history) {}
        for table in 0..TABLES.len() {
            process.flush(table);
            for _ in 0..2 {
                process.put(&mut world, table);
                assert!(process.learn(&world, table).is_some(), "fenced by nobody");
            }
        }
        for (offset, record) in history.iter().enumerate() {
            let offset = offset as Offset;
            let (Record::Good(table) | Record::Bad(table)) = *record;
            let (rows, dead) = (
                world.rows[table].get(&offset).copied().unwrap_or(0),
                world.dead[table].get(&offset).copied().unwrap_or(0),
            );
            let expected = match record {
                Record::Good(_) => (1, 0),
                Record::Bad(_) => (0, 1),
            };
            assert_eq!(
                (rows, dead),
                expected,
                "offset {offset} after recovery from {self:#?}"
            );
        }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{self:?}").hash(&mut hasher);
        hasher.finish()
    }
}

fn explore(history: &[Record]) -> usize {
    let mut steps = Vec::new();
    for p in 0..2 {
        steps.extend([Step::Start(p), Step::Read(p), Step::Mark(p), Step::Crash(p)]);
        for table in 0..TABLES.len() {
            steps.extend([
                Step::Flush(p, table),
                Step::Put(p, table),
                Step::Learn(p, table),
            ]);
        }
    }
    let first = State {
        world: World::default(),
        processes: [None, None],
        starts: [0, 0],
    };
    let mut seen = HashSet::from([first.fingerprint()]);
    let mut recovered = BTreeSet::new();
    let mut queue = vec![first];
    while let Some(state) = queue.pop() {
        state.check(history);
        if recovered.insert(format!("{:?}", state.world)) {
            state.recover(history);
        }
        for step in &steps {
            if let Some(next) = state.step(*step, history)
                && seen.insert(next.fingerprint())
            {
                queue.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn two_processes_one_table() {
    let states = explore(&[Record::Good(0), Record::Good(0)]);
    assert!(
        states > 500,
        "only {states} states: the model does not move"
    );
}

#[test]
fn two_processes_fan_out_with_a_dead_letter() {
    let states = explore(&[Record::Bad(0), Record::Good(1), Record::Good(0)]);
    assert!(
        states > 5_000,
        "only {states} states: the model does not move"
    );
}

/// The model can fail: a mark that ignores one table loses its records.
#[test]
#[should_panic(expected = "below the mark yet nowhere")]
fn a_mark_that_ignores_a_table_is_found_out() {
    let mut state = State {
        world: World::default(),
        processes: [None, None],
        starts: [0, 0],
    };
    let history = [Record::Good(0), Record::Good(1)];
    let mut process = state.world.assign();
    while process.read(&state.world, &history) {}
    process.flush(0);
    process.put(&mut state.world, 0);
    state.world.low_water = Some(2);
    state.check(&history);
}

#[test]
fn streams_are_told_apart_by_table() {
    assert_ne!(
        letter_stream(&partition(), "a").id,
        letter_stream(&partition(), "b").id
    );
}
