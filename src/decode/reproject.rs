//! Rows decoded for an older schema, as a newer one has them.

use super::DecodeError;
use crate::schema::TableSchema;
use arrow::{
    array::{
        Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions,
        StructArray, new_null_array,
    },
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, FieldRef, Fields},
};
use std::sync::Arc;

/// The same rows with the columns of `to`: by name, columns gained are null, in structs, lists and
/// maps too; widened types are cast.
///
/// Errors where `to` lacks a column of the rows, or has it with a type theirs does not widen to.
pub fn reproject(batch: &RecordBatch, to: &TableSchema) -> Result<RecordBatch, DecodeError> {
    let columns = fields(
        batch.schema_ref().fields(),
        batch.columns(),
        to.columns.fields(),
        batch.num_rows(),
    )?;
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(&to.columns),
        columns,
        &RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
    )?)
}

fn fields(
    from: &Fields,
    arrays: &[ArrayRef],
    to: &Fields,
    rows: usize,
) -> Result<Vec<ArrayRef>, DecodeError> {
    let lost = from
        .iter()
        .find(|old| !to.iter().any(|new| new.name() == old.name()));
    if let Some(lost) = lost {
        return Err(DecodeError::Reproject(format!(
            "the newer schema lacks a column: column=`{}`",
            lost.name()
        )));
    }
    to.iter()
        .map(|new| {
            let old = from.iter().position(|old| old.name() == new.name());
            match old.and_then(|i| arrays.get(i)) {
                Some(array) => value(array, new),
                None => Ok(new_null_array(new.data_type(), rows)),
            }
        })
        .collect()
}

fn value(array: &ArrayRef, to: &FieldRef) -> Result<ArrayRef, DecodeError> {
    if array.data_type() == to.data_type() {
        return Ok(Arc::clone(array));
    }
    Ok(match (array.data_type(), to.data_type()) {
        (DataType::Struct(from), DataType::Struct(to)) => {
            let array = array.as_struct();
            let columns = fields(from, array.columns(), to, array.len())?;
            Arc::new(StructArray::try_new(
                to.clone(),
                columns,
                array.nulls().cloned(),
            )?)
        }
        (DataType::List(_), DataType::List(element)) => {
            let array = array.as_list::<i32>();
            Arc::new(ListArray::try_new(
                Arc::clone(element),
                array.offsets().clone(),
                value(array.values(), element)?,
                array.nulls().cloned(),
            )?)
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => {
            let array = array.as_map();
            let pair: ArrayRef = Arc::new(array.entries().clone());
            let pair = value(&pair, entries)?;
            Arc::new(MapArray::try_new(
                Arc::clone(entries),
                array.offsets().clone(),
                pair.as_struct().clone(),
                array.nulls().cloned(),
                *sorted,
            )?)
        }
        (from, widened) => {
            let options = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            if !widens(from, widened) {
                return Err(DecodeError::Reproject(format!(
                    "a column has another type: column=`{}` type=`{widened}` rows=`{from}`",
                    to.name()
                )));
            }
            cast_with_options(array, widened, &options)?
        }
    })
}

/// Whether every value of the one type is one of the other (as Delta widens them).
fn widens(from: &DataType, to: &DataType) -> bool {
    crate::schema::EvolutionPolicy {
        widening: true,
        ..Default::default()
    }
    .can_widen(from, to)
}
