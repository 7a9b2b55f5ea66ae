//! The fan-out as a model: every interleaving of two processes, crashes and lost answers over a
//! small history, with the real lanes, tracker, resume rule and commit decision.
//!
//! One source partition feeds tables A and B; one record of A is malformed. A process may be taken
//! for dead while it still commits. A table may lag at any time: what it is given is dropped before it has
//! taken it, it gives up what it holds, and the process reads again from the mark while the other table
//! goes on. In every state reached, no record stands twice (invariant 2), the
//! mark is below everything unsettled (rule 9), and a process that starts afresh from the tables
//! and the ledger alone completes the history (invariant 1, rules 1–3, 5, 9–11).

use super::{
    lane::{Lane, LetterRange, letter_stream},
    ledger::Judged,
    resume::{self, Known},
    testing::{partition, raw_batch},
    tracker::{Feed, Given, Tracker},
};
use crate::{
    commit::decide::{Claim, Decision, Evidence, decide},
    decode::Verdicts,
    event::{CommitRange, Counts, DeadLetter, Epoch, Offset, RejectReason, RoutedBatch},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fmt::{self, Write},
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Record {
    Good(usize),
    Bad(usize),
}

const TABLES: [&str; 2] = ["a", "b"];

fn batch(epoch: Epoch, offset: Offset) -> RoutedBatch {
    RoutedBatch {
        raw: Arc::new(raw_batch(epoch, [offset], offset, offset + 1)),
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
    epoch: Epoch,
    letters: Option<LetterRange>,
    range: Option<CommitRange>,
    rows: Vec<Offset>,
    end: Offset,
}

#[derive(Clone, Debug)]
struct Process {
    tracker: Tracker,
    epoch: Epoch,
    /// The first of the epochs that continue one another.
    first_epoch: Epoch,
    /// No room in the table's inbox.
    shut: [bool; 2],
    /// What the table was given and has not taken yet.
    inbox: [VecDeque<(u64, Epoch, Offset)>; 2],
    /// The epoch up to which the table takes nothing more.
    dropped: [Epoch; 2],
    lanes: [Option<Lane>; 2],
    open: [Vec<Offset>; 2],
    jobs: [Option<Job>; 2],
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start(usize),
    Read(usize),
    Take(usize, usize),
    /// A table stands still: its inbox is emptied and shut.
    Shut(usize, usize),
    /// A table that stands still gives up what no flush holds.
    GiveUp(usize, usize),
    Open(usize, usize),
    Reread(usize),
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
    /// How often a table may still be shut, and a partition read again; `None`: deliveries are taken at
    /// once and no table lags.
    lags: Option<u32>,
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
            epoch: 1,
            first_epoch: 1,
            shut: [false; 2],
            inbox: [VecDeque::new(), VecDeque::new()],
            dropped: [0; 2],
            lanes: [None, None],
            open: [Vec::new(), Vec::new()],
            jobs: [None, None],
        }
    }

    fn lane(&self, table: usize, epoch: Epoch, resume: Offset) -> Lane {
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
        Lane::new(partition(), epoch, TABLES[table], resume, position, judged)
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
    fn read(&mut self, history: &[Record]) -> bool {
        let offset = self.tracker.read_end();
        let Some(record) = history.get(offset as usize) else {
            return false;
        };
        let (Record::Good(table) | Record::Bad(table)) = *record;
        let feed = Feed {
            table: TABLES[table].into(),
            first: offset,
            withhold: self.shut[table],
        };
        match self.tracker.read(offset + 1, &[feed], [])[0] {
            Given::Numbered(share) => {
                self.inbox[table].push_back((share, self.epoch, offset));
            }
            Given::Withheld => {}
        }
        true
    }

    fn take(&mut self, world: &World, history: &[Record], table: usize) -> bool {
        let Some((share, epoch, offset)) = self.inbox[table].front().copied() else {
            return false;
        };
        if epoch != self.epoch || epoch <= self.dropped[table] {
            self.inbox[table].pop_front();
            return true;
        }
        if self.lanes[table].as_ref().is_none_or(|l| l.epoch < epoch) {
            match &mut self.lanes[table] {
                Some(lane) if self.first_epoch <= lane.epoch => lane.continue_in(epoch),
                lane => {
                    // What is held and in flight is settled first.
                    if self.jobs[table].is_some() || lane.as_ref().is_some_and(Lane::is_open) {
                        return false;
                    }
                    *lane = Some(world.lane(table, epoch, self.tracker.resume()));
                }
            }
        }
        self.inbox[table].pop_front();
        let lane = self.lanes[table].as_mut().expect("a lane");
        assert!(lane.follows(share), "a share is missing before {offset}");
        if lane.accept(batch(epoch, offset)).is_none() {
            if !lane.is_open() {
                self.tracker.settled(TABLES[table], offset + 1);
            }
            return true;
        }
        let record = &history[offset as usize];
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
            epoch: lane.epoch,
            letters,
            range,
            rows,
            end: lane.hand_on(),
        });
        true
    }

    fn shut(&mut self, table: usize) -> bool {
        for (_, epoch, offset) in std::mem::take(&mut self.inbox[table]) {
            if epoch == self.epoch {
                self.tracker.withhold(&TABLES[table].into(), offset);
            }
        }
        !std::mem::replace(&mut self.shut[table], true)
    }

    fn give_up(&mut self, table: usize) -> bool {
        let Some(lane) = self.lanes[table].take_if(|lane| lane.is_open()) else {
            return false;
        };
        self.open[table].clear();
        self.dropped[table] = lane.epoch;
        if lane.epoch == self.epoch {
            self.tracker.withhold(&TABLES[table].into(), lane.handed());
        }
        true
    }

    /// A new epoch, from the ledger's mark.
    fn reread(&mut self, world: &World) -> bool {
        if self.tracker.withheld().is_empty() {
            return false;
        }
        let at = world.low_water.unwrap_or(0);
        self.epoch += 1;
        if at <= self.tracker.low_water() {
            let earlier = std::mem::replace(&mut self.tracker, Tracker::new(at));
            self.tracker = Tracker::following(at, earlier);
        } else {
            self.first_epoch = self.epoch;
            self.tracker = Tracker::new(at);
        }
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
        let (epoch, end) = (job.epoch, job.end);
        self.jobs[table] = None;
        if let Some(lane) = &mut self.lanes[table]
            && lane.holds(epoch)
        {
            lane.settle(end);
        }
        if (self.first_epoch..=self.epoch).contains(&epoch) {
            self.tracker.settled(TABLES[table], end);
        }
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
            lags,
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
            Step::Read(p) => {
                let process = processes[p].as_mut()?;
                let read = process.read(history);
                for table in 0..TABLES.len() {
                    while lags.is_none() && process.take(world, history, table) {}
                }
                read
            }
            Step::Take(p, table) => processes[p].as_mut()?.take(world, history, table),
            Step::Shut(p, table) => {
                *lags = Some(lags.as_ref()?.checked_sub(1)?);
                processes[p].as_mut()?.shut(table)
            }
            Step::GiveUp(p, table) => {
                let process = processes[p].as_mut()?;
                process.shut[table] && process.give_up(table)
            }
            Step::Open(p, table) => {
                std::mem::replace(&mut processes[p].as_mut()?.shut[table], false)
            }
            Step::Reread(p) => {
                *lags = Some(lags.as_ref()?.checked_sub(1)?);
                processes[p].as_mut()?.reread(world)
            }
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
        let told = self.processes.iter().flatten();
        let mark = told
            .map(|process| process.tracker.low_water())
            .chain(world.low_water)
            .max();
        for (offset, record) in history.iter().enumerate() {
            let offset = offset as Offset;
            let (Record::Good(table) | Record::Bad(table)) = *record;
            let rows = world.rows[table].get(&offset).copied().unwrap_or(0);
            let dead = world.dead[table].get(&offset).copied().unwrap_or(0);
            assert!(rows + dead <= 1, "twice: {offset} in {self:#?}");
            if mark.is_some_and(|mark| offset < mark) {
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
        let process = world.assign();
        self.complete(process, world, history, "recovery");
    }

    /// So does one that goes on, once its tables have room, if nobody else writes.
    fn go_on(&self, history: &[Record]) {
        if let [Some(process), None] | [None, Some(process)] = &self.processes {
            let fresh = |table: usize| {
                let job = process.jobs[table].as_ref();
                let letters = job.and_then(|job| job.letters.as_ref());
                let range = job.and_then(|job| job.range.as_ref());
                let claims = [
                    letters.map(|letters| self.world.letters_claim(table, letters)),
                    range.map(|range| self.world.range_claim(table, range)),
                ];
                claims
                    .into_iter()
                    .flatten()
                    .all(|claim| !matches!(verdict(claim), Decision::Fenced { .. }))
            };
            let alone = self.starts.iter().sum::<u32>() == 1;
            if alone && fresh(0) && fresh(1) {
                self.complete(process.clone(), self.world.clone(), history, "going on");
            }
        }
    }

    fn complete(&self, mut process: Process, mut world: World, history: &[Record], how: &str) {
        process.shut = [false; 2];
        loop {
            while process.read(history) {}
            for table in 0..TABLES.len() {
                // Flushes under way first: a new epoch may wait for them.
                for _ in 0..2 {
                    process.flush(table);
                    for _ in 0..2 {
                        process.put(&mut world, table);
                        let learnt = process.learn(&world, table);
                        assert!(learnt.is_some(), "fenced by nobody in {self:#?}");
                    }
                    while process.take(&world, history, table) {}
                }
                process.flush(table);
                for _ in 0..2 {
                    process.put(&mut world, table);
                    let learnt = process.learn(&world, table);
                    assert!(learnt.is_some(), "fenced by nobody in {self:#?}");
                }
            }
            if !process.reread(&world) {
                break;
            }
        }
        assert_eq!(
            process.tracker.low_water(),
            history.len() as Offset,
            "the mark after {how} from {self:#?}"
        );
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
                "offset {offset} after {how} from {self:#?}"
            );
        }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = TextHasher::default();
        write!(hasher, "{self:?}").expect("a hasher takes everything");
        hasher.0.finish()
    }
}

