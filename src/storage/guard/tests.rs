//! What is refused is refused before any request.

use super::*;
use crate::storage::faulty::FaultyStore;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, memory::InMemory};

#[test]
fn every_spelling_is_known() {
    for path in [
        "adobe-managed-staging",
        "adobe-managed-staging/x",
        "a/adobe-managed-staging/x",
        "/adobe-managed-staging",
        "a/../adobe-managed-staging/x",
        "./adobe-managed-staging",
        "adobe%2Dmanaged-staging/x",
        "%61dobe-managed-staging/x",
        "adobe%252Dmanaged-staging/x",
        "adobe%25252dmanaged-staging",
        "a/%2e%2e/adobe-managed-staging/x",
        "a%2F..%2Fadobe-managed-staging%2Fx",
        "adobe-managed-staging\\x",
        "adobe-managed-staging%5Cx",
        "b/../../adobe-managed-staging",
        "adobe-managed-staging/../x",
    ] {
        assert!(is_managed(path), "{path}");
    }
    for path in [
        "",
        "a",
        "adobe-managed-staging2/x",
        "my-adobe-managed-staging",
        "Adobe-Managed-Staging/x",
        "100%",
        "%zz/%+1",
        "a=x%2Fy/part.parquet",
    ] {
        assert!(!is_managed(path), "{path}");
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

async fn stores() -> (FaultyStore, Guard) {
    let inside = Arc::new(InMemory::new());
    for name in [
        "a/1",
        "adobe-managed-staging/x",
        "b/adobe-managed-staging/y",
        "c",
    ] {
        inside.put(&path(name), "x".into()).await.unwrap();
    }
    let faulty = FaultyStore::new(inside);
    let guard = Guard::new(Arc::new(faulty.clone()));
    (faulty, guard)
}

#[tokio::test]
async fn nothing_below_it_is_asked_for() {
    let (faulty, guard) = stores().await;
    for spelled in ["adobe-managed-staging/x", "%61dobe-managed-staging/x"] {
        let at = &path(spelled);
        let other = &path("a/1");
        let refused = [
            guard.put(at, "y".into()).await.map(drop),
            guard.put_multipart(at).await.map(drop),
            guard.get(at).await.map(drop),
            guard.head(at).await.map(drop),
            guard.get_range(at, 0..1).await.map(drop),
            guard.get_ranges(at, &[0..1, 2..3]).await.map(drop),
            guard.delete(at).await,
            guard.copy(at, other).await,
            guard.copy(other, at).await,
            guard.rename(at, other).await,
            guard.rename(other, at).await,
            guard.list(Some(at)).try_collect::<Vec<_>>().await.map(drop),
            guard
                .list_with_offset(Some(at), other)
                .try_collect::<Vec<_>>()
                .await
                .map(drop),
            guard.list_with_delimiter(Some(at)).await.map(drop),
        ];
        for (index, answer) in refused.into_iter().enumerate() {
            assert!(
                matches!(answer, Err(Error::PermissionDenied { .. })),
                "{index} {spelled}: {answer:?}"
            );
        }
    }
    assert_eq!(faulty.calls(), []);
}

#[tokio::test]
async fn listings_leave_it_out() {
    let (_, guard) = stores().await;
    let names = |found: Vec<ObjectMeta>| -> Vec<String> {
        found.into_iter().map(|o| o.location.to_string()).collect()
    };
    let all = guard.list(None).try_collect().await.unwrap();
    assert_eq!(names(all), ["a/1", "c"]);
    let later = guard.list_with_offset(None, &path("a/1"));
    assert_eq!(names(later.try_collect().await.unwrap()), ["c"]);
    let level = guard.list_with_delimiter(None).await.unwrap();
    assert_eq!(level.common_prefixes, [path("a"), path("b")]);
    assert_eq!(names(level.objects), ["c"]);
}

#[tokio::test]
async fn what_may_be_deleted_is_whatever_stands_beside_it() {
    let (_, guard) = stores().await;
    let asked = [
        "adobe-managed-staging/x",
        "a/1",
        "b/adobe-managed-staging/y",
        "c",
    ];
    let asked = stream::iter(asked.map(|name| Ok(path(name)))).boxed();
    let answers: Vec<_> = guard.delete_stream(asked).collect().await;
    let deleted: Vec<_> = answers.iter().flatten().map(AsRef::as_ref).collect();
    assert_eq!(deleted, ["a/1", "c"]);
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 2);
    assert!(
        guard
            .inner
            .head(&path("adobe-managed-staging/x"))
            .await
            .is_ok()
    );
}
