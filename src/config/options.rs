//! Every key of the configuration file. The doc comments are the configuration reference.

use crate::schema::{Authority, ColumnOptions, Evolution, OnConflict};
use crate::source::{http::HttpOptions, kafka::KafkaOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The whole configuration.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The pipeline's name, part of every position: two pipelines never share one.
    pub pipeline: String,
    /// Bytes of events that may be in flight; when they are spent, Kafka is paused and HTTP answers 429.
    pub memory_budget_bytes: u64,
    /// How long a shutdown may take to commit what is held.
    pub shutdown_timeout_seconds: f64,
    pub lake: LakeOptions,
    pub spool: SpoolOptions,
    pub dead_letters: DeadLetterOptions,
    pub admin: AdminOptions,
    pub sources: BTreeMap<String, SourceOptions>,
    pub tables: BTreeMap<String, TableOptions>,
    /// What holds for every table that does not say otherwise.
    pub table_defaults: TableOptions,
}

/// Where the tables are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LakeOptions {
    /// A folder or a `file:` URL; one folder a table below it.
    pub url: String,
    /// The most tables one process opens.
    pub max_tables: usize,
}

/// The durable queue of accepted HTTP events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolOptions {
    /// Its folder; by default `.spool` below a local lake.
    pub path: Option<PathBuf>,
    /// The most bytes it keeps on disk; beyond them requests are answered 503.
    pub max_bytes: u64,
    /// The size at which a segment file is closed.
    pub segment_bytes: u64,
    /// How long requests wait to share one fsync, at most.
    pub group_commit_milliseconds: u64,
}

/// The table of rejected records, which is also the ledger of the low-water mark.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterOptions {
    pub table: String,
}

/// Where metrics and health are served.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminOptions {
    /// Address of `/metrics`, `/healthz`, `/readyz`; empty for none.
    pub listen: String,
}

/// One source of events: `[sources.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourceOptions {
    Http(HttpOptions),
    Kafka(KafkaOptions),
}

/// One table: `[tables.NAME]`. A key left out is taken from `[table_defaults]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TableOptions {
    /// The source all of whose events land here; by default a table per topic or per HTTP path.
    pub source: Option<String>,
    /// With `source`: only these of its topics.
    pub topics: Option<Vec<String>>,
    /// The table's own URL; by default a folder of its name below `lake.url`.
    pub url: Option<String>,
    /// The longest an event waits for its commit.
    pub flush_interval_seconds: Option<f64>,
    /// What happens when events bring fields that the table lacks: `auto`, `plan` or `none`.
    pub evolution: Option<Evolution>,
    /// Who changes the schema: `log` or `warehouse`.
    pub authority: Option<Authority>,
    /// What to do with a value that does not fit its column, tried in order: `widen`, `sibling`, `rescue`, `reject`.
    pub on_conflict: Option<Vec<OnConflict>>,
    /// The size at which a data file is closed.
    pub target_file_size_bytes: Option<u64>,
    /// The most rows of one commit.
    pub max_commit_rows: Option<u64>,
    /// Columns whose values make folders.
    pub partition_by: Option<Vec<String>>,
    /// Declared columns; others are inferred, or read from the existing table.
    pub columns: Option<Vec<ColumnOptions>>,
    /// Whether RFC 3339 text is inferred as timestamp.
    pub infer_timestamps: Option<bool>,
    /// The most columns evolution makes, nested ones counted; further fields are kept in `_rescued_data`.
    pub max_columns: Option<usize>,
    /// The deepest nesting evolution makes columns for; what is deeper is kept in `_rescued_data`.
    pub max_depth: Option<usize>,
    /// Which metadata columns rows carry: of `_source`, `_partition`, `_offset`, `_index`, `_event_time`, `_ingested_at`, `_key`, `_headers`.
    pub metadata_columns: Option<Vec<String>>,
    /// The longest event, in bytes; a longer one is a dead letter.
    pub max_event_bytes: Option<u64>,
    /// Parquet compression: `zstd`, `snappy`, `lz4` or `none`.
    pub compression: Option<String>,
    /// A checkpoint is written after this many commits.
    pub checkpoint_interval_commits: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pipeline: "default".into(),
            memory_budget_bytes: 256 << 20,
            shutdown_timeout_seconds: 30.0,
            lake: LakeOptions::default(),
            spool: SpoolOptions::default(),
            dead_letters: DeadLetterOptions::default(),
            admin: AdminOptions::default(),
            sources: BTreeMap::new(),
            tables: BTreeMap::new(),
            table_defaults: TableOptions::default(),
        }
    }
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self {
            url: "./lake".into(),
            max_tables: 1_000,
        }
    }
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            path: None,
            max_bytes: 8 << 30,
            segment_bytes: 64 << 20,
            group_commit_milliseconds: 2,
        }
    }
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self {
            table: "_dead_letters".into(),
        }
    }
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9464".into(),
        }
    }
}
