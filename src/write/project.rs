//! Logical columns to the columns of the file.

use super::{Error, Result};
use crate::event::WriteSpec;
use arrow::{
    array::{
        Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
    },
    datatypes::{DataType, Field, Fields},
};
use std::sync::Arc;

/// The file's columns out of a batch with the table's: chosen and ordered by `spec.projection`, renamed at every
/// depth to `spec.physical`. Values are shared, not copied.
///
/// Errors: `Bug` where the rows are not of the table's schema, `InvalidData` for a null where none may be.
pub(super) fn project(spec: &WriteSpec, rows: &RecordBatch) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(spec.projection.len());
    for (field, &index) in spec.physical.fields().iter().zip(&spec.projection) {
        let column = column(spec, rows, index)?;
        let column = rename(column, field.data_type(), field.name())?;
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::Null {
                column: field.name().clone(),
            });
        }
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        spec.physical.clone(),
        columns,
        &options,
    )?)
}

/// The column of `rows` that is the table's `index`-th.
pub(super) fn column<'a>(
    spec: &WriteSpec,
    rows: &'a RecordBatch,
    index: usize,
) -> Result<&'a ArrayRef> {
    let name = || match spec.logical.fields().get(index) {
        Some(field) => field.name().clone(),
        None => format!("#{index}"),
    };
    if rows.num_columns() != spec.logical.fields().len() {
        let reason = format!(
            "there are {} columns and the table has {}",
            rows.num_columns(),
            spec.logical.fields().len()
        );
        return Err(Error::Schema {
            column: name(),
            reason,
        });
    }
    rows.columns().get(index).ok_or_else(|| Error::Schema {
        column: name(),
        reason: "there is no such column".into(),
    })
}

/// `column` with the names and field metadata of `to`. Children of structs go by position.
fn rename(column: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef> {
    let from = column.data_type();
    if from == to {
        return Ok(column.clone());
    }
    let nulls = column.nulls().cloned();
    match (from, to) {
        (DataType::Struct(have), DataType::Struct(want)) if have.len() == want.len() => {
            let parent = column.as_struct();
            let children = rename_all(parent.columns(), want, name)?;
            let renamed =
                StructArray::try_new_with_length(want.clone(), children, nulls, column.len());
            renamed.map(|a| Arc::new(a) as ArrayRef).map_err(null(name))
        }
        (DataType::List(_), DataType::List(want)) => {
            let list = column.as_list::<i32>();
            let values = rename(list.values(), want.data_type(), name)?;
            let renamed = ListArray::try_new(want.clone(), list.offsets().clone(), values, nulls);
            renamed.map(|a| Arc::new(a) as ArrayRef).map_err(null(name))
        }
        (DataType::Map(_, _), DataType::Map(want, sorted)) => {
            let map = column.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = rename(&entries, want.data_type(), name)?
                .as_struct()
                .clone();
            let renamed =
                MapArray::try_new(want.clone(), map.offsets().clone(), entries, nulls, *sorted);
            renamed.map(|a| Arc::new(a) as ArrayRef).map_err(null(name))
        }
        _ if is_other_layout(from, to) => Ok(arrow::compute::cast(column, to)?),
        _ => Err(Error::Schema {
            column: name.to_owned(),
            reason: format!("its type is {from} and the file's is {to}"),
        }),
    }
}

fn rename_all(columns: &[ArrayRef], to: &Fields, parent: &str) -> Result<Vec<ArrayRef>> {
    let child = |(column, field): (&ArrayRef, &Arc<Field>)| {
        rename(
            column,
            field.data_type(),
            &format!("{parent}.{}", field.name()),
        )
    };
    columns.iter().zip(to).map(child).collect()
}

/// Where names and types agree, what is left for arrow to refuse is a null where none may be.
fn null(name: &str) -> impl FnOnce(arrow::error::ArrowError) -> Error {
    move |_| Error::Null {
        column: name.to_owned(),
    }
}

/// Whether two types hold the same values and differ in memory layout alone.
fn is_other_layout(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match from {
        Dictionary(_, values) => values.as_ref() == to || is_other_layout(values, to),
        Utf8 | LargeUtf8 | Utf8View => matches!(to, Utf8 | LargeUtf8 | Utf8View),
        Binary | LargeBinary | BinaryView => matches!(to, Binary | LargeBinary | BinaryView),
        _ => false,
    }
}
