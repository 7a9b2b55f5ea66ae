//! `delta_kernel` behind [`DeltaLog`].

use super::{
    account::{CommitAccount, MarkAccount},
    adds,
    create::{metrics, version_zero},
    error::{CommitError, Result},
    fit,
    log::{Change, DeltaLog, Put},
    options::CommitOptions,
    state::TableState,
};
use crate::{event::Offset, schema::TableSchema, storage::TableLocation};
use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use delta_kernel::{
    Engine, KernelError,
    committer::FileSystemCommitter,
    engine::arrow_data::ArrowEngineData,
    schema::{DataType as KernelType, StructField, StructType},
    snapshot::{IncrementalReplay, Snapshot, SnapshotRef},
    transaction::{CommitResult, UpdateTableOperation},
};
use delta_kernel_default_engine::{
    DefaultEngine, DefaultEngineBuilder, executor::tokio::TokioMultiThreadExecutor,
};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutMode, PutOptions, path::Path};
use parking_lot::Mutex;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::runtime::{Handle, RuntimeFlavor};
use url::Url;

/// The versions whose commits are read one by one to bring positions up to date; past it the
/// kernel is asked.
const MAX_TAIL: u64 = 200;

/// How often a log is read that lists but does not load, as one that is just being made may.
const LOOKS_AT_A_NEW_LOG: u32 = 3;

/// Unknown positions that are worth making a checksum file for, as each is a replay of the log.
const CHECKSUM_FROM_UNKNOWN: usize = 2;

/// `engineInfo` of our commits.
pub(super) fn engine_info() -> String {
    concat!("alluvium/", env!("CARGO_PKG_VERSION")).to_owned()
}

/// One table's log through the kernel. Clones share it.
#[derive(Clone)]
pub(super) struct KernelLog {
    pub(super) inner: Arc<KernelTable>,
}

pub(super) struct KernelTable {
    pub(super) name: String,
    pub(super) location: TableLocation,
    /// The table's root as the kernel and the store both understand it: the path is the store's.
    pub(super) root_url: Url,
    pub(super) options: CommitOptions,
    engine: OnceLock<Arc<DefaultEngine<TokioMultiThreadExecutor>>>,
    /// The newest state known.
    state: Mutex<Option<Arc<TableState>>>,
}

impl KernelLog {
    pub(super) fn new(location: TableLocation, name: &str, options: CommitOptions) -> Self {
        let root_url = root_url(&location);
        Self {
            inner: Arc::new(KernelTable {
                name: name.to_owned(),
                location,
                root_url,
                options,
                engine: OnceLock::new(),
                state: Mutex::new(None),
            }),
        }
    }

    pub(super) fn state(&self) -> Option<Arc<TableState>> {
        self.inner.state.lock().clone()
    }

    /// Keeps `state` as the newest, unless a newer one is known already.
    pub(super) fn keep(&self, state: &Arc<TableState>) {
        let mut kept = self.inner.state.lock();
        let older = kept.as_ref().is_none_or(|kept| {
            kept.metadata_id != state.metadata_id || kept.version <= state.version
        });
        if older {
            metrics::gauge!("alluvium_table_version", "table" => self.inner.name.clone())
                .set(state.version as f64);
            *kept = Some(state.clone());
        }
    }

    /// Runs kernel calls where they may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&KernelTable, Arc<dyn Engine>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let table = self.inner.clone();
        let engine = table.engine()?;
        tokio::task::spawn_blocking(move || work(&table, engine))
            .await
            .unwrap_or_else(|error| {
                Err(CommitError::corrupt(
                    &self.inner.name,
                    "work on",
                    format!("the kernel stopped: {error}"),
                ))
            })
    }

    /// Where the log's files are in the store.
    pub(super) fn log_path(&self) -> Path {
        self.inner.log_path()
    }
}

impl KernelTable {
    pub(super) fn log_path(&self) -> Path {
        self.location.root.clone().join("_delta_log")
    }

    pub(super) fn commit_path(&self, version: u64) -> Path {
        self.log_path().join(format!("{version:020}.json"))
    }

