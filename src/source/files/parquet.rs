//! Parquet: each row an object of column name to value.

use super::{
    FilesError, MAX_RECORD_BYTES,
    input::{Input, Reading},
    object::ObjectChunks,
    parquet_json::write_lines,
    records::{Chunk, RecordReader},
    text::BytesRead,
};
use crate::event::RecordKind;
use ::parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
        ParquetRecordBatchReaderBuilder,
    },
    basic::Type as PhysicalType,
    errors::ParquetError,
    file::reader::ChunkReader,
};
use arrow::{
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use memchr::memchr_iter;
use std::{fs::File, sync::Arc, sync::atomic::Ordering};

/// Rows decoded at once, at most.
const MAX_ROWS: usize = 8_192;
/// However small the row groups of an object are.
const LEAST_BATCH_ROWS: usize = 256;

pub(crate) struct ParquetReader {
    path: Arc<str>,
    /// The bytes of an object; those of a file are the disk's.
    object: Option<ObjectChunks>,
    metadata: ArrowReaderMetadata,
    /// None until the first row is wanted: skipping moves `next_row` alone.
    reader: Option<ParquetRecordBatchReader>,
    next_row: u64,
    rows: u64,
    /// JSON lines of rows decoded but not handed on, from `at`.
    lines: Vec<u8>,
    at: usize,
    file_bytes: u64,
    bytes: BytesRead,
    counted: u64,
}

impl ParquetReader {
    pub(crate) fn open(input: &Input, reading: &Reading) -> Result<Self, FilesError> {
        let path = input.name();
        let (object, file_bytes, metadata) = match input {
            Input::File(path) => {
                let file = File::open(&**path).map_err(|e| FilesError::open(path, e))?;
                let about = file.metadata().map_err(|e| FilesError::open(path, e))?;
                let metadata = load(&file).map_err(|e| footer_failed(path, e))?;
                (None, about.len(), metadata)
            }
            Input::Object(object) => {
                let chunks = ObjectChunks::new(object.clone(), reading)?;
                let metadata = load(&chunks).map_err(|e| {
                    chunks
                        .take_failed()
                        .unwrap_or_else(|| footer_failed(path, e))
                })?;
                chunks.set_row_groups(metadata.metadata().row_groups());
                (Some(chunks), object.size(), metadata)
            }
        };
        let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
        Ok(Self {
            path: path.clone(),
            object,
            metadata,
            reader: None,
            next_row: 0,
            rows,
            lines: Vec::new(),
            at: 0,
            file_bytes,
            bytes: reading.bytes.clone(),
            counted: 0,
        })
    }

    /// The columns as Arrow types, for whoever makes a table for them.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.metadata.schema().clone()
    }

    fn damaged(&self, error: impl ToString) -> FilesError {
        // An object that could not be read is not a damaged one.
        if let Some(failed) = self.object.as_ref().and_then(ObjectChunks::take_failed) {
            return failed;
        }
        FilesError::Damaged {
            path: self.path.to_string(),
            records: self.next_row,
            problem: format!("the Parquet file cannot be read: {}", error.to_string()),
        }
    }

    /// So many rows that their JSON is about one batch. Of an object never so many that they are of three row groups:
    /// the columns are read in turn, and two groups are held at once.
    fn batch_rows(&self) -> usize {
        let groups = self.metadata.metadata().row_groups();
        let bytes: i64 = groups.iter().map(|g| g.total_byte_size().max(0)).sum();
        let per_row = u64::try_from(bytes).unwrap_or(0) / self.rows.max(1);
        // JSON is some times larger than the encoded columns, by names and repeated values.
        let rows = super::BATCH_BYTES as u64 / (per_row * 4).max(1);
        let rows = usize::try_from(rows).unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS);
        if self.object.is_none() {
            return rows;
        }
        let but_the_last = groups.len().saturating_sub(1);
        let least = groups
            .iter()
            .take(but_the_last)
            .filter_map(|group| usize::try_from(group.num_rows()).ok())
            .filter(|&rows| rows > 0)
            .min();
        // One tiny group must not make every batch tiny.
        least.map_or(rows, |least| rows.min(least.max(LEAST_BATCH_ROWS)))
    }

    /// Decodes the next rows; false when there are none.
    fn decode(&mut self) -> Result<bool, FilesError> {
        if self.next_row >= self.rows {
            return Ok(false);
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let built = match &self.object {
                    Some(object) => self.build(object.clone()),
                    None => {
                        let file =
                            File::open(&*self.path).map_err(|e| FilesError::open(&self.path, e))?;
                        self.build(file)
                    }
                };
                built?
            }
        };
        let Some(batch) = reader.next() else {
            return Err(self.damaged("there are fewer rows than the footer says"));
        };
        let batch = batch.map_err(|e| self.damaged(e))?;
        self.reader = Some(reader);
        self.lines.clear();
        self.at = 0;
        write_lines(&batch, &mut self.lines).map_err(|e| match e {
            ArrowError::JsonError(problem) => FilesError::Column {
                path: self.path.to_string(),
                problem,
            },
            other => self.damaged(other),
        })?;
        Ok(true)
    }

    fn build(
        &self,
        input: impl ChunkReader + 'static,
    ) -> Result<ParquetRecordBatchReader, FilesError> {
        // Row groups before the row are not even looked into.
        let groups = self.metadata.metadata().row_groups();
        let (mut first, mut offset) = (0, self.next_row);
        for group in groups {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            if offset < rows {
                break;
            }
            offset -= rows;
            first += 1;
        }
        let offset = usize::try_from(offset).map_err(|e| self.damaged(e))?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(input, self.metadata.clone())
            .with_batch_size(self.batch_rows())
            .with_row_groups((first..groups.len()).collect())
            .with_offset(offset)
            .build()
            .map_err(|e| self.damaged(e))
    }

    fn count_bytes(&mut self) {
        let share = u128::from(self.file_bytes) * u128::from(self.next_row);
        let now = u64::try_from(share / u128::from(self.rows.max(1))).unwrap_or(self.file_bytes);
        self.bytes
            .fetch_add(now.saturating_sub(self.counted), Ordering::Relaxed);
        self.counted = now.max(self.counted);
    }
}

