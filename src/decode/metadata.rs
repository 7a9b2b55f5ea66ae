//! Columns that say where a row came from, made for a whole batch at once.

use crate::{
    event::{RawBatch, RecordSpan},
    schema::{MetadataColumn, types},
};
use arrow::{
    array::{
        ArrayRef, BinaryArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    },
    datatypes::DataType,
};
use std::sync::Arc;

/// A metadata column of a table.
pub(super) struct Metadata {
    column: MetadataColumn,
    /// Of a key: whether its bytes are kept, text or not.
    bytes: bool,
}

impl Metadata {
    pub(super) fn new(column: MetadataColumn, data_type: &DataType) -> Self {
        Self {
            column,
            bytes: *data_type == DataType::Binary,
        }
    }

    /// The record's key, if this column would hold it and it is no text: it goes to `_rescued_data`.
    pub(super) fn misfit<'a>(&self, raw: &'a RawBatch, record: &RecordSpan) -> Option<&'a [u8]> {
        if self.column != MetadataColumn::Key || self.bytes {
            return None;
        }
        raw.key(record).filter(|key| str::from_utf8(key).is_err())
    }

    /// The column of the rows made from these records of the batch.
    pub(super) fn array(&self, raw: &RawBatch, rows: &[u32], ingested_at_us: i64) -> ArrayRef {
        let records = || rows.iter().map(|&i| &raw.records[i as usize]);
        let times = |times: Vec<i64>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(times).with_data_type(types::timestamp()))
        };
        match self.column {
            MetadataColumn::Source => {
                Arc::new(StringArray::new_repeated(&raw.partition.label, rows.len()))
            }
            MetadataColumn::Partition => {
                Arc::new(Int32Array::from(vec![raw.partition.number; rows.len()]))
            }
            // Offsets are Kafka's, or counted from 0: far below i64::MAX.
            MetadataColumn::Offset => Arc::new(
                match records().all(|record| i64::try_from(record.offset).is_ok()) {
                    true => {
                        Int64Array::from_iter_values(records().map(|record| record.offset as i64))
                    }
                    false => records()
                        .map(|record| i64::try_from(record.offset).ok())
                        .collect(),
                },
            ),
            MetadataColumn::Index => Arc::new(Int32Array::from(vec![0; rows.len()])),
            MetadataColumn::EventTime => times(records().map(|record| record.event_time).collect()),
            MetadataColumn::IngestedAt => times(vec![ingested_at_us; rows.len()]),
            MetadataColumn::Key if self.bytes => Arc::new(
                records()
                    .map(|record| raw.key(record))
                    .collect::<BinaryArray>(),
            ),
            MetadataColumn::Key => texts(records().map(|record| raw.key(record))),
            MetadataColumn::Headers => texts(records().map(|record| raw.headers(record))),
        }
    }
}

/// What is no text is null.
fn texts<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    let text = |bytes: Option<&'a [u8]>| bytes.and_then(|bytes| str::from_utf8(bytes).ok());
    Arc::new(values.map(text).collect::<StringArray>())
}
