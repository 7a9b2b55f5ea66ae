//! Whole lines from batches to commits, beside a warehouse that changes the tables' logs.
//!
//! Past 500 lines: the lines they are run through stand beside the tests.

use super::*;
use crate::{
    commit::Evolved,
    config::{Config, Environment, Flags},
    control::testing::{Fault, Lake as Files, Read, Scripted, refused},
    error::Kind,
    event::{Assignment, ByteBudget, Intake, Offset, RawBatch, RecordKind, RecordSpan},
    pipeline::{Pipeline, backfill::catalog::settle, intake::SourceIntake, testing::partition},
    route::{Binding, Router},
};
use arrow::{
    array::{Array, AsArray},
    datatypes::{Int64Type, SchemaRef},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::{fs, path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

/// Tables on this disk, changed as a warehouse changes them: by commits of another writer.
struct Disk(crate::storage::Lake);

#[async_trait]
impl Files for Disk {
    async fn alter(&self, location: &str, changes: &[SchemaChange]) -> Result<(), ControlError> {
        let place = self.0.table("t", Some(location)).unwrap();
        let log = TableLog::new(place, "t", crate::commit::CommitOptions::default());
        let mut state = log.load().await.unwrap().expect("a table");
        loop {
            let stands = changes.iter().any(|change| match change {
                SchemaChange::AddColumn { parent, field } => {
                    parent.is_empty() && state.schema.columns.field_with_name(field.name()).is_ok()
                }
                SchemaChange::Widen { .. } => false,
            });
            if stands {
                return Err(refused(Kind::InvalidData, "FIELD_ALREADY_EXISTS"));
            }
            match log.evolve(&state, changes).await.unwrap() {
                Evolved::Applied(_) => return Ok(()),
                Evolved::Moved(moved) => state = moved,
            }
        }
    }
}

struct Bench {
    pipeline: Pipeline,
    warehouse: Arc<Scripted>,
    intake: Arc<SourceIntake>,
    assignment: Assignment,
    lake: tempfile::TempDir,
    next: Offset,
}

/// What stands in the table: by offset, each column's value as text.
type Rows = Vec<(Offset, Option<String>, Option<serde_json::Value>)>;

impl Bench {
    async fn new(table: &str) -> Self {
        let lake = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
            [lake]
            url = {:?}
            [connections.prod]
            host = "https://example.cloud.databricks.com"
            auth = {{ type = "pat", token = "x" }}
            warehouse = "small"
            [sources.s]
            type = "kafka"
            brokers = "127.0.0.1:9"
            topics = ["t"]
            [table_defaults]
            flush_interval_seconds = 0.05
            connection = "prod"
            catalog = "main"
            schema = "web"
            [tables.t]
            source = "s"
            {table}
            "#,
            lake.path().display().to_string()
        );
        let nothing = Environment::fixed([], []);
        let config = Arc::new(Config::parse(&text, &nothing, &Flags::default()).unwrap());
        let pipeline = Pipeline::open(config, Arc::default()).await.unwrap();
        let mut warehouse = Scripted::new(Arc::new(Disk(pipeline.lake().clone())));
        let quick = Arc::get_mut(&mut warehouse).unwrap();
        (quick.start_takes, quick.statement_takes) = (Duration::ZERO, Duration::ZERO);
        pipeline
            .tables()
            .catalogs()
            .serve("prod", warehouse.clone());
        let binding = Binding {
            table: "t".into(),
            topics: None,
        };
        let router = Router::new("s", "{topic}", vec![binding], 10).unwrap();
        let intake = SourceIntake::new(pipeline.tables().clone(), router, false);
        let assigned = intake.assign(vec![partition()]).await.unwrap();
        let assignment = assigned.into_iter().next().unwrap();
        intake
            .record_start(vec![(assignment.clone(), 0)])
            .await
            .unwrap();
        Self {
            pipeline,
            warehouse,
            intake,
            assignment,
            lake,
            next: 0,
        }
    }

    async fn send(&mut self, event: impl Fn(Offset) -> String) {
        let start = self.next;
        let event = event(start);
        let record = RecordSpan {
            offset: start,
            value: 0..u32::try_from(event.len()).unwrap(),
            key: None,
            headers: None,
            event_time: 0,
            table: u32::MAX,
            kind: RecordKind::Event,
        };
        let batch = RawBatch {
            partition: self.assignment.partition.clone(),
            epoch: self.assignment.epoch,
            start,
            end: start + 1,
            permit: ByteBudget::new(0).charge(0),
            slab: event.into_bytes().into(),
            records: vec![record],
            tables: Vec::new(),
        };
        self.intake.send(batch).await.unwrap();
        self.next += 1;
    }

    /// Sends events like it until `done`.
    async fn send_until(&mut self, event: impl Fn(Offset) -> String, done: impl Fn(&Self) -> bool) {
        for _ in 0..600 {
            if done(self) {
                return;
            }
            self.send(&event).await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("in vain: {:?}", self.warehouse.statements());
    }

    async fn landed(&self) {
        let partition = &self.assignment.partition.id;
        for _ in 0..600 {
            let position = self
                .pipeline
                .tables()
                .position("t", partition)
                .await
                .unwrap();
            if position == Some(self.next) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not everything landed");
    }

    fn has_run(&self, part: &str) -> bool {
        let statements = self.warehouse.statements();
        statements.iter().any(|sql| sql.contains(part))
    }

    /// All rows of all files, which must be each event once.
    fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        for entry in fs::read_dir(self.lake.path().join("t")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "parquet") {
                read(&path, &mut rows);
            }
        }
        rows.sort_by_key(|(offset, ..)| *offset);
        let offsets: Vec<Offset> = rows.iter().map(|(offset, ..)| *offset).collect();
        let expected: Vec<Offset> = (0..self.next).collect();
        assert_eq!(offsets, expected, "each event once: none was read again");
        let registry = &self.pipeline.shared().registry;
        let (id, epoch) = (&self.assignment.partition.id, self.assignment.epoch);
        assert!(
            registry.is_current(id, epoch),
            "the partition was read again"
        );
        rows
    }

    async fn columns(&self) -> SchemaRef {
        let log = self.pipeline.tables().log("t").unwrap();
        log.load().await.unwrap().unwrap().schema.columns.clone()
    }

    /// What a one-shot run does at its end: its report's text, faults and kind, and how long it took.
    async fn settled(&self) -> (crate::check::Report, Duration) {
        let telemetry = crate::telemetry::Telemetry {
            screen: crate::telemetry::Screen::stderr(),
            recorder: None,
            live: false,
        };
        let began = std::time::Instant::now();
        let stop = CancellationToken::new();
        let settled = settle(&self.pipeline, Some("t"), &telemetry, &stop).await;
        let mut report = crate::check::Report {
            text: String::new(),
            faults: 0,
            kind: Kind::InvalidData,
        };
        settled.tell(&mut report, &self.pipeline.shared().tally.committed());
        (report, began.elapsed())
    }

    async fn stop(self) {
        self.pipeline.shared().cancel.cancel();
        self.pipeline.tables().stopped().await;
    }
}

fn read(path: &Path, rows: &mut Rows) {
    let file = fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    for batch in reader {
        let batch = batch.unwrap();
        let texts = |name: &str| {
            let column = batch.column_by_name(name)?;
            Some(column.as_string::<i32>().clone())
        };
        let offsets = batch.column_by_name("_offset").unwrap();
        let offsets = offsets.as_primitive::<Int64Type>();
        let (new, rescued) = (texts("a_b"), texts("_rescued_data").unwrap());
        for row in 0..batch.num_rows() {
            let new = new.as_ref().filter(|new| new.is_valid(row));
            let rescued = rescued.is_valid(row).then(|| rescued.value(row));
            rows.push((
                offsets.value(row) as Offset,
                new.map(|new| new.value(row).to_owned()),
                rescued.map(|text| serde_json::from_str(text).unwrap()),
            ));
        }
    }
}

fn plain(offset: Offset) -> String {
    format!(r#"{{"n":{offset}}}"#)
}

/// One whose new field has a name that no column takes.
fn richer(offset: Offset) -> String {
    format!(r#"{{"n":{offset},"a b":"x{offset}"}}"#)
}

const REGISTERED: [&str; 2] = [
    "CREATE SCHEMA IF NOT EXISTS `main`.`web`",
    "CREATE TABLE IF NOT EXISTS `main`.`web`.`t` USING DELTA LOCATION 'file:///",
];

#[tokio::test(flavor = "multi_thread")]
async fn columns_appear_through_the_warehouse_while_rows_flow() {
    let mut bench = Bench::new("authority = \"warehouse\"").await;
    bench
        .send_until(plain, |bench| bench.has_run("CREATE TABLE"))
        .await;
    let statements = bench.warehouse.statements();
    assert_eq!(statements.len(), 2);
    for (sql, start) in statements.iter().zip(REGISTERED) {
        assert!(sql.starts_with(start), "{sql}");
    }
    let plain_rows = bench.next;

    bench
        .send_until(richer, |bench| bench.has_run("ADD COLUMNS"))
        .await;
    let asked = bench.next;
    bench
        .send_until(richer, |bench| bench.next > asked + 40)
        .await;
    bench.landed().await;
    let rows = bench.rows();
    for (offset, new, rescued) in &rows {
        let value = format!("x{offset}");
        match (new, rescued) {
            (None, None) => assert!(*offset < plain_rows, "{offset} lost its value"),
            (Some(new), None) => assert_eq!(*new, value),
            (None, Some(rescued)) => assert_eq!(rescued, &serde_json::json!({ "a b": value })),
            both => panic!("{offset} twice: {both:?}"),
        }
    }
    assert!(
        rows.iter().any(|(_, new, _)| new.is_some()),
        "the column is not filled"
    );
    assert!(
        rows.iter().any(|(.., rescued)| rescued.is_some()),
        "rows waited"
    );
    let statements = bench.warehouse.statements();
    assert_eq!(
        statements[2..],
        ["ALTER TABLE `main`.`web`.`t` ADD COLUMNS (`a_b` STRING COMMENT 'event field \"a b\"')"]
    );
    assert!(bench.columns().await.field_with_name("a_b").is_ok());
    bench.stop().await;
}

/// What the configuration says of a new table is in its log before the catalog hears of it, whoever has the authority.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_has_its_comment_properties_and_clustering() {
    for authority in ["warehouse", "log"] {
        let mut bench = Bench::new(&format!(
            r#"
            authority = "{authority}"
            comment = "Clicks of the shop"
            properties = {{ "delta.enableChangeDataFeed" = "true", team = "web" }}
            cluster_by = ["n", "_event_time"]
            columns = [{{ name = "n", type = "long", comment = "A number" }}]
            "#
        ))
        .await;
        bench
            .send_until(plain, |bench| bench.has_run("CREATE TABLE"))
            .await;
        assert!(bench.has_run("COMMENT 'Clicks of the shop'"));
        let zero = bench
            .lake
            .path()
            .join("t/_delta_log/00000000000000000000.json");
        let zero = fs::read_to_string(zero).unwrap();
        let action = |name: &str| -> serde_json::Value {
            let lines = zero.lines().map(|line| line.parse().unwrap());
            let mut found = lines.filter(|action: &serde_json::Value| action.get(name).is_some());
            found.next().expect(name)[name].clone()
        };
        let metadata = action("metaData");
        assert_eq!(metadata["description"], "Clicks of the shop");
        assert_eq!(metadata["configuration"]["team"], "web");
        let columns = metadata["schemaString"].as_str().unwrap();
        assert!(columns.contains("A number"), "{columns}");
        let domain = action("domainMetadata")["configuration"].to_string();
        for column in ["n", "_event_time"] {
            assert!(domain.contains(column), "{domain}");
        }
        // Later commits and files go on as for any table.
        let landed = bench.next;
        bench
            .send_until(plain, |bench| bench.next > landed + 20)
            .await;
        bench.landed().await;
        bench.rows();
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_run_ends_with_its_table_registered_and_its_columns_there() {
    let mut bench = Bench::new("authority = \"warehouse\"").await;
    bench.send(plain).await;
    bench.landed().await;
    bench.send(richer).await;
    bench.landed().await;
    assert!(!bench.has_run("CREATE TABLE"), "it would not be waited for");
    let (report, _) = bench.settled().await;
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report.text.contains("has the tables and their columns"),
        "{}",
        report.text
    );
    assert!(
        report.text.contains("1 rows keep fields"),
        "{}",
        report.text
    );
    assert!(bench.has_run("CREATE TABLE") && bench.has_run("ADD COLUMNS (`a_b` STRING"));
    assert!(bench.columns().await.field_with_name("a_b").is_ok());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_run_does_not_wait_for_what_only_a_person_can_mend() {
    let mut bench = Bench::new("authority = \"warehouse\"").await;
    bench.warehouse.fails(|read| {
        let is_create = matches!(read, Read::CreateTable { .. });
        is_create.then(|| Fault::Refused(refused(Kind::Unauthorized, "INSUFFICIENT_PERMISSIONS")))
    });
    bench.send(plain).await;
    bench.landed().await;
    let (report, took) = bench.settled().await;
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!((report.faults, report.kind), (1, Kind::Unauthorized));
    for part in [
        "lacks main.web.t",
        "GRANT CREATE TABLE",
        "alluvium schema apply",
    ] {
        assert!(report.text.contains(part), "{part} in {}", report.text);
    }
    bench.stop().await;
}

/// Nothing else sees to letters that land in the last flush.
#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_run_ends_with_its_dead_letters_registered() {
    let text = "authority = \"warehouse\"\n[dead_letters]\ntable_name = \"web_letters\"";
    let mut bench = Bench::new(text).await;
    bench.send(|_| "no event".into()).await;
    bench.send(plain).await;
    bench.landed().await;
    let (report, _) = bench.settled().await;
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(bench.has_run("`main`.`web`.`web_letters` USING DELTA"));
    bench.stop().await;
}

/// What was never looked at is not told to be there.
#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_run_tells_of_a_table_that_it_cannot_read() {
    let bench = Bench::new("authority = \"warehouse\"").await;
    let log = bench.lake.path().join("t/_delta_log");
    fs::create_dir_all(&log).unwrap();
    fs::write(log.join("00000000000000000000.json"), "no action\n").unwrap();
    let (report, _) = bench.settled().await;
    assert_eq!(report.faults, 1, "{}", report.text);
    assert!(
        report.text.contains("is not told of the table"),
        "{}",
        report.text
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_run_that_read_nothing_says_nothing_of_columns() {
    let bench = Bench::new("authority = \"warehouse\"").await;
    let (report, _) = bench.settled().await;
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(!report.text.contains("columns"), "{}", report.text);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_run_that_failed_does_not_wait_for_its_catalog() {
    let mut bench = Bench::new("authority = \"warehouse\"").await;
    bench
        .warehouse
        .fails(|_| Some(Fault::Refused(refused(Kind::Unavailable, "BUSY"))));
    bench.send(plain).await;
    bench.landed().await;
    let bug = crate::error::Error::new(Kind::Bug, "nobody is left to see to it");
    bench.pipeline.shared().fail(bug);
    let settling = bench.settled();
    let settled = tokio::time::timeout(Duration::from_secs(60), settling).await;
    let (report, _) = settled.expect("an end");
    assert!(report.text.contains("lacks main.web.t"), "{}", report.text);
    bench.stop().await;
}

/// A panic must not pass for a warehouse that is slow.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_panics_ends_the_run() {
    let mut bench = Bench::new("authority = \"warehouse\"").await;
    bench.warehouse.fails(|_| panic!("by the test"));
    bench.send(plain).await;
    let cancel = bench.pipeline.shared().cancel.clone();
    let ended = tokio::time::timeout(Duration::from_secs(60), cancel.cancelled()).await;
    assert!(ended.is_ok(), "it goes on without its agent");
    bench.stop().await;
}

/// Under the name they are given, in the same wake-up as the table; under none they are in no catalog.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_registered_along_with_the_tables() {
    let named = "authority = \"warehouse\"\n[dead_letters]\ntable_name = \"web_letters\"";
    for (text, is_named) in [(named, true), ("", false)] {
        let mut bench = Bench::new(text).await;
        let upkeep = bench.pipeline.start_upkeep();
        bench.send(|_| "no event".into()).await;
        bench
            .send_until(plain, |bench| {
                bench.has_run("`main`.`web`.`t` USING DELTA LOCATION")
                    && (!is_named || bench.has_run("`main`.`web`.`web_letters` USING DELTA"))
            })
            .await;
        assert_eq!(bench.has_run("letters"), is_named);
        bench.stop().await;
        upkeep.close();
        upkeep.wait().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_waits_for_a_person() {
    let mut bench = Bench::new(
        "authority = \"warehouse\"\nevolution = \"plan\"\ncolumns = [{ name = \"n\", type = \"long\" }]",
    )
    .await;
    bench
        .send_until(richer, |bench| bench.has_run("CREATE TABLE"))
        .await;
    let asked = bench.next;
    bench
        .send_until(richer, |bench| bench.next > asked + 160)
        .await;
    bench.landed().await;
    assert_eq!(bench.warehouse.statements().len(), 2);
    assert!(
        bench
            .rows()
            .iter()
            .all(|(_, new, rescued)| new.is_none() && rescued.is_some())
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_ours_is_told_to_the_catalog() {
    let mut bench = Bench::new("").await;
    bench
        .send_until(plain, |bench| bench.has_run("CREATE TABLE"))
        .await;
    bench
        .send_until(richer, |bench| {
            bench.has_run("MSCK REPAIR TABLE `main`.`web`.`t` SYNC METADATA")
        })
        .await;
    bench.landed().await;
    assert!(bench.rows().iter().all(|(.., rescued)| rescued.is_none()));
    assert_eq!(bench.warehouse.statements().len(), 3);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_adds_is_followed() {
    let mut bench = Bench::new("authority = \"warehouse\"").await;
    bench
        .send_until(plain, |bench| bench.has_run("CREATE TABLE"))
        .await;
    bench.landed().await;
    let location = bench
        .pipeline
        .tables()
        .log("t")
        .unwrap()
        .location()
        .url
        .to_string();
    let field = arrow::datatypes::Field::new(
        "a b".replace(' ', "_"),
        arrow::datatypes::DataType::Utf8,
        true,
    )
    .with_metadata([("comment".to_string(), "event field \"a b\"".to_string())].into());
    let change = SchemaChange::AddColumn {
        parent: Vec::new(),
        field: Arc::new(field),
    };
    Disk(bench.pipeline.lake().clone())
        .alter(&location, &[change])
        .await
        .unwrap();
    let before = bench.next;
    bench
        .send_until(richer, |bench| bench.next > before + 40)
        .await;
    bench.landed().await;
    let rows = bench.rows();
    assert!(
        rows.iter().rev().take(10).all(|(_, new, _)| new.is_some()),
        "{rows:?}"
    );
    assert!(!bench.has_run("ADD COLUMNS"));
    bench.stop().await;
}
