//! One winner; and what comes after: copies, deletions.

use super::{Bench, Outcome, ensure, told};
use futures::future::join_all;
use object_store::{Error, ObjectStoreExt, PutMode};

/// As many as race for a version at most.
const CREATORS: usize = 16;

pub(super) async fn once(bench: &Bench) -> Outcome {
    let path = bench.path("create/once");
    let create = |text: &'static str| {
        bench
            .store
            .put_opts(&path, text.into(), PutMode::Create.into())
    };
    create("one").await.map_err(told("creating"))?;
    match create("two").await {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
        other => return Err(format!("a second create is not refused: {other:?}")),
    }
    bench.expect_content(&path, b"one").await?;
    bench
        .store
        .put(&path, "three".into())
        .await
        .map_err(told("overwriting"))?;
    bench.expect_content(&path, b"three").await?;
    bench.store.delete(&path).await.map_err(told("deleting"))?;
    create("four")
        .await
        .map_err(told("creating what was deleted"))?;
    bench.expect_content(&path, b"four").await
}

/// Several rounds, as a race is not lost every time.
pub(super) async fn race(bench: &Bench) -> Outcome {
    for round in 0..8 {
        let path = bench.path(&format!("create/race-{round}"));
        let creators = (0..CREATORS).map(|creator| {
            let (store, path) = (bench.store.clone(), path.clone());
            let content = format!("by {creator}").into_bytes();
            // Tasks of their own, so that requests are on their way at the same time.
            tokio::spawn(async move {
                store
                    .put_opts(&path, content.into(), PutMode::Create.into())
                    .await
            })
        });
        let mut winners = Vec::new();
        for (creator, answer) in join_all(creators).await.into_iter().enumerate() {
            match answer.map_err(told("a task"))? {
                Ok(_) => winners.push(creator),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
                Err(error) => return Err(format!("a creator fails otherwise: {error}")),
            }
        }
        let [winner] = winners.as_slice() else {
            return Err(format!("not one creator wins but {winners:?}"));
        };
        let content = format!("by {winner}");
        bench.expect_content(&path, content.as_bytes()).await?;
    }
    Ok(())
}

pub(super) async fn copy(bench: &Bench) -> Outcome {
    let (from, to) = (bench.path("copy/from"), bench.path("copy/to it"));
    bench
        .store
        .put(&from, "copied".into())
        .await
        .map_err(told("writing"))?;
    bench
        .store
        .copy(&from, &to)
        .await
        .map_err(told("copying"))?;
    bench.expect_content(&to, b"copied").await?;
    bench.expect_content(&from, b"copied").await?;
    match bench.store.copy(&bench.path("copy/nothing"), &to).await {
        Err(_) => bench.expect_content(&to, b"copied").await,
        Ok(()) => Err("copying what is not there succeeds".into()),
    }
}

pub(super) async fn delete(bench: &Bench) -> Outcome {
    let (path, beside) = (bench.path("delete/a"), bench.path("delete/ab"));
    for path in [&path, &beside] {
        bench
            .store
            .put(path, "x".into())
            .await
            .map_err(told("writing"))?;
    }
    bench.store.delete(&path).await.map_err(told("deleting"))?;
    bench.expect_absent(&path).await?;
    bench.expect_content(&beside, b"x").await?;
    // S3 answers as if it had deleted it, others that it is not there.
    match bench.store.delete(&path).await {
        Ok(()) | Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(format!("deleting what is not there: {error}")),
    }
    let listed = super::list::all(&bench.store, &bench.path("delete")).await?;
    ensure(listed == [beside], || {
        format!("what is deleted is listed: {listed:?}")
    })
}
