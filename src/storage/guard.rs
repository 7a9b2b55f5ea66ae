//! A store in which one folder does not exist.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    path::Path,
};
use parking_lot::Mutex;
use std::{fmt, ops::Range, sync::Arc};

/// The folder that Adobe keeps for itself in a data landing zone.
pub(crate) const MANAGED: &str = "adobe-managed-staging";

/// Refuses every operation at or below a folder of the name [`MANAGED`], at whatever depth, before any request,
/// and leaves it out of listings.
///
/// A path is judged as services may read it: percent signs decoded (also twice), backslashes as slashes.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    inner: Arc<dyn ObjectStore>,
}

impl Guard {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner }
    }
}

/// Whether a path is at or below the folder, however it is spelled.
pub(crate) fn is_managed(path: &str) -> bool {
    let mut text = path.to_owned();
    loop {
        if names_it(&text) {
            return true;
        }
        // Each turn takes at least two characters away.
        match decoded(&text) {
            Some(shorter) => text = shorter,
            None => return false,
        }
    }
}

/// A part of the name anywhere will do: then it does not matter who resolves a `..` beside it.
fn names_it(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part == MANAGED)
}

/// The text with its percent signs decoded once; `None` where there are none.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3);
        let value = hex
            .filter(|_| byte == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match value {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    (out.len() < bytes.len()).then(|| String::from_utf8_lossy(&out).into_owned())
}

fn check(path: &Path) -> Result<()> {
    match is_managed(path.as_ref()) {
        true => Err(refusal(path)),
        false => Ok(()),
    }
}

fn refusal(path: &Path) -> Error {
    Error::PermissionDenied {
        path: path.to_string(),
        source: format!("`{MANAGED}/` belongs to Adobe and is never touched; use another folder")
            .into(),
    }
}

fn visible(found: &Result<ObjectMeta>) -> bool {
    !matches!(found, Ok(object) if is_managed(object.location.as_ref()))
}

fn refused<T: Send + 'static>(prefix: Option<&Path>) -> Option<BoxStream<'static, Result<T>>> {
    let error = check(prefix?).err()?;
    Some(stream::once(future::ready(Err(error))).boxed())
}

#[async_trait]
impl ObjectStore for Guard {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        check(location)?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        check(location)?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        check(location)?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        check(location)?;
        self.inner.get_ranges(location, ranges).await
    }

    /// Refused paths are answered last, so that they keep no others from being deleted.
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let kept: Arc<Mutex<Vec<Path>>> = Arc::default();
        let keep = kept.clone();
        let passed = locations.filter(move |location| {
            let managed = match location {
                Ok(path) if is_managed(path.as_ref()) => {
                    keep.lock().push(path.clone());
                    true
                }
                _ => false,
            };
            future::ready(!managed)
        });
        let told = future::lazy(move |_| std::mem::take(&mut *kept.lock()))
            .map(|paths| stream::iter(paths.into_iter().map(|path| Err(refusal(&path)))))
            .flatten_stream();
        self.inner.delete_stream(passed.boxed()).chain(told).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        refused(prefix).unwrap_or_else(|| {
            let found = self.inner.list(prefix);
            found.filter(|found| future::ready(visible(found))).boxed()
        })
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        refused(prefix).unwrap_or_else(|| {
            let found = self.inner.list_with_offset(prefix, offset);
            found.filter(|found| future::ready(visible(found))).boxed()
        })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        prefix.map(check).transpose()?;
        let mut found = self.inner.list_with_delimiter(prefix).await?;
        found
            .objects
            .retain(|object| !is_managed(object.location.as_ref()));
        found
            .common_prefixes
            .retain(|prefix| !is_managed(prefix.as_ref()));
        Ok(found)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        check(from)?;
        check(to)?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        check(from)?;
        check(to)?;
        self.inner.rename_opts(from, to, options).await
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests;
