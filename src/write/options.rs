//! How files are written.

use super::Error;
use std::{
    str::FromStr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Parquet's compression of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Level 1 to 22; a level outside of it is brought into it.
    Zstd {
        level: i32,
    },
    Snappy,
    /// Parquet's `LZ4_RAW`; the older `LZ4` is deprecated.
    Lz4,
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Zstd { level: 1 }
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// The configuration's spelling: `zstd` (level 1), `snappy`, `lz4`, `none`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "zstd" => Ok(Compression::Zstd { level: 1 }),
            "snappy" => Ok(Compression::Snappy),
            "lz4" => Ok(Compression::Lz4),
            "none" => Ok(Compression::None),
            other => Err(Error::Compression(other.to_owned())),
        }
    }
}

impl Compression {
    /// The end of a file's name, in Spark's spelling.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Compression::Zstd { .. } => ".zstd.parquet",
            Compression::Snappy => ".snappy.parquet",
            Compression::Lz4 => ".lz4raw.parquet",
            Compression::None => ".parquet",
        }
    }
}

/// How values are written that no dictionary holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueEncoding {
    /// Integers, dates and timestamps as differences (`DELTA_BINARY_PACKED`) in column chunks where that is smaller; all
    /// else plain.
    #[default]
    Auto,
    /// One after the other, which every reader knows.
    Plain,
    /// Integers, dates and timestamps as differences (`DELTA_BINARY_PACKED`), lengths of strings apart from their bytes
    /// (`DELTA_LENGTH_BYTE_ARRAY`).
    Delta,
}

/// How a [`super::TableWriter`] makes files.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteOptions {
    /// A file is closed when its encoded size reaches this.
    pub target_file_size_bytes: u64,
    pub compression: Compression,
    pub encoding: ValueEncoding,
    /// The most files open at once, one a partition; past it the largest is closed first.
    pub max_open_partitions: usize,
    /// A row group ends at the first of these two limits; bytes are of encoded data.
    pub max_row_group_rows: usize,
    pub max_row_group_bytes: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            target_file_size_bytes: 128 << 20,
            compression: Compression::default(),
            encoding: ValueEncoding::default(),
            max_open_partitions: 64,
            max_row_group_rows: 1 << 20,
            max_row_group_bytes: 128 << 20,
        }
    }
}

/// Requests of uploads to one store at once: as many files again and their parts wait their turn.
pub const MAX_REQUESTS: usize = 64;

/// How [`super::upload`] sends files.
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// Larger files go in parts.
    pub multipart_threshold_bytes: usize,
    /// Object stores want at least 5 MiB, and all parts but the last of one size.
    pub part_size_bytes: usize,
    /// Parts of one file in flight at once.
    pub max_concurrent_parts: usize,
    /// The first wait between attempts; it doubles up to the longest, and a random share of it is waited.
    pub first_backoff: Duration,
    pub longest_backoff: Duration,
    /// An upload that has been tried for so long goes on under a new name. It is what lets a sweep of orphans
    /// trust the age of a file: one that is old is not written again.
    pub rename_after: Duration,
    /// Puts and parts under way at once, over all uploads that share this.
    pub requests: Arc<Semaphore>,
    /// Set when an attempt fails, for whoever counts on the file's memory; never cleared here.
    pub failing: Arc<AtomicBool>,
    /// Ends the retries: the upload returns [`super::Error::Cancelled`].
    pub cancel: CancellationToken,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            multipart_threshold_bytes: 32 << 20,
            part_size_bytes: 16 << 20,
            max_concurrent_parts: 4,
            first_backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(30),
            rename_after: Duration::from_secs(3_600),
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            failing: Arc::default(),
            cancel: CancellationToken::new(),
        }
    }
}