    fn engine(&self) -> Result<Arc<dyn Engine>> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine.clone());
        }
        let executor =
            executor().map_err(|error| CommitError::kernel(&self.name, "open", error))?;
        let engine = self.engine.get_or_init(|| {
            Arc::new(
                DefaultEngineBuilder::new(self.location.store.clone())
                    .with_task_executor(executor)
                    .build(),
            )
        });
        Ok(engine.clone())
    }

    fn kernel_error(&self, action: &'static str, error: KernelError) -> CommitError {
        CommitError::kernel(&self.name, action, error)
    }

    /// Some features keep the kernel from reading a table at all.
    fn load_error(&self, error: KernelError) -> CommitError {
        let message = match error.without_backtrace() {
            KernelError::MaxCatalogVersion(_) => format!(
                "the table's commits belong to a catalog (feature catalogManaged), which is not written; \
                 land in an external table, or run: ALTER TABLE {} DROP FEATURE catalogManaged",
                self.name
            ),
            KernelError::Unsupported(message) => format!(
                "the table has a feature that is not read; run: ALTER TABLE {} DROP FEATURE with its name, \
                 or use a newer release; {message}",
                self.name
            ),
            _ => return self.kernel_error("read", error),
        };
        CommitError::Unsupported {
            table: self.name.clone(),
            message,
        }
    }

    /// The newest snapshot, advanced from `before` where there is one.
    fn snapshot(
        &self,
        engine: &dyn Engine,
        before: Option<&TableState>,
    ) -> Result<Option<SnapshotRef>, KernelError> {
        if let Some(before) = before {
            return Snapshot::builder_from(before.snapshot.clone())
                .with_incremental_crc_replay(IncrementalReplay::UpToCommits(MAX_TAIL))
                .build(engine)
                .map(Some);
        }
        match Snapshot::builder_for(self.root_url.as_str())
            .with_incremental_crc_replay(IncrementalReplay::Unlimited)
            .build(engine)
        {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(error) => match error.without_backtrace() {
                KernelError::EmptyLog | KernelError::FileNotFound(_) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The state of `snapshot`, given the one before it.
    pub(super) fn read_state(
        &self,
        engine: &dyn Engine,
        snapshot: SnapshotRef,
        before: Option<&TableState>,
    ) -> Result<Arc<TableState>> {
        TableState::read(&self.name, engine, snapshot, before, &self.options).map(Arc::new)
    }

    fn append(
        &self,
        engine: &dyn Engine,
        base: &TableState,
        change: &Change,
        marks: &[MarkAccount],
    ) -> Result<Arc<TableState>> {
        let kernel = |error| self.kernel_error("write to", error);
        let account = serde_json::to_string(&CommitAccount::new(&change.ranges, marks))
            .map_err(|error| CommitError::corrupt(&self.name, "write to", error))?;
        let (info, info_schema) = commit_info(&self.name, account)?;
        let with_files = !change.files.is_empty();
        let mut builder = base.snapshot.clone().update_table(
            UpdateTableOperation::StreamingUpdate,
            engine_info(),
            with_files,
        );
        if with_files {
            builder = builder.with_blind_append();
        }
        let mut transaction = builder
            .with_commit_info(info, info_schema)
            .with_operation_metrics(
                metrics(change)
                    .into_iter()
                    .map(|(name, value)| (name, Some(value))),
            )
            .build(engine, Box::new(FileSystemCommitter::new()))
            .map_err(kernel)?;
        let txns = txns(change, marks);
        for (app_id, version) in &txns {
            let version = i64::try_from(*version)
                .map_err(|error| CommitError::corrupt(&self.name, "write to", error))?;
            transaction = transaction.with_transaction_id(app_id.clone(), version);
        }
        if with_files {
            let batch = adds::batch(&self.name, &change.files, &base.layout.stats)?;
            transaction.add_files(Box::new(ArrowEngineData::new(batch)));
        }
        let snapshot = match transaction.commit(engine).map_err(kernel)? {
            CommitResult::Committed(committed) => committed.post_commit_snapshot().cloned(),
            CommitResult::Conflicted(conflict) => {
                return Err(self.conflict(conflict.conflict_version()));
            }
            CommitResult::Retryable(retryable) => return Err(kernel(retryable.error)),
        };
        // The answer was Committed, but without the snapshot: what follows is told by a reload.
        let Some(snapshot) = snapshot else {
            return Err(self.conflict(base.version + 1));
        };
        let state = base.at(snapshot);
        // The base showed its positions, and this version moved these alone.
        let mut positions = base.positions.lock().clone();
        for (app_id, version) in txns {
            positions.known.insert(app_id, Some(version));
        }
        *state.positions.lock() = positions;
        Ok(Arc::new(state))
    }

    pub(super) fn conflict(&self, version: u64) -> CommitError {
        CommitError::Log {
            kind: crate::error::Kind::Conflict,
            action: "write to",
            table: self.name.clone(),
            message: format!("the version exists already, version=`{version}`"),
        }
    }
}

/// The table's root in the kernel's eyes, whose path is that of the store.
///
/// The kernel canonicalises `file:` URLs and wants them to exist, while ours are paths in a store that may begin
/// anywhere; under another scheme it leaves them alone. The host is one that it takes for a store
/// that lists without order, as a local disk does.
fn root_url(location: &TableLocation) -> Url {
    let mut url = location.url.clone();
    if url.scheme() == "file"
        && let Ok(local) = Url::parse("local://disk--x-s3/")
    {
        url = local;
    }
    url.set_query(None);
    url.set_fragment(None);
    match location.root.as_ref() {
        "" => url.set_path("/"),
        root => url.set_path(&format!("/{root}/")),
    }
    url
}

/// The `txn` actions of a change.
fn txns(change: &Change, marks: &[MarkAccount]) -> Vec<(String, Offset)> {
    change
        .ranges
        .iter()
        .map(|range| (range.partition.id.app_id().to_owned(), range.range.end))
        .chain(marks.iter().map(|mark| (mark.app_id.clone(), mark.version)))
        .collect()
}

/// A `commitInfo` row that adds `userMetadata` to what the kernel writes.
pub(super) fn commit_info(
    table: &str,
    user_metadata: String,
) -> Result<(Box<ArrowEngineData>, Arc<StructType>)> {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "userMetadata",
        DataType::Utf8,
        true,
    )]));
    let batch = RecordBatch::try_new(
        schema,
        vec![Arc::new(StringArray::from(vec![user_metadata]))],
    )
    .map_err(|error| CommitError::corrupt(table, "write to", error))?;
    let schema = StructType::try_new([StructField::nullable("userMetadata", KernelType::STRING)])
        .map_err(|error| CommitError::kernel(table, "write to", error))?;
    Ok((Box::new(ArrowEngineData::new(batch)), Arc::new(schema)))
}

