//! Creating objects in a store that cannot do so conditionally.

use super::kind_of;
use crate::error::Kind;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result, path::Path,
};
use std::{fmt, ops::Range, sync::Arc};

/// Looks before it creates, for stores whose operator vouches that there is one writer.
///
/// The put that follows is still conditional where the store can: only a store that says it cannot is then
/// overwritten. Between the look and the put another writer's object could be lost; one writer has none.
#[derive(Clone, Debug)]
pub(crate) struct SingleWriter {
    inner: Arc<dyn ObjectStore>,
}

impl SingleWriter {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner }
    }

    async fn refuse_existing(&self, location: &Path) -> Result<()> {
        match self.inner.head(location).await {
            Ok(_) => Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "an object of this name is there already".into(),
            }),
            Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether a store answered that it has no conditional put (S3: 501 `NotImplemented`).
pub(super) fn lacks_conditions(error: &Error) -> bool {
    match error {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => true,
        // An answer that was explained already has its code in other words.
        Error::Generic { source, .. } => {
            let text = source.to_string();
            kind_of(error) == Kind::Unsupported
                || text.contains("501 Not Implemented")
                || text.contains("<Code>NotImplemented</Code>")
        }
        _ => false,
    }
}

#[async_trait]
impl ObjectStore for SingleWriter {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode != PutMode::Create {
            return self.inner.put_opts(location, payload, options).await;
        }
        self.refuse_existing(location).await?;
        let overwrite = PutOptions {
            mode: PutMode::Overwrite,
            ..options.clone()
        };
        let created = self.inner.put_opts(location, payload.clone(), options);
        match created.await {
            Err(error) if lacks_conditions(&error) => {
                self.inner.put_opts(location, payload, overwrite).await
            }
            answer => answer,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if options.mode != CopyMode::Create {
            return self.inner.copy_opts(from, to, options).await;
        }
        self.refuse_existing(to).await?;
        let overwrite = CopyOptions {
            mode: CopyMode::Overwrite,
            ..options.clone()
        };
        match self.inner.copy_opts(from, to, options).await {
            Err(error) if lacks_conditions(&error) => {
                self.inner.copy_opts(from, to, overwrite).await
            }
            answer => answer,
        }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

impl fmt::Display for SingleWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests;
