//! Who a record is: its source partition and its offset.

use std::{fmt, sync::Arc};

/// An offset within a source partition. Kafka's are `i64 >= 0`; a Delta `txn` version is `i64`.
pub type Offset = u64;

/// Counts the assignments of one partition within this process. State of an older epoch is dropped.
pub type Epoch = u64;

/// The identity of a source partition, which is the app id of its Delta `txn` actions:
/// `<pipeline>/<source>/<topic>#<topic id>/<partition>` for Kafka, `<pipeline>/<source>/spool-<uuid>`
/// for HTTP, `<pipeline>/backfill-<run id>/<lane>` for files (exactly-once.md, Identity).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePartition(Arc<str>);

impl SourcePartition {
    pub fn new(app_id: impl Into<Arc<str>>) -> Self {
        Self(app_id.into())
    }

    /// The `txn` app id.
    pub fn app_id(&self) -> &str {
        &self.0
    }

    /// The app id under which the ledger keeps this partition's low-water mark.
    pub fn low_water_app_id(&self) -> String {
        format!("{}!low-water", self.0)
    }

    /// The app id under which the ledger keeps the offset at which the partition was first read.
    pub fn start_app_id(&self) -> String {
        format!("{}!start", self.0)
    }
}

impl fmt::Display for SourcePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SourcePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A source partition with the names that its rows carry in `_source` and `_partition`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    pub id: SourcePartition,
    /// The configuration's name of the source: `[sources.NAME]`, or `backfill`.
    pub source: Arc<str>,
    /// `_source`: `<source>/<topic>`, `<source>/spool-<uuid>`, or the path of the file in a backfill, so it
    /// may differ between batches of one `id`.
    pub label: Arc<str>,
    /// The Kafka topic; for HTTP and files empty (the record names its table).
    pub topic: Arc<str>,
    /// `_partition`: Kafka's partition number, a backfill's lane, 0 for a spool.
    pub number: i32,
}

/// Half-open `[start, end)`. `end` is the next offset to read, as Kafka commits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    pub start: Offset,
    pub end: Offset,
}

impl OffsetRange {
    /// How many offsets the range spans, gaps included.
    pub fn span(&self) -> u64 {
        self.end - self.start
    }
}
