//! The agent on a virtual clock, with a catalog and a warehouse by script and tables in memory.
//!
//! Past 500 lines: what it is given stands beside the tests.

use super::{entry::REFUSED_PAUSE, *};
use crate::{
    control::{
        CatalogColumn, Logged, Result,
        sql::{Location, TableName},
        testing::{AUTO_STOP, Fault, Lake, Read, Scripted, refused},
    },
    schema::{ColumnType, TableSchema, types},
    telemetry::testing::listen,
};
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tables by their locations.
#[derive(Default)]
struct Memory {
    tables: Mutex<BTreeMap<String, Arc<TableSchema>>>,
    changed: AtomicUsize,
}

#[async_trait::async_trait]
impl Lake for Memory {
    async fn alter(&self, location: &str, changes: &[SchemaChange]) -> Result<()> {
        let mut tables = self.tables.lock();
        let table = tables.get_mut(location).expect("a table");
        for change in changes {
            if let SchemaChange::AddColumn { parent, field } = change
                && parent.is_empty()
                && table.columns.field_with_name(field.name()).is_ok()
            {
                return Err(refused(Kind::InvalidData, "FIELD_ALREADY_EXISTS"));
            }
        }
        *table = Arc::new(table.apply(changes).expect("changes that apply"));
        Ok(())
    }

    fn columns(&self, location: &str) -> Option<Vec<CatalogColumn>> {
        let tables = self.tables.lock();
        let fields = tables.get(location)?.columns.fields();
        let columns = fields.iter().map(|field| CatalogColumn {
            name: field.name().clone(),
            type_text: types::to_sql(field.data_type()).expect("a type"),
        });
        Some(columns.collect())
    }
}

struct MemoryLog(Arc<Memory>, String);

#[async_trait::async_trait]
impl Logged for MemoryLog {
    async fn schema(&self) -> Result<Option<Arc<TableSchema>>> {
        let found = self.0.tables.lock().get(&self.1).cloned();
        // A store answers later: who looks at once may see the same.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(found)
    }

    fn changed(&self) {
        self.0.changed.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bench {
    memory: Arc<Memory>,
    warehouse: Arc<Scripted>,
    agent: Agent,
    _stop: tokio_util::sync::DropGuard,
}

impl Bench {
    fn new() -> Self {
        let memory = Arc::new(Memory::default());
        let warehouse = Scripted::new(memory.clone());
        let (agent, _stop) = start(&warehouse);
        Self {
            memory,
            warehouse,
            agent,
            _stop,
        }
    }

    /// A table with a column `id`, which the catalog knows.
    fn table(&self, name: &str) -> Target {
        let target = self.unregistered(name);
        self.warehouse
            .register(&target, "EXTERNAL", target.location.url());
        target
    }

    fn unregistered(&self, name: &str) -> Target {
        let location = Location::parse(&format!("s3://lake/{name}")).unwrap();
        let schema = TableSchema::new(
            Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)])),
            Vec::new(),
        );
        let mut tables = self.memory.tables.lock();
        tables.insert(location.url().to_owned(), Arc::new(schema));
        Target {
            name: TableName::new("main", "web", name).unwrap(),
            log: Arc::new(MemoryLog(self.memory.clone(), location.url().to_owned())),
            location,
            comment: None,
        }
    }

    /// The principal lacks the right for every statement.
    fn refuse_all(&self) {
        self.warehouse.fails(|_| {
            let refused = refused(Kind::Unauthorized, "INSUFFICIENT_PERMISSIONS");
            Some(Fault::Refused(refused))
        });
    }

    fn columns(&self, target: &Target) -> Vec<String> {
        let tables = self.memory.tables.lock();
        let fields = tables[target.location.url()].columns.fields().clone();
        fields.iter().map(|field| field.name().clone()).collect()
    }

    fn starts(&self) -> usize {
        self.warehouse.starts.lock().len()
    }
}

fn start(warehouse: &Arc<Scripted>) -> (Agent, tokio_util::sync::DropGuard) {
    let cancel = CancellationToken::new();
    let (agent, task) = Agent::new("prod", warehouse.clone(), cancel.clone());
    tokio::spawn(task);
    (agent, cancel.drop_guard())
}