/// The executor of the kernel's reads and writes: the runtime we run in where it has several
/// threads, else one of its own for the whole process.
fn executor() -> Result<Arc<TokioMultiThreadExecutor>, KernelError> {
    static OWNED: OnceLock<Arc<TokioMultiThreadExecutor>> = OnceLock::new();
    if let Ok(handle) = Handle::try_current()
        && handle.runtime_flavor() == RuntimeFlavor::MultiThread
    {
        return Ok(Arc::new(TokioMultiThreadExecutor::new(handle)));
    }
    if let Some(owned) = OWNED.get() {
        return Ok(owned.clone());
    }
    let owned = Arc::new(TokioMultiThreadExecutor::new_owned_runtime(Some(1), None)?);
    Ok(OWNED.get_or_init(|| owned).clone())
}

impl DeltaLog for KernelLog {
    type Snapshot = Arc<TableState>;

    async fn latest(&self) -> Result<Option<Arc<TableState>>> {
        let mut before = self.state();
        if let Some(known) = &before {
            // Advancing a snapshot never looks at what it has; a table that was deleted or made
            // anew shows in the newest commit that we know.
            let path = self.inner.commit_path(known.version);
            match self.inner.location.store.head(&path).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => before = None,
                Err(error) => return Err(CommitError::store(&self.inner.name, "read", error)),
            }
        }
        let mut looks = 0;
        let state = loop {
            looks += 1;
            if let Some(state) = self.look(before.clone()).await? {
                break state;
            }
            match self.log_file().await? {
                None => return Ok(None),
                // Made by another writer between the two looks; or it does not load at all.
                Some(_) if looks < LOOKS_AT_A_NEW_LOG => {}
                Some(file) => {
                    return Err(CommitError::corrupt(
                        &self.inner.name,
                        "read",
                        format!(
                            "the folder holds a log that does not load; restore its missing files or move it away, file=`{file}`"
                        ),
                    ));
                }
            }
        };
        if before.is_none() {
            self.refuse_lock_table().await?;
        }
        if let Some(before) = before
            && before.version < state.version
        {
            self.advance_positions(&before, &state).await?;
        }
        self.keep(&state);
        Ok(Some(state))
    }

    async fn positions(
        &self,
        snapshot: &Arc<TableState>,
        app_ids: &[String],
    ) -> Result<Vec<Option<Offset>>> {
        let unknown: Vec<String> = {
            let positions = snapshot.positions.lock();
            app_ids
                .iter()
                .filter(|id| !positions.complete && !positions.known.contains_key(*id))
                .cloned()
                .collect()
        };
        if !unknown.is_empty() {
            let state = snapshot.clone();
            let found = self
                .blocking(move |table, engine| {
                    table.read_positions(engine.as_ref(), &state, unknown)
                })
                .await?;
            snapshot.positions.lock().known.extend(found);
        }
        let positions = snapshot.positions.lock();
        Ok(app_ids
            .iter()
            .map(|id| positions.known.get(id).copied().flatten())
            .collect())
    }

    async fn put(
        &self,
        base: Option<&Arc<TableState>>,
        change: &Arc<Change>,
        marks: &[MarkAccount],
    ) -> Put<Arc<TableState>> {
        let done = match base {
            Some(base) => {
                let (base, change, marks) = (base.clone(), change.clone(), marks.to_vec());
                self.blocking(move |table, engine| {
                    table.append(engine.as_ref(), &base, &change, &marks)
                })
                .await
            }
            None => self.create(change, marks).await,
        };
        match done {
            Ok(state) => {
                self.keep(&state);
                Put::Committed(state)
            }
            Err(error) => Put::Unknown(error),
        }
    }

    async fn pause(&self, failures: u32) {
        let options = &self.inner.options;
        let longest = options
            .backoff_initial
            .saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16)))
            .min(options.backoff_max);
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        // Full jitter: several daemons on one table spread over the whole interval.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..=micros))).await;
    }

    fn now(&self) -> i64 {
        (self.inner.options.clock)()
    }

    fn table_id<'a>(&self, snapshot: &'a Arc<TableState>) -> &'a str {
        &snapshot.metadata_id
    }

    fn fits(&self, snapshot: &Arc<TableState>, schema: &TableSchema) -> bool {
        fit::fits(schema, &snapshot.schema)
    }

    fn longest_file_age(&self, snapshot: &Arc<TableState>) -> i64 {
        i64::try_from(snapshot.layout.deleted_file_retention.as_millis() / 2).unwrap_or(i64::MAX)
    }

    fn name(&self) -> &str {
        &self.inner.name
    }
}