impl RecordReader for ParquetReader {
    fn read(&mut self, chunk: &mut Chunk, target_bytes: usize) -> Result<bool, FilesError> {
        let mut more = true;
        while more && !chunk.is_full(target_bytes) {
            if self.at >= self.lines.len() && !self.decode()? {
                more = false;
                break;
            }
            // JSON text holds no bare newline, so each line is a row.
            let rest = &self.lines[self.at..];
            let mut begin = 0;
            for end in memchr_iter(b'\n', rest) {
                let line = &rest[begin..end];
                if line.len() > MAX_RECORD_BYTES {
                    return Err(FilesError::RecordTooLong {
                        path: self.path.to_string(),
                        records: self.next_row,
                        limit: MAX_RECORD_BYTES,
                    });
                }
                let start = chunk.slab.len();
                chunk.slab.extend_from_slice(line);
                chunk.push(start, RecordKind::Event);
                self.next_row += 1;
                begin = end + 1;
                if chunk.is_full(target_bytes) {
                    break;
                }
            }
            self.at += begin;
        }
        self.count_bytes();
        Ok(more)
    }

    /// Only before the first row is read: then it costs nothing.
    fn skip(&mut self, n: u64) -> Result<u64, FilesError> {
        if self.reader.is_some() || !self.lines.is_empty() {
            // Rows in hand are passed one by one.
            let mut skipped = 0;
            let mut chunk = Chunk::default();
            while skipped < n {
                chunk.slab.clear();
                chunk.records.clear();
                if !self.read(&mut chunk, 1)? {
                    break;
                }
                skipped += chunk.records.len() as u64;
            }
            return Ok(skipped);
        }
        let skipped = n.min(self.rows - self.next_row);
        self.next_row += skipped;
        self.count_bytes();
        Ok(skipped)
    }
}

/// The footer, with INT96 columns read as UTC microseconds: they are instants (Spark and Impala write
/// them so), and nanoseconds would wrap before 1677 and after 2262. The Arrow schema that some writers
/// embed is not used, so that a column's type is what Parquet itself says.
fn load(file: &impl ChunkReader) -> Result<ArrowReaderMetadata, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(file, options)?;
    let leaves: Vec<bool> = metadata
        .parquet_schema()
        .columns()
        .iter()
        .map(|column| column.physical_type() == PhysicalType::INT96)
        .collect();
    if !leaves.contains(&true) {
        return Ok(metadata);
    }
    let mut leaves = leaves.into_iter();
    let fields: Fields = metadata
        .schema()
        .fields()
        .iter()
        .map(|field| retype(field, &mut leaves))
        .collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)
}

fn footer_failed(path: &str, error: ParquetError) -> FilesError {
    FilesError::Damaged {
        path: path.to_owned(),
        records: 0,
        problem: format!("the Parquet footer cannot be read: {error}"),
    }
}

/// The field with its INT96 leaves as UTC microseconds; `leaves` says of each leaf in order whether it
/// is one.
fn retype(field: &FieldRef, leaves: &mut impl Iterator<Item = bool>) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|f| retype(f, leaves)).collect())
        }
        DataType::List(item) => DataType::List(retype(item, leaves)),
        DataType::Map(entries, sorted) => DataType::Map(retype(entries, leaves), *sorted),
        leaf => match leaves.next() {
            Some(true) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            _ => leaf.clone(),
        },
    };
    let field = Field::clone(field).with_data_type(data_type);
    Arc::new(field)
}
