use super::*;
use crate::{
    error::Kind,
    event::SchemaFingerprint,
    storage::faulty::{Failure as Fail, Fault, FaultyStore, Operation, Rule},
};
use bytes::Bytes;
use object_store::memory::InMemory;
use std::collections::BTreeMap;

fn location(store: &FaultyStore) -> TableLocation {
    TableLocation {
        url: "memory:///lake/t/".parse().unwrap(),
        store: Arc::new(store.clone()),
        root: Path::from("lake/t"),
    }
}

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(InMemory::new()))
}

fn file(chunks: &[&'static str]) -> EncodedFile {
    EncodedFile {
        path: "a=x%2Fy/part-1.parquet".into(),
        chunks: chunks
            .iter()
            .map(|c| Bytes::from_static(c.as_bytes()))
            .collect(),
        size: chunks.iter().map(|c| c.len() as u64).sum(),
        rows: 3,
        partition_values: BTreeMap::from([("a".into(), Some("x/y".into()))]),
        stats: "{}".into(),
        fingerprint: SchemaFingerprint(1),
    }
}

fn options() -> UploadOptions {
    UploadOptions {
        first_backoff: Duration::from_millis(1),
        longest_backoff: Duration::from_millis(2),
        ..UploadOptions::default()
    }
}

fn in_parts() -> UploadOptions {
    UploadOptions {
        multipart_threshold_bytes: 4,
        part_size_bytes: 4,
        max_concurrent_parts: 2,
        ..options()
    }
}

async fn content(store: &FaultyStore) -> Bytes {
    let path = Path::parse("lake/t/a=x%2Fy/part-1.parquet").unwrap();
    store.get(&path).await.unwrap().bytes().await.unwrap()
}

#[tokio::test]
async fn a_file_lands_where_its_path_says_and_keeps_its_percent_signs() {
    let store = store();
    let landed = upload(&location(&store), file(&["ab", "cde"]), &options())
        .await
        .unwrap();
    assert_eq!(content(&store).await, "abcde");
    assert_eq!(landed.path, "a=x%2Fy/part-1.parquet");
    assert_eq!((landed.size, landed.rows), (5, 3));
    assert!(landed.modification_time > 1_700_000_000_000);
    assert_eq!(store.count(Operation::Put), 1);
}

#[tokio::test]
async fn failures_and_lost_answers_are_retried_at_the_same_path() {
    let store = store();
    store.add(Rule::on(Operation::Put, Fault::Fail(Fail::Unavailable)).times(3));
    store.add(Rule::on(Operation::Put, Fault::LoseAnswer(Fail::Unavailable)).times(1));
    let options = options();
    upload(&location(&store), file(&["abc"]), &options)
        .await
        .unwrap();
    assert!(
        options.failing.load(Ordering::Acquire),
        "told while it is tried again"
    );
    assert_eq!(content(&store).await, "abc");
    let calls = store.calls();
    assert_eq!(
        calls
            .iter()
            .filter(|c| c.operation == Operation::Put)
            .count(),
        5
    );
    assert!(calls.iter().all(|c| c.path == calls[0].path));
}

#[tokio::test]
async fn an_upload_tried_for_long_takes_a_new_name_so_that_old_files_are_never_written_again() {
    let store = store();
    store.add(Rule::on(Operation::Put, Fault::LoseAnswer(Fail::Unavailable)).times(1));
    store.add(Rule::on(Operation::Put, Fault::Fail(Fail::Unavailable)).times(60));
    let options = UploadOptions {
        rename_after: Duration::from_millis(30),
        ..options()
    };
    let landed = upload(&location(&store), file(&["abc"]), &options)
        .await
        .unwrap();
    let paths: Vec<String> = store.calls().iter().map(|c| c.path.clone()).collect();
    assert!(paths[0] == paths[1] && paths[0].ends_with(&file(&[]).path));
    assert_eq!(paths.last(), Some(&format!("lake/t/{}", landed.path)));
    assert!(landed.path.starts_with("a=x%2Fy/part-"), "{}", landed.path);
    assert_ne!(landed.path, file(&[]).path);
    let path = Path::parse(paths.last().unwrap()).unwrap();
    let content = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(content, "abc");
}

#[tokio::test]
async fn uploads_that_share_their_turns_are_not_all_under_way_at_once() {
    let store = store();
    store.add(Rule::on(
        Operation::Put,
        Fault::Delay(Duration::from_secs(3_600)),
    ));
    let options = UploadOptions {
        requests: Arc::new(Semaphore::new(3)),
        ..options()
    };
    let location = location(&store);
    let all = (0..10).map(|_| upload(&location, file(&["abc"]), &options));
    let all = futures::future::join_all(all);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), all)
            .await
            .is_err()
    );
    assert_eq!(store.count(Operation::Put), 3);
}

