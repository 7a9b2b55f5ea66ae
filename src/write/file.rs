//! One Parquet file, while it is written and when it is done.

use super::{
    Error, Result,
    encode::{Failure, FileEncoder, Lease, Plan},
    naming,
    options::WriteOptions,
    split::Key,
};
use crate::event::{DataFile, SchemaFingerprint, WriteSpec};
use arrow::array::RecordBatch;
use bytes::Bytes;
use object_store::PutPayload;
use std::{collections::BTreeMap, sync::Arc};

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

    /// Gives the file another name in the same folders.
    pub fn rename(&mut self) {
        self.path = naming::renamed(&self.path);
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
    encoder: FileEncoder,
}

impl OpenFile {
    pub(super) fn create(
        spec: &WriteSpec,
        key: &Key,
        options: &WriteOptions,
        plan: &Arc<Plan>,
    ) -> Self {
        let names = spec
            .partition_columns
            .iter()
            .map(|c| c.physical_name.clone());
        Self {
            path: naming::new_path(spec, key, options.compression.suffix()),
            partition_values: names.zip(key.iter().cloned()).collect(),
            fingerprint: spec.fingerprint,
            encoder: FileEncoder::new(plan.clone()),
        }
    }

    /// Adds rows of the file's physical schema.
    pub(super) fn write(&mut self, rows: &RecordBatch, lease: &mut Lease) -> Result<()> {
        let written = self.encoder.write(rows, lease);
        written.map_err(|failure| failed(&self.path, failure))
    }

    /// What the file would weigh if closed now, about.
    pub(super) fn size(&self) -> u64 {
        self.encoder.size() as u64
    }

    /// Bytes of memory held, buffers not yet encoded included.
    pub(super) fn memory(&self) -> u64 {
        self.encoder.memory() as u64
    }

    pub(super) fn close(self, lease: &mut Lease) -> Result<EncodedFile> {
        let encoded = self.encoder.finish(lease);
        let encoded = encoded.map_err(|failure| failed(&self.path, failure))?;
        Ok(EncodedFile {
            path: self.path,
            chunks: encoded.chunks,
            size: encoded.size,
            rows: encoded.stats.rows(),
            partition_values: self.partition_values,
            stats: encoded.stats.to_json(),
            fingerprint: self.fingerprint,
        })
    }
}

fn failed(path: &str, failure: Failure) -> Error {
    match failure {
        Failure::Null(column) => Error::Null { column },
        Failure::Parquet(source) => Error::Encode {
            path: path.to_owned(),
            source,
        },
    }
}