/// Hashes text as it is written.
#[derive(Default)]
struct TextHasher(DefaultHasher);

impl fmt::Write for TextHasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn explore(history: &[Record], processes: usize, lags: Option<u32>) -> usize {
    let mut steps = Vec::new();
    for p in 0..processes {
        steps.extend([Step::Start(p), Step::Read(p), Step::Mark(p), Step::Crash(p)]);
        for table in (0..TABLES.len()).filter(|_| lags.is_some()) {
            steps.extend([
                Step::Take(p, table),
                Step::Shut(p, table),
                Step::GiveUp(p, table),
                Step::Open(p, table),
                Step::Reread(p),
            ]);
        }
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
        lags,
    };
    let mut seen = HashSet::from([first.fingerprint()]);
    let mut recovered = BTreeSet::new();
    let mut queue = vec![first];
    while let Some(state) = queue.pop() {
        state.check(history);
        if recovered.insert(format!("{:?}", state.world)) {
            state.recover(history);
        }
        state.go_on(history);
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
    let states = explore(&[Record::Good(0), Record::Good(0)], 2, None);
    assert!(
        states > 500,
        "only {states} states: the model does not move"
    );
}

#[test]
fn two_processes_fan_out_with_a_dead_letter() {
    let states = explore(&[Record::Bad(0), Record::Good(1), Record::Good(0)], 2, None);
    assert!(
        states > 5_000,
        "only {states} states: the model does not move"
    );
}

#[test]
fn a_table_lags_and_catches_up() {
    let history = [Record::Good(0), Record::Good(1), Record::Bad(0)];
    let states = explore(&history, 1, Some(2));
    assert!(
        states > 5_000,
        "only {states} states: the model does not move"
    );
}

#[test]
fn a_table_lags_while_another_process_writes() {
    let states = explore(&[Record::Good(0), Record::Good(0)], 2, Some(1));
    assert!(
        states > 5_000,
        "only {states} states: the model does not move"
    );
}

/// The model can fail: a table that is given a share behind one that was withheld.
#[test]
#[should_panic(expected = "a share is missing before 1")]
fn a_share_behind_a_withheld_one_is_found_out() {
    let mut world = World::default();
    let history = [Record::Good(0), Record::Good(0)];
    let mut process = world.assign();
    process.shut(0);
    process.read(&history);
    process.inbox[0].push_back((1, 1, 1));
    process.take(&world, &history, 0);
}

/// The model can fail: a mark that ignores one table loses its records.
#[test]
#[should_panic(expected = "below the mark yet nowhere")]
fn a_mark_that_ignores_a_table_is_found_out() {
    let mut state = State {
        world: World::default(),
        processes: [None, None],
        starts: [0, 0],
        lags: None,
    };
    let history = [Record::Good(0), Record::Good(1)];
    let mut process = state.world.assign();
    while process.read(&history) {}
    while process.take(&state.world, &history, 0) {}
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