fn add(name: &str, of: &str) -> SchemaChange {
    let data_type = ColumnType(of.into()).to_arrow().unwrap();
    SchemaChange::AddColumn {
        parent: Vec::new(),
        field: Arc::new(Field::new(name, data_type, true)),
    }
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_wake_up_serves_all_tables_and_each_has_its_columns_in_one_statement() {
    let bench = Bench::new();
    let (clicks, orders) = (bench.table("clicks"), bench.table("orders"));
    bench.agent.want(&clicks, &[add("a", "long")]);
    after(1).await;
    bench
        .agent
        .want(&clicks, &[add("b", "string"), add("a", "long")]);
    bench.agent.want(&orders, &[add("c", "double")]);
    after(30).await;
    assert_eq!(
        bench.warehouse.statements(),
        [
            "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`a` BIGINT, `b` STRING)",
            "ALTER TABLE `main`.`web`.`orders` ADD COLUMNS (`c` DOUBLE)",
        ]
    );
    assert_eq!(bench.starts(), 1);
    assert_eq!(bench.columns(&clicks), ["id", "a", "b"]);
    assert_eq!(bench.agent.pending(&clicks), []);
    assert_eq!(bench.memory.changed.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_day_without_news_costs_the_warehouse_nothing() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.agent.register(&target);
    // What stands already is asked for by every batch of a daemon that has just started.
    for _ in 0..24 {
        bench.agent.want(&target, &[add("id", "long")]);
        after(3_600).await;
    }
    assert_eq!(bench.starts(), 0);
    assert_eq!(bench.warehouse.statements(), [""; 0]);
    // And after work it is left alone until it stops.
    bench.agent.want(&target, &[add("a", "long")]);
    after(86_400).await;
    assert_eq!(bench.starts(), 1);
    let used = bench.warehouse.used.lock().unwrap();
    assert!(used.elapsed() > Duration::from_secs(86_000) && used.elapsed() > AUTO_STOP);
}

#[tokio::test(start_paused = true)]
async fn a_table_the_catalog_does_not_know_is_registered_where_its_log_is() {
    let bench = Bench::new();
    let target = bench.unregistered("clicks");
    let log = bench.memory.tables.lock().remove(target.location.url());
    bench.agent.register(&target);
    after(60).await;
    assert_eq!(bench.warehouse.statements(), [""; 0], "there is no log yet");
    let url = target.location.url().to_owned();
    bench.memory.tables.lock().insert(url, log.unwrap());
    bench.agent.want(&target, &[add("a", "long")]);
    after(60).await;
    assert_eq!(
        bench.warehouse.statements(),
        [
            "CREATE SCHEMA IF NOT EXISTS `main`.`web`",
            "CREATE TABLE IF NOT EXISTS `main`.`web`.`clicks` USING DELTA LOCATION 's3://lake/clicks'",
            "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`a` BIGINT)",
        ]
    );
    assert_eq!(bench.agent.problem(&target), None);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_ours_is_taken_over_by_the_catalog() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.agent.sync(&target);
    bench.agent.sync(&target);
    after(60).await;
    let sync = "MSCK REPAIR TABLE `main`.`web`.`clicks` SYNC METADATA";
    assert_eq!(bench.warehouse.statements(), [sync]);
    bench.agent.sync(&target);
    after(60).await;
    assert_eq!(bench.warehouse.statements(), [sync, sync]);
}

/// Who ends a run by it must not cut off what a warehouse was just woken for.
#[tokio::test(start_paused = true)]
async fn a_table_waits_for_as_long_as_its_turn_takes() {
    let memory = Arc::new(Memory::default());
    let mut warehouse = Scripted::new(memory.clone());
    Arc::get_mut(&mut warehouse).unwrap().start_takes = Duration::from_secs(300);
    let (agent, _stop) = start(&warehouse);
    let bench = Bench {
        memory,
        warehouse,
        agent,
        _stop,
    };
    let target = bench.table("clicks");
    bench.agent.register(&target);
    after(10).await;
    assert_eq!(bench.agent.waiting(), []);
    bench.agent.sync(&target);
    after(60).await;
    let waiting = bench.agent.waiting();
    assert!(waiting.iter().any(Waiting::may_come), "{waiting:?}");
    after(300).await;
    assert_eq!(bench.warehouse.statements(), [SYNC]);
    assert_eq!(bench.agent.waiting(), []);
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_once_with_its_grant_and_tried_ever_more_rarely() {
    let (lines, _listening) = listen();
    let bench = Bench::new();
    let target = bench.table("clicks");
    let tries = AtomicUsize::new(0);
    bench.warehouse.fails(move |_| {
        // As a workspace does, with an id of each statement and request.
        let id = tries.fetch_add(1, Ordering::Relaxed);
        Some(Fault::Refused(ControlError::Statement {
            kind: Kind::Unauthorized,
            condition: Some("INSUFFICIENT_PERMISSIONS".into()),
            message: format!(
                "no [ReqId: 036b6a39-1e9e-45ba-bd34-{id:012x}], statement=`01f1ca7c-9f58-4c11-83dc-{id:012x}`"
            ),
        }))
    });
    bench.agent.want(&target, &[add("a", "long")]);
    after(6 * 3_600).await;
    let times: Vec<_> = bench
        .warehouse
        .journal
        .lock()
        .iter()
        .map(|(at, _)| *at)
        .collect();
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] < Duration::from_secs(30), "{pauses:?}");
    assert!(pauses[4] > Duration::from_secs(120), "{pauses:?}");
    let longest = pauses.iter().max().unwrap();
    assert!(
        *longest <= REFUSED_PAUSE + Duration::from_secs(60),
        "{pauses:?}"
    );
    assert!(pauses.len() < 25, "{pauses:?}");
    let text = lines.text();
    assert_eq!(text.matches("could not be changed").count(), 1, "{text}");
    for part in [
        "INSUFFICIENT_PERMISSIONS",
        "GRANT MODIFY ON TABLE `main`.`web`.`clicks` TO `app-1`",
        "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`a` BIGINT)",
        "data goes on",
        "at once by `alluvium schema apply`",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(bench.columns(&target), ["id"]);
    assert_eq!(bench.agent.pending(&target), [add("a", "long")]);

    *bench.warehouse.judge.lock() = None;
    after(REFUSED_PAUSE.as_secs() + 60).await;
    assert_eq!(bench.columns(&target), ["id", "a"]);
    assert_eq!(bench.agent.problem(&target), None);
}

/// Each try wakes the warehouse, and a person is to mend it.
#[tokio::test(start_paused = true)]
async fn what_is_refused_wakes_a_warehouse_a_few_times_a_day() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.refuse_all();
    bench.agent.want(&target, &[add("a", "long")]);
    after(86_400).await;
    let first = bench.starts();
    after(7 * 86_400).await;
    let more = bench.starts() - first;
    assert!((28..40).contains(&more), "{more} in a week");
    // Another column is tried at once, and brings the first one along.
    *bench.warehouse.judge.lock() = None;
    bench.agent.want(&target, &[add("b", "long")]);
    after(10).await;
    assert_eq!(bench.columns(&target), ["id", "a", "b"]);
    assert_eq!(bench.agent.problem(&target), None);
}

/// Fields that appear again and again do not wake it each.
#[tokio::test(start_paused = true)]
async fn news_that_is_refused_like_the_rest_comes_ever_more_rarely() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.refuse_all();
    for n in 0..600 {
        bench.agent.want(&target, &[add(&format!("a{n}"), "long")]);
        after(60).await;
    }
    let tries = bench.warehouse.statements().len();
    assert!((20..45).contains(&tries), "{tries} in ten hours");
}

