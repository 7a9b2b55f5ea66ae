//! Data files between the writer and the log, and records on their way to the dead-letter table.

use super::{Counts, Offset, OffsetRange, Partition, RejectReason};
use arrow::datatypes::SchemaRef;
use std::{collections::BTreeMap, sync::Arc};

/// Identifies the schema a file was encoded for: field ids, types, physical names, partitioning
/// (exactly-once.md, rule 4). Computed by `schema::TableSchema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SchemaFingerprint(pub u64);

/// How a table wants its Parquet files; made by `commit` from a snapshot, used by `write`.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteSpec {
    /// The table's columns with logical names, partition columns included: what rows come in.
    pub logical: SchemaRef,
    /// The columns as the file must hold them, in file order: physical names, `PARQUET:field_id`
    /// metadata where the table maps columns, partition columns left out unless materialised.
    pub physical: SchemaRef,
    /// For each physical field, its index in `logical`.
    pub projection: Vec<usize>,
    /// Partition columns in the table's order.
    pub partition_columns: Vec<PartitionColumn>,
    /// Physical paths of the leaf columns that get statistics (`delta.dataSkippingNumIndexedCols`,
    /// `delta.dataSkippingStatsColumns` and clustering columns, as the kernel resolves them).
    pub stats_columns: Vec<Vec<String>>,
    /// Whether file paths get a random prefix in place of Hive-style folders
    /// (`delta.randomizeFilePrefixes`, column mapping), and how long.
    pub random_prefix_length: Option<usize>,
    pub fingerprint: SchemaFingerprint,
}

/// One partition column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionColumn {
    /// Index in [`WriteSpec::logical`].
    pub index: usize,
    pub logical_name: String,
    pub physical_name: String,
}

/// A Parquet file in storage but in no version yet: an orphan until committed.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Relative to the table's root, not URL-encoded; `commit` encodes it for the `add` action.
    pub path: String,
    pub size: u64,
    pub rows: u64,
    /// Milliseconds since the epoch.
    pub modification_time: i64,
    /// Physical partition column name to value as the protocol serialises it; `None` is null.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// The `stats` of the `add` action as JSON (protocol section "Per-file Statistics"), by physical names.
    pub stats: String,
    pub fingerprint: SchemaFingerprint,
}

/// What one commit says of one source partition.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRange {
    pub partition: Arc<Partition>,
    /// The position the table must show before the commit: its own previous end, or absent
    /// (rules 1 and 2). Absent equals only absent.
    pub expected: Option<Offset>,
    /// `start` equals `expected` where there is one.
    pub range: OffsetRange,
    pub counts: Counts,
}

/// A rejected record, kept: one row of the dead-letter table.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub offset: Offset,
    /// Which part of the record, where one record makes several rows; else 0.
    pub index: u32,
    /// The table the record was meant for; empty if routed nowhere.
    pub table: Arc<str>,
    pub reason: RejectReason,
    /// The original bytes.
    pub value: bytes::Bytes,
    /// Microseconds since the epoch.
    pub event_time: i64,
}
