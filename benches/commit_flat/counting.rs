//! A store that counts what is read of it.

use alluvium::storage::TableLocation;
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

#[derive(Debug)]
pub(crate) struct Counting {
    inner: Arc<dyn ObjectStore>,
    counts: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    read_bytes: AtomicU64,
    listed: AtomicU64,
    checkpoints: AtomicU64,
}

#[derive(Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) read_bytes: u64,
    pub(crate) listed: u64,
    pub(crate) checkpoints: u64,
}

impl Counters {
    pub(crate) fn now(&self) -> Counts {
        Counts {
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            listed: self.listed.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
        }
    }

    fn wrote(&self, path: &Path) {
        if path.as_ref().ends_with(".checkpoint.parquet") {
            self.checkpoints.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counts {
    pub(crate) fn since(self, before: Counts) -> Counts {
        Counts {
            read_bytes: self.read_bytes - before.read_bytes,
            listed: self.listed - before.listed,
            checkpoints: self.checkpoints - before.checkpoints,
        }
    }
}

impl Counting {
    pub(crate) fn wrap(location: TableLocation) -> (TableLocation, Arc<Counters>) {
        let counts = Arc::<Counters>::default();
        let store = Arc::new(Counting {
            inner: location.store.clone(),
            counts: counts.clone(),
        });
        (TableLocation { store, ..location }, counts)
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counting {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.counts.wrote(path);
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.counts.wrote(path);
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let found = self.inner.get_opts(path, options).await?;
        if !head {
            let bytes = found.range.end - found.range.start;
            self.counts.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(found)
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        self.counts.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let counts = self.counts.clone();
        let count = move |_: &_| {
            counts.listed.fetch_add(1, Ordering::Relaxed);
        };
        self.inner.list(prefix).inspect(count).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let counts = self.counts.clone();
        let count = move |_: &_| {
            counts.listed.fetch_add(1, Ordering::Relaxed);
        };
        self.inner
            .list_with_offset(prefix, offset)
            .inspect(count)
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
