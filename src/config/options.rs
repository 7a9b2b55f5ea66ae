//! Every key of the configuration file. The doc comments are the configuration reference.

use super::{source::SourceOptions, table::TableOptions};
use crate::{databricks::ConnectionOptions, storage::StoreOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// The whole configuration. Relative paths are relative to the working directory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The pipeline's name, part of every position: two pipelines never share one.
    pub pipeline: String,
    /// Bytes of events that may be in flight; when they are spent, Kafka is paused and the spool keeps what HTTP brings until there is room.
    pub memory_budget_bytes: u64,
    /// How long a shutdown may take to commit what is held.
    pub shutdown_timeout_seconds: f64,
    /// Where the tables are.
    pub lake: LakeOptions,
    /// How the object stores are reached that hold the lake, its tables or inputs.
    pub stores: BTreeMap<String, StoreOptions>,
    /// The Databricks workspaces, by name.
    pub connections: BTreeMap<String, ConnectionOptions>,
    /// The durable queue of accepted HTTP events.
    pub spool: SpoolOptions,
    /// The table of rejected records, which is also the ledger of the low-water mark.
    pub dead_letters: DeadLetterOptions,
    /// Where metrics and health are served.
    pub admin: AdminOptions,
    /// Where events come from, by name. Without a configuration file there is one, `web`: HTTP on 127.0.0.1:8080.
    /// With one there are only those it names.
    pub sources: BTreeMap<String, SourceOptions>,
    /// What differs from `[table_defaults]`, by table name. Tables need not be listed: they are made as events name them.
    pub tables: BTreeMap<String, TableOptions>,
    /// What holds for every table that does not say otherwise.
    pub table_defaults: TableOptions,
}

/// Where the tables are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LakeOptions {
    /// A folder, a `file:` URL, or a URL of an object store: `s3://bucket/prefix`, `az://container/prefix`,
    /// `abfss://container@account.dfs.core.windows.net/prefix`, `https://account.blob.core.windows.net/container/prefix`.
    /// One folder a table below it. Stores are reached as `[stores.NAME]` says.
    pub url: String,
    /// The most tables one process opens.
    pub max_tables: usize,
}

/// The durable queue of accepted HTTP events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolOptions {
    /// Its folder, on a local disk that lasts; by default `.spool` below a local lake, `./spool` with a lake in an object store.
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
    /// Its name, a folder below `lake.url`. Two pipelines over one lake may share it: their positions do not meet.
    pub table: String,
    /// The name under which the catalog and schema of `[table_defaults]` have it; by default no catalog has it. Lakes that
    /// share a schema give different names.
    pub table_name: Option<String>,
}

/// Where metrics and health are served.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminOptions {
    /// Address of `/metrics`, `/healthz`, `/readyz`; empty for none.
    pub listen: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pipeline: "default".into(),
            memory_budget_bytes: 256 << 20,
            shutdown_timeout_seconds: 30.0,
            lake: LakeOptions::default(),
            stores: BTreeMap::new(),
            connections: BTreeMap::new(),
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
            table_name: None,
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
