//! Where a batch's events lie in its slab, and how many there are.

use super::{DecodeError, MAX_BATCH_BYTES};
use crate::event::{RecordSpan, RoutedBatch};
use std::ops::Range;

/// How many records are selected; an error where they have more than [`MAX_BATCH_BYTES`].
pub(super) fn records(batch: &RoutedBatch) -> Result<usize, DecodeError> {
    let length = |span: &Option<Range<u32>>| span.as_ref().map_or(0, |span| span.len() as u64);
    let (mut bytes, mut records) = (0, 0);
    for record in batch.records() {
        bytes += record.value.len() as u64 + length(&record.key) + length(&record.headers);
        records += 1;
    }
    if bytes > MAX_BATCH_BYTES {
        return Err(DecodeError::BatchTooLarge {
            bytes,
            limit: MAX_BATCH_BYTES,
        });
    }
    Ok(records)
}

pub(super) fn span(record: &RecordSpan) -> Range<usize> {
    record.value.start as usize..record.value.end as usize
}
