//! Objects in parts.

use super::{Bench, Outcome, bytes, told};
use futures::future::try_join_all;
use object_store::{MultipartUpload, ObjectStoreExt, path::Path};

/// Around one part, and around several.
pub(super) async fn sizes(bench: &Bench) -> Outcome {
    let part = bench.expect.part_bytes;
    for length in [1, part - 1, part, part + 1, 2 * part, 3 * part + 17] {
        let path = bench.path(&format!("parts/{length}"));
        let content = bytes(length);
        let mut upload = begin(bench, &path).await?;
        let parts = content.chunks(part);
        let sent: Vec<_> = parts
            .map(|part| upload.put_part(part.to_vec().into()))
            .collect();
        try_join_all(sent).await.map_err(told("sending parts"))?;
        bench.expect_absent(&path).await?;
        upload.complete().await.map_err(told("completing"))?;
        bench.expect_content(&path, &content).await?;
        bench.store.delete(&path).await.map_err(told("deleting"))?;
    }
    replace(bench).await
}

/// An upload takes the place of what is there, at its end and not before.
async fn replace(bench: &Bench) -> Outcome {
    let path = bench.path("parts/replaced");
    bench
        .store
        .put(&path, "before".into())
        .await
        .map_err(told("writing"))?;
    let mut upload = begin(bench, &path).await?;
    let part = upload.put_part("after".into());
    part.await.map_err(told("sending a part"))?;
    bench.expect_content(&path, b"before").await?;
    upload.complete().await.map_err(told("completing"))?;
    bench.expect_content(&path, b"after").await
}

pub(super) async fn abort(bench: &Bench) -> Outcome {
    let path = bench.path("aborted/object");
    let mut upload = begin(bench, &path).await?;
    let content = bytes(bench.expect.part_bytes);
    for part in [content.clone(), content] {
        let part = upload.put_part(part.into());
        part.await.map_err(told("sending a part"))?;
    }
    upload.abort().await.map_err(told("aborting"))?;
    bench.expect_absent(&path).await?;
    let left = super::list::all(&bench.store, &bench.path("aborted")).await?;
    super::ensure(left.is_empty(), || {
        format!("an aborted upload leaves {left:?}")
    })
}

async fn begin(bench: &Bench, path: &Path) -> Result<Box<dyn MultipartUpload>, String> {
    let upload = bench.store.put_multipart(path).await;
    upload.map_err(told("beginning an upload"))
}
