//! What we read from snapshots and write into logs, through the real kernel.
//!
//! Past 500 lines: the hand-written tables that these tests share stand beside them.

use super::support::{
    at, file, foreign, landed, mark, memory, open, quick, range, schema, schema_of, token, upload,
};
use crate::schema::TableSchema;
use crate::{
    commit::{CommitOutcome, Evolved, TableLog, Upload},
    error::Kind,
    schema::SchemaChange,
    storage::TableLocation,
};
use arrow::{
    array::{Int32Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use object_store::{ObjectStoreExt, local::LocalFileSystem, path::Path};
use serde_json::{Value, json};
use std::sync::Arc;

/// The actions of one version.
async fn actions(location: &TableLocation, version: u64) -> Vec<Value> {
    let path = location
        .root
        .clone()
        .join("_delta_log")
        .join(format!("{version:020}.json"));
    let bytes = location
        .store
        .get(&path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn find<'a>(actions: &'a [Value], name: &str) -> &'a Value {
    actions
        .iter()
        .map(|action| &action[name])
        .find(|found| !found.is_null())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_says_what_the_protocol_and_the_audit_need() {
    let location = memory();
    let log = open(&location);
    let mut first = upload(&schema(), "p", None, 2);
    first.files[0].path = "day=a%20b/x y.parquet".into();
    first.marks = vec![mark("p!start", 0)];
    log.commit(first, token()).await.unwrap();
    log.commit(upload(&schema(), "p", Some(2), 5), token())
        .await
        .unwrap();

    let zero = actions(&location, 0).await;
    assert_eq!(
        find(&zero, "protocol"),
        &json!({"minReaderVersion": 1, "minWriterVersion": 2})
    );
    assert_eq!(find(&zero, "add")["path"], "day=a%2520b/x%20y.parquet");
    let txns: Vec<_> = zero
        .iter()
        .filter_map(|action| action["txn"]["appId"].as_str())
        .collect();
    assert_eq!(txns, ["p", "p!start"]);

    let one = actions(&location, 1).await;
    let info = find(&one, "commitInfo");
    assert_eq!(info["operation"], "STREAMING UPDATE");
    assert_eq!(info["isBlindAppend"], true);
    assert!(
        info["engineInfo"]
            .as_str()
            .unwrap()
            .starts_with("alluvium/")
    );
    assert_eq!(info["operationMetrics"]["numOutputRows"], "3");
    let account: Value = serde_json::from_str(info["userMetadata"].as_str().unwrap()).unwrap();
    assert_eq!(account["alluvium"], 1);
    assert_eq!(account["ranges"][0]["expected"], 2);
    assert_eq!(account["ranges"][0]["records"], 3);
    let stats: Value = serde_json::from_str(find(&one, "add")["stats"].as_str().unwrap()).unwrap();
    assert_eq!(stats["minValues"]["id"], 2);
    assert_eq!(stats["nullCount"]["name"], 0);
    assert_eq!(find(&one, "txn")["version"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_every_type_pass_through_unchanged() {
    let micros =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let schema = schema_of(vec![
        Field::new("t", micros(Some("UTC")), true),
        Field::new("n", micros(None), true),
        Field::new("d", DataType::Date32, true),
        Field::new("m", DataType::Decimal128(20, 4), true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new(
            "o",
            DataType::Struct(vec![Field::new("i", DataType::Int32, true)].into()),
            true,
        ),
    ]);
    let values = json!({
        "t": "2026-11-21T10:00:00.123Z", "n": "2026-11-21T10:00:00.123", "d": "2026-11-21",
        "m": 1234567890.1234, "f": 0.1, "s": "a\"ü", "o": {"i": -3},
    });
    let stats = json!({"numRecords": 2, "minValues": values, "maxValues": values, "nullCount": {"t": 0, "o": {"i": 1}}});
    let location = memory();
    let log = open(&location);
    for (expected, end) in [(None, 2), (Some(2), 4)] {
        let mut upload = upload(&schema, "p", expected, end);
        upload.files[0].stats = stats.to_string();
        log.commit(upload, token()).await.unwrap();
    }
    let written = actions(&location, 1).await;
    let written: Value =
        serde_json::from_str(find(&written, "add")["stats"].as_str().unwrap()).unwrap();
    for key in ["numRecords", "minValues", "maxValues"] {
        assert_eq!(written[key], stats[key], "{key}");
    }
    assert_eq!(written["nullCount"]["o"]["i"], 1);
    let mut bad = upload(&schema, "p", Some(4), 6);
    bad.files[0].stats = r#"{"numRecords":"many"}"#.into();
    let error = log.commit(bad, token()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidData, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_columns_are_left_out_of_files() {
    let location = memory();
    let columns = Schema::new(vec![
        Field::new("day", DataType::Date32, true),
        Field::new("id", DataType::Int64, true),
    ]);
    let schema = Arc::new(TableSchema::new(Arc::new(columns), vec!["day".into()]));
    let log = open(&location);
    let mut first = upload(&schema, "p", None, 2);
    first.files[0].partition_values = [("day".to_owned(), Some("2026-11-21".to_owned()))].into();
    let mut second = upload(&schema, "p", Some(2), 4);
    second.files[0].partition_values = [("day".to_owned(), None)].into();
    log.commit(first, token()).await.unwrap();
    log.commit(second, token()).await.unwrap();
    let state = log.state().unwrap();
    assert_eq!(state.spec.physical.fields().len(), 1);
    assert_eq!(state.spec.projection, [1]);
    assert_eq!(state.spec.partition_columns[0].index, 0);
    assert_eq!(state.spec.stats_columns, [["id"]]);
    assert_eq!(state.spec.random_prefix_length, None);
    let one = actions(&location, 1).await;
    assert_eq!(find(&one, "add")["partitionValues"], json!({"day": null}));
}

fn column(name: &str, id: i64, data_type: Value) -> Value {
    json!({"name": name, "type": data_type, "nullable": true, "metadata": {
        "delta.columnMapping.id": id, "delta.columnMapping.physicalName": format!("col-{id}"), "comment": "kept",
    }})
}

/// A table as Spark makes it: writer version 7 and what this pipeline meets most.
async fn spark_table(location: &TableLocation, mode: &str) {
    let inner = json!({"type": "struct", "fields": [column("a", 3, json!("string"))]});
    let list = json!({"type": "array", "containsNull": true, "elementType": {"type": "struct", "fields": [column("b", 5, json!("long"))]}});
    let fields = [
        column("id", 1, json!("long")),
        column("s", 2, inner),
        column("l", 4, list),
    ];
    let features = [
        "columnMapping",
        "deletionVectors",
        "rowTracking",
        "domainMetadata",
        "typeWidening",
        "v2Checkpoint",
        "inCommitTimestamp",
        "appendOnly",
        "invariants",
        "changeDataFeed",
        "clustering",
    ];
    foreign(
        location,
        0,
        &[
            json!({"commitInfo": {"inCommitTimestamp": 1_700_000_000_000i64, "timestamp": 1_700_000_000_000i64, "operation": "CREATE TABLE", "engineInfo": "Spark"}}),
            json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": ["columnMapping", "deletionVectors", "typeWidening", "v2Checkpoint"], "writerFeatures": features}}),
            json!({"metaData": {"id": "spark", "format": {"provider": "parquet", "options": {}},
                "schemaString": json!({"type": "struct", "fields": fields}).to_string(),
                "partitionColumns": [], "createdTime": 1, "configuration": {
                    "delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "5",
                    "delta.enableDeletionVectors": "true", "delta.enableRowTracking": "true",
                    "delta.rowTracking.materializedRowIdColumnName": "_row-id-col-1",
                    "delta.rowTracking.materializedRowCommitVersionColumnName": "_row-commit-version-col-1",
                    "delta.enableTypeWidening": "true", "delta.checkpointPolicy": "v2",
                    "delta.enableInCommitTimestamps": "true", "delta.enableChangeDataFeed": "true",
                    "delta.dataSkippingNumIndexedCols": "0"}}}),
            json!({"domainMetadata": {"domain": "delta.clustering", "configuration": "{\"clusteringColumns\":[[\"col-1\"]],\"domainName\":\"delta.clustering\"}", "removed": false}}),
            json!({"domainMetadata": {"domain": "delta.rowTracking", "configuration": "{\"rowIdHighWaterMark\":-1}", "removed": false}}),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_by_spark_is_appended_to_and_grown() {
    for mode in ["name", "id"] {
        let location = memory();
        spark_table(&location, mode).await;
        let log = open(&location);
        let state = log.load().await.unwrap().unwrap();
        let spec = &state.spec;
        assert_eq!(spec.physical.field(0).name(), "col-1");
        assert_eq!(spec.physical.field(0).metadata()["PARQUET:field_id"], "1");
        assert_eq!(spec.logical.field(0).metadata()["comment"], "kept");
        assert_eq!(spec.projection, [0, 1, 2]);
        assert_eq!(spec.random_prefix_length, Some(2));
        assert_eq!(
            spec.stats_columns,
            [["col-1"]],
            "clustering columns always have statistics"
        );
        let DataType::Struct(inner) = spec.physical.field(1).data_type() else {
            panic!()
        };
        assert_eq!(inner[0].name(), "col-3");

        let files = |position: u64, end| {
            let mut file = file(&state.schema, "p", position, end);
            file.stats = format!(
                r#"{{"numRecords":{},"minValues":{{"col-1":0}},"maxValues":{{"col-1":9}},"nullCount":{{"col-1":0}}}}"#,
                end - position
            );
            file
        };
        let append = |schema: &Arc<_>, expected: Option<u64>, end: u64| Upload {
            earlier: Vec::new(),
            files: vec![files(expected.unwrap_or(0), end)],
            schema: Arc::clone(schema),
            ranges: vec![range("p", expected, end)],
            marks: Vec::new(),
        };
        // Files encoded before the table was clustered lack what it requires.
        let mut old = append(&state.schema, None, 2);
        old.files[0].stats = r#"{"numRecords":2}"#.into();
        let outcome = log.commit(old, token()).await.unwrap();
        assert!(
            matches!(outcome, CommitOutcome::Stale { .. }),
            "{outcome:?}"
        );

        log.commit(append(&state.schema, None, 2), token())
            .await
            .unwrap();
        let one = actions(&location, 1).await;
        assert_eq!(find(&one, "add")["baseRowId"], 0);
        assert!(find(&one, "commitInfo")["inCommitTimestamp"].is_i64());

        let nested = DataType::Struct(vec![Field::new("x", DataType::Int64, true)].into());
        let changes = [
            SchemaChange::AddColumn {
                parent: Vec::new(),
                field: Arc::new(Field::new("n", nested, true)),
            },
            SchemaChange::AddColumn {
                parent: vec!["s".into()],
                field: Arc::new(Field::new("c", DataType::Utf8, true)),
            },
            SchemaChange::AddColumn {
                parent: vec!["l".into()],
                field: Arc::new(Field::new("e", DataType::Utf8, true)),
            },
        ];
        let base = log.state().unwrap();
        let Evolved::Applied(grown) = log.evolve(&base, &changes).await.unwrap() else {
            panic!()
        };
        assert_eq!(grown.version, 2);
        let n = grown.schema.columns.field_with_name("n").unwrap();
        assert!(n.metadata()["delta.columnMapping.physicalName"].starts_with("col-"));
        let DataType::Struct(inner) = n.data_type() else {
            panic!()
        };
        assert!(inner[0].metadata().contains_key("delta.columnMapping.id"));
        assert_eq!(grown.properties["delta.columnMapping.maxColumnId"], "9");
        let DataType::List(element) = grown
            .schema
            .columns
            .field_with_name("l")
            .unwrap()
            .data_type()
        else {
            panic!()
        };
        let DataType::Struct(element) = element.data_type() else {
            panic!()
        };
        assert_eq!(element.len(), 2);
        // Files of before the change still fit; positions are known on.
        log.commit(append(&state.schema, Some(2), 4), token())
            .await
            .unwrap();
        let three = actions(&location, 3).await;
        assert_eq!(find(&three, "add")["baseRowId"], 2);
        log.checkpoint().await.unwrap();
        let again = open(&location);
        assert_eq!(
            again.positions(&["p".into()], true).await.unwrap(),
            [Some(4)]
        );
        assert_eq!(again.state().unwrap().schema, log.state().unwrap().schema);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_made_with_the_properties_it_was_given() {
    for (key, value) in [
        ("delta.enableDeletionVectors", "true"),
        ("delta.enableTypeWidening", "true"),
        ("delta.enableChangeDataFeed", "true"),
        ("delta.checkpointPolicy", "v2"),
        ("delta.appendOnly", "true"),
        ("delta.dataSkippingNumIndexedCols", "1"),
        ("owner", "clicks team"),
    ] {
        let location = memory();
        let mut options = quick();
        options.table_properties = [(key.to_owned(), value.to_owned())].into();
        let log = TableLog::new(location.clone(), "t", options);
        log.commit(upload(&schema(), "p", None, 2), token())
            .await
            .unwrap();
        log.commit(upload(&schema(), "p", Some(2), 3), token())
            .await
            .unwrap();
        log.checkpoint().await.unwrap();
        log.commit(upload(&schema(), "p", Some(3), 4), token())
            .await
            .unwrap();
        let state = open(&location).load().await.unwrap().unwrap();
        assert_eq!(state.version, 2, "{key}");
        assert_eq!(state.properties[key], value);
    }
    let mut options = quick();
    options.table_properties = [("delta.columnMapping.mode".to_owned(), "name".to_owned())].into();
    let log = TableLog::new(memory(), "t", options);
    let error = log
        .commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("delta.columnMapping.mode"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_made_with_a_description_and_clustered() {
    let location = memory();
    let column = schema().columns.field(0).name().clone();
    let mut options = quick();
    options.table_comment = Some("clicks of the \"shop\"".into());
    options.cluster_by = vec![column.clone()];
    let log = TableLog::new(location.clone(), "t", options.clone());
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    let zero = actions(&location, 0).await;
    assert_eq!(
        find(&zero, "metaData")["description"],
        "clicks of the \"shop\""
    );
    let domain = find(&zero, "domainMetadata");
    assert_eq!(domain["domain"], "delta.clustering");
    let clustered = json!({"clusteringColumns": [[column]], "domainName": "delta.clustering"});
    assert_eq!(domain["configuration"], clustered.to_string());
    let protocol = find(&zero, "protocol");
    assert_eq!(protocol["minReaderVersion"], 1);
    assert_eq!(protocol["minWriterVersion"], 7);
    log.checkpoint().await.unwrap();
    log.commit(upload(&schema(), "p", Some(2), 3), token())
        .await
        .unwrap();
    let state = open(&location).load().await.unwrap().unwrap();
    assert_eq!(state.version, 1);
    assert!(state.protocol.features.contains(&"clustering".to_owned()));
    assert!(state.spec.stats_columns.contains(&vec![column]));

    options.cluster_by = vec!["nowhere".into()];
    let log = TableLog::new(memory(), "t", options);
    let error = log.commit(upload(&schema(), "p", None, 2), token()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("is no column"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_only_a_ledger_writes_to_may_have_marks_alone() {
    let location = memory();
    let log = open(&location);
    let marks = Upload {
        earlier: Vec::new(),
        files: Vec::new(),
        schema: schema(),
        ranges: Vec::new(),
        marks: vec![mark("p!low-water", 7)],
    };
    log.commit(marks, token()).await.unwrap();
    let again = open(&location);
    assert_eq!(
        again
            .positions(&["p!low-water".into()], true)
            .await
            .unwrap(),
        [Some(7)]
    );
    let account = again.history().await.unwrap()[0].account.clone().unwrap();
    assert_eq!(account.marks[0].version, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_type_is_refused_with_the_statement_that_makes_it() {
    let location = memory();
    let log = open(&location);
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    let base = log.state().unwrap();
    let widen = SchemaChange::Widen {
        path: vec!["id".into()],
        to: DataType::Decimal128(20, 0),
    };
    let error = log.evolve(&base, &[widen]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("ALTER COLUMN `id` TYPE DECIMAL(20,0)"),
        "{error}"
    );
    // What the kernel refuses comes with its statement too: the feature is not in the protocol.
    let ntz = DataType::Timestamp(TimeUnit::Microsecond, None);
    let add = SchemaChange::AddColumn {
        parent: Vec::new(),
        field: Arc::new(Field::new("n", ntz, true)),
    };
    let error = log.evolve(&base, &[add]).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("ADD COLUMNS (`n` TIMESTAMP_NTZ)"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_come_by_themselves_and_restarts_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::from_absolute_path(folder.path()).unwrap().join("t");
    let location = TableLocation {
        url: url::Url::from_directory_path(folder.path().join("t")).unwrap(),
        store: Arc::new(LocalFileSystem::new()),
        root,
    };
    let mut options = quick();
    options.checkpoint_interval_commits = 10;
    let log = TableLog::new(location.clone(), "t", options);
    for number in 0..35u64 {
        let position = (number > 0).then_some(number);
        let outcome = log
            .commit(upload(&schema(), "p", position, number + 1), token())
            .await
            .unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed { .. }));
        if number % 10 == 9 {
            // Give the background its turn, so that the number of checkpoints is certain.
            let checkpoint = folder
                .path()
                .join(format!("t/_delta_log/{number:020}.checkpoint.parquet"));
            for _ in 0..500 {
                if checkpoint.exists() && !log.checkpoints.runs() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
    let names: Vec<String> = std::fs::read_dir(folder.path().join("t/_delta_log"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let checkpoints = names
        .iter()
        .filter(|name| name.ends_with(".checkpoint.parquet"))
        .count();
    assert_eq!(checkpoints, 3, "{names:?}");
    // Old commits are cleaned up by somebody: the checkpoint alone tells.
    for version in 0..20 {
        std::fs::remove_file(
            folder
                .path()
                .join(format!("t/_delta_log/{version:020}.json")),
        )
        .unwrap();
    }
    let again = open(&location);
    assert_eq!(
        again
            .positions(&["p".into(), "q".into()], true)
            .await
            .unwrap(),
        [Some(35), None]
    );
    assert_eq!(again.history().await.unwrap().len(), 15);
    again
        .commit(upload(&schema(), "p", Some(35), 36), token())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_many_partitions_are_read_at_once() {
    let location = memory();
    let log = open(&location);
    for number in 0..20u64 {
        log.commit(upload(&schema(), &format!("p{number}"), None, 5), token())
            .await
            .unwrap();
    }
    let ids: Vec<String> = (0..25).map(|number| format!("p{number}")).collect();
    let found = open(&location).positions(&ids, true).await.unwrap();
    for (number, stored) in found.into_iter().enumerate() {
        assert_eq!(stored, (number < 20).then_some(5), "p{number}");
    }
    assert_eq!(landed(&location).await.len(), 20);
}

/// Writes a Parquet file of dead letters and names it in an upload.
async fn dead_letters(
    location: &TableLocation,
    schema: &Arc<crate::schema::TableSchema>,
    rows: &[(&str, i64, i32, &str)],
    expected: Option<u64>,
    end: u64,
) -> Upload {
    let batch = RecordBatch::try_new(
        schema.columns.clone(),
        vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.2))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.3))),
        ],
    )
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut upload = upload(schema, "dlq", expected, end);
    let file = &mut upload.files[0];
    file.size = bytes.len() as u64;
    file.path = format!("a b={end}.parquet");
    file.stats = format!(
        r#"{{"numRecords":{},"minValues":{{"_offset":{}}},"maxValues":{{"_offset":{}}},"nullCount":{{"_offset":0}}}}"#,
        rows.len(),
        rows.iter().map(|row| row.1).min().unwrap(),
        rows.iter().map(|row| row.1).max().unwrap(),
    );
    let path = location.root.clone().join(file.path.as_str());
    location.store.put(&path, bytes.into()).await.unwrap();
    upload
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_11_the_verdicts_of_a_window_are_read_back() {
    let location = memory();
    let log = open(&location);
    assert!(log.scan_dead_letters("p", 0, 100).await.unwrap().is_empty());
    let schema = schema_of(vec![
        Field::new("source_partition", DataType::Utf8, true),
        Field::new("_offset", DataType::Int64, true),
        Field::new("_index", DataType::Int32, true),
        Field::new("table", DataType::Utf8, true),
    ]);
    let first = [
        ("p", 3, 0, "clicks"),
        ("q", 4, 0, "clicks"),
        ("p", 4, 1, ""),
        ("p", 4, 0, "views"),
    ];
    let upload = dead_letters(&location, &schema, &first, None, 10).await;
    log.commit(upload, token()).await.unwrap();
    let upload = dead_letters(&location, &schema, &[("p", 12, 0, "clicks")], Some(10), 20).await;
    log.commit(upload, token()).await.unwrap();
    assert_eq!(
        log.scan_dead_letters("p", 4, 13).await.unwrap(),
        [
            ("views".to_owned(), 4, 0),
            (String::new(), 4, 1),
            ("clicks".to_owned(), 12, 0)
        ]
    );
    assert_eq!(
        log.scan_dead_letters("p", 0, 4).await.unwrap(),
        [("clicks".to_owned(), 3, 0)]
    );
    assert!(log.scan_dead_letters("p", 5, 5).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_may_lie_in_folders_of_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["plain", "with space", "a%20b", "ü#?x=1", ""] {
        let local = folder.path().join(name).join("t");
        let location = TableLocation {
            url: url::Url::from_directory_path(&local).unwrap(),
            store: Arc::new(LocalFileSystem::new()),
            root: Path::from_absolute_path(&local).unwrap(),
        };
        let log = open(&location);
        log.commit(upload(&schema(), "p", None, 2), token())
            .await
            .unwrap();
        log.commit(upload(&schema(), "p", Some(2), 3), token())
            .await
            .unwrap();
        let again = open(&location);
        assert_eq!(
            again.positions(&["p".into()], true).await.unwrap(),
            [Some(3)],
            "{name}"
        );
        assert!(
            local
                .join("_delta_log")
                .join(format!("{:020}.json", 1))
                .exists(),
            "{name}"
        );
    }
    // The table's own folder as the root of the store.
    let location = TableLocation {
        url: "memory:///".parse().unwrap(),
        store: Arc::new(object_store::memory::InMemory::new()),
        root: Path::default(),
    };
    let log = open(&location);
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    assert_eq!(
        open(&location)
            .positions(&["p".into()], true)
            .await
            .unwrap(),
        [Some(2)]
    );
}

#[tokio::test]
async fn a_runtime_of_one_thread_will_do() {
    let location = at(Arc::new(object_store::memory::InMemory::new()));
    let log = open(&location);
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    log.commit(upload(&schema(), "p", Some(2), 3), token())
        .await
        .unwrap();
    assert_eq!(log.positions(&["p".into()], true).await.unwrap(), [Some(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_not_well_formed_are_refused() {
    let log = open(&memory());
    let mut without_range = upload(&schema(), "p", None, 2);
    without_range.ranges.clear();
    let mut empty = upload(&schema(), "p", Some(2), 2);
    empty.files.clear();
    let mut twice = upload(&schema(), "p", None, 2);
    twice.ranges.push(range("p", None, 2));
    let mut elsewhere = upload(&schema(), "p", Some(4), 6);
    elsewhere.ranges[0].range.start = 5;
    for bad in [without_range, empty, twice, elsewhere] {
        let error = log.commit(bad, token()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Bug, "{error}");
    }
}