/// A column that is refused as it is stays out of the way of the next.
#[tokio::test(start_paused = true)]
async fn a_refused_column_stands_aside_for_new_ones() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.warehouse.fails(|read| match read {
        Read::AddColumns(_, columns) if columns.iter().any(|(_, f)| f.name() == "bad") => {
            Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME")))
        }
        _ => None,
    });
    bench.agent.want(&target, &[add("bad", "long")]);
    after(6 * 3_600).await;
    let before = bench.warehouse.statements().len();
    let may_come = || bench.agent.waiting().iter().any(Waiting::may_come);
    assert!(!may_come());
    for name in ["b", "c"] {
        bench
            .agent
            .want(&target, &[add(name, "long"), add("bad", "long")]);
        assert!(may_come(), "`{name}` is worth to wait for");
        after(10).await;
        assert!(!may_come());
    }
    assert_eq!(bench.columns(&target), ["id", "b", "c"]);
    let news = &bench.warehouse.statements()[before..];
    assert_eq!(
        news,
        [
            "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`b` BIGINT)",
            "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`c` BIGINT)",
        ]
    );
    assert_eq!(bench.agent.pending(&target), [add("bad", "long")]);
    assert!(bench.agent.problem(&target).is_some());
    // Its own time comes too.
    *bench.warehouse.judge.lock() = None;
    after(REFUSED_PAUSE.as_secs() + 60).await;
    assert_eq!(bench.columns(&target), ["id", "b", "c", "bad"]);
    assert_eq!(bench.agent.problem(&target), None);
}

