//! `[tables.NAME]`, and the same with every value concrete.

use crate::schema::{Authority, ColumnOptions, Evolution, OnConflict, names::fold};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// One table: `[tables.NAME]`. A key left out is taken from `[table_defaults]`, then from the defaults given here.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TableOptions {
    /// The source all of whose events land here; by default a table per topic or per HTTP path.
    pub source: Option<String>,
    /// With `source`: only these of its topics, by name.
    pub topics: Option<Vec<String>>,
    /// The table's own folder or URL, of the kinds of `lake.url`; by default a folder of its name below `lake.url`.
    pub url: Option<String>,
    /// The longest an event waits for its commit.
    pub flush_interval_seconds: Option<f64>,
    /// What happens when events bring fields that the table lacks: `auto`, `plan` or `none`. With `plan` or `none` a new
    /// table without declared columns has metadata columns alone, and everything stands in `_rescued_data`.
    pub evolution: Option<Evolution>,
    /// Who changes the schema: `log` or `warehouse`. `warehouse` needs `connection`, `catalog` and `schema`.
    pub authority: Option<Authority>,
    /// The Databricks connection, `[connections.NAME]`, in whose Unity Catalog the table is registered, as an external
    /// table at its place. Its `warehouse` runs the statements. By default the table is in no catalog.
    pub connection: Option<String>,
    /// The catalog.
    pub catalog: Option<String>,
    /// The schema in it, made where it is not there.
    pub schema: Option<String>,
    /// The table's name in the schema; by default its name here, dots as `_`.
    pub table_name: Option<String>,
    /// What the table is, for its readers: the description in its log, and the comment in its catalog. Of a new table:
    /// one that exists keeps its own.
    pub comment: Option<String>,
    /// Properties of a new table, such as `"delta.enableChangeDataFeed" = "true"`; names without `delta.` are yours. Refused are
    /// those that would break what Alluvium promises, or ask for what it does not write. A table's own replace those of
    /// `[table_defaults]`. One that exists keeps its own: what differs is told, with the statement that would set it.
    pub properties: Option<BTreeMap<String, String>>,
    /// Columns that a new table is clustered by (liquid clustering), at most four, each declared in `columns` (not of type
    /// `binary`, `boolean` or `json`, not nested) or a metadata column; not beside `partition_by`. Writers must know Delta's
    /// writer version 7 then, readers need nothing. Files are clustered by `OPTIMIZE`, not as they are landed.
    pub cluster_by: Option<Vec<String>>,
    /// What to do with a value that does not fit its column, tried in order: `widen`, `sibling`, `rescue`, `reject`.
    /// The last one is `rescue` or `reject`, which always can.
    pub on_conflict: Option<Vec<OnConflict>>,
    /// The size at which a data file is closed.
    pub target_file_size_bytes: Option<u64>,
    /// The most rows of one commit.
    pub max_commit_rows: Option<u64>,
    /// Columns whose values make folders, each declared in `columns` (not of type `binary` or `json`, not nested) or a
    /// metadata column. Of a new table: one that exists keeps its own partitioning.
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
    pub metadata_columns: Option<Vec<MetadataColumn>>,
    /// The longest event, in bytes; a longer one is a dead letter.
    pub max_event_bytes: Option<u64>,
    /// Parquet compression: `zstd`, `snappy`, `lz4` or `none`.
    pub compression: Option<Compression>,
    /// How values are written in Parquet that repeat too little for a dictionary: `auto`, `plain` or `delta`.
    pub parquet_encoding: Option<ParquetEncoding>,
    /// A checkpoint is written after this many commits; later, at most after fifty times as many, where
    /// checkpoints of a large table would take more than a twentieth of the time.
    pub checkpoint_interval_commits: Option<u64>,
}

/// How pages of a data file are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Level 1: the best size for its time.
    #[default]
    Zstd,
    Snappy,
    Lz4,
    None,
}

