//! The agent on a virtual clock, with a catalog and a warehouse by script and tables in memory.
//!
//! Past 500 lines: what it is given stands beside the tests.

mod refused;

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
