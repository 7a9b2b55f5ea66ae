//! The real kernel on a store that fails at every operation of a commit, one after the other and in
//! pairs: each history lands exactly once (invariants 1, 2 and 5; rules 2 and 3).

use super::support::{
    FailingStore, Fault, assert_once, at, landed, mark, open, quick, schema, token, upload,
};
use crate::commit::{CommitOptions, CommitOutcome, Evolved, TableLog};
use crate::{
    error::Kind,
    schema::SchemaChange,
    storage::{
        TableLocation,
        faulty::{
            self, FaultyStore,
            Operation::{Abort, Complete, PutPart},
        },
    },
    telemetry::testing::listen,
};
use arrow::datatypes::{DataType, Field};
use object_store::{
    ObjectStore, ObjectStoreExt, local::LocalFileSystem, memory::InMemory, path::Path,
};
use std::sync::Arc;

const FAULTS: [Fault; 3] = [Fault::Before, Fault::After, Fault::Delay];

/// Lands `[at, at + 2)` of `p`, again from the table's position after a fence.
async fn land(log: &TableLog, position: Option<u64>, context: &str) {
    let end = position.unwrap_or(0) + 2;
    match log
        .commit(upload(&schema(), "p", position, end), token())
        .await
    {
        Ok(CommitOutcome::Committed { .. }) => {}
        other => panic!("{context}: {other:?}"),
    }
    let stored = log.positions(&["p".into()], true).await.unwrap();
    assert_eq!(stored, [Some(end)], "{context}");
}

/// A history of a creation and two appends; operation `n` of the one numbered `which` meets a fault.
async fn history(inner: Arc<dyn ObjectStore>, which: u64, faults: &[(usize, Fault)]) -> usize {
    let context = format!("commit {which}, faults {faults:?}");
    let store = FailingStore::new(inner.clone());
    let location = at(store.clone());
    let log = open(&location);
    let mut seen = 0;
    for number in 0..3u64 {
        if number == which {
            store.plan(faults);
        }
        let position = (number > 0).then_some(number * 2);
        let end = number * 2 + 2;
        let outcome = log
            .commit(upload(&schema(), "p", position, end), token())
            .await;
        if number == which {
            seen = store.seen();
        }
        store.plan(&[]);
        assert!(
            matches!(outcome, Ok(CommitOutcome::Committed { .. })),
            "{context}: {outcome:?}"
        );
    }
    assert_once(&landed(&at(inner)).await, "p", 6, &context);
    seen
}

