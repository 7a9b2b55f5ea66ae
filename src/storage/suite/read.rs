//! Whole objects, ranges, heads.

use super::{Bench, Outcome, bytes, ensure, told};
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};

pub(super) async fn write_and_read(bench: &Bench) -> Outcome {
    let path = bench.path("read/object");
    for length in [0, 1, 70_000] {
        let content = bytes(length);
        let put = bench.store.put(&path, content.clone().into()).await;
        put.map_err(told("writing"))?;
        bench.expect_content(&path, &content).await?;
        let head = bench.store.head(&path).await.map_err(told("looking"))?;
        ensure(head.size == length as u64 && head.location == path, || {
            format!("a head tells another object: {head:?}")
        })?;
    }
    Ok(())
}

pub(super) async fn ranges(bench: &Bench) -> Outcome {
    let (path, content) = (bench.path("read/ranges"), bytes(10_000));
    let put = bench.store.put(&path, content.clone().into()).await;
    put.map_err(told("writing"))?;
    for range in [0..1, 0..10_000, 9_999..10_000, 137..4_200] {
        let found = bench.store.get_range(&path, range.clone()).await;
        let found = found.map_err(told("reading a range"))?;
        let wanted = content.get(range.start as usize..range.end as usize);
        ensure(Some(&*found) == wanted, || {
            format!("a range reads wrong: {range:?}")
        })?;
    }
    let several = [5..9, 9_000..9_100, 100..4_000];
    let found = bench.store.get_ranges(&path, &several).await;
    for (range, found) in several.iter().zip(found.map_err(told("reading ranges"))?) {
        let wanted = content.get(range.start as usize..range.end as usize);
        ensure(Some(&*found) == wanted, || {
            format!("one of several ranges reads wrong: {range:?}")
        })?;
    }
    let options = GetOptions {
        range: Some(GetRange::Suffix(8)),
        ..GetOptions::default()
    };
    let end = bench.store.get_opts(&path, options).await;
    match end {
        // A footer is read from a known size where a store has no suffixes (Azure).
        Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => Ok(()),
        end => {
            let end = end.map_err(told("reading the end"))?.bytes().await;
            let end = end.map_err(told("reading the end"))?;
            ensure(content.ends_with(&end) && end.len() == 8, || {
                "the end reads wrong".into()
            })
        }
    }
}

pub(super) async fn absent(bench: &Bench) -> Outcome {
    let path = bench.path("read/nothing");
    bench.expect_absent(&path).await?;
    match bench.store.get(&path).await {
        Err(Error::NotFound { .. }) => Ok(()),
        other => Err(format!(
            "reading what is not there: {:?}",
            other.map(|_| ())
        )),
    }
}

/// Names as the log and partition folders have them.
pub(super) async fn names(bench: &Bench) -> Outcome {
    for name in [
        "_delta_log/00000000000000000000.json",
        "day=2026-01-01/part-0.parquet",
        "city=S%C3%A3o%20Paulo%2FX/part.parquet",
        "with space/é日本.parquet",
        "plus+and=and&and~and'(1)!.parquet",
    ] {
        let path = bench.path(&format!("names/{name}"));
        let put = bench
            .store
            .put(&path, name.as_bytes().to_vec().into())
            .await;
        put.map_err(|error| format!("the name cannot be written, name=`{name}`: {error}"))?;
        bench.expect_content(&path, name.as_bytes()).await?;
    }
    let listed = super::list::all(&bench.store, &bench.path("names")).await?;
    ensure(listed.len() == 5, || {
        format!("not every name is listed: {listed:?}")
    })
}
