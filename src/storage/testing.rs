//! Stores for the unit tests of this room.

use super::{Opened, Remote, Result as StorageResult, StoreOptions, Stores};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory, path::Path,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

impl Stores {
    /// Every bucket a store in memory.
    pub(super) fn in_memory() -> Self {
        Self::opening(&BTreeMap::new(), in_memory).unwrap()
    }
}

pub(super) fn in_memory(name: &str, _: &Remote, _: &StoreOptions) -> StorageResult<Opened> {
    Ok(opened(name, Arc::new(InMemory::new())))
}

pub(super) fn unconditional(name: &str, _: &Remote, _: &StoreOptions) -> StorageResult<Opened> {
    Ok(opened(
        name,
        Arc::new(Unconditional::new(Conditions::Ignored)),
    ))
}

fn opened(name: &str, store: Arc<dyn ObjectStore>) -> Opened {
    Opened {
        store,
        identity: name.to_owned(),
        credentials: None,
    }
}

/// What a store without conditional puts does with a condition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Conditions {
    Ignored,
    Refused,
    Answered501,
}

/// A store that cannot create conditionally.
#[derive(Debug)]
pub(super) struct Unconditional {
    inner: InMemory,
    conditions: Conditions,
}

impl Unconditional {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self {
            inner: InMemory::new(),
            conditions,
        }
    }

    fn refuse(&self) -> Result<()> {
        match self.conditions {
            Conditions::Ignored => Ok(()),
            Conditions::Refused => Err(Error::NotImplemented {
                operation: "a conditional put".into(),
                implementer: self.to_string(),
            }),
            Conditions::Answered501 => Err(Error::Generic {
                store: "S3",
                source: "Server returned non-2xx status code: 501 Not Implemented: <Error/>".into(),
            }),
        }
    }
}

#[async_trait]
impl ObjectStore for Unconditional {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode == PutMode::Create {
            self.refuse()?;
            options.mode = PutMode::Overwrite;
        }
        self.inner.put_opts(location, payload, options).await
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

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, mut options: CopyOptions) -> Result<()> {
        if options.mode == CopyMode::Create {
            self.refuse()?;
            options.mode = CopyMode::Overwrite;
        }
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Display for Unconditional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unconditional({:?})", self.conditions)
    }
}
