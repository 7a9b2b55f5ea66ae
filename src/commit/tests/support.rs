//! Tables, uploads and a store that fails on demand.

use crate::{
    commit::{CommitOptions, Mark, TableLog, Upload},
    event::{CommitRange, Counts, DataFile, Offset, OffsetRange, Partition, SourcePartition},
    schema::TableSchema,
    storage::TableLocation,
};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, memory::InMemory,
    path::Path,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

pub(super) fn memory() -> TableLocation {
    at(Arc::new(InMemory::new()))
}

/// A table at `lake/t` of a store.
pub(super) fn at(store: Arc<dyn ObjectStore>) -> TableLocation {
    TableLocation {
        url: "memory:///lake/t".parse().unwrap(),
        store,
        root: Path::from("lake/t"),
    }
}

/// Options without long pauses and without checkpoints of their own.
pub(super) fn quick() -> CommitOptions {
    CommitOptions {
        checkpoint_interval_commits: 0,
        checkpoint_interval_bytes: 0,
        checkpoint_rest: 0,
        backoff_initial: Duration::from_micros(200),
        backoff_max: Duration::from_millis(5),
        ..CommitOptions::default()
    }
}

pub(super) fn open(location: &TableLocation) -> Arc<TableLog> {
    Arc::new(TableLog::new(location.clone(), "t", quick()))
}

pub(super) fn token() -> CancellationToken {
    CancellationToken::new()
}

pub(super) fn schema_of(fields: Vec<Field>) -> Arc<TableSchema> {
    Arc::new(TableSchema::new(Arc::new(Schema::new(fields)), Vec::new()))
}

pub(super) fn schema() -> Arc<TableSchema> {
    static SCHEMA: LazyLock<Arc<TableSchema>> = LazyLock::new(|| {
        schema_of(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
        ])
    });
    SCHEMA.clone()
}

pub(super) fn partition(name: &str) -> Arc<Partition> {
    Arc::new(Partition {
        id: SourcePartition::new(name),
        source: "web".into(),
        label: "web".into(),
        topic: "".into(),
        number: 0,
    })
}

pub(super) fn range(name: &str, expected: Option<Offset>, end: Offset) -> CommitRange {
    let start = expected.unwrap_or(0);
    CommitRange {
        partition: partition(name),
        expected,
        range: OffsetRange { start, end },
        counts: Counts {
            records: end - start,
            rows: end - start,
            ..Counts::default()
        },
    }
}

static FILES: AtomicU64 = AtomicU64::new(0);

/// A file that stands for the records `[start, end)` of a partition, by its name. The log never
/// opens it.
pub(super) fn file(schema: &TableSchema, name: &str, start: Offset, end: Offset) -> DataFile {
    DataFile {
        path: format!(
            "{name}-{start}-{end}-{}.parquet",
            FILES.fetch_add(1, Ordering::Relaxed)
        ),
        size: 100,
        rows: end - start,
        modification_time: chrono::Utc::now().timestamp_millis(),
        partition_values: BTreeMap::new(),
        stats: format!(
            r#"{{"numRecords":{},"minValues":{{"id":{start}}},"maxValues":{{"id":{end}}},"nullCount":{{"id":0,"name":0}}}}"#,
            end - start
        ),
        fingerprint: schema.fingerprint,
    }
}

/// One file for one range.
pub(super) fn upload(
    schema: &Arc<TableSchema>,
    name: &str,
    expected: Option<Offset>,
    end: Offset,
) -> Upload {
    Upload {
        earlier: Vec::new(),
        files: vec![file(schema, name, expected.unwrap_or(0), end)],
        schema: schema.clone(),
        ranges: vec![range(name, expected, end)],
        marks: Vec::new(),
    }
}

pub(super) fn mark(app_id: &str, version: Offset) -> Mark {
    Mark {
        app_id: app_id.into(),
        version,
    }
}

/// A commit of another writer, as the next version.
pub(super) async fn foreign(location: &TableLocation, version: u64, actions: &[serde_json::Value]) {
    let path = location
        .root
        .clone()
        .join("_delta_log")
        .join(format!("{version:020}.json"));
    let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
    location.store.put(&path, lines.into()).await.unwrap();
}

/// Every `(name, start, end)` whose file was added, over all versions, read from the raw log.
pub(super) async fn landed(location: &TableLocation) -> Vec<(String, u64, u64)> {
    let prefix = location.root.clone().join("_delta_log");
    let mut found = Vec::new();
    let files: Vec<ObjectMeta> = location
        .store
        .list(Some(&prefix))
        .try_collect()
        .await
        .unwrap();
    for meta in files {
        if !meta.location.as_ref().ends_with(".json") {
            continue;
        }
        let bytes = location.store.get(&meta.location).await.unwrap();
        let bytes = bytes.bytes().await.unwrap();
        for line in bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let action: serde_json::Value = serde_json::from_slice(line).unwrap();
            if let Some(path) = action["add"]["path"].as_str() {
                let mut parts = path.splitn(4, '-');
                let name = parts.next().unwrap().to_owned();
                let start = parts.next().unwrap().parse().unwrap();
                let end = parts.next().unwrap().parse().unwrap();
                found.push((name, start, end));
            }
        }
    }
    found.sort();
    found
}

