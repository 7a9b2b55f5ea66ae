//! Every metric: its name, and what it tells. Base units; counters end in `_total`. Labels are
//! bounded: a configuration's names, a stage, a kind, never a file name or a message.

use metrics::{describe_counter, describe_gauge, describe_histogram};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! metrics {
    ($($sort:ident $name:ident = $text:literal : $help:literal;)*) => {
        $(#[doc = $help] pub const $name: &str = $text;)*
        /// All of them.
        pub(super) const ALL: &[(Sort, &str, &str)] = &[$((Sort::$sort, $text, $help)),*];
    };
}

metrics! {
    Counter SOURCE_RECORDS = "alluvium_source_records_total": "Records read or accepted, by source.";
    Counter SOURCE_BYTES = "alluvium_source_bytes_total": "Bytes of records read or accepted, by source.";
    Counter SOURCE_TOMBSTONES = "alluvium_source_tombstones_total": "Empty values: read, counted, not landed.";
    Gauge SOURCE_LAG_RECORDS = "alluvium_source_lag_records": "Records between the low-water mark and the end of the source.";
    Gauge SOURCE_ASSIGNED_PARTITIONS = "alluvium_source_assigned_partitions": "Source partitions this process reads.";
    Counter SOURCE_POLLS = "alluvium_source_polls_total": "Polls of a Kafka consumer.";
    Counter SOURCE_REBALANCES = "alluvium_source_rebalances_total": "Rebalances of a consumer group, by event.";
    Counter SOURCE_PAUSES = "alluvium_source_pauses_total": "Times a source was paused, by reason.";
    Counter SOURCE_REWINDS = "alluvium_source_rewinds_total": "Times a partition was read again from its tables' position.";
    Counter HTTP_REQUESTS = "alluvium_http_requests_total": "HTTP requests answered, by source and status.";
    Histogram HTTP_REQUEST_DURATION = "alluvium_http_request_duration_seconds": "Time from a request's first byte to its answer.";
    Gauge HTTP_CONNECTIONS = "alluvium_http_connections": "Open HTTP connections.";
    Counter HTTP_EVENTS = "alluvium_http_events_total": "Events of requests, by source and outcome.";
    Counter HTTP_BYTES = "alluvium_http_bytes_total": "Bytes of accepted events, by source.";
    Counter HTTP_REFUSED = "alluvium_http_refused_total": "Requests refused whole, by source and code.";
    Gauge SPOOL_BYTES = "alluvium_spool_bytes": "Bytes the spool keeps on disk.";
    Gauge SPOOL_UNCOMMITTED_EVENTS = "alluvium_spool_uncommitted_events": "Events in the spool that no table holds yet.";
    Counter SPOOL_APPENDED_BYTES = "alluvium_spool_appended_bytes_total": "Bytes appended to the spool.";
    Histogram SPOOL_GROUP_DURATION = "alluvium_spool_group_duration_seconds": "Time to append and fsync one group of requests.";
    Histogram SPOOL_GROUP_REQUESTS = "alluvium_spool_group_requests": "Requests that shared one fsync.";
    Gauge SPOOL_IDEMPOTENCY_KEYS = "alluvium_spool_idempotency_keys": "Idempotency keys remembered.";
    Counter SPOOL_IDEMPOTENCY_KEYS_EVICTED = "alluvium_spool_idempotency_keys_evicted_total": "Idempotency keys forgotten before their time, for want of room.";
    Gauge INFLIGHT_BYTES = "alluvium_inflight_bytes": "Bytes of the memory budget in use, by stage: rows that wait for a flush (`open`), everything else (`other`). Their sum is what counts against the budget.";
    Gauge MEMORY_BUDGET_BYTES = "alluvium_memory_budget_bytes": "The memory budget.";
    Counter DECODE_RECORDS = "alluvium_decode_records_total": "Records decoded into rows.";
    Counter DECODE_ROWS = "alluvium_decode_rows_total": "Rows decoded.";
    Counter DECODE_DEAD_LETTERS = "alluvium_decode_dead_letters_total": "Records that became dead letters, by reason.";
    Counter DECODE_RESCUED_ROWS = "alluvium_decode_rescued_rows_total": "Rows with a value in _rescued_data.";
    Counter SCHEMA_CHANGES = "alluvium_schema_changes_total": "Changes of tables' schemas.";
    Gauge CONTROL_PENDING_CHANGES = "alluvium_control_pending_changes": "Changes of schemas that wait for a SQL warehouse, by connection.";
    Gauge CONTROL_FAILING_TABLES = "alluvium_control_failing_tables": "Tables whose schema could not be changed when it was last tried, by connection. Above zero a person is needed; data goes on.";
    Counter CONTROL_STATEMENTS = "alluvium_control_statements_total": "Statements run on SQL warehouses, by outcome.";
    Counter CONTROL_WAKEUPS = "alluvium_control_wakeups_total": "Times a SQL warehouse was asked to take statements, by connection.";
    Gauge TABLES_OPEN = "alluvium_tables_open": "Tables this process has open.";
    Counter BATCH_FLUSHES = "alluvium_batch_flushes_total": "Batches closed and handed to the writer, by reason.";
    Gauge PIPELINE_LAGGING_TABLES = "alluvium_pipeline_lagging_tables": "Tables that were left behind because they stood still, and have not caught up yet.";
    Counter PIPELINE_WITHHELD_RECORDS = "alluvium_pipeline_withheld_records_total": "Records passed over or given up for a table that stood still; they are read again.";
    Counter PIPELINE_REREADS = "alluvium_pipeline_rereads_total": "Partitions read again for the sake of tables that were left behind.";
    Counter PIPELINE_REWINDS = "alluvium_pipeline_rewinds_total": "Partitions told to read again from their tables' positions.";
    Gauge PIPELINE_UNAUTHORIZED = "alluvium_pipeline_unauthorized_operations": "Operations that a store refuses for want of rights, each tried again until the rights are back. Above zero a person is needed.";
    Counter WRITE_FILES = "alluvium_write_files_total": "Data files written.";
    Counter WRITE_ORPHANS = "alluvium_write_orphans_total": "Data files written and then discarded.";
    Histogram WRITE_FILE_SIZE = "alluvium_write_file_size_bytes": "Size of data files.";
    Histogram WRITE_UPLOAD_SECONDS = "alluvium_write_upload_seconds": "Time to write one data file to its store.";
    Histogram COMMIT_DURATION = "alluvium_commit_duration_seconds": "Time of one commit, its retries included, by outcome.";
    Counter COMMIT_ROWS = "alluvium_commit_rows_total": "Rows committed.";
    Counter COMMIT_CONFLICTS = "alluvium_commit_conflicts_total": "Versions that another writer took first.";
    Counter COMMIT_CHECKPOINTS = "alluvium_commit_checkpoints_total": "Checkpoints written.";
    Histogram EVENT_TO_COMMIT = "alluvium_event_to_commit_seconds": "Age of the oldest event of a commit when it is committed.";
    Histogram BATCH_AGE = "alluvium_batch_age_seconds": "Time from the first event of a batch in this process to its commit.";
    Gauge TABLE_VERSION = "alluvium_table_version": "The last version this process saw of a table.";
    Counter STORE_REQUESTS = "alluvium_store_requests_total": "Requests to object stores, by store and status.";
    Counter CREDENTIALS_REFRESH = "alluvium_credentials_refresh_total": "Fetches of a store's credentials, by outcome.";
    Counter DATABRICKS_REQUESTS = "alluvium_databricks_requests_total": "Requests to Databricks workspaces, by connection and status; `timeout` and `none` where no answer came.";
    Gauge DATABRICKS_UNAUTHORIZED = "alluvium_databricks_unauthorized": "1 while a workspace refuses a connection's credential or a right it needs. Above zero a person is needed.";
    Gauge DATABRICKS_TOKEN_EXPIRY = "alluvium_databricks_token_expiry_seconds": "When a connection's present OAuth token ends, as Unix time.";
    Gauge CREDENTIALS_EXPIRY = "alluvium_credentials_expiry_seconds": "When a store's present credentials end, as Unix time.";
    Counter ERRORS = "alluvium_errors_total": "Errors, by stage and kind.";
}

/// Gives the recorder what each metric tells.
pub(super) fn describe() {
    for &(sort, name, help) in ALL {
        match sort {
            Sort::Counter => describe_counter!(name, help),
            Sort::Gauge => describe_gauge!(name, help),
            Sort::Histogram => describe_histogram!(name, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::{Path, PathBuf},
    };

    #[test]
    fn names_follow_the_rules() {
        let mut seen = BTreeSet::new();
        for (sort, name, help) in ALL {
            assert!(seen.insert(name), "{name} twice");
            assert!(name.starts_with("alluvium_"), "{name}");
            assert_eq!(*sort == Sort::Counter, name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.'), "{name}");
            assert!(!name.contains("milli") && !name.contains("_ms"), "{name}");
        }
    }

    /// Every source file with its text.
    fn sources() -> Vec<(PathBuf, String)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push((path, text));
                }
            }
        }
        let mut found = Vec::new();
        walk(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        found
    }

    /// A metric that nobody measures reads as zero for ever. Tests, this file and the choice of buckets do not measure.
    #[test]
    fn every_described_name_is_measured() {
        let constants: BTreeMap<&str, &str> = include_str!("names.rs")
            .lines()
            .filter_map(|line| {
                let (constant, rest) = line.trim().split_once(" = \"alluvium_")?;
                Some((rest.split('"').next()?, constant.split(' ').nth(1)?))
            })
            .collect();
        let product: Vec<String> = sources()
            .into_iter()
            .filter(|(path, _)| {
                let path = path.to_string_lossy();
                !["names.rs", "prometheus.rs", "tests.rs"]
                    .iter()
                    .any(|end| path.ends_with(end))
                    && !path.contains("/tests/")
            })
            .map(|(_, text)| match text.find("#[cfg(test)]\nmod ") {
                Some(tests) => text[..tests].to_owned(),
                None => text,
            })
            .collect();
        let unmeasured: Vec<&str> = ALL
            .iter()
            .map(|(_, name, _)| *name)
            .filter(|name| {
                let short = name.strip_prefix("alluvium_").unwrap();
                let quoted = format!("\"{name}\"");
                let constant = format!("names::{}", constants[short]);
                !product.iter().any(|text| {
                    text.contains(&quoted)
                        || text.match_indices(&constant).any(|(at, _)| {
                            let after = text[at + constant.len()..].chars().next();
                            !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
                        })
                })
            })
            .collect();
        assert!(
            unmeasured.is_empty(),
            "measured nowhere in src: {unmeasured:#?}"
        );
    }

    /// A room may spell a name out; then it must be one of these.
    #[test]
    fn every_name_in_the_source_is_described() {
        let mut unknown = BTreeSet::new();
        for (path, text) in sources() {
            for part in text.split('"').skip(1) {
                let plain = part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let metric = part.starts_with("alluvium_")
                    && part.len() > "alluvium_".len()
                    && [
                        "_total",
                        "_bytes",
                        "_seconds",
                        "_records",
                        "_version",
                        "_events",
                        "_partitions",
                        "_requests",
                        "_keys",
                        "_open",
                    ]
                    .iter()
                    .any(|end| part.ends_with(end));
                if plain && metric && !ALL.iter().any(|(_, name, _)| *name == part) {
                    unknown.insert(format!("{part} in {}", path.display()));
                }
            }
        }
        assert!(
            unknown.is_empty(),
            "describe them in telemetry/names.rs: {unknown:#?}"
        );
    }
}
