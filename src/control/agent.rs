//! The task that serves a warehouse: what tables want is gathered, and one wake-up serves them all.

mod entry;

use self::entry::{Begun, Entry};
use super::{
    error::ControlError,
    sql::{Statement, alterations},
    turn::{self, Failure, Wants},
    warehouse::{SqlRunner, Target},
};
use crate::{error::Kind, schema::SchemaChange};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// After the first table wants something, others may join before the warehouse is asked.
const GATHER: Duration = Duration::from_secs(3);

/// The desk of one warehouse. Cheap to clone; asking never waits.
#[derive(Clone)]
pub struct Agent {
    shared: Arc<Shared>,
}

struct Shared {
    connection: String,
    runner: Arc<dyn SqlRunner>,
    /// By name and place: two tables that a catalog would give one name are two here, and the second is told so.
    tables: Mutex<BTreeMap<String, Entry>>,
    /// What was last told of all tables, and whether the warehouse had been woken by then.
    told: Mutex<Option<(String, bool)>>,
    news: Notify,
}

/// A table whose catalog is not what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// `catalog.schema.table`.
    pub table: String,
    /// Columns and types that are to come.
    pub changes: usize,
    /// It is about to be tried, or being tried: the problem is of the time before.
    pub is_tried: bool,
    /// The last failure, with what would mend it.
    pub problem: Option<(Kind, String)>,
}

impl Waiting {
    /// Whether waiting alone may help: nobody has said no to what is wanted now.
    pub fn may_come(&self) -> bool {
        let kind = self.problem.as_ref().map(|(kind, _)| *kind);
        self.is_tried || kind.is_none_or(|kind| kind.is_retryable() || kind == Kind::Conflict)
    }
}

/// One table's part of a round.
struct Turn {
    key: String,
    target: Target,
    wants: Wants,
    is_whole: bool,
    statements: Vec<Statement>,
    outcome: Result<(), Failure>,
}

impl Agent {
    /// The desk, and the task that serves it until `cancel`.
    pub fn new(
        connection: &str,
        runner: Arc<dyn SqlRunner>,
        cancel: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let agent = Self {
            shared: Arc::new(Shared {
                connection: connection.to_owned(),
                runner,
                tables: Mutex::default(),
                told: Mutex::default(),
                news: Notify::new(),
            }),
        };
        let shared = agent.shared.clone();
        let task = async move {
            tokio::select! {
                () = shared.serve() => {}
                () = cancel.cancelled() => {}
            }
        };
        (agent, task)
    }

    /// Sees to it that the catalog has the table, as soon as its log is there.
    pub fn register(&self, target: &Target) {
        self.ask(target, Entry::register);
    }

    /// Columns or types that the table is to get. Asked again, the same costs nothing. Returned is why some cannot be
    /// written as SQL; those stay in `_rescued_data`.
    pub fn want(&self, target: &Target, changes: &[SchemaChange]) -> Vec<ControlError> {
        self.want_within(target, changes, usize::MAX)
    }

    /// The same for a table that may get `room` columns more, those wanted before included. What finds no room is not
    /// kept: it is decided anew once the rest stands. So what waits for a warehouse is bounded, however long it takes.
    pub fn want_within(
        &self,
        target: &Target,
        changes: &[SchemaChange],
        room: usize,
    ) -> Vec<ControlError> {
        let (mut possible, mut refused) = (Vec::new(), Vec::new());
        for change in changes {
            match alterations(&target.name, std::slice::from_ref(change)) {
                Ok(_) => possible.push(change.clone()),
                Err(error) => refused.push(error),
            }
        }
        self.ask(target, |entry| entry.want(&possible, room));
        refused
    }

    /// The log's schema was changed by us: the catalog is to take it over.
    pub fn sync(&self, target: &Target) {
        self.ask(target, Entry::sync);
    }

    /// Why the last turn of a table failed, with what would mend it.
    pub fn problem(&self, target: &Target) -> Option<String> {
        let tables = self.shared.tables.lock();
        let entry = tables.get(&key(target))?;
        entry.told.clone()
    }

