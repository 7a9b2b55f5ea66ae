//! object_store's local file system, made durable.

use super::{
    blocking::blocking,
    error::io_error,
    folders::{self, Folders},
    staging::Staged,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart, local::LocalFileSystem, path::Path,
};
use parking_lot::Mutex;
use std::{
    fmt, io,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A local disk as an object store whose `Ok` means durable.
///
/// Paths are those of the file system without the first slash, as the kernel asks for them. A put writes a
/// staged file, syncs it, links it (create: fails with `AlreadyExists` where the name is taken) or renames it
/// (overwrite) into place and syncs the folder; folders made on the way are synced too. So a name, once
/// visible, always has its whole content, and one of any number of racing creators wins.
///
/// An error after the link or rename (a failing folder sync) leaves the object in place: as with any store, an
/// error means "unknown". Reading, listing and deleting are `LocalFileSystem`'s.
#[derive(Clone, Debug)]
pub struct DurableLocal {
    inner: LocalFileSystem,
    folders: Arc<Folders>,
}

impl DurableLocal {
    /// A store over the whole file system that stages files in `root/.staging` and makes folder entries durable
    /// from `root` down. `root` is an absolute path and need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            inner: LocalFileSystem::new(),
            folders: Arc::new(Folders::new(root.into())),
        }
    }

    /// Removes files that crashed processes staged and did not write to for `age`. Returns how many.
    pub fn clean_staging(&self, age: Duration, now: SystemTime) -> io::Result<usize> {
        self.folders.clean(age, now)
    }

    /// Stages with `fill`, then publishes. Tries again once if a folder was removed under our feet.
    fn put_blocking(
        &self,
        to: &std::path::Path,
        payload: &PutPayload,
        mode: &PutMode,
    ) -> Result<()> {
        let folder = parent(to)?;
        let mut retry = true;
        loop {
            let put = || -> io::Result<()> {
                let mut staged = Staged::create(&self.folders.ready(folder)?)?;
                payload.iter().try_for_each(|bytes| staged.write(bytes))?;
                staged.publish(to, mode)?;
                folders::sync(folder)
            };
            match put() {
                Err(e) if e.kind() == io::ErrorKind::NotFound && retry => {
                    self.folders.forget(folder);
                    retry = false;
                }
                result => return result.map_err(|e| io_error(to, e)),
            }
        }
    }

    /// Syncs the folder of an object that was moved there by other means than a put.
    async fn settle(&self, to: &Path) -> Result<()> {
        let (store, path) = (self.clone(), self.inner.path_to_filesystem(to)?);
        blocking(move || {
            let folder = parent(&path)?;
            let settle = || {
                store.folders.ready(folder)?;
                folders::sync(folder)
            };
            settle().map_err(|e| io_error(folder, e))
        })
        .await
    }
}

fn parent(path: &std::path::Path) -> Result<&std::path::Path> {
    path.parent()
        .ok_or_else(|| io_error(path, io::ErrorKind::InvalidInput.into()))
}

fn refuse_attributes(attributes: &object_store::Attributes) -> Result<()> {
    if attributes.is_empty() {
        return Ok(());
    }
    Err(object_store::Error::NotImplemented {
        operation: "writing attributes".into(),
        implementer: "DurableLocal".into(),
    })
}

const NO_TAG: PutResult = PutResult {
    e_tag: None,
    version: None,
};

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        refuse_attributes(&options.attributes)?;
        if matches!(options.mode, PutMode::Update(_)) {
            return Err(object_store::Error::NotImplemented {
                operation: "conditional update".into(),
                implementer: "DurableLocal".into(),
            });
        }
        let (store, path) = (self.clone(), self.inner.path_to_filesystem(location)?);
        blocking(move || {
            store.put_blocking(&path, &payload, &options.mode)?;
            Ok(NO_TAG)
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        refuse_attributes(&options.attributes)?;
        let (store, path) = (self.clone(), self.inner.path_to_filesystem(location)?);
        blocking(move || {
            let folder = parent(&path)?;
            let stage = || Staged::create(&store.folders.ready(folder)?);
            let staged = match stage() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    store.folders.forget(folder);
                    stage()
                }
                staged => staged,
            };
            let staged = staged.map_err(|e| io_error(&path, e))?;
            Ok(Box::new(Upload {
                staged: Arc::new(Mutex::new(Some(staged))),
                offset: 0,
                to: path,
            }) as Box<dyn MultipartUpload>)
        })
        .await
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
        self.inner.copy_opts(from, to, options).await?;
        self.settle(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.settle(to).await
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableLocal")
    }
}

/// Parts go to one staged file at their offsets; the staged file is gone when the upload is.
#[derive(Debug)]
struct Upload {
    staged: Arc<Mutex<Option<Staged>>>,
    offset: u64,
    to: PathBuf,
}

fn ended(path: &std::path::Path) -> object_store::Error {
    io_error(
        path,
        io::Error::other("the upload was completed or aborted before"),
    )
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (staged, to) = (self.staged.clone(), self.to.clone());
        let mut offset = self.offset;
        self.offset += payload.content_length() as u64;
        Box::pin(blocking(move || {
            let mut staged = staged.lock();
            let staged = staged.as_mut().ok_or_else(|| ended(&to))?;
            for bytes in payload.iter() {
                staged
                    .write_at(offset, bytes)
                    .map_err(|e| io_error(&to, e))?;
                offset += bytes.len() as u64;
            }
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (staged, to) = (self.staged.clone(), self.to.clone());
        blocking(move || {
            let staged = staged.lock().take().ok_or_else(|| ended(&to))?;
            let publish = || {
                staged.publish(&to, &PutMode::Overwrite)?;
                to.parent().map_or(Ok(()), folders::sync)
            };
            publish().map_err(|e| io_error(&to, e))?;
            Ok(NO_TAG)
        })
        .await
    }

    async fn abort(&mut self) -> Result<()> {
        let staged = self.staged.clone();
        blocking(move || {
            drop(staged.lock().take());
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests;
