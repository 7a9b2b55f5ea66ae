//! Listings: complete, in order, by page.

use super::{Bench, Outcome, ensure, told};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use std::sync::Arc;

/// More than one page of S3 (1000).
const MANY: usize = 1_040;
const AT_ONCE: usize = 32;

pub(super) async fn all(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<Vec<Path>, String> {
    let found = store.list(Some(folder)).map_ok(|object| object.location);
    found.try_collect().await.map_err(told("listing"))
}

pub(super) async fn list(bench: &Bench) -> Outcome {
    for name in ["b/2", "a", "b/1", "b/c/3", "bb/4", "d"] {
        let put = bench
            .store
            .put(&bench.path(&format!("list/{name}")), name.into())
            .await;
        put.map_err(told("writing"))?;
    }
    let paths = |names: &[&str]| -> Vec<Path> {
        names
            .iter()
            .map(|name| bench.path(&format!("list/{name}")))
            .collect()
    };
    expect(
        bench,
        all(&bench.store, &bench.path("list")).await?,
        &paths(&["a", "b/1", "b/2", "b/c/3", "bb/4", "d"]),
    )?;
    expect(
        bench,
        all(&bench.store, &bench.path("list/b")).await?,
        &paths(&["b/1", "b/2", "b/c/3"]),
    )?;
    expect(
        bench,
        all(&bench.store, &bench.path("list/nothing")).await?,
        &[],
    )?;
    let level = bench
        .store
        .list_with_delimiter(Some(&bench.path("list")))
        .await;
    let level = level.map_err(told("listing a level"))?;
    let mut folders = level.common_prefixes;
    folders.sort();
    ensure(folders == paths(&["b", "bb"]), || {
        format!("a level's folders: {folders:?}")
    })?;
    let objects = level
        .objects
        .into_iter()
        .map(|object| object.location)
        .collect();
    expect(bench, objects, &paths(&["a", "d"]))?;
    let found = bench.store.list(Some(&bench.path("list/d")));
    let found: Vec<_> = found.try_collect().await.map_err(told("listing"))?;
    ensure(found.is_empty(), || "an object lies below itself".into())
}

pub(super) async fn pages(bench: &Bench) -> Outcome {
    let folder = bench.path("pages");
    let path = |number: usize| folder.clone().join(format!("{number:020}.json"));
    stream::iter((0..MANY).map(|number| {
        let (store, path) = (&bench.store, path(number));
        async move { store.put(&path, "x".into()).await }
    }))
    .buffer_unordered(AT_ONCE)
    .try_collect::<Vec<_>>()
    .await
    .map_err(told("writing"))?;
    let every: Vec<Path> = (0..MANY).map(path).collect();
    expect(bench, all(&bench.store, &folder).await?, &every)?;
    // From the middle of a page, at its end, near the end of all; the offset itself is left out.
    for offset in [0, 500, 999, 1_000, MANY - 2, MANY - 1] {
        let later = bench.store.list_with_offset(Some(&folder), &path(offset));
        let later = later.map_ok(|object| object.location).try_collect().await;
        let wanted = every.get(offset + 1..).unwrap_or_default();
        expect(
            bench,
            later.map_err(told("listing from an offset"))?,
            wanted,
        )?;
    }
    let every = stream::iter(every.into_iter().map(Ok)).boxed();
    let deleted: Vec<_> = bench
        .store
        .delete_stream(every)
        .try_collect()
        .await
        .map_err(told("deleting many"))?;
    ensure(deleted.len() == MANY, || {
        format!("not all are deleted but {}", deleted.len())
    })?;
    expect(bench, all(&bench.store, &folder).await?, &[])
}

fn expect(bench: &Bench, mut found: Vec<Path>, wanted: &[Path]) -> Outcome {
    if !bench.expect.sorted {
        found.sort();
    }
    ensure(found == wanted, || {
        let differs = found.iter().zip(wanted).position(|(a, b)| a != b);
        format!(
            "a listing differs, found=`{}` wanted=`{}` first_difference={differs:?}",
            found.len(),
            wanted.len()
        )
    })
}
