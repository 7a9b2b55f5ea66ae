//! How one table's log is written; filled by the pipeline from the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::sync::Semaphore;

/// The most columns, nested ones counted, that a table may have to be written.
pub const MAX_COLUMNS: usize = 10_000;

/// The most files one version names; a larger group is cut into several versions.
pub const MAX_FILES_PER_COMMIT: usize = 10_000;

/// One checkpoint at a time in this process: each may need hundreds of megabytes on a large table.
static CHECKPOINTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// Options of one [`TableLog`](super::TableLog).
#[derive(Clone)]
pub struct CommitOptions {
    /// A checkpoint is written after this many commits of ours; 0 for never.
    pub checkpoint_interval_commits: u64,
    /// And after this many bytes of actions; 0 for never.
    pub checkpoint_interval_bytes: u64,
    /// How many times as long as a checkpoint took the table then goes without one, however much is
    /// committed, within limits; 0 for not at all.
    pub checkpoint_rest: u32,
    /// How many checkpoints run at once over all tables that share this.
    pub checkpoint_permits: Arc<Semaphore>,
    /// How long the source keeps its records. A table that forgets positions sooner
    /// (`delta.setTransactionRetentionDuration`) is refused, and any that forgets them at all where
    /// this is `None` (rule 12).
    pub source_retention: Option<Duration>,
    /// Columns that every row fills; other columns declared NOT NULL make the table refused.
    pub guaranteed_columns: BTreeSet<String>,
    /// Properties of a table that we create, as [`check_property`](super::check_property) allows them.
    pub table_properties: BTreeMap<String, String>,
    /// Its description.
    pub table_comment: Option<String>,
    /// Top-level columns that it is clustered by (liquid clustering: a feature for writers, none for readers); not
    /// beside partition columns.
    pub cluster_by: Vec<String>,
    /// The first pause after a failed attempt; it doubles, with jitter, up to `backoff_max`.
    pub backoff_initial: Duration,
    pub backoff_max: Duration,
    /// Milliseconds since the epoch.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self {
            checkpoint_interval_commits: 100,
            checkpoint_interval_bytes: 64 << 20,
            checkpoint_rest: 20,
            checkpoint_permits: CHECKPOINTS.clone(),
            source_retention: None,
            guaranteed_columns: BTreeSet::new(),
            table_properties: BTreeMap::new(),
            table_comment: None,
            cluster_by: Vec::new(),
            backoff_initial: Duration::from_millis(50),
            backoff_max: Duration::from_secs(20),
            clock: Arc::new(|| chrono::Utc::now().timestamp_millis()),
        }
    }
}

impl fmt::Debug for CommitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitOptions")
            .field(
                "checkpoint_interval_commits",
                &self.checkpoint_interval_commits,
            )
            .field("checkpoint_interval_bytes", &self.checkpoint_interval_bytes)
            .field("source_retention", &self.source_retention)
            .field("table_properties", &self.table_properties)
            .finish_non_exhaustive()
    }
}