    /// The tables of which something is wanted, or under way, and not done yet.
    pub fn waiting(&self) -> Vec<Waiting> {
        let tables = self.shared.tables.lock();
        let waiting = tables
            .values()
            .filter(|entry| entry.at_work || !entry.wants.is_done());
        waiting
            .map(|entry| Waiting {
                table: entry.target.name.to_string(),
                changes: entry.wants.all_changes().len(),
                is_tried: entry.at_work || entry.asked && !entry.is_retried,
                problem: entry.kind.zip(entry.told.clone()),
            })
            .collect()
    }

    /// What is wanted of a table and not done yet.
    pub fn pending(&self, target: &Target) -> Vec<SchemaChange> {
        let tables = self.shared.tables.lock();
        let entry = tables.get(&key(target));
        entry.map_or_else(Vec::new, |entry| entry.wants.all_changes())
    }

    fn ask(&self, target: &Target, add: impl FnOnce(&mut Entry) -> bool) {
        let mut tables = self.shared.tables.lock();
        let entry = tables
            .entry(key(target))
            .or_insert_with(|| Entry::new(target));
        if add(entry) {
            entry.asked = true;
            entry.is_retried = false;
            self.shared.news.notify_one();
        }
    }
}

impl Shared {
    async fn serve(&self) {
        loop {
            let due = self.next_due();
            tokio::select! {
                () = self.news.notified() => {}
                () = until(due) => {}
            }
            // What others want in this moment goes along.
            if self.next_due().is_some_and(|due| due <= Instant::now()) {
                tokio::time::sleep(GATHER).await;
                self.round().await;
            }
        }
    }

    /// When the next table is due that still wants something.
    fn next_due(&self) -> Option<Instant> {
        let tables = self.tables.lock();
        tables.values().filter_map(Entry::due).min()
    }

    /// Serves all tables that are due.
    async fn round(&self) {
        let mut turns = self.begin();
        let mut reached = Ok(());
        for turn in &mut turns {
            if let Err(error) = &reached {
                turn.outcome = Err(Failure::common(error));
                continue;
            }
            match turn::statements(&*self.runner, &turn.target, &mut turn.wants).await {
                Ok(statements) => turn.statements = statements,
                Err(error) => {
                    if error.is_common() {
                        reached = Err(error.clone());
                    }
                    turn.outcome = Err(error.into());
                }
            }
        }
        // Only statements wake a warehouse.
        let mut is_woken = false;
        if reached.is_ok() && turns.iter().any(|turn| !turn.statements.is_empty()) {
            is_woken = true;
            reached = self.runner.ensure_running().await;
            // What a lost token keeps from asking wakes nothing.
            if !reached.as_ref().is_err_and(ControlError::is_common) {
                metrics::counter!("alluvium_control_wakeups_total", "connection" => self.connection.clone())
                    .increment(1);
            }
        }
        for turn in &mut turns {
            self.run(turn, &mut reached).await;
        }
        if !turns.is_empty() {
            self.tell_common(&reached, is_woken);
        }
        // Daemons that failed together do not come back together; the tables of one do, in one wake-up.
        let jitter = 0.75 + fastrand::f64() / 4.0;
        for turn in turns {
            self.end(turn, jitter).await;
        }
        self.count();
    }

    /// Runs a table's statements, unless what `reached` tells keeps all tables from theirs. What keeps this one from
    /// them in the same way is told there.
    async fn run(&self, turn: &mut Turn, reached: &mut Result<(), ControlError>) {
        if turn.statements.is_empty() || turn.outcome.is_err() {
            return;
        }
        let statements = std::mem::take(&mut turn.statements);
        turn.outcome = match reached {
            Ok(()) => turn::run(&*self.runner, &turn.target, &mut turn.wants, statements).await,
            Err(error) => Err(Failure {
                statement: statements.into_iter().next(),
                ..Failure::common(error)
            }),
        };
        if let Err(failure) = &turn.outcome
            && failure.is_common
        {
            *reached = Err(failure.error.clone());
        }
    }