impl KernelTable {
    fn read_positions(
        &self,
        engine: &dyn Engine,
        state: &TableState,
        unknown: Vec<String>,
    ) -> Result<Vec<(String, Option<Offset>)>> {
        if unknown.len() >= CHECKSUM_FROM_UNKNOWN {
            // One replay for all of them, and none at the next start. Where the log cannot be
            // summed up (ANALYZE and the like), each is looked for.
            match state.snapshot.write_checksum(engine) {
                Ok((_, snapshot)) => {
                    let positions = super::state::Positions::of(&snapshot);
                    if positions.complete {
                        *state.positions.lock() = positions.clone();
                        return Ok(unknown
                            .into_iter()
                            .map(|id| {
                                let stored = positions.known.get(&id).copied().flatten();
                                (id, stored)
                            })
                            .collect());
                    }
                }
                Err(error) => {
                    tracing::debug!(table = self.name, %error, "no checksum was written");
                }
            }
        }
        unknown
            .into_iter()
            .map(|id| {
                let stored = state
                    .snapshot
                    .get_app_id_version(&id, engine)
                    .map_err(|error| self.kernel_error("read", error))?;
                let stored = stored
                    .map(|version| {
                        Offset::try_from(version).map_err(|_| {
                            CommitError::corrupt(
                                &self.name,
                                "read",
                                format!("a position below zero, app_id=`{id}` version=`{version}`"),
                            )
                        })
                    })
                    .transpose()?;
                Ok((id, stored))
            })
            .collect()
    }
}

impl KernelLog {
    /// Version 0, by a conditional PUT of our own.
    async fn create(&self, change: &Arc<Change>, marks: &[MarkAccount]) -> Result<Arc<TableState>> {
        let table = &self.inner;
        let id = uuid::Uuid::new_v4().to_string();
        let now = (table.options.clock)();
        let lines = version_zero(&table.name, change, marks, &table.options, &id, now)?;
        let options = PutOptions::from(PutMode::Create);
        table
            .location
            .store
            .put_opts(&table.commit_path(0), lines.into(), options)
            .await
            .map_err(|error| CommitError::store(&table.name, "create", error))?;
        let state = self.latest().await?;
        match state {
            Some(state) if state.metadata_id == id => {
                if state.version == 0 {
                    let mut positions = state.positions.lock();
                    positions.complete = true;
                    positions.known = txns(change, marks)
                        .into_iter()
                        .map(|(app_id, version)| (app_id, Some(version)))
                        .collect();
                }
                Ok(state)
            }
            _ => Err(table.conflict(0)),
        }
    }

