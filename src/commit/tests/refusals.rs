//! Tables that are refused at load, by hand-written protocol actions (invariant 8, rule 12).

use super::support::{foreign, memory, open, quick};
use crate::{commit::TableLog, error::Kind};
use serde_json::{Value, json};
use std::time::Duration;

fn field(name: &str, nullable: bool, metadata: Value) -> Value {
    json!({"name": name, "type": "long", "nullable": nullable, "metadata": metadata})
}

fn table(protocol: Value, configuration: Value, fields: Vec<Value>) -> Vec<Value> {
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    vec![
        json!({ "protocol": protocol }),
        json!({"metaData": {
            "id": "an-id",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": [],
            "configuration": configuration,
            "createdTime": 1,
        }}),
    ]
}

fn features(writer: &[&str], reader: &[&str]) -> Value {
    json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": reader, "writerFeatures": writer})
}

async fn refusal(protocol: Value, configuration: Value, fields: Vec<Value>) -> String {
    let location = memory();
    foreign(&location, 0, &table(protocol, configuration, fields)).await;
    let error = open(&location).load().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
    text
}

fn id() -> Vec<Value> {
    vec![field("id", true, json!({}))]
}

#[tokio::test(flavor = "multi_thread")]
async fn features_that_are_not_written_are_named_with_their_remedy() {
    for (writer, reader, remedy) in [
        ("checkConstraints", false, "DROP CONSTRAINT positive"),
        ("generatedColumns", false, "CREATE TABLE"),
        ("identityColumns", false, "CREATE TABLE"),
        (
            "checkpointProtection",
            false,
            "DROP FEATURE checkpointProtection",
        ),
        ("icebergCompatV1", false, "delta.enableIcebergCompatV1"),
        ("someNewThing", false, "newer release"),
        ("catalogManaged", true, "DROP FEATURE catalogManaged"),
        ("someNewReading", true, "DROP FEATURE"),
    ] {
        let reader: &[&str] = if reader { &[writer] } else { &[] };
        let mut listed = vec![writer];
        let configuration = match writer {
            "checkConstraints" => json!({"delta.constraints.positive": "id > 0"}),
            "catalogManaged" => {
                listed.push("inCommitTimestamp");
                json!({"delta.enableInCommitTimestamps": "true"})
            }
            _ => json!({}),
        };
        let location = memory();
        foreign(
            &location,
            0,
            &table(features(&listed, reader), configuration, id()),
        )
        .await;
        let error = open(&location).load().await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Unsupported, "{text}");
        assert!(
            text.contains(writer) && text.contains(remedy),
            "{writer}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_writer_versions_are_refused_with_the_upgrade() {
    for version in 3..=6 {
        let protocol = json!({"minReaderVersion": 1, "minWriterVersion": version});
        let text = refusal(protocol, json!({}), id()).await;
        assert!(text.contains("delta.minWriterVersion"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_null_columns_are_refused_unless_every_row_fills_them() {
    let protocol = || json!({"minReaderVersion": 1, "minWriterVersion": 2});
    let fields = || {
        vec![
            field("id", false, json!({})),
            field("_offset", false, json!({})),
        ]
    };
    let text = refusal(protocol(), json!({}), fields()).await;
    assert!(text.contains("ALTER COLUMN `id` DROP NOT NULL"), "{text}");
    let location = memory();
    foreign(&location, 0, &table(protocol(), json!({}), fields())).await;
    let mut options = quick();
    options.guaranteed_columns = ["id".to_owned(), "_offset".to_owned()].into();
    let log = TableLog::new(location, "t", options);
    assert!(log.load().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_and_defaults_are_refused() {
    let invariant = json!({"delta.invariants": "{\"expression\":{\"expression\":\"id > 0\"}}"});
    let protocol = json!({"minReaderVersion": 1, "minWriterVersion": 2});
    let location = memory();
    foreign(
        &location,
        0,
        &table(protocol, json!({}), vec![field("id", true, invariant)]),
    )
    .await;
    let error = open(&location).load().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    let default = json!({"CURRENT_DEFAULT": "5"});
    let fields = vec![field("id", true, default)];
    let text = refusal(features(&["allowColumnDefaults"], &[]), json!({}), fields).await;
    assert!(text.contains("DROP DEFAULT"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_table_that_forgets_positions_is_refused() {
    let protocol = || json!({"minReaderVersion": 1, "minWriterVersion": 2});
    let forgets = || json!({"delta.setTransactionRetentionDuration": "interval 7 days"});
    let text = refusal(protocol(), forgets(), id()).await;
    assert!(text.contains("UNSET TBLPROPERTIES"), "{text}");
    for (days, accepted) in [(6, true), (7, true), (8, false)] {
        let location = memory();
        foreign(&location, 0, &table(protocol(), forgets(), id())).await;
        let mut options = quick();
        options.source_retention = Some(Duration::from_secs(days * 24 * 3600));
        let loaded = TableLog::new(location, "t", options).load().await;
        assert_eq!(loaded.is_ok(), accepted, "{days} days");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retentions_that_readers_understand_differently_are_refused() {
    let protocol = || json!({"minReaderVersion": 1, "minWriterVersion": 2});
    let keys = [
        "delta.deletedFileRetentionDuration",
        "delta.setTransactionRetentionDuration",
    ];
    for key in keys {
        for value in [
            "7 days",
            "INTERVAL 7 DAYS",
            "interval 1 week 2 days",
            "interval -7 days",
        ] {
            let text = refusal(protocol(), json!({key: value}), id()).await;
            assert!(
                text.contains("SET TBLPROPERTIES") && text.contains(value),
                "{text}"
            );
        }
    }
    for (value, accepted) in [
        ("interval 0 hours", false),
        ("interval 59 minutes", false),
        ("interval 1 hour", true),
        ("interval 2 weeks", true),
    ] {
        let location = memory();
        let kept = json!({"delta.deletedFileRetentionDuration": value});
        foreign(&location, 0, &table(protocol(), kept, id())).await;
        assert_eq!(open(&location).load().await.is_ok(), accepted, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_dynamodb_writers_is_refused() {
    use object_store::ObjectStoreExt;
    let location = memory();
    let protocol = json!({"minReaderVersion": 1, "minWriterVersion": 2});
    foreign(&location, 0, &table(protocol, json!({}), id())).await;
    let intent = location
        .root
        .clone()
        .join("_delta_log")
        .join(".tmp")
        .join("0.json.x");
    location.store.put(&intent, "{}".into()).await.unwrap();
    let error = open(&location).load().await.unwrap_err();
    assert!(error.to_string().contains("DynamoDB"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_does_not_load_is_never_created_over() {
    let location = memory();
    // Version 0, and with it the protocol and the schema, is missing.
    foreign(
        &location,
        1,
        &[json!({"commitInfo": {"timestamp": 1, "operation": "WRITE"}})],
    )
    .await;
    let log = open(&location);
    assert!(log.load().await.is_err());
    let upload = super::support::upload(&super::support::schema(), "p", None, 2);
    assert!(log.commit(upload, super::support::token()).await.is_err());
}