    /// What keeps all tables waiting is told once, not of each. A warehouse that nobody woke is not known to work.
    fn tell_common(&self, reached: &Result<(), ControlError>, is_woken: bool) {
        let connection = &self.connection;
        let mut told = self.told.lock();
        match reached {
            Ok(()) => {
                if told.take_if(|(_, woken)| is_woken || !*woken).is_some() {
                    tracing::info!(connection, "the warehouse takes statements again");
                }
            }
            Err(error) => {
                let (kind, text) = (error.kind().as_str(), error.to_string());
                let last = told.as_ref().map(|(text, _)| text.as_str());
                if !is_told(last, &text) {
                    tracing::error!(
                        connection,
                        kind,
                        "the warehouse takes no statements; data goes on, new fields stand in _rescued_data, and it is tried again; `alluvium schema plan` prints the statements: {text}"
                    );
                    *told = Some((text, is_woken));
                }
            }
        }
    }

    fn begin(&self) -> Vec<Turn> {
        let now = Instant::now();
        let mut tables = self.tables.lock();
        let mut turns = Vec::new();
        for (key, entry) in tables.iter_mut() {
            if let Some(Begun { wants, is_whole }) = entry.begin(now) {
                turns.push(Turn {
                    key: key.clone(),
                    target: entry.target.clone(),
                    wants,
                    is_whole,
                    statements: Vec::new(),
                    outcome: Ok(()),
                });
            }
        }
        turns
    }

    /// Takes the outcome into account, with what was asked for meanwhile.
    async fn end(&self, turn: Turn, jitter: f64) {
        let told = match &turn.outcome {
            Ok(()) => None,
            Err(failure) => Some(failure.told(&*self.runner).await),
        };
        let mut tables = self.tables.lock();
        let Some(entry) = tables.get_mut(&turn.key) else {
            return;
        };
        let table = &turn.target.name.full_name();
        let connection = &self.connection;
        entry.settle(&turn.wants);
        match (told, turn.outcome) {
            (Some(told), Err(failure)) => {
                let kind = failure.error.kind().as_str();
                metrics::counter!("alluvium_errors_total", "stage" => "control", "kind" => kind)
                    .increment(1);
                entry.failed(&failure, turn.is_whole, jitter);
                // Once: what is new is said, not how often it was tried.
                if !failure.is_common && !is_told(entry.told.as_deref(), &told) {
                    let again = match failure.is_refusal() {
                        true => {
                            "it is tried again after pauses of up to 6 hours, and at once by `alluvium schema apply`"
                        }
                        false => "it is tried again",
                    };
                    tracing::error!(
                        table,
                        connection,
                        kind,
                        "the catalog's table could not be changed; its data goes on, new fields stand in _rescued_data, and {again}: {told}"
                    );
                }
                entry.told = Some(told);
            }
            _ => {
                if entry.succeeded() {
                    tracing::info!(table, connection, "the catalog's table could be changed");
                }
            }
        }
    }

    fn count(&self) {
        let tables = self.tables.lock();
        let wants = tables.values().map(|entry| &entry.wants);
        let pending: usize = wants
            .map(|wants| wants.all_changes().len() + usize::from(wants.sync))
            .sum();
        let failing = tables.values().filter(|entry| entry.failures > 0).count();
        let gauge = |name: &'static str, value: usize| {
            metrics::gauge!(name, "connection" => self.connection.clone()).set(value as f64);
        };
        gauge("alluvium_control_pending_changes", pending);
        gauge("alluvium_control_failing_tables", failing);
    }
}

/// Whether the text says what was told last.
fn is_told(last: Option<&str>, text: &str) -> bool {
    last.is_some_and(|last| without_ids(last) == without_ids(text))
}

/// The text without the ids of statements and requests (hexadecimal, with or without hyphens), which are others at
/// each try.
fn without_ids(text: &str) -> String {
    const SHORTEST_ID: usize = 16;
    let is_of_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(is_of_id) {
        out.push_str(&rest[..start]);
        let run = &rest[start..];
        let end = run.find(|c: char| !is_of_id(c)).unwrap_or(run.len());
        if end < SHORTEST_ID {
            out.push_str(&run[..end]);
        }
        rest = &run[end..];
    }
    out.push_str(rest);
    out
}

fn key(target: &Target) -> String {
    format!("{} {}", target.name.full_name(), target.location.url())
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
