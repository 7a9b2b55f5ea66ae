//! An upload in parts, of which each can be sent again with another credential.

use super::{Core, Operation};
use async_trait::async_trait;
use object_store::{
    Error, MultipartId, MultipartUpload, ObjectStore, PutPayload, PutResult, Result, UploadPart,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};

pub(super) struct Upload<S> {
    to: Arc<Target<S>>,
    /// How many parts were begun.
    begun: usize,
}

struct Target<S> {
    core: Arc<Core<S>>,
    path: Path,
    id: MultipartId,
    /// By index; `None` until its part is stored.
    parts: Mutex<Vec<Option<PartId>>>,
}

impl<S: ObjectStore + MultipartStore> Upload<S> {
    pub(super) async fn begin(core: &Arc<Core<S>>, path: &Path) -> Result<Self> {
        let id = core
            .ask(Operation::Multipart, Some(path), || {
                core.store.create_multipart(path)
            })
            .await?;
        let to = Arc::new(Target {
            core: Arc::clone(core),
            path: path.clone(),
            id,
            parts: Mutex::default(),
        });
        Ok(Self { to, begun: 0 })
    }
}

impl<S: ObjectStore + MultipartStore> Target<S> {
    async fn put(&self, index: usize, data: PutPayload) -> Result<()> {
        let core = &self.core;
        let part = core
            .ask(Operation::Multipart, Some(&self.path), || {
                core.store
                    .put_part(&self.path, &self.id, index, data.clone())
            })
            .await?;
        self.parts.lock()[index] = Some(part);
        Ok(())
    }
}

#[async_trait]
impl<S: ObjectStore + MultipartStore> MultipartUpload for Upload<S> {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (to, index) = (Arc::clone(&self.to), self.begun);
        self.begun += 1;
        to.parts.lock().push(None);
        Box::pin(async move { to.put(index, data).await })
    }

    /// Errors if a part is not stored, without asking the store.
    async fn complete(&mut self) -> Result<PutResult> {
        let to = &self.to;
        let parts: Option<Vec<PartId>> = to.parts.lock().iter().cloned().collect();
        let parts = parts.ok_or_else(|| Error::Generic {
            store: "upload",
            source: "a part of the upload is not stored".into(),
        })?;
        to.core
            .ask(Operation::Multipart, Some(&to.path), || {
                to.core
                    .store
                    .complete_multipart(&to.path, &to.id, parts.clone())
            })
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        let to = &self.to;
        to.core
            .ask(Operation::Abort, Some(&to.path), || {
                to.core.store.abort_multipart(&to.path, &to.id)
            })
            .await
    }
}

impl<S> fmt::Debug for Upload<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("path", &self.to.path)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}
