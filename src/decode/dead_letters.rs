//! Rows of the dead-letter table.

use super::DecodeError;
use crate::{
    event::{DeadLetter, Partition},
    schema::{dead_letter_schema, types},
};
use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use std::sync::Arc;

/// One row a letter, in the columns of [`dead_letter_schema`]. `ingested_at_us`: microseconds since
/// the epoch.
pub fn dead_letter_batch(
    partition: &Partition,
    letters: &[DeadLetter],
    ingested_at_us: i64,
) -> Result<RecordBatch, DecodeError> {
    let text = |of: &dyn Fn(&DeadLetter) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(letters.iter().map(of)))
    };
    let time = |of: &dyn Fn(&DeadLetter) -> i64| -> ArrayRef {
        let times = TimestampMicrosecondArray::from_iter_values(letters.iter().map(of));
        Arc::new(times.with_data_type(types::timestamp()))
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|_| partition.id.app_id().to_string()),
        text(&|_| partition.label.to_string()),
        Arc::new(Int32Array::from(vec![partition.number; letters.len()])),
        Arc::new(Int64Array::from_iter(
            letters.iter().map(|l| i64::try_from(l.offset).ok()),
        )),
        Arc::new(Int32Array::from_iter(
            letters.iter().map(|l| i32::try_from(l.index).ok()),
        )),
        time(&|letter| letter.event_time),
        time(&|_| ingested_at_us),
        text(&|letter| letter.table.to_string()),
        text(&|letter| letter.reason.code.to_string()),
        text(&|letter| letter.reason.detail.to_string()),
        Arc::new(BinaryArray::from_iter_values(
            letters.iter().map(|l| l.value.as_ref()),
        )),
    ];
    Ok(RecordBatch::try_new(dead_letter_schema().columns, columns)?)
}