#[tokio::test]
async fn what_no_retry_mends_is_returned_at_once() {
    for failure in [Fail::PermissionDenied, Fail::NotFound] {
        let store = store();
        store.add(Rule::always(Fault::Fail(failure)));
        let error = upload(&location(&store), file(&["abc"]), &options())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized);
        assert_eq!(store.calls().len(), 1);
    }
}

#[tokio::test]
async fn large_files_go_in_equal_parts() {
    let store = store();
    upload(
        &location(&store),
        file(&["ab", "cdefgh", "i", "jk"]),
        &in_parts(),
    )
    .await
    .unwrap();
    assert_eq!(content(&store).await, "abcdefghijk");
    assert_eq!(store.count(Operation::PutPart), 3);
    assert_eq!(store.count(Operation::Abort), 0);
    let sizes: Vec<_> = file(&["ab", "cdefgh", "i", "jk"])
        .parts(4)
        .iter()
        .map(PutPayload::content_length)
        .collect();
    assert_eq!(sizes, [4, 4, 3]);
}

#[tokio::test]
async fn no_more_parts_are_in_flight_than_allowed() {
    let store = store();
    let late = Fault::Delay(Duration::from_secs(3_600));
    store.add(Rule::on(Operation::PutPart, late));
    let location = location(&store);
    let options = in_parts();
    let sending = upload(&location, file(&["abcdefghijklmnop"]), &options);
    let waited = tokio::time::timeout(Duration::from_millis(50), sending).await;
    assert!(waited.is_err());
    assert_eq!(
        store.count(Operation::PutPart),
        options.max_concurrent_parts
    );
}

#[tokio::test]
async fn a_fault_at_any_operation_of_an_upload_in_parts_is_overcome() {
    for n in 0..5 {
        for fault in [
            Fault::Fail(Fail::Unavailable),
            Fault::LoseAnswer(Fail::Unavailable),
        ] {
            let store = store();
            store.add(Rule::nth(n, fault));
            upload(&location(&store), file(&["abcdefgh", "ijk"]), &in_parts())
                .await
                .unwrap();
            assert_eq!(content(&store).await, "abcdefghijk");
            assert!(store.count(Operation::PutMultipart) > 1, "{n} {fault:?}");
            if n > 0 {
                assert_eq!(store.count(Operation::Abort), 1, "{n} {fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_waited_for_until_shutdown() {
    let store = store();
    store.add(Rule::always(Fault::Fail(Fail::Unavailable)));
    let options = UploadOptions {
        first_backoff: Duration::from_millis(1),
        longest_backoff: Duration::from_millis(20),
        ..UploadOptions::default()
    };
    let cancel = options.cancel.clone();
    let location = location(&store);
    let waiting = tokio::spawn(async move { upload(&location, file(&["abc"]), &options).await });
    while store.count(Operation::Put) < 12 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error}");
}

#[test]
fn waits_grow_to_the_longest_and_differ() {
    let options = UploadOptions::default();
    let first: Vec<_> = (0..50).map(|_| backoff(&options, 1)).collect();
    assert!(
        first.iter().all(|w| (50..=100).contains(&w.as_millis())),
        "{first:?}"
    );
    assert!(first.iter().any(|w| *w != first[0]));
    assert!((15..=30).contains(&backoff(&options, 40).as_secs()));
    assert!((15..=30).contains(&backoff(&options, u32::MAX).as_secs()));
}

#[tokio::test]
async fn shutdown_ends_an_upload_that_hangs() {
    for (options, operation) in [
        (options(), Operation::Put),
        (in_parts(), Operation::PutMultipart),
        (in_parts(), Operation::PutPart),
        (in_parts(), Operation::Complete),
    ] {
        let store = store();
        store.add(Rule::on(
            operation,
            Fault::Delay(Duration::from_secs(3_600)),
        ));
        let cancel = options.cancel.clone();
        let location = location(&store);
        let hanging =
            tokio::spawn(async move { upload(&location, file(&["abcdefgh"]), &options).await });
        while store.count(operation) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cancel.cancel();
        let error = hanging.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Cancelled { .. }), "{error}");
    }
}
