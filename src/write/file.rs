//! One Parquet file, while it is written and when it is done.

use super::{
    Error, Result, naming, options::WriteOptions, sink::ChunkSink, split::Key, stats::FileStats,
};
use crate::event::{DataFile, SchemaFingerprint, WriteSpec};
use arrow::array::RecordBatch;
use bytes::Bytes;
use object_store::PutPayload;
use parquet::{
    arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions},
    file::properties::WriterProperties,
};
use std::collections::BTreeMap;

/// A complete Parquet file in memory, on its way to [`super::upload`].
#[derive(Clone, Debug)]
pub struct EncodedFile {
    /// Relative to the table's root, plain: not URL-encoded, a `%` stands for itself. Like [`DataFile::path`].
    pub path: String,
    /// The content, in order.
    pub chunks: Vec<Bytes>,
    pub size: u64,
    pub rows: u64,
    /// Physical partition column name to value as the protocol spells it.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// The `stats` of the `add` action, JSON.
    pub stats: String,
    pub fingerprint: SchemaFingerprint,
}

impl EncodedFile {
    /// The content in one piece; copies.
    pub fn to_bytes(&self) -> Bytes {
        self.chunks.concat().into()
    }

    pub(super) fn payload(&self) -> PutPayload {
        self.chunks.iter().cloned().collect()
    }

    /// The content in parts of `size` bytes, the last one shorter. Nothing is copied.
    pub(super) fn parts(&self, size: usize) -> Vec<PutPayload> {
        let size = size.max(1);
        let (mut parts, mut part, mut room) = (Vec::new(), Vec::new(), size);
        for chunk in &self.chunks {
            let mut rest = chunk.clone();
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(room));
                room -= piece.len();
                part.push(piece);
                if room == 0 {
                    parts.push(std::mem::take(&mut part).into_iter().collect());
                    room = size;
                }
            }
        }
        if !part.is_empty() {
            parts.push(part.into_iter().collect());
        }
        parts
    }

    /// `modification_time`: milliseconds since the epoch.
    pub(super) fn into_data_file(self, modification_time: i64) -> DataFile {
        DataFile {
            path: self.path,
            size: self.size,
            rows: self.rows,
            modification_time,
            partition_values: self.partition_values,
            stats: self.stats,
            fingerprint: self.fingerprint,
        }
    }
}

/// A file that rows are still added to.
pub(super) struct OpenFile {
    path: String,
    partition_values: BTreeMap<String, Option<String>>,
    fingerprint: SchemaFingerprint,
    writer: ArrowWriter<ChunkSink>,
    stats: FileStats,
}

impl OpenFile {
    pub(super) fn create(
        spec: &WriteSpec,
        key: &Key,
        options: &WriteOptions,
        properties: WriterProperties,
    ) -> Result<Self> {
        let path = naming::new_path(spec, key, options.compression.suffix());
        // The Arrow schema says nothing that the Parquet schema does not, and puzzles people who read footers.
        let arrow_options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_schema_root("schema".into())
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(
            ChunkSink::default(),
            spec.physical.clone(),
            arrow_options,
        )
        .map_err(|source| Error::Encode {
            path: path.clone(),
            source,
        })?;
        let names = spec
            .partition_columns
            .iter()
            .map(|c| c.physical_name.clone());
        Ok(Self {
            path,
            partition_values: names.zip(key.iter().cloned()).collect(),
            fingerprint: spec.fingerprint,
            writer,
            stats: FileStats::new(&spec.physical, &spec.stats_columns),
        })
    }

    /// Adds rows of the file's physical schema.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.writer.write(rows).map_err(|source| Error::Encode {
            path: self.path.clone(),
            source,
        })?;
        self.stats.update(rows);
        Ok(())
    }

    /// What the file would weigh if closed now, about.
    pub(super) fn size(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// Bytes of memory held, buffers not yet encoded included.
    pub(super) fn memory(&self) -> u64 {
        (self.writer.inner().len() + self.writer.memory_size()) as u64
    }

    pub(super) fn close(self) -> Result<EncodedFile> {
        let sink = self.writer.into_inner().map_err(|source| Error::Encode {
            path: self.path.clone(),
            source,
        })?;
        let size = sink.len() as u64;
        Ok(EncodedFile {
            path: self.path,
            chunks: sink.into_chunks(),
            size,
            rows: self.stats.rows(),
            partition_values: self.partition_values,
            stats: self.stats.to_json(),
            fingerprint: self.fingerprint,
        })
    }
}
