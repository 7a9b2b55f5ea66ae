//! Record batches to the bytes of a Parquet file, column by column, without an intermediate form.
//!
//! In: batches of a file's physical schema. Out: the file, and the statistics of its `add` action, gathered over the same
//! values in the same pass. The footer is the Parquet crate's; pages are made here:
//!
//! - Whether a column chunk has a dictionary is seen from its first values and its first page ([`indices`]); the same way
//!   a chunk whose first page does not shrink is stored as it is ([`column`]).
//! - In the same way it is seen whether integers are smaller as differences ([`fixed`]), and how far back the compressor looks
//!   for plain strings ([`codec`]).
//! - What is constant (levels without nulls, metadata columns) stays a run from beginning to end and costs nothing by row.
//! - Version 1 pages; a page begins and ends with a row. No page or offset index: readers skip by files and row groups.
//!
//! Limits: a file in the making holds its encoded pages and, for each column, one page in the making of at most 512 KiB
//! (less for wide tables, see [`plan`]) and a dictionary of at most about 1 MiB
//! of plain values (a few times as much with its table).

mod boolean;
mod bounds;
mod bytes;
mod codec;
mod column;
mod delta;
mod dictionary;
mod fixed;
mod hybrid;
mod indices;
mod levels;
mod native;
mod page;
mod plan;
mod scratch;
mod shred;
mod values;

pub(super) use bounds::Extremes;
pub(super) use plan::Plan;
pub(super) use scratch::Lease;

use super::{sink::ChunkSink, stats::FileStats};
use ::bytes::Bytes;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use column::Column;
use parquet::{
    errors::ParquetError,
    file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData},
};
use scratch::Scratch;
use shred::Shredder;
use std::sync::Arc;

const MAGIC: &[u8] = b"PAR1";

/// Why rows could not be encoded.
#[derive(Debug)]
pub(super) enum Failure {
    /// A null in a column that must have a value, by name.
    Null(String),
    Parquet(ParquetError),
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        Failure::Parquet(error)
    }
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        Failure::Parquet(error.into())
    }
}

/// A Parquet file in the making. After an error it is of no use.
pub(super) struct FileEncoder {
    plan: Arc<Plan>,
    columns: Vec<Column>,
    /// Rows in `columns`.
    rows: usize,
    row_groups: Vec<RowGroupMetaData>,
    sink: ChunkSink,
    stats: FileStats,
    /// Nulls of lists, maps and structs, by leaf of `stats`.
    nulls: Vec<u64>,
}

/// A whole file.
pub(super) struct Encoded {
    pub(super) chunks: Vec<Bytes>,
    pub(super) size: u64,
    pub(super) stats: FileStats,
}

