//! States that shed their list of commits: everything works from them as from listed ones.

use super::support::*;
use crate::{
    commit::{CommitOutcome, Evolved, TableLog, segment::SHED_EVERY},
    schema::SchemaChange,
    storage::TableLocation,
};
use arrow::datatypes::{DataType, Field};
use delta_kernel::scan::state::ScanFile;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, memory::InMemory};
use serde_json::{Value, json};
use std::sync::Arc;

/// Commits of one row each until the state has shed its commits; the position reached.
async fn fill(log: &TableLog, from: u64) -> u64 {
    let mut at = from;
    loop {
        let position = (at > 0).then_some(at);
        let outcome = log
            .commit(upload(&schema(), "p", position, at + 1), token())
            .await
            .unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed { .. }));
        at += 1;
        if at == 1 {
            // With its checksum the log is known.
            log.checkpoint().await.unwrap();
        }
        let state = log.state().unwrap();
        if state.version > 0 && state.version.is_multiple_of(SHED_EVERY) {
            assert!(state.shed, "version {}", state.version);
            return at;
        }
    }
}

/// How many commits the snapshot that is committed on lists.
fn listed(log: &TableLog) -> usize {
    let state = log.state().unwrap();
    state
        .snapshot
        .log_segment()
        .listed
        .ascending_commit_files
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_sheds_its_commits_and_commits_on() {
    let location = memory();
    let log = open(&location);
    let at = fill(&log, 0).await;
    assert_eq!(listed(&log), 0);
    log.commit(upload(&schema(), "p", Some(at), at + 1), token())
        .await
        .unwrap();
    assert_eq!(listed(&log), 1);
    // A position that no longer holds is still seen.
    let outcome = log
        .commit(upload(&schema(), "p", Some(at), at + 2), token())
        .await
        .unwrap();
    assert!(
        matches!(outcome, CommitOutcome::Fenced { .. }),
        "{outcome:?}"
    );
    let ids = ["p".to_owned(), "q".to_owned()];
    let expected = [Some(at + 1), None];
    assert_eq!(log.positions(&ids, false).await.unwrap(), expected);
    assert_eq!(log.positions(&ids, true).await.unwrap(), expected);
    assert_eq!(
        open(&location).positions(&ids, true).await.unwrap(),
        expected
    );
    assert_once(&landed(&location).await, "p", at + 1, "shed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commits_of_others_are_found_from_a_shed_state() {
    let location = memory();
    let log = open(&location);
    let at = fill(&log, 0).await;
    let version = log.state().unwrap().version;
    let other = json!({"txn": {"appId": "other", "version": 7, "lastUpdated": 1}});
    foreign(&location, version + 1, &[other]).await;
    log.commit(upload(&schema(), "p", Some(at), at + 1), token())
        .await
        .unwrap();
    assert_eq!(log.state().unwrap().version, version + 2);
    assert_eq!(
        log.positions(&["other".into()], false).await.unwrap(),
        [Some(7)]
    );
    // A second process takes the position away.
    let second = open(&location);
    second
        .commit(upload(&schema(), "p", Some(at + 1), at + 5), token())
        .await
        .unwrap();
    let outcome = log
        .commit(upload(&schema(), "p", Some(at + 1), at + 2), token())
        .await
        .unwrap();
    assert!(
        matches!(outcome, CommitOutcome::Fenced { .. }),
        "{outcome:?}"
    );
    assert_once(&landed(&location).await, "p", at + 5, "others");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_very_many_commits_of_others_the_log_is_listed_anew() {
    let location = memory();
    let log = open(&location);
    let at = fill(&log, 0).await;
    let version = log.state().unwrap().version;
    // More than are read one by one.
    let others = crate::commit::positions::MAX_TAIL + 10;
    for number in 1..=others {
        let other = json!({"txn": {"appId": "other", "version": number, "lastUpdated": 1}});
        foreign(&location, version + number, &[other]).await;
    }
    log.commit(upload(&schema(), "p", Some(at), at + 1), token())
        .await
        .unwrap();
    let state = log.state().unwrap();
    assert_eq!(state.version, version + others + 1);
    assert!(!state.shed);
    let ids = ["p", "other", "q"].map(str::to_owned);
    let found = log.positions(&ids, false).await.unwrap();
    assert_eq!(found, [Some(at + 1), Some(others), None]);
    log.checkpoint().await.unwrap();
    assert_eq!(files_of(&open(&location)).await, at + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_of_shed_states_are_whole() {
    let location = memory();
    let log = open(&location);
    // The first is listed, the second assembled from the first and the commits since.
    for round in 0..2u64 {
        let from = log.positions(&["p".into()], false).await.unwrap()[0].unwrap_or(0);
        let at = fill(&log, from).await;
        log.checkpoint().await.unwrap();
        let version = log.state().unwrap().version;
        let written = log.log.inner.last_checkpoint.lock().unwrap();
        assert_eq!(written.version, version, "round {round}");
        // A reader that has the checkpoint alone sees every file and position.
        for old in 0..version {
            let path = log.log.inner.commit_path(old);
            let _ = object_store::ObjectStoreExt::delete(&location.store, &path).await;
        }
        let again = open(&location);
        let state = again.load().await.unwrap().unwrap();
        assert_eq!(state.version, version);
        let stats = state.snapshot.get_file_stats_if_present().unwrap();
        assert_eq!(stats.num_files(), i64::try_from(at).unwrap());
        assert_eq!(again.all_positions().await.unwrap()["p"], at);
        assert_eq!(log.all_positions().await.unwrap()["p"], at);
        let files = files_of(&again).await;
        assert_eq!(files, at, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_read_though_others_cleaned_the_log_up() {
    let location = memory();
    let log = open(&location);
    let at = fill(&log, 0).await;
    log.checkpoint().await.unwrap();
    let at = fill(&log, at).await;
    let shed = log.state().unwrap().version;
    // A checkpoint of others at the very version that is shed, which no listing after it shows.
    let second = open(&location);
    second.load().await.unwrap();
    second.checkpoint().await.unwrap();
    for old in 0..shed {
        let path = log.log.inner.commit_path(old);
        let _ = location.store.delete(&path).await;
    }
    for _ in 0..2 {
        assert_eq!(log.all_positions().await.unwrap()["p"], at);
        assert!(log.state().unwrap().shed);
        assert_eq!(files_of(&log).await, at);
    }
    log.checkpoint().await.unwrap();
    assert_eq!(files_of(&open(&location)).await, at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_written_though_others_cleaned_the_log_up() {
    let location = memory();
    let log = open(&location);
    let at = fill(&log, 0).await;
    log.checkpoint().await.unwrap();
    let first = log.state().unwrap().version;
    let at = fill(&log, at).await;
    let second = open(&location);
    second.load().await.unwrap();
    second.checkpoint().await.unwrap();
    for old in 0..=first + 5 {
        let path = log.log.inner.commit_path(old);
        let _ = object_store::ObjectStoreExt::delete(&location.store, &path).await;
    }
    log.commit(upload(&schema(), "p", Some(at), at + 1), token())
        .await
        .unwrap();
    log.checkpoint().await.unwrap();
    assert_eq!(files_of(&open(&location)).await, at + 1);
}

/// A state of `p` that had shed the log when another writer, who writes no checksums, moved `q` to 3
/// and wrote a checkpoint, and that has seen it.
async fn past_a_checkpoint_of_others() -> (Arc<FailingStore>, TableLocation, Arc<TableLog>, u64) {
    let store = FailingStore::new(Arc::new(InMemory::new()));
    let location = super::support::at(store.clone());
    let log = open(&location);
    let at = fill(&log, 0).await;
    let other = open(&location);
    other
        .commit(upload(&schema(), "q", None, 3), token())
        .await
        .unwrap();
    other.checkpoint().await.unwrap();
    let folder = location.root.clone().join("_delta_log");
    let files: Vec<_> = location
        .store
        .list(Some(&folder))
        .try_collect()
        .await
        .unwrap();
    for file in files {
        if file.location.as_ref().ends_with(".crc") {
            location.store.delete(&file.location).await.unwrap();
        }
    }
    let state = log.load().await.unwrap().unwrap();
    assert_eq!(state.version, SHED_EVERY + 1);
    assert!(state.snapshot.crc_at_version().is_none());
    assert!(!state.shed, "the checkpoint was found by listing");
    (store, location, log, at)
}

/// What another writer commits at the very moment: `q` from 3 to 5, and a column.
async fn moves_of_others(location: &TableLocation) -> [Value; 3] {
    let path = location
        .root
        .clone()
        .join("_delta_log")
        .join(format!("{:020}.json", 0));
    let first = location
        .store
        .get(&path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let mut metadata = first
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find(|action| !action["metaData"].is_null())
        .unwrap();
    let text = metadata["metaData"]["schemaString"].as_str().unwrap();
    let mut columns: Value = serde_json::from_str(text).unwrap();
    columns["fields"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "theirs", "type": "string", "nullable": true, "metadata": {}}));
    metadata["metaData"]["schemaString"] = columns.to_string().into();
    [
        metadata,
        json!({"txn": {"appId": "q", "version": 5, "lastUpdated": 1}}),
        json!({"add": {"path": "q-3-5-theirs.parquet", "partitionValues": {}, "size": 100,
            "modificationTime": 1, "dataChange": true, "stats": "{\"numRecords\":2}"}}),
    ]
}

/// `q` from 3 on is no longer ours to land, and the column is seen.
async fn judge_fresh(log: &TableLog, location: &TableLocation, at: u64) {
    let outcome = log
        .commit(upload(&schema(), "q", Some(3), 6), token())
        .await
        .unwrap();
    let CommitOutcome::Fenced { stored, state, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(stored, Some(5));
    assert!(state.schema.columns.field_with_name("theirs").is_ok());
    let ids = ["p", "q"].map(str::to_owned);
    let known = log.positions(&ids, false).await.unwrap();
    assert_eq!(known, [Some(at), Some(5)]);
    assert_eq!(open(location).positions(&ids, true).await.unwrap(), known);
    let landed = landed(location).await;
    assert_once(&landed, "p", at, "fresh");
    assert_once(&landed, "q", 5, "fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_2_a_commit_of_others_right_after_ours_is_not_taken_for_ours() {
    let (store, location, log, at) = past_a_checkpoint_of_others().await;
    let ours = SHED_EVERY + 2;
    store.follow(&location, ours, &moves_of_others(&location).await);
    let outcome = log
        .commit(upload(&schema(), "p", Some(at), at + 1), token())
        .await
        .unwrap();
    let CommitOutcome::Committed { version, state } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((version, state.version), (ours, ours));
    judge_fresh(&log, &location, at + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_2_a_commit_of_others_right_after_a_schema_change_is_not_taken_for_it() {
    let (store, location, log, at) = past_a_checkpoint_of_others().await;
    let ours = SHED_EVERY + 2;
    let moves = moves_of_others(&location).await;
    store.follow(&location, ours, &moves[1..]);
    let add = SchemaChange::AddColumn {
        parent: Vec::new(),
        field: Field::new("theirs", DataType::Utf8, true).into(),
    };
    let base = log.state().unwrap();
    let Evolved::Applied(state) = log.evolve(&base, &[add]).await.unwrap() else {
        panic!("the schema did not change");
    };
    assert_eq!(state.version, ours);
    judge_fresh(&log, &location, at).await;
}

/// How many files the newest version has, as a reader that scans it finds them.
async fn files_of(log: &TableLog) -> u64 {
    fn count(files: &mut u64, _: ScanFile) {
        *files += 1;
    }
    let state = log.load().await.unwrap().unwrap();
    log.log
        .blocking(move |table, engine| {
            let kernel = |error| table.kernel_error("read", error);
            table.with_readable(engine.as_ref(), &state, |snapshot| {
                let scan = snapshot.clone().scan_builder().build().map_err(kernel)?;
                let mut files = 0;
                for data in scan.scan_metadata(engine.as_ref()).map_err(kernel)? {
                    files = data
                        .map_err(kernel)?
                        .visit_scan_files(files, count)
                        .map_err(kernel)?;
                }
                Ok(files)
            })
        })
        .await
        .unwrap()
}
