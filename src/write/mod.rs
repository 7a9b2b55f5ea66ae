//! Rows to Parquet files to storage.
//!
//! In: Arrow record batches with a table's logical columns, and the [`crate::event::WriteSpec`] that says how the
//! table wants its files. Out: [`EncodedFile`]s, in memory, which [`upload`] turns into
//! [`crate::event::DataFile`]s: files in storage with partition values and statistics, in no version yet.
//!
//! What holds: a file's rows share their partition values; its statistics bound every row in it; its path is
//! unique, so that a retried upload replaces its own earlier attempt and nothing else (fact: retry with the
//! same path, never encode again); after an hour of vain attempts it changes. Encoding blocks a thread and belongs on a blocking one; uploading is async.
//!
//! Limits: at most [`WriteOptions::max_open_partitions`] files are open at once in a [`TableWriter`].

mod encode;
mod error;
mod file;
mod naming;
mod options;
mod partition_value;
mod project;
mod sink;
mod split;
mod stats;
mod upload;
mod writer;

pub use error::Error;
pub use file::EncodedFile;
pub use options::{Compression, MAX_REQUESTS, UploadOptions, ValueEncoding, WriteOptions};
pub use upload::upload;
pub use writer::TableWriter;

/// The result of this room's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
