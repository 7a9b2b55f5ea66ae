//! States that shed their list of commits: everything works from them as from listed ones.

use super::support::*;
use crate::commit::{CommitOutcome, TableLog, segment::SHED_EVERY};
use delta_kernel::scan::state::ScanFile;
use serde_json::json;

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

/// How many files the newest version has, as a reader that scans it finds them.
async fn files_of(log: &TableLog) -> u64 {
    fn count(files: &mut u64, _: ScanFile) {
        *files += 1;
    }
    let state = log.load().await.unwrap().unwrap();
    log.log
        .blocking(move |table, engine| {
            let kernel = |error| table.kernel_error("read", error);
            let snapshot = table.readable(engine.as_ref(), &state)?;
            let scan = snapshot.scan_builder().build().map_err(kernel)?;
            let mut files = 0;
            for data in scan.scan_metadata(engine.as_ref()).map_err(kernel)? {
                files = data
                    .map_err(kernel)?
                    .visit_scan_files(files, count)
                    .map_err(kernel)?;
            }
            Ok(files)
        })
        .await
        .unwrap()
}