/// Nobody else tells of a commit that is tried again without end.
#[tokio::test]
async fn a_commit_that_is_tried_again_is_warned_of_at_the_first_failure() {
    let (lines, _listening) = listen();
    let store = FailingStore::new(Arc::new(InMemory::new()));
    let log = open(&at(store.clone()));
    let faults: Vec<_> = (0..6).map(|number| (number, Fault::Before)).collect();
    store.plan(&faults);
    land(&log, None, "six failures").await;
    let text = lines.text();
    assert_eq!(text.matches("; trying again").count(), 1, "{text}");
    assert!(text.contains("kind=\"unavailable\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_3_every_operation_of_every_commit_fails_once() {
    for which in 0..3 {
        let operations = history(Arc::new(InMemory::new()), which, &[]).await;
        assert!(operations >= 1, "commit {which} did nothing");
        for number in 0..operations + 4 {
            for fault in FAULTS {
                history(Arc::new(InMemory::new()), which, &[(number, fault)]).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_3_and_the_reload_fails_as_well() {
    for which in 0..2 {
        let operations = history(Arc::new(InMemory::new()), which, &[]).await;
        for first in 0..operations {
            for second in first + 1..operations + 5 {
                for (a, b) in [
                    (Fault::After, Fault::Before),
                    (Fault::After, Fault::After),
                    (Fault::Before, Fault::After),
                ] {
                    let faults = [(first, a), (second, b)];
                    history(Arc::new(InMemory::new()), which, &faults).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_disk_fails_at_every_operation() {
    for which in 0..2 {
        for number in 0..6 {
            for fault in FAULTS {
                let folder = tempfile::tempdir().unwrap();
                let inner = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
                history(Arc::new(inner), which, &[(number, fault)]).await;
            }
        }
    }
}

/// A restart knows nothing but the table: the same range handed in again is found standing, and
/// another writer's boundaries are fenced.
#[tokio::test(flavor = "multi_thread")]
async fn rules_3_and_5_a_restart_after_every_kind_of_answer() {
    for fault in [None, Some(Fault::Before), Some(Fault::After)] {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = FailingStore::new(inner.clone());
        let log = open(&at(store.clone()));
        land(&log, None, "first").await;
        if let Some(fault) = fault {
            // The very PUT; and the process is gone before it can ask again.
            store.plan(&[(0, fault)]);
        }
        let cancel = token();
        let commit = log.commit(upload(&schema(), "p", Some(2), 4), cancel.clone());
        if fault.is_some() {
            let stopped = tokio::spawn({
                let store = store.clone();
                async move {
                    while store.seen() == 0 {
                        tokio::task::yield_now().await;
                    }
                    cancel.cancel();
                }
            });
            let _ = commit.await;
            stopped.await.unwrap();
        } else {
            commit.await.unwrap();
        }
        let again = open(&at(inner.clone()));
        let stored = again.positions(&["p".into()], true).await.unwrap()[0];
        let outcome = again
            .commit(upload(&schema(), "p", Some(2), 4), token())
            .await
            .unwrap();
        assert!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            "{stored:?} {outcome:?}"
        );
        let other = again
            .commit(upload(&schema(), "p", Some(2), 5), token())
            .await
            .unwrap();
        let CommitOutcome::Fenced {
            stored, partition, ..
        } = other
        else {
            panic!("{other:?}");
        };
        assert_eq!((stored, partition.app_id()), (Some(4), "p"));
        assert_once(&landed(&at(inner)).await, "p", 4, &format!("{fault:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_move_forward_only_through_lost_answers() {
    for number in 0..6 {
        for fault in FAULTS {
            let store = FailingStore::new(Arc::new(InMemory::new()));
            let log = open(&at(store.clone()));
            let marks = |version| crate::commit::Upload {
                earlier: Vec::new(),
                files: Vec::new(),
                schema: schema(),
                ranges: Vec::new(),
                marks: vec![mark("p!low-water", version)],
            };
            log.commit(marks(5), token()).await.unwrap();
            store.plan(&[(number, fault)]);
            log.commit(marks(9), token()).await.unwrap();
            store.plan(&[]);
            let before = log.load().await.unwrap().unwrap().version;
            // A lower one moves nothing and writes no version.
            log.commit(marks(7), token()).await.unwrap();
            let stored = log.positions(&["p!low-water".into()], true).await.unwrap();
            assert_eq!(stored, [Some(9)], "{number} {fault:?}");
            assert_eq!(log.load().await.unwrap().unwrap().version, before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_a_schema_change_is_made_once_whatever_the_answers() {
    for number in 0..8 {
        for fault in FAULTS {
            let store = FailingStore::new(Arc::new(InMemory::new()));
            let log = open(&at(store.clone()));
            land(&log, None, "first").await;
            let base = log.load().await.unwrap().unwrap();
            store.plan(&[(number, fault)]);
            let change = SchemaChange::AddColumn {
                parent: Vec::new(),
                field: Arc::new(Field::new("extra", DataType::Float64, true)),
            };
            let evolved = log.evolve(&base, &[change]).await.unwrap();
            store.plan(&[]);
            assert!(matches!(evolved, Evolved::Applied(_)), "{number} {fault:?}");
            let state = log.load().await.unwrap().unwrap();
            assert_eq!(state.version, 1, "{number} {fault:?}");
            assert!(state.schema.columns.field_with_name("extra").is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unauthorised_answer_is_told_and_not_retried_for_ever() {
    let store = FailingStore::new(Arc::new(InMemory::new()));
    let log = open(&at(store.clone()));
    land(&log, None, "first").await;
    store.refuse_from(0, || object_store::Error::PermissionDenied {
        path: "lake/t".into(),
        source: "AccessDenied".into(),
    });
    let error = log
        .commit(upload(&schema(), "p", Some(2), 4), token())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized, "{error}");
    store.plan(&[]);
    land(&log, Some(2), "with the right again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_ends_when_it_is_cancelled() {
    let store = FailingStore::new(Arc::new(InMemory::new()));
    store.refuse_from(0, || object_store::Error::Generic {
        store: "failing",
        source: "down".into(),
    });
    let location = TableLocation {
        root: Path::from("lake/t"),
        ..at(store)
    };
    let log = open(&location);
    let cancel = token();
    let commit = log.commit(upload(&schema(), "p", None, 2), cancel.clone());
    let timer = async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        cancel.cancel();
    };
    let (error, ()) = tokio::join!(commit, timer);
    assert_eq!(error.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_whose_answers_are_lost_lead_to_checkpoints_too() {
    let store = FailingStore::new(Arc::new(InMemory::new()));
    let location = at(store.clone());
    let options = CommitOptions {
        checkpoint_interval_commits: 2,
        ..quick()
    };
    let log = TableLog::new(location.clone(), "t", options);
    land(&log, None, "made").await;
    store.plan(&[(0, Fault::After)]);
    land(&log, Some(2), "lost").await;
    while log.checkpoints.runs() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let pointer = location
        .root
        .clone()
        .join("_delta_log")
        .join("_last_checkpoint");
    assert!(location.store.head(&pointer).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_not_finished_leaves_no_parts_behind() {
    for (operation, skip) in [(PutPart, 0), (PutPart, 1), (Complete, 0)] {
        let store = FaultyStore::new(Arc::new(InMemory::new()));
        let location = at(Arc::new(store.clone()));
        let log = open(&location);
        let mut large = upload(&schema(), "p", None, 2);
        // A name that does not compress, of more than one part.
        let mut random = fastrand::Rng::with_seed(7);
        large.files[0].path = std::iter::repeat_with(|| random.alphanumeric())
            .take(6 << 20)
            .collect();
        log.commit(large, token()).await.unwrap();
        let fault = faulty::Fault::Fail(faulty::Failure::Unavailable);
        store.add(
            faulty::Rule::on(operation, fault)
                .path("*.checkpoint.parquet")
                .skip(skip)
                .times(1),
        );
        assert!(log.checkpoint().await.is_err(), "{operation:?}");
        assert_eq!(store.count(Abort), 1, "{operation:?}");
        log.checkpoint().await.unwrap();
        let state = open(&location).load().await.unwrap().unwrap();
        assert_eq!(state.snapshot.log_segment().checkpoint_version, Some(0));
    }
}
