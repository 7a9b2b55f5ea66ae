//! One table's options, as each stage wants them.

use crate::{
    batch::FlushPolicy,
    commit::{CommitOptions, TableState},
    config::{self, Config},
    decode::DecodeOptions,
    error::{Error, Kind, Result},
    schema::{
        self, Authority, Evolution, EvolutionPolicy, MetadataColumn, SchemaChange, TableSchema,
    },
    write::{Compression, ValueEncoding, WriteOptions},
};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// Built once when a table is opened.
pub(crate) struct TableSettings {
    pub(crate) name: String,
    pub(crate) url: Option<String>,
    pub(crate) policy: FlushPolicy,
    pub(crate) evolution: EvolutionPolicy,
    pub(crate) decode: Arc<DecodeOptions>,
    pub(crate) write: WriteOptions,
    pub(crate) commit: CommitOptions,
    pub(crate) authority: Authority,
    pub(crate) registration: Option<config::Registration>,
    declared: Vec<schema::ColumnOptions>,
    metadata: Vec<MetadataColumn>,
    partition_by: Vec<String>,
    warnings: Mutex<Warnings>,
}

/// The most distinct warnings remembered (and so given) of one table.
const MAX_WARNINGS: usize = 1_000;
/// The most of them logged in a minute; the rest are counted in one line.
const MAX_WARNINGS_A_MINUTE: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// What was warned of, each once, and how much of it this minute.
#[derive(Default)]
struct Warnings {
    known: HashSet<String>,
    minute: Option<Instant>,
    logged: usize,
    /// Not logged and not told yet.
    rest: usize,
    /// This minute has had its line about the rest.
    told: bool,
}

impl Warnings {
    /// The lines to log of these warnings at `now`.
    fn lines(&mut self, warnings: &[String], now: Instant) -> Vec<String> {
        if self
            .minute
            .is_none_or(|begun| now.saturating_duration_since(begun) >= MINUTE)
        {
            self.minute = Some(now);
            self.logged = 0;
            self.told = false;
        }
        let mut lines = Vec::new();
        for warning in warnings {
            if self.known.len() >= MAX_WARNINGS || !self.known.insert(warning.clone()) {
                continue;
            }
            if self.logged < MAX_WARNINGS_A_MINUTE {
                self.logged += 1;
                lines.push(warning.clone());
            } else {
                self.rest += 1;
            }
        }
        if self.rest > 0 && !self.told {
            self.told = true;
            lines.extend(self.take_rest());
        }
        lines
    }

    fn take_rest(&mut self) -> Option<String> {
        match std::mem::take(&mut self.rest) {
            0 => None,
            rest => Some(format!(
                "more warnings like these were not logged one by one; `alluvium table show` counts what was rescued, by field, warnings=`{rest}`"
            )),
        }
    }
}

impl Drop for Warnings {
    fn drop(&mut self) {
        if let Some(line) = self.take_rest() {
            tracing::warn!("{line}");
        }
    }
}

impl TableSettings {
    pub(crate) fn new(config: &Config, name: &str) -> Result<Self> {
        let mut table = config.table(name);
        if name == config.dead_letters.table {
            // What defaults lay others out by, it may not have.
            table.cluster_by.clear();
        }
        let url = config.tables.get(name).and_then(|t| t.url.clone());
        Self::of(table, url)
    }

    /// The dead-letter table: its schema is fixed, its files small.
    pub(crate) fn for_ledger(config: &Config) -> Result<Self> {
        Self::new(config, &config.dead_letters.table)
    }

