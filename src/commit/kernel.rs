//! `delta_kernel` behind [`DeltaLog`].

use super::{
    account::MarkAccount,
    error::{CommitError, Result},
    log::{Change, DeltaLog, Put},
    options::CommitOptions,
    positions::MAX_TAIL,
    segment::CheckpointFile,
    state::TableState,
};
use crate::{error::Kind, event::Offset, schema::TableSchema, storage::TableLocation};
use delta_kernel::{
    Engine, KernelError,
    snapshot::{IncrementalReplay, Snapshot, SnapshotRef},
};
use delta_kernel_default_engine::{
    DefaultEngine, DefaultEngineBuilder, executor::tokio::TokioMultiThreadExecutor,
};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path, prefix::PrefixStore};
use parking_lot::Mutex;
use std::{
    num::NonZero,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::runtime::{Handle, RuntimeFlavor};
use url::Url;

/// How often a log is read that lists but does not load, as one that is just being made may.
const LOOKS_AT_A_NEW_LOG: u32 = 3;

/// Commit files read at once: each is held in memory, and its reader is many times its size.
const FILES_READ_AHEAD: NonZero<usize> = NonZero::new(32).unwrap();

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
    /// See [`root_url`].
    pub(super) root_url: Url,
    pub(super) options: CommitOptions,
    engine: OnceLock<Arc<DefaultEngine<TokioMultiThreadExecutor>>>,
    /// The checkpoint that this process wrote last.
    pub(super) last_checkpoint: Mutex<Option<CheckpointFile>>,
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
                last_checkpoint: Mutex::new(None),
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
                DefaultEngineBuilder::new(Arc::new(PrefixStore::new(
                    self.location.store.clone(),
                    self.location.root.clone(),
                )))
                .with_task_executor(executor)
                .with_buffer_size(FILES_READ_AHEAD)
                .build(),
            )
        });
        Ok(engine.clone())
    }

    pub(super) fn kernel_error(&self, action: &'static str, error: KernelError) -> CommitError {
        CommitError::kernel(&self.name, action, error)
    }

    /// Some features keep the kernel from reading a table at all.
    pub(super) fn load_error(&self, error: KernelError) -> CommitError {
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
    pub(super) fn snapshot(
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

    /// The state of `snapshot`, given the one that it was advanced from; of a newer version where
    /// the log had to be listed for it.
    pub(super) fn read_state(
        &self,
        engine: &dyn Engine,
        snapshot: SnapshotRef,
        before: Option<&TableState>,
    ) -> Result<Arc<TableState>> {
        let anew = before.is_some_and(|before| Self::lacks_the_log(before, &snapshot));
        let snapshot = if anew { self.listed(engine)? } else { snapshot };
        let mut state = TableState::read(&self.name, engine, snapshot, before, &self.options)?;
        if anew {
            state.shed = false;
        }
        Ok(Arc::new(state))
    }

    pub(super) fn conflict(&self, version: u64) -> CommitError {
        CommitError::Log {
            kind: Kind::Conflict,
            action: "write to",
            table: self.name.clone(),
            message: format!("the version exists already, version=`{version}`"),
        }
    }
}

/// The table's root in the kernel's eyes: the root of a store of its own.
///
/// The kernel wants `file:` URLs to exist and follows their links, and loses a percent sign in a
/// folder's name when it lists, so it sees no path of ours. Of the URL it keeps scheme and host,
/// which tell it whether the store lists in order. A disk does not, nor do directory buckets of S3
/// (`…--x-s3`), and what a compatible store does nobody knows: the kernel sorts the listings of every
/// store whose host looks like such a bucket's, and so ours all do. A log is short enough.
fn root_url(location: &TableLocation) -> Url {
    let unordered = |scheme: &str| Url::parse(&format!("{scheme}://store--x-s3/"));
    match location.url.scheme() {
        // A scheme that is not the kernel's own, lest it looks for the folder.
        "file" => unordered("local"),
        scheme => unordered(scheme),
    }
    .unwrap_or_else(|_| location.url.clone())
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
            // The kernel judges required statistics before it writes, and nothing else so.
            Err(CommitError::Log {
                kind: Kind::InvalidData,
                ..
            }) if base.is_some() => Put::Outdated,
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
        schema.fits(&snapshot.schema)
    }

    fn longest_file_age(&self, snapshot: &Arc<TableState>) -> i64 {
        i64::try_from(snapshot.longest_file_age().as_millis()).unwrap_or(i64::MAX)
    }

    fn name(&self) -> &str {
        &self.inner.name
    }
}

impl KernelLog {
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
}