impl FileEncoder {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let mut sink = ChunkSink::default();
        sink.push_copy(MAGIC);
        Self {
            columns: plan.columns(),
            rows: 0,
            row_groups: Vec::new(),
            sink,
            stats: plan.no_stats.clone(),
            nulls: vec![0; plan.no_stats.len()],
            plan,
        }
    }

    /// Adds rows of the file's physical schema.
    pub(super) fn write(&mut self, rows: &RecordBatch, lease: &mut Lease) -> Result<(), Failure> {
        let scratch = lease.scratch();
        let mut at = 0;
        while at < rows.num_rows() {
            let room = self
                .plan
                .max_row_group_rows
                .saturating_sub(self.rows)
                .max(1);
            let count = room.min(rows.num_rows() - at);
            for (node, column) in self.plan.nodes.iter().zip(rows.columns()) {
                let mut shredder = Shredder {
                    columns: &mut self.columns,
                    nulls: &mut self.nulls,
                    scratch,
                };
                let step = rows_at_once(column, self.plan.step_bytes);
                let mut from = at;
                while from < at + count {
                    let some = step.min(at + count - from);
                    if some == column.len() {
                        shredder.column(node, column)?;
                    } else {
                        shredder.column(node, &column.slice(from, some))?;
                    }
                    from += some;
                }
            }
            at += count;
            self.rows += count;
            if self.rows >= self.plan.max_row_group_rows
                || self.row_group_size() >= self.plan.max_row_group_bytes
            {
                self.end_row_group(scratch)?;
            }
        }
        Ok(())
    }

    fn end_row_group(&mut self, scratch: &mut Scratch) -> Result<(), Failure> {
        if self.rows == 0 {
            return Ok(());
        }
        let start = self.sink.len();
        let mut chunks = Vec::with_capacity(self.columns.len());
        for (column, stat) in self.columns.iter_mut().zip(&self.plan.stats) {
            let stats = &mut self.stats;
            let told = |nulls, extremes: Extremes<'_>| {
                if let Some(stat) = stat {
                    stats.merge(*stat, nulls, extremes);
                }
            };
            let finished = column.finish(self.sink.len(), scratch, told)?;
            for page in finished.pages {
                self.sink.push(page);
            }
            chunks.push(finished.metadata);
        }
        for (stat, nulls) in self.nulls.iter_mut().enumerate() {
            self.stats
                .merge(stat, std::mem::take(nulls), Extremes::Unknown);
        }
        self.stats.count(self.rows as u64);
        let raw = chunks.iter().map(|chunk| chunk.uncompressed_size()).sum();
        let ordinal = i16::try_from(self.row_groups.len())
            .map_err(|_| ParquetError::General("too many row groups in a file".into()))?;
        let group = RowGroupMetaData::builder(self.plan.schema.clone())
            .set_column_metadata(chunks)
            .set_total_byte_size(raw)
            .set_num_rows(self.rows as i64)
            .set_ordinal(ordinal)
            .set_file_offset(start as i64)
            .build()?;
        self.row_groups.push(group);
        self.rows = 0;
        Ok(())
    }

    fn row_group_size(&self) -> usize {
        self.columns.iter().map(Column::size).sum()
    }

    /// What the file would weigh if closed now, about; its footer left out.
    pub(super) fn size(&self) -> usize {
        self.sink.len() + self.row_group_size()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.sink.memory()
            + self.columns.iter().map(Column::memory).sum::<usize>()
            + self.row_groups.len() * self.columns.len() * 512
    }

    pub(super) fn finish(mut self, lease: &mut Lease) -> Result<Encoded, Failure> {
        self.end_row_group(lease.scratch())?;
        let rows = self.stats.rows() as i64;
        let created_by = concat!("alluvium version ", env!("CARGO_PKG_VERSION")).to_owned();
        // Column orders are filled in by the footer's writer.
        let schema = self.plan.schema.clone();
        let file = FileMetaData::new(1, rows, Some(created_by), None, schema, None);
        let metadata = ParquetMetaData::new(file, self.row_groups);
        let mut footer = Vec::new();
        ParquetMetaDataWriter::new(&mut footer, &metadata).finish()?;
        self.sink.push(footer.into());
        Ok(Encoded {
            size: self.sink.len() as u64,
            chunks: self.sink.into_chunks(),
            stats: self.stats,
        })
    }
}

/// How many rows of a column are about `step` bytes.
fn rows_at_once(column: &ArrayRef, step: usize) -> usize {
    let rows = column.len().max(1);
    (step * rows / bytes_of(column).max(1)).clamp(1, rows)
}

/// Bytes of a column's values, about.
fn bytes_of(column: &dyn Array) -> usize {
    let spread = |values: &dyn Array, offsets: &[i32]| {
        let elements = offsets
            .last()
            .zip(offsets.first())
            .map_or(0, |(last, first)| last - first);
        bytes_of(values) / values.len().max(1) * elements as usize
    };
    match column.data_type() {
        DataType::Struct(_) => {
            let children = column.as_struct().columns();
            children
                .iter()
                .map(|child| bytes_of(child))
                .max()
                .unwrap_or(0)
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            spread(list.values(), list.value_offsets())
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let offsets = map.value_offsets();
            spread(map.keys(), offsets).max(spread(map.values(), offsets))
        }
        DataType::Utf8 => text_bytes(column.as_string::<i32>().value_offsets()),
        DataType::Binary => text_bytes(column.as_binary::<i32>().value_offsets()),
        data_type if plan::is_bytes(data_type) => column.get_buffer_memory_size(),
        data_type => column.len() * data_type.primitive_width().unwrap_or(1),
    }
}

fn text_bytes(offsets: &[i32]) -> usize {
    let bytes = offsets
        .last()
        .zip(offsets.first())
        .map_or(0, |(last, first)| last - first);
    bytes as usize + 4 * offsets.len()
}

#[cfg(test)]
mod tests;