/// How values are written in Parquet that repeat too little for a dictionary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParquetEncoding {
    /// Integers, dates and times as differences (`DELTA_BINARY_PACKED`) where the data shows that this is smaller, all else
    /// as `plain`. Spark reads it since 3.3; Databricks, Trino, Athena, Presto, Velox, DuckDB, ClickHouse, pyarrow, delta-rs and
    /// Polars do.
    #[default]
    Auto,
    /// One after the other, which every reader knows: for Spark before 3.3, and wherever a reader says `unsupported encoding`.
    /// BigQuery, Redshift Spectrum, Synapse serverless and Fabric's SQL endpoint do not state what they read: try.
    Plain,
    /// As `auto` without asking the data, and lengths of strings apart (`DELTA_LENGTH_BYTE_ARRAY`), which is smaller again for
    /// less time. Newer readers only: Spark since 3.4, Velox (the native engine of Presto and Gluten) since May 2026.
    Delta,
}

/// A column that tells where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetadataColumn {
    /// Source and topic, spool or backfill run.
    #[serde(rename = "_source")]
    Source,
    /// Kafka's partition number.
    #[serde(rename = "_partition")]
    Partition,
    /// The record's offset in its source partition.
    #[serde(rename = "_offset")]
    Offset,
    /// Which of the rows that one record made.
    #[serde(rename = "_index")]
    Index,
    /// Kafka's timestamp, or the time of receipt.
    #[serde(rename = "_event_time")]
    EventTime,
    /// When the row was written.
    #[serde(rename = "_ingested_at")]
    IngestedAt,
    /// The record's key; needs `keep_headers` at the source.
    #[serde(rename = "_key")]
    Key,
    /// The record's headers, JSON text; needs `keep_headers` at the source.
    #[serde(rename = "_headers")]
    Headers,
}

impl MetadataColumn {
    pub const ALL: [Self; 8] = [
        Self::Source,
        Self::Partition,
        Self::Offset,
        Self::Index,
        Self::EventTime,
        Self::IngestedAt,
        Self::Key,
        Self::Headers,
    ];

    /// The column's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "_source",
            Self::Partition => "_partition",
            Self::Offset => "_offset",
            Self::Index => "_index",
            Self::EventTime => "_event_time",
            Self::IngestedAt => "_ingested_at",
            Self::Key => "_key",
            Self::Headers => "_headers",
        }
    }
}

impl Compression {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::None => "none",
        }
    }
}

/// A table's options with every value concrete: its own, else `[table_defaults]`, else the built-in default.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: String,
    /// Its folder or URL, without a slash at the end.
    pub url: String,
    /// The source all of whose events land here, if the configuration binds one.
    pub source: Option<String>,
    /// With `source`: only these topics; empty for all.
    pub topics: Vec<String>,
    pub flush_interval: Duration,
    pub evolution: Evolution,
    pub authority: Authority,
    /// Where a catalog has it.
    pub registration: Option<Registration>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub cluster_by: Vec<String>,
    /// Never empty; the last is `Rescue` or `Reject`.
    pub on_conflict: Vec<OnConflict>,
    pub target_file_size_bytes: u64,
    pub max_commit_rows: u64,
    pub partition_by: Vec<String>,
    pub columns: Vec<ColumnOptions>,
    pub infer_timestamps: bool,
    pub max_columns: usize,
    pub max_depth: usize,
    pub metadata_columns: Vec<MetadataColumn>,
    pub max_event_bytes: u64,
    pub compression: Compression,
    pub parquet_encoding: ParquetEncoding,
    pub checkpoint_interval_commits: u64,
}

/// A table in a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// `NAME` of `[connections.NAME]`.
    pub connection: String,
    pub catalog: String,
    pub schema: String,
    pub table: String,
    pub comment: Option<String>,
}