    fn of(table: config::Table, url: Option<String>) -> Result<Self> {
        let metadata = metadata_columns(&table.metadata_columns);
        let evolution = EvolutionPolicy {
            evolution: table.evolution,
            on_conflict: table.on_conflict.clone(),
            // The kernel cannot write a type change; a warehouse can.
            widening: false,
            infer_timestamps: table.infer_timestamps,
            max_columns: table.max_columns,
            max_depth: table.max_depth,
        };
        Ok(Self {
            policy: FlushPolicy {
                interval: table.flush_interval,
                max_rows: table.max_commit_rows,
                target_bytes: table.target_file_size_bytes,
            },
            decode: Arc::new(DecodeOptions {
                table: table.name.as_str().into(),
                columns: table.columns.clone(),
                metadata_columns: metadata.clone(),
                policy: evolution.clone(),
                max_event_bytes: table.max_event_bytes,
            }),
            write: WriteOptions {
                target_file_size_bytes: table.target_file_size_bytes,
                compression: match table.compression {
                    config::Compression::Zstd => Compression::Zstd { level: 1 },
                    config::Compression::Snappy => Compression::Snappy,
                    config::Compression::Lz4 => Compression::Lz4,
                    config::Compression::None => Compression::None,
                },
                encoding: match table.parquet_encoding {
                    config::ParquetEncoding::Auto => ValueEncoding::Auto,
                    config::ParquetEncoding::Plain => ValueEncoding::Plain,
                    config::ParquetEncoding::Delta => ValueEncoding::Delta,
                },
                ..WriteOptions::default()
            },
            commit: CommitOptions {
                checkpoint_interval_commits: table.checkpoint_interval_commits,
                guaranteed_columns: metadata
                    .iter()
                    .map(|column| column.name().to_owned())
                    .collect(),
                table_properties: table.properties,
                table_comment: table.comment,
                cluster_by: table.cluster_by,
                ..CommitOptions::default()
            },
            evolution,
            authority: table.authority,
            registration: table.registration,
            declared: table.columns,
            metadata,
            partition_by: table.partition_by,
            name: table.name,
            url,
            warnings: Mutex::default(),
        })
    }

    /// The schema of a new table before its events are looked at.
    pub(crate) fn base_schema(&self) -> Result<TableSchema> {
        Ok(schema::base_schema(
            &self.declared,
            &self.metadata,
            &self.partition_by,
        )?)
    }

    /// What a table made by others lacks for its rows to be found again.
    pub(crate) fn missing_columns(&self, table: &TableSchema) -> Result<Vec<SchemaChange>> {
        Ok(schema::missing_columns(table, &self.metadata)?)
    }

    /// Whether columns that the table lacks will be there without a person's doing.
    pub(crate) fn may_evolve(&self) -> bool {
        self.evolution.evolution == Evolution::Auto
    }

    /// What becomes of fields that the table lacks; types are widened where a warehouse may and the table has the
    /// feature on.
    pub(crate) fn evolution_of(&self, table: Option<&TableState>) -> EvolutionPolicy {
        let is_on = |table: &TableState| {
            table
                .properties
                .get("delta.enableTypeWidening")
                .is_some_and(|value| value == "true")
        };
        EvolutionPolicy {
            widening: self.authority == Authority::Warehouse && table.is_some_and(is_on),
            ..self.evolution.clone()
        }
    }

    pub(crate) fn refuse_missing(&self, missing: &[SchemaChange]) -> Error {
        let columns: Vec<String> = missing
            .iter()
            .filter_map(|change| match change {
                SchemaChange::AddColumn { field, .. } => {
                    let data_type = schema::types::to_sql(field.data_type()).ok()?;
                    Some(format!("`{}` {data_type}", field.name()))
                }
                SchemaChange::Widen { .. } => None,
            })
            .collect();
        Error::new(
            Kind::Unsupported,
            format!(
                "the table lacks columns that its rows need, and its evolution is not `auto`; add them with: alter table `{}` add columns ({})",
                self.name,
                columns.join(", ")
            ),
        )
    }