    /// The newest state, read from `before` on where there is one.
    async fn look(&self, before: Option<Arc<TableState>>) -> Result<Option<Arc<TableState>>> {
        self.blocking(move |table, engine| {
            let found = table
                .snapshot(engine.as_ref(), before.as_deref())
                .map_err(|error| table.load_error(error))?;
            match (found, before) {
                (None, _) => Ok(None),
                (Some(snapshot), Some(before)) if snapshot.version() == before.version => {
                    // The same version, perhaps with a checkpoint below it that it reads from.
                    let state = before.at(snapshot);
                    *state.positions.lock() = before.positions.lock().clone();
                    Ok(Some(Arc::new(state)))
                }
                (Some(snapshot), before) => table
                    .read_state(engine.as_ref(), snapshot, before.as_deref())
                    .map(Some),
            }
        })
        .await
    }

    /// A file of the log, if there is one: a log that does not load is never created over.
    async fn log_file(&self) -> Result<Option<Path>> {
        let error = |error| CommitError::store(&self.inner.name, "list", error);
        let mut files = self.inner.location.store.list(Some(&self.log_path()));
        while let Some(file) = files.try_next().await.map_err(error)? {
            let name = file.location.filename().unwrap_or_default();
            if name.ends_with(".json") || name.ends_with(".parquet") || name == "_last_checkpoint" {
                return Ok(Some(file.location));
            }
        }
        Ok(None)
    }

    /// Spark's DynamoDB log store leaves its intents in `_delta_log/.tmp`; such a table's writers
    /// agree through a lock table that we do not take part in.
    async fn refuse_lock_table(&self) -> Result<()> {
        let error = |error| CommitError::store(&self.inner.name, "list", error);
        let intents = self.log_path().join(".tmp");
        let mut files = self.inner.location.store.list(Some(&intents));
        if let Some(file) = files.try_next().await.map_err(error)? {
            return Err(CommitError::Unsupported {
                table: self.inner.name.clone(),
                message: format!(
                    "another writer commits through a DynamoDB lock table (S3DynamoDBLogStore), which is not written; \
                     move that writer to conditional PUTs and delete the folder, file=`{}`",
                    file.location
                ),
            });
        }
        Ok(())
    }

    /// Carries the positions of `before` over to `state` by reading the commits between. Where one
    /// is missing or there are too many, the kernel is asked when a position is needed.
    async fn advance_positions(&self, before: &TableState, state: &TableState) -> Result<()> {
        if state.positions.lock().complete || before.metadata_id != state.metadata_id {
            return Ok(());
        }
        if state.version - before.version > MAX_TAIL
            || state
                .snapshot
                .table_properties()
                .set_transaction_retention_duration
                .is_some()
        {
            return Ok(());
        }
        let mut positions = before.positions.lock().clone();
        for version in before.version + 1..=state.version {
            let path = self.inner.commit_path(version);
            let bytes = match self.inner.location.store.get(&path).await {
                Ok(found) => found.bytes().await,
                Err(error) => Err(error),
            };
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(CommitError::store(&self.inner.name, "read", error)),
            };
            for line in bytes.split(|byte| *byte == b'\n') {
                // Cheap first: most lines are files.
                if memchr::memmem::find(line, b"\"txn\"").is_none() {
                    continue;
                }
                let Ok(action) = serde_json::from_slice::<TxnLine>(line) else {
                    return Ok(());
                };
                if let Some(txn) = action.txn {
                    let Ok(version) = Offset::try_from(txn.version) else {
                        positions.known.remove(&txn.app_id);
                        positions.complete = false;
                        continue;
                    };
                    positions.known.insert(txn.app_id, Some(version));
                }
            }
        }
        *state.positions.lock() = positions;
        Ok(())
    }
}

/// A line of a commit, as far as it is a `txn`.
#[derive(serde::Deserialize)]
pub(super) struct TxnLine {
    pub(super) txn: Option<Txn>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Txn {
    pub(super) app_id: String,
    pub(super) version: i64,
}