/// What holds where neither the table nor `[table_defaults]` speaks; the reference and the resolved
/// [`Table`] both read it.
pub(super) fn built_in() -> TableOptions {
    TableOptions {
        source: None,
        topics: None,
        url: None,
        flush_interval_seconds: Some(10.0),
        evolution: Some(Evolution::Auto),
        authority: Some(Authority::Log),
        connection: None,
        catalog: None,
        schema: None,
        table_name: None,
        comment: None,
        properties: Some(BTreeMap::new()),
        cluster_by: Some(Vec::new()),
        on_conflict: Some(vec![
            OnConflict::Widen,
            OnConflict::Sibling,
            OnConflict::Rescue,
        ]),
        target_file_size_bytes: Some(128 << 20),
        max_commit_rows: Some(5_000_000),
        partition_by: Some(Vec::new()),
        columns: Some(Vec::new()),
        infer_timestamps: Some(false),
        max_columns: Some(1_000),
        max_depth: Some(16),
        metadata_columns: Some(MetadataColumn::ALL[..6].to_vec()),
        max_event_bytes: Some(1 << 20),
        compression: Some(Compression::Zstd),
        parquet_encoding: Some(ParquetEncoding::Auto),
        checkpoint_interval_commits: Some(100),
    }
}

/// Merges three layers, the first that speaks wins. `lake_url` is where a table without its own URL lies.
pub(super) fn resolve(
    name: &str,
    lake_url: &str,
    own: Option<&TableOptions>,
    defaults: &TableOptions,
) -> Table {
    let built_in = built_in();
    macro_rules! first {
        ($key:ident) => {
            own.and_then(|own| own.$key.clone())
                .or_else(|| defaults.$key.clone())
                .or_else(|| built_in.$key.clone())
                .unwrap_or_default()
        };
    }
    let registration = || {
        let key = |key: fn(&TableOptions) -> &Option<String>| {
            let own = own.and_then(|own| key(own).clone());
            own.or_else(|| key(defaults).clone())
        };
        Some(Registration {
            connection: key(|table| &table.connection)?,
            catalog: key(|table| &table.catalog)?,
            schema: key(|table| &table.schema)?,
            table: own
                .and_then(|own| own.table_name.clone())
                .unwrap_or_else(|| name.replace('.', "_")),
            comment: own.and_then(|own| own.comment.clone()),
        })
    };
    // Delta's names are the same when only their case differs, and a table's metadata take the declared one.
    let columns: Vec<ColumnOptions> = first!(columns);
    let as_declared = |names: Vec<String>| -> Vec<String> {
        let declared = |name: String| {
            let folded = fold(&name);
            let found = columns.iter().find(|c| fold(&c.name) == folded);
            found.map_or(name, |column| column.name.clone())
        };
        names.into_iter().map(declared).collect()
    };
    let own_url = own.and_then(|own| own.url.clone());
    Table {
        name: name.to_owned(),
        url: match own_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}/{name}", lake_url.trim_end_matches('/')),
        },
        source: own.and_then(|own| own.source.clone()),
        topics: own.and_then(|own| own.topics.clone()).unwrap_or_default(),
        // Validation has refused what is not a duration; this guards a `Config` made by hand.
        flush_interval: Duration::try_from_secs_f64(first!(flush_interval_seconds))
            .unwrap_or(Duration::from_secs(10)),
        evolution: first!(evolution),
        authority: first!(authority),
        registration: registration(),
        comment: own.and_then(|own| own.comment.clone()),
        properties: first!(properties),
        cluster_by: as_declared(first!(cluster_by)),
        on_conflict: first!(on_conflict),
        target_file_size_bytes: first!(target_file_size_bytes),
        max_commit_rows: first!(max_commit_rows),
        partition_by: as_declared(first!(partition_by)),
        columns,
        infer_timestamps: first!(infer_timestamps),
        max_columns: first!(max_columns),
        max_depth: first!(max_depth),
        metadata_columns: first!(metadata_columns),
        max_event_bytes: first!(max_event_bytes),
        compression: first!(compression),
        parquet_encoding: first!(parquet_encoding),
        checkpoint_interval_commits: first!(checkpoint_interval_commits),
    }
}