    /// Says in what a table that others made, or we made when the configuration was another, is not what a new one would be.
    pub(crate) fn warn_of_layout(&self, table: &TableState) {
        let CommitOptions {
            table_properties,
            cluster_by,
            ..
        } = &self.commit;
        let differing: Vec<String> = table_properties
            .iter()
            .filter(|(key, value)| table.properties.get(*key) != Some(*value))
            .map(|(key, value)| format!("'{key}' = '{value}'"))
            .collect();
        let mut told = Vec::new();
        if !differing.is_empty() {
            told.push(format!(
                "the table has other properties than configured, which are for a new table; set them by: ALTER TABLE {} SET TBLPROPERTIES ({})",
                self.sql_name(),
                differing.join(", ")
            ));
        }
        let is_clustered = table.protocol.features.iter().any(|f| f == "clustering");
        if !cluster_by.is_empty() && !is_clustered {
            told.push(format!(
                "the table is not clustered, which `cluster_by` is for when it is made; cluster it by: ALTER TABLE {} CLUSTER BY ({})",
                self.sql_name(),
                cluster_by.join(", ")
            ));
        }
        self.warn(&told);
    }

    /// The table in a statement that a person runs.
    fn sql_name(&self) -> String {
        match &self.registration {
            Some(place) => format!("`{}`.`{}`.`{}`", place.catalog, place.schema, place.table),
            None => format!("`{}`", self.name),
        }
    }

    /// Logs each warning once, some of them a minute. The worker's span names the table.
    pub(crate) fn warn(&self, warnings: &[String]) {
        let lines = self.warnings.lock().lines(warnings, Instant::now());
        for line in lines {
            tracing::warn!("{line}");
        }
    }

    /// The fields ride in `_rescued_data` from now on; said once per message.
    pub(crate) fn evolution_failed(&self, error: &Error) {
        metrics::counter!("alluvium_errors_total", "stage" => "evolve", "kind" => error.kind().as_str())
            .increment(1);
        self.warn(&[format!(
            "the schema could not be changed, new fields are kept in _rescued_data: {error}"
        )]);
    }
}

fn metadata_columns(configured: &[config::MetadataColumn]) -> Vec<MetadataColumn> {
    configured
        .iter()
        .map(|column| match column {
            config::MetadataColumn::Source => MetadataColumn::Source,
            config::MetadataColumn::Partition => MetadataColumn::Partition,
            config::MetadataColumn::Offset => MetadataColumn::Offset,
            config::MetadataColumn::Index => MetadataColumn::Index,
            config::MetadataColumn::EventTime => MetadataColumn::EventTime,
            config::MetadataColumn::IngestedAt => MetadataColumn::IngestedAt,
            config::MetadataColumn::Key => MetadataColumn::Key,
            config::MetadataColumn::Headers => MetadataColumn::Headers,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_warnings_is_ten_lines_a_minute_and_a_count() {
        let named = |from: usize, to: usize| -> Vec<String> {
            (from..to).map(|n| format!("field {n}")).collect()
        };
        let mut warnings = Warnings::default();
        let start = Instant::now();
        let lines = warnings.lines(&named(0, 107), start);
        assert_eq!(lines[..10], named(0, 10)[..]);
        assert!(lines[10].ends_with("warnings=`97`"), "{}", lines[10]);
        assert_eq!(lines.len(), 11);
        // Known ones are not given again; new ones of the same minute wait for the next.
        assert!(warnings.lines(&named(0, 107), start).is_empty());
        assert!(warnings.lines(&named(107, 110), start).is_empty());
        let lines = warnings.lines(&named(110, 111), start + MINUTE);
        assert_eq!(lines[0], "field 110");
        assert!(lines[1].ends_with("warnings=`3`"), "{}", lines[1]);
        // Past what is remembered, nothing could be told from what was given before.
        warnings.lines(&named(0, 5_000), start + MINUTE * 2);
        assert_eq!(warnings.known.len(), MAX_WARNINGS);
        assert!(
            warnings
                .lines(&named(4_000, 5_000), start + MINUTE * 3)
                .len()
                <= 1
        );
    }
}
