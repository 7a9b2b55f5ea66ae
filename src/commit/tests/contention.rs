//! Several writers on one table, and writers that are not ours.

use super::support::{
    assert_once, foreign, landed, memory, open, range, schema, schema_of, token, upload,
};
use crate::{
    commit::{CommitOutcome, Evolved, Upload},
    schema::SchemaChange,
};
use arrow::datatypes::{DataType, Field};
use serde_json::json;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_of_their_own_partitions_all_land() {
    let location = memory();
    let mut writers = Vec::new();
    for number in 0..8 {
        let log = open(&location);
        writers.push(tokio::spawn(async move {
            let name = format!("p{number}");
            let mut position = None;
            for round in 1..=5 {
                let outcome = log
                    .commit(upload(&schema(), &name, position, round * 3), token())
                    .await
                    .unwrap();
                assert!(
                    matches!(outcome, CommitOutcome::Committed { .. }),
                    "{outcome:?}"
                );
                position = Some(round * 3);
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let rows = landed(&location).await;
    for number in 0..8 {
        assert_once(&rows, &format!("p{number}"), 15, "eight writers");
    }
    assert_eq!(open(&location).load().await.unwrap().unwrap().version, 39);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_a_create_race_has_one_winner_and_no_loser_of_data() {
    for _ in 0..10 {
        let location = memory();
        let (a, b) = (open(&location), open(&location));
        let (x, y) = tokio::join!(
            a.commit(upload(&schema(), "a", None, 4), token()),
            b.commit(upload(&schema(), "b", None, 4), token()),
        );
        for outcome in [x.unwrap(), y.unwrap()] {
            assert!(
                matches!(outcome, CommitOutcome::Committed { .. }),
                "{outcome:?}"
            );
        }
        let rows = landed(&location).await;
        assert_once(&rows, "a", 4, "race");
        assert_once(&rows, "b", 4, "race");
        let history = a.history().await.unwrap();
        assert_eq!(history.len(), 2);
        assert!(history.iter().all(|commit| commit.account.is_some()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_two_zombies_of_one_partition_race_to_create() {
    for _ in 0..10 {
        let location = memory();
        let (a, b) = (open(&location), open(&location));
        let (x, y) = tokio::join!(
            a.commit(upload(&schema(), "p", None, 4), token()),
            b.commit(upload(&schema(), "p", None, 6), token()),
        );
        let fenced = [x.unwrap(), y.unwrap()]
            .iter()
            .filter(|outcome| matches!(outcome, CommitOutcome::Fenced { .. }))
            .count();
        assert_eq!(fenced, 1);
        assert_eq!(landed(&location).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_in_between_does_not_hurt() {
    let location = memory();
    let log = open(&location);
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    let path = log_file(&location).await;
    foreign(
        &location,
        1,
        &[
            json!({"commitInfo": {"timestamp": 1, "operation": "OPTIMIZE", "engineInfo": "Spark"}}),
            json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": false, "size": 100, "partitionValues": {}}}),
            json!({"add": {"path": "z-0-0-compacted.parquet", "partitionValues": {}, "size": 90, "modificationTime": 1, "dataChange": false, "stats": "{\"numRecords\":2}"}}),
        ],
    )
    .await;
    let outcome = log
        .commit(upload(&schema(), "p", Some(2), 4), token())
        .await
        .unwrap();
    let CommitOutcome::Committed { version, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(version, 2);
    assert_once(
        &landed(&location)
            .await
            .into_iter()
            .filter(|row| row.0 == "p")
            .collect::<Vec<_>>(),
        "p",
        4,
        "optimize",
    );
    let history = log.history().await.unwrap();
    assert!(history[1].account.is_none());
    assert_eq!(
        history[2].account.as_ref().unwrap().ranges[0].expected,
        Some(2)
    );
}

async fn log_file(location: &crate::storage::TableLocation) -> String {
    use object_store::ObjectStoreExt;
    let path = location
        .root
        .clone()
        .join("_delta_log")
        .join(format!("{:020}.json", 0));
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
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .find_map(|action| action["add"]["path"].as_str().map(str::to_owned))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_4_a_column_added_meanwhile_fits_and_a_type_changed_does_not() {
    let location = memory();
    let (ours, theirs) = (open(&location), open(&location));
    ours.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    let base = theirs.load().await.unwrap().unwrap();
    let change = SchemaChange::AddColumn {
        parent: Vec::new(),
        field: Arc::new(Field::new("extra", DataType::Utf8, true)),
    };
    let evolved = theirs
        .evolve(&base, std::slice::from_ref(&change))
        .await
        .unwrap();
    assert!(matches!(evolved, Evolved::Applied(_)));
    // Encoded before the change: it still fits.
    let outcome = ours
        .commit(upload(&schema(), "p", Some(2), 4), token())
        .await
        .unwrap();
    assert!(
        matches!(outcome, CommitOutcome::Committed { .. }),
        "{outcome:?}"
    );
    // Encoded for another type of it: it does not.
    let other = schema_of(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("extra", DataType::Float64, true),
    ]);
    let outcome = ours
        .commit(upload(&other, "p", Some(4), 6), token())
        .await
        .unwrap();
    let CommitOutcome::Stale { state } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(state.schema.columns.fields().len(), 3);
    // A change decided from a state that is not the table's any more is to be decided anew.
    let evolved = ours.evolve(&base, &[change]).await.unwrap();
    assert!(matches!(evolved, Evolved::Moved(_)), "{evolved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_files_that_may_have_been_swept_are_stale() {
    let location = memory();
    let log = open(&location);
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    let mut old = upload(&schema(), "p", Some(2), 4);
    old.files[0].modification_time -= 4 * 24 * 3600 * 1000;
    let outcome = log.commit(old, token()).await.unwrap();
    assert!(
        matches!(outcome, CommitOutcome::Stale { .. }),
        "{outcome:?}"
    );
    let mut young = upload(&schema(), "p", Some(2), 4);
    young.files[0].modification_time -= 3 * 24 * 3600 * 1000;
    let outcome = log.commit(young, token()).await.unwrap();
    assert!(
        matches!(outcome, CommitOutcome::Committed { .. }),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_holds_for_a_table_that_is_not_there_yet() {
    let log = open(&memory());
    let mut old = upload(&schema(), "p", None, 2);
    old.files[0].modification_time -= 4 * 24 * 3600 * 1000;
    let error = log.commit(old, token()).await.unwrap_err();
    assert!(error.to_string().contains("cleaned up"), "{error}");
    assert!(log.load().await.unwrap().is_none(), "nothing was made");
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_6_another_table_in_the_same_place_stops_the_writer() {
    let location = memory();
    let log = open(&location);
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    foreign(
        &location,
        0,
        &[
            json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
            json!({"metaData": {"id": "another", "format": {"provider": "parquet", "options": {}}, "schemaString": "{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}", "partitionColumns": [], "configuration": {}, "createdTime": 1}}),
        ],
    )
    .await;
    foreign(&location, 1, &[json!({"metaData": {"id": "another", "format": {"provider": "parquet", "options": {}}, "schemaString": "{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}", "partitionColumns": [], "configuration": {}, "createdTime": 1}})]).await;
    let error = log
        .commit(upload(&schema(), "p", Some(2), 4), token())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another"), "{error}");
    let error = log.load().await.unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Corrupt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_commit_is_fenced_as_a_whole() {
    let location = memory();
    let log = open(&location);
    log.commit(upload(&schema(), "p", None, 2), token())
        .await
        .unwrap();
    let mut both = upload(&schema(), "q", None, 2);
    both.ranges.push(range("p", Some(1), 3));
    let outcome = log.commit(both, token()).await.unwrap();
    let CommitOutcome::Fenced {
        partition, stored, ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!((partition.app_id(), stored), ("p", Some(2)));
    assert_eq!(landed(&location).await.len(), 1);
    // Positions alone move without files.
    let alone = Upload {
        earlier: Vec::new(),
        files: Vec::new(),
        schema: schema(),
        ranges: vec![range("p", Some(2), 9)],
        marks: Vec::new(),
    };
    log.commit(alone, token()).await.unwrap();
    let stored = log
        .positions(&["p".into(), "q".into()], true)
        .await
        .unwrap();
    assert_eq!(stored, [Some(9), None]);
}
