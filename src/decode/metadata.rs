//! Columns that say where a row came from.

use crate::{
    event::{RawBatch, RecordSpan},
    schema::{MetadataColumn, types},
};
use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, StringBuilder,
        TimestampMicrosecondBuilder,
    },
    datatypes::DataType,
};
use std::sync::Arc;

/// A metadata column under construction.
pub(super) enum MetadataBuilder {
    Source(StringBuilder),
    Partition(Int32Builder),
    Offset(Int64Builder),
    Index(Int32Builder),
    EventTime(TimestampMicrosecondBuilder),
    IngestedAt(TimestampMicrosecondBuilder),
    KeyText(StringBuilder),
    KeyBytes(BinaryBuilder),
    Headers(StringBuilder),
}

impl MetadataBuilder {
    pub(super) fn new(column: MetadataColumn, data_type: &DataType) -> Self {
        let time = || TimestampMicrosecondBuilder::new().with_data_type(types::timestamp());
        match column {
            MetadataColumn::Source => Self::Source(StringBuilder::new()),
            MetadataColumn::Partition => Self::Partition(Int32Builder::new()),
            MetadataColumn::Offset => Self::Offset(Int64Builder::new()),
            MetadataColumn::Index => Self::Index(Int32Builder::new()),
            MetadataColumn::EventTime => Self::EventTime(time()),
            MetadataColumn::IngestedAt => Self::IngestedAt(time()),
            MetadataColumn::Key if *data_type == DataType::Binary => {
                Self::KeyBytes(BinaryBuilder::new())
            }
            MetadataColumn::Key => Self::KeyText(StringBuilder::new()),
            MetadataColumn::Headers => Self::Headers(StringBuilder::new()),
        }
    }

    /// Returns a key that is no text, for `_rescued_data`.
    pub(super) fn append<'a>(
        &mut self,
        raw: &'a RawBatch,
        record: &RecordSpan,
        ingested_at_us: i64,
    ) -> Option<&'a [u8]> {
        match self {
            Self::Source(b) => b.append_value(&raw.partition.label),
            Self::Partition(b) => b.append_value(raw.partition.number),
            // Offsets are Kafka's, or counted from 0: far below i64::MAX.
            Self::Offset(b) => b.append_option(i64::try_from(record.offset).ok()),
            Self::Index(b) => b.append_value(0),
            Self::EventTime(b) => b.append_value(record.event_time),
            Self::IngestedAt(b) => b.append_value(ingested_at_us),
            Self::KeyBytes(b) => b.append_option(raw.key(record)),
            Self::KeyText(b) => match raw.key(record).map(|key| (key, str::from_utf8(key))) {
                None => b.append_null(),
                Some((_, Ok(key))) => b.append_value(key),
                Some((key, Err(_))) => {
                    b.append_null();
                    return Some(key);
                }
            },
            Self::Headers(b) => {
                b.append_option(raw.headers(record).and_then(|h| str::from_utf8(h).ok()));
            }
        }
        None
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Source(b) | Self::KeyText(b) | Self::Headers(b) => Arc::new(b.finish()),
            Self::Partition(b) | Self::Index(b) => Arc::new(b.finish()),
            Self::Offset(b) => Arc::new(b.finish()),
            Self::EventTime(b) | Self::IngestedAt(b) => Arc::new(b.finish()),
            Self::KeyBytes(b) => Arc::new(b.finish()),
        }
    }
}