/// A warehouse that does not answer says nothing of what is new.
#[tokio::test(start_paused = true)]
async fn news_that_meets_a_passing_error_does_not_wait_for_what_was_refused() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let passing = Mutex::new(None);
    let passing = Arc::new(passing);
    let once = passing.clone();
    bench.warehouse.fails(move |read| match read {
        Read::AddColumns(_, columns) if columns.iter().any(|(_, f)| f.name() == "bad") => {
            Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME")))
        }
        _ => once.lock().take(),
    });
    bench.agent.want(&target, &[add("bad", "long")]);
    after(6 * 3_600).await;
    *passing.lock() = Some(Fault::Refused(ControlError::Service {
        kind: Kind::Unavailable,
        message: "503".into(),
    }));
    bench.agent.want(&target, &[add("b", "long")]);
    after(60).await;
    assert!(passing.lock().is_none(), "it has failed");
    assert_eq!(bench.columns(&target), ["id", "b"]);
    bench.agent.want(&target, &[add("c", "long")]);
    after(10).await;
    assert_eq!(bench.columns(&target), ["id", "b", "c"]);
}

/// A run need not wait for a token that a person is to renew; a daemon goes on soon once it is.
#[tokio::test(start_paused = true)]
async fn news_that_meets_a_lost_token_is_not_worth_to_wait_for() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.warehouse.fails(|read| match read {
        Read::AddColumns(_, columns) if columns.iter().any(|(_, f)| f.name() == "bad") => {
            Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME")))
        }
        _ => None,
    });
    bench.agent.want(&target, &[add("bad", "long")]);
    after(6 * 3_600).await;
    *bench.warehouse.unreachable.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    bench.agent.want(&target, &[add("b", "long")]);
    after(10).await;
    assert!(!bench.agent.waiting().iter().any(Waiting::may_come));
    *bench.warehouse.unreachable.lock() = None;
    after(90).await;
    assert_eq!(bench.columns(&target), ["id", "b"]);
}

/// `alluvium schema apply` is another process: the writer sees the log change, and tells.
#[tokio::test(start_paused = true)]
async fn what_a_person_mends_by_hand_is_over_at_once() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.refuse_all();
    bench.agent.want(&target, &[add("a", "long")]);
    after(6 * 3_600).await;
    *bench.warehouse.judge.lock() = None;
    let changes = bench.agent.pending(&target);
    let done = turn::apply(&*bench.warehouse, &target, changes, false).await;
    assert_eq!(done.unwrap().len(), 1);
    let tries = bench.warehouse.statements().len();
    bench.agent.register(&target);
    after(10).await;
    assert_eq!(bench.agent.problem(&target), None);
    assert_eq!(bench.agent.pending(&target), []);
    assert_eq!(bench.warehouse.statements().len(), tries);
}

/// The token ends while many tables want something: one line, and DDL goes on with the new one, soon.
#[tokio::test(start_paused = true)]
async fn a_lost_token_is_told_once_for_all_tables_and_a_new_one_is_found_soon() {
    let (lines, _listening) = listen();
    let bench = Bench::new();
    let tables: Vec<Target> = (0..20)
        .map(|n| bench.unregistered(&format!("t{n}")))
        .collect();
    *bench.warehouse.unreachable.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    for table in &tables {
        bench.agent.want(table, &[add("a", "long")]);
    }
    after(6 * 3_600).await;
    let text = lines.text();
    assert_eq!(text.matches("does not take the token").count(), 1, "{text}");
    let looks = bench.warehouse.looks.load(Ordering::Relaxed);
    assert!(looks < 500, "one of them asks for all: {looks}");
    assert_eq!(bench.starts(), 0);
    *bench.warehouse.unreachable.lock() = None;
    after(150).await;
    for table in &tables {
        assert_eq!(bench.columns(table), ["id", "a"]);
    }
    // And when it is lost again, that is told again.
    *bench.warehouse.unreachable.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    bench
        .agent
        .want(&bench.unregistered("late"), &[add("a", "long")]);
    after(60).await;
    let text = lines.text();
    assert_eq!(text.matches("does not take the token").count(), 2, "{text}");
}