/// Asserts invariants 1 and 2 for one partition: the ranges landed join from 0 to `end`, once each.
pub(super) fn assert_once(landed: &[(String, u64, u64)], name: &str, end: u64, context: &str) {
    let mut at = 0;
    for (_, start, until) in landed.iter().filter(|(found, ..)| found == name) {
        assert_eq!(
            *start, at,
            "{context}: a hole or a double in {name}: {landed:?}"
        );
        at = *until;
    }
    assert_eq!(at, end, "{context}: {name} is not whole: {landed:?}");
}

/// What to do to one operation of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It never reaches the store.
    Before,
    /// It is done, and the answer is lost.
    After,
    /// It is done late.
    Delay,
}

/// Fails chosen operations of a store, by their number.
pub(super) struct FailingStore {
    inner: Arc<dyn ObjectStore>,
    plan: Mutex<Plan>,
    /// `(first, second, bytes)`: once `first` is put, another writer puts `second`.
    next: Mutex<Option<(Path, Path, PutPayload)>>,
}

#[derive(Default)]
struct Plan {
    /// Operations seen since the plan was made.
    seen: usize,
    faults: Vec<(usize, Fault)>,
    error: Option<fn() -> object_store::Error>,
}

impl FailingStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            plan: Mutex::default(),
            next: Mutex::default(),
        })
    }

    /// As soon as `version` is put, another writer puts the one after it.
    pub(super) fn follow(
        &self,
        location: &TableLocation,
        version: u64,
        actions: &[serde_json::Value],
    ) {
        let log = location.root.clone().join("_delta_log");
        let path = |version: u64| log.clone().join(format!("{version:020}.json"));
        let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
        *self.next.lock() = Some((path(version), path(version + 1), lines.into()));
    }

    /// From now on, the n-th operation (from 0) meets its fault.
    pub(super) fn plan(&self, faults: &[(usize, Fault)]) {
        *self.plan.lock() = Plan {
            seen: 0,
            faults: faults.to_vec(),
            error: None,
        };
    }

    /// The n-th operation and those after it fail with this error.
    pub(super) fn refuse_from(&self, first: usize, error: fn() -> object_store::Error) {
        *self.plan.lock() = Plan {
            seen: 0,
            faults: (first..first + 10_000)
                .map(|n| (n, Fault::Before))
                .collect(),
            error: Some(error),
        };
    }

    pub(super) fn seen(&self) -> usize {
        self.plan.lock().seen
    }

    fn next(&self) -> Option<Fault> {
        let mut plan = self.plan.lock();
        let number = plan.seen;
        plan.seen += 1;
        plan.faults
            .iter()
            .find(|(at, _)| *at == number)
            .map(|(_, fault)| *fault)
    }

    fn error(&self) -> object_store::Error {
        match self.plan.lock().error {
            Some(error) => error(),
            None => object_store::Error::Generic {
                store: "failing",
                source: "connection reset".into(),
            },
        }
    }

    async fn meet<T>(
        &self,
        operation: impl Future<Output = object_store::Result<T>> + Send,
    ) -> object_store::Result<T> {
        match self.next() {
            None => operation.await,
            Some(Fault::Before) => Err(self.error()),
            Some(Fault::After) => {
                operation.await?;
                Err(self.error())
            }
            Some(Fault::Delay) => {
                tokio::time::sleep(Duration::from_millis(3)).await;
                operation.await
            }
        }
    }
}

impl fmt::Debug for FailingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailingStore")
    }
}

impl fmt::Display for FailingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailingStore")
    }
}

#[async_trait]
impl ObjectStore for FailingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        let done = self
            .meet(self.inner.put_opts(location, payload, opts))
            .await?;
        let next = self.next.lock().take_if(|(first, ..)| first == location);
        if let Some((_, second, payload)) = next {
            self.inner.put(&second, payload).await?;
        }
        Ok(done)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.meet(self.inner.put_multipart_opts(location, opts))
            .await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.meet(self.inner.get_opts(location, options)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.next() {
            Some(Fault::Before | Fault::After) => {
                let error = self.error();
                futures::stream::once(async move { Err(error) }).boxed()
            }
            _ => self.inner.list(prefix),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.next() {
            Some(Fault::Before | Fault::After) => {
                let error = self.error();
                futures::stream::once(async move { Err(error) }).boxed()
            }
            _ => self.inner.list_with_offset(prefix, offset),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.meet(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.meet(self.inner.copy_opts(from, to, options)).await
    }
}
