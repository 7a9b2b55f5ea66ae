//! Files in a one-shot backfill: NDJSON, JSON arrays, CSV and Parquet, plain or compressed.
//!
//! In: paths, URLs of objects, folders and patterns of both. Out: [`crate::event::RawBatch`]es whose offsets are the
//! ordinals of the records of a lane. A run is described by its manifest, made once and never
//! changed: which files, how large, from when, in which lane (exactly-once.md, rule 20). A lane is a
//! source partition, so where a killed run goes on is where the table's `txn` says
//! (invariants 1, 2 and 4).
//!
//! Layout: [`inputs`] lists files, `object` what is in object stores · `input` is one of them as bytes · `format` tells
//! what they are · `ndjson`, `json_stream`, `csv`,
//! `parquet` make records of them · [`manifest`] is the run · `lane` reads the files of one lane in
//! order, `lane_task` hands them to an [`crate::event::Intake`] · [`run`] drives lanes · [`sample`] is
//! the dry run ·
//! [`ranges`] is the manifest of a backfill of Kafka ranges (rule 16).
//!
//! Limits: a record is at most [`MAX_RECORD_BYTES`]; a run has at most [`MAX_LANES`] lanes; a lane
//! holds one batch of about [`BATCH_BYTES`], charged to the byte budget before it is read; a lane of Parquet
//! holds besides it one page of each column and the rows decoded from them, about as much again. Lanes that read
//! objects hold blocks fetched ahead, all together at most a quarter of the budget and at most 20 MiB a lane, charged
//! as long as the lane is read.

mod csv;
mod csv_types;
mod error;
mod format;
mod input;
pub mod inputs;
mod json_stream;
mod lane;
mod lane_task;
pub mod manifest;
mod ndjson;
mod object;
mod parquet;
mod parquet_json;
pub mod plan;
mod progress;
pub mod ranges;
mod records;
pub mod run;
pub mod sample;
mod text;

#[cfg(test)]
mod fake_table;
#[cfg(test)]
mod object_list_tests;
#[cfg(test)]
mod object_run_tests;
#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod parquet_tests;
#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod run_tests;

pub use csv_types::CsvType;
pub use error::FilesError;
pub use format::{Compression, Format};
pub use manifest::{FileEntry, Manifest, RunId};
pub use object::{InputStores, Served};
pub use plan::{Plan, PlanArgs, plan};
pub use progress::Progress;
pub use ranges::{KafkaRange, KafkaRanges};
pub use run::{RunArgs, Summary, run};
pub use sample::{FileSample, Sample, sample};

/// The longest record of a file. What is longer stops the run: it could not be kept as a dead letter.
/// Unit tests have a lower limit, so that they reach it in time.
pub const MAX_RECORD_BYTES: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// About how many bytes of records a batch holds.
pub const BATCH_BYTES: usize = 1 << 20;

/// The most lanes of a run, each a `txn` in the table for ever.
pub const MAX_LANES: usize = 8;