/// No grant of a table's mends it, and who we are is not asked for each of them.
#[tokio::test(start_paused = true)]
async fn of_a_lost_token_no_table_is_told_its_grants() {
    let bench = Bench::new();
    let tables: Vec<Target> = (0..20).map(|n| bench.table(&format!("t{n}"))).collect();
    for table in &tables {
        bench.agent.register(table);
    }
    after(60).await;
    *bench.warehouse.broken.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    for table in &tables {
        bench.agent.want(table, &[add("a", "long")]);
    }
    after(3_600).await;
    assert_eq!(bench.warehouse.principals.load(Ordering::Relaxed), 0);
    for table in &tables {
        let problem = bench.agent.problem(table).unwrap();
        assert!(problem.contains("ADD COLUMNS"), "{problem}");
        assert!(!problem.contains("GRANT"), "{problem}");
    }
    *bench.warehouse.broken.lock() = None;
    after(100).await;
    assert_eq!(bench.columns(&tables[0]), ["id", "a"]);
}

/// It is read again and run again, not put off.
#[tokio::test(start_paused = true)]
async fn a_transaction_that_was_aborted_is_tried_again_at_once() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let first = Mutex::new(true);
    bench.warehouse.fails(move |_| {
        let is_first = std::mem::take(&mut *first.lock());
        is_first.then(|| Fault::Refused(refused(Kind::Conflict, "DELTA_CONCURRENT_WRITE")))
    });
    bench.agent.want(&target, &[add("a", "long")]);
    after(9).await;
    assert_eq!(bench.columns(&target), ["id", "a"]);
}

/// Who may not make schemas need not, where there is one: told is the right to make the table.
#[tokio::test(start_paused = true)]
async fn of_a_schema_that_is_there_no_right_is_missed() {
    let bench = Bench::new();
    let target = bench.unregistered("clicks");
    bench.warehouse.schemas.lock().insert("main.web".into());
    bench.warehouse.fails(|read| {
        let refused = refused(Kind::Unauthorized, "INSUFFICIENT_PERMISSIONS");
        matches!(read, Read::CreateSchema(_) | Read::CreateTable { .. })
            .then_some(Fault::Refused(refused))
    });
    bench.agent.register(&target);
    after(10).await;
    let problem = bench.agent.problem(&target).unwrap();
    for part in ["GRANT CREATE TABLE ON SCHEMA", "CREATE TABLE IF NOT EXISTS"] {
        assert!(problem.contains(part), "{part} in {problem}");
    }
    assert!(!problem.contains("CREATE SCHEMA"), "{problem}");
}

#[test]
fn ids_are_no_news() {
    let told = |text| {
        is_told(
            Some("refused [ReqId: 036b6a39-1e9e-45ba-bd34-0ab1e60520fd] of table a"),
            text,
        )
    };
    assert!(told(
        "refused [ReqId: f608561f-274c-4f32-8892-5bba779161ea] of table a"
    ));
    assert!(!told(
        "refused [ReqId: f608561f-274c-4f32-8892-5bba779161ea] of table b"
    ));
    assert!(!is_told(None, ""));
    assert_eq!(
        without_ids("né 0123456789abcdef à d-ecade"),
        "né  à d-ecade"
    );
}

#[tokio::test(start_paused = true)]
async fn two_daemons_that_want_the_same_column_end_with_one() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let (other, _stop) = start(&bench.warehouse);
    bench
        .agent
        .want(&target, &[add("a", "long"), add("b", "long")]);
    other.want(&target, &[add("a", "long"), add("c", "long")]);
    after(14).await;
    assert_eq!(bench.columns(&target), ["id", "a", "b", "c"]);
    assert_eq!(bench.warehouse.statements().len(), 3);
    for agent in [&bench.agent, &other] {
        assert_eq!(agent.pending(&target), []);
        assert_eq!(agent.problem(&target), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_read_from_the_log() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let lost = ControlError::Service {
        kind: Kind::Unavailable,
        message: "no answer".into(),
    };
    bench
        .warehouse
        .fails(move |_| Some(Fault::Lost(lost.clone())));
    bench.agent.want(&target, &[add("a", "long")]);
    after(60).await;
    assert_eq!(bench.warehouse.statements().len(), 1);
    assert_eq!(bench.columns(&target), ["id", "a"]);
    assert_eq!(bench.agent.problem(&target), None);
}

const SYNC: &str = "MSCK REPAIR TABLE `main`.`web`.`clicks` SYNC METADATA";

/// The workspace dies between log and catalog: the column is there, and the catalog is told of it.
#[tokio::test(start_paused = true)]
async fn a_catalog_left_behind_its_log_takes_it_over() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let lost = ControlError::Service {
        kind: Kind::Unavailable,
        message: "no answer".into(),
    };
    bench.warehouse.fails(move |read| {
        matches!(read, Read::AddColumns(..)).then_some(Fault::Behind(lost.clone()))
    });
    bench.agent.want(&target, &[add("a", "long")]);
    after(30).await;
    assert_eq!(
        bench.warehouse.statements(),
        [
            "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`a` BIGINT)",
            SYNC
        ]
    );
    let known = bench.warehouse.catalog.lock()[&target.name.full_name()].clone();
    assert_eq!(known.columns.unwrap().len(), 2);
    assert_eq!(bench.agent.problem(&target), None);
}

/// The daemon died as well: the next one looks once it has the table.
#[tokio::test(start_paused = true)]
async fn a_catalog_found_behind_its_log_takes_it_over_and_is_not_asked_for_ever() {
    for heals in [true, false] {
        let bench = Bench::new();
        let target = bench.table("clicks");
        bench
            .memory
            .alter(target.location.url(), &[add("a", "long")])
            .await
            .unwrap();
        if !heals {
            // Says yes, and stays as it is.
            *bench.warehouse.is_stuck.lock() = true;
        }
        bench.agent.register(&target);
        after(60).await;
        assert_eq!(bench.warehouse.statements(), [SYNC]);
        // What fails has the catalog looked at again.
        let lost = ControlError::Service {
            kind: Kind::Unavailable,
            message: "no answer".into(),
        };
        bench.warehouse.fails(move |read| {
            matches!(read, Read::AddColumns(..)).then_some(Fault::Lost(lost.clone()))
        });
        bench.agent.want(&target, &[add("b", "long")]);
        after(86_400).await;
        let syncs = bench.warehouse.statements();
        let syncs = syncs.iter().filter(|sql| *sql == SYNC).count();
        // A stuck catalog lacks another column by then, and is told of that too.
        assert_eq!(syncs, if heals { 1 } else { 2 });
        assert_eq!(bench.agent.pending(&target), []);
        assert_eq!(bench.agent.problem(&target), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_column_that_is_refused_does_not_keep_the_others_out() {
    let bench = Bench::new();
    let (target, other) = (bench.table("clicks"), bench.table("orders"));
    bench.warehouse.fails(|read| match read {
        Read::AddColumns(_, columns) if columns.iter().any(|(_, f)| f.name() == "bad") => {
            Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME")))
        }
        _ => None,
    });
    let names = ["a", "b", "bad", "c", "d", "e", "f"];
    let changes: Vec<_> = names.iter().map(|name| add(name, "long")).collect();
    bench.agent.want(&target, &changes);
    bench.agent.want(&other, &[add("x", "long")]);
    after(13).await;
    assert_eq!(bench.columns(&target).len(), 7);
    assert_eq!(bench.columns(&other), ["id", "x"]);
    assert_eq!(bench.agent.pending(&target), [add("bad", "long")]);
    let problem = bench.agent.problem(&target).unwrap();
    assert!(problem.contains("ADD COLUMNS (`bad` BIGINT)"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_not_ours_is_left_alone() {
    for (kind, location, part) in [
        ("MANAGED", "s3://root/__unitystorage/x", "managed table"),
        ("EXTERNAL", "s3://lake/other", "another place"),
        ("VIEW", "", "type `VIEW`"),
    ] {
        let bench = Bench::new();
        let target = bench.unregistered("clicks");
        bench.warehouse.register(&target, kind, location);
        bench.agent.want(&target, &[add("a", "long")]);
        after(60).await;
        let problem = bench.agent.problem(&target).unwrap();
        assert!(problem.contains(part), "{problem}");
        assert_eq!(bench.warehouse.statements(), [""; 0]);
        assert_eq!(bench.starts(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_that_is_gone_is_told_once_for_all_tables() {
    let (lines, _listening) = listen();
    let bench = Bench::new();
    *bench.warehouse.broken.lock() = Some(ControlError::Service {
        kind: Kind::Config,
        message: "there is no such warehouse".into(),
    });
    let tables: Vec<Target> = (0..20).map(|n| bench.table(&format!("t{n}"))).collect();
    for table in &tables {
        bench.agent.want(table, &[add("a", "long")]);
    }
    after(3_600).await;
    let text = lines.text();
    assert_eq!(text.matches("no such warehouse").count(), 1, "{text}");
    *bench.warehouse.broken.lock() = None;
    after(3_600).await;
    assert_eq!(bench.starts(), 1);
    for table in &tables {
        assert_eq!(bench.columns(table), ["id", "a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_log_does_not_show_is_not_believed() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.warehouse.fails(|_| {
        Some(Fault::Refused(refused(
            Kind::Conflict,
            "DELTA_METADATA_CHANGED",
        )))
    });
    bench.agent.want(&target, &[add("a", "long")]);
    after(14).await;
    let tried = bench.warehouse.statements().len();
    assert!(
        (2..10).contains(&tried),
        "a race is tried again at once: {tried}"
    );
    assert_eq!(bench.agent.pending(&target), [add("a", "long")]);

    /// Says yes to everything and does nothing.
    struct Idle;
    #[async_trait::async_trait]
    impl Lake for Idle {
        async fn alter(&self, _: &str, _: &[SchemaChange]) -> Result<()> {
            Ok(())
        }
    }
    let idle = Scripted::new(Arc::new(Idle));
    idle.register(&target, "EXTERNAL", target.location.url());
    let (agent, _stop) = start(&idle);
    agent.want(&target, &[add("b", "long")]);
    after(14).await;
    let problem = agent.problem(&target).unwrap();
    assert!(problem.contains("does not show"), "{problem}");
    // Each try wakes a warehouse, and only a person can mend it.
    after(2 * 86_400).await;
    let tries = idle.statements().len();
    assert!((12..30).contains(&tries), "{tries} in two days");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_as_sql_is_refused_at_once() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let bad = SchemaChange::AddColumn {
        parent: vec!["${x}".into()],
        field: Arc::new(Field::new("a", DataType::Int64, true)),
    };
    let refused = bench.agent.want(&target, &[bad, add("a", "long")]);
    assert_eq!(refused.len(), 1);
    after(60).await;
    assert_eq!(bench.columns(&target), ["id", "a"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_after_a_registration_that_needed_nothing_is_heard() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.agent.want(&target, &[add("a", "long")]);
    after(60).await;
    // The worker has loaded the table anew: the catalog has it, and nothing is wanted.
    bench.agent.register(&target);
    after(86_400).await;
    bench.agent.want(&target, &[add("b", "long")]);
    after(60).await;
    assert_eq!(bench.columns(&target), ["id", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_columns_wait_than_the_table_may_get() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let of_two = add("s", "struct<x: long>");
    bench
        .agent
        .want_within(&target, &[of_two, add("a", "long")], 3);
    bench.agent.want_within(&target, &[add("b", "long")], 3);
    assert_eq!(bench.agent.pending(&target).len(), 2);
    after(60).await;
    assert_eq!(bench.columns(&target), ["id", "s", "a"]);
    // Decided anew, it finds the room that there is then.
    bench.agent.want_within(&target, &[add("b", "long")], 1);
    after(60).await;
    assert_eq!(bench.columns(&target), ["id", "s", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn refused_columns_that_keep_the_room_are_told_of_once() {
    let (lines, _listening) = listen();
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench
        .warehouse
        .fails(|_| Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME"))));
    bench.agent.want_within(&target, &[add("bad", "long")], 1);
    after(60).await;
    for name in ["b", "c"] {
        bench.agent.want_within(&target, &[add(name, "long")], 1);
        after(60).await;
    }
    assert_eq!(bench.agent.pending(&target), [add("bad", "long")]);
    let text = lines.text();
    assert_eq!(text.matches("`max_columns`").count(), 1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_table_of_another_place_with_the_same_name_is_told_and_harms_nobody() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let mut twin = bench.unregistered("Clicks");
    twin.name = target.name.clone();
    bench.agent.want(&target, &[add("a", "long")]);
    bench.agent.want(&twin, &[add("b", "long")]);
    after(60).await;
    assert_eq!(bench.columns(&target), ["id", "a"]);
    assert_eq!(bench.columns(&twin), ["id"]);
    assert!(bench.agent.problem(&twin).is_some());
}
