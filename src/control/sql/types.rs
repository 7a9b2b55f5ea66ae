//! Arrow types in Databricks' spelling.

use super::super::error::{ControlError, Result};
use super::{names, text};
use arrow::datatypes::{DataType, Field, TimeUnit};

/// Field metadata that holds a column's comment, as Delta keeps it.
pub(super) const COMMENT: &str = "comment";

/// The type as a statement spells it, field names quoted.
///
/// Unsigned integers take the next wider type. Nanoseconds, times and durations have none: they are cast
/// before they reach a table.
pub fn data_type(column: &str, of: &DataType) -> Result<String> {
    Ok(match of {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 | DataType::UInt8 => "SMALLINT".into(),
        DataType::Int32 | DataType::UInt16 => "INT".into(),
        DataType::Int64 | DataType::UInt32 => "BIGINT".into(),
        DataType::UInt64 => "DECIMAL(20,0)".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision @ 1..=38, scale)
            if (0..=*precision as i8).contains(scale) =>
        {
            format!("DECIMAL({precision},{scale})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "TIMESTAMP".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP_NTZ".into(),
        DataType::List(element) | DataType::LargeList(element) => {
            format!("ARRAY<{}>", data_type(column, element.data_type())?)
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => format!(
                "MAP<{}, {}>",
                data_type(column, pair[0].data_type())?,
                data_type(column, pair[1].data_type())?
            ),
            other => return Err(unknown(column, other)),
        },
        DataType::Struct(fields) if !fields.is_empty() => {
            let fields: Result<Vec<String>> = fields.iter().map(|f| struct_field(f)).collect();
            format!("STRUCT<{}>", fields?.join(", "))
        }
        other => return Err(unknown(column, other)),
    })
}

fn struct_field(field: &Field) -> Result<String> {
    Ok(format!(
        "{}: {}{}{}",
        names::column(&[], field.name())?,
        data_type(field.name(), field.data_type())?,
        if field.is_nullable() { "" } else { " NOT NULL" },
        comment(field)
    ))
}

/// ` COMMENT '…'`, where the field has one.
pub(super) fn comment(field: &Field) -> String {
    match field.metadata().get(COMMENT) {
        Some(comment) => format!(" COMMENT {}", text::literal(comment)),
        None => String::new(),
    }
}

fn unknown(column: &str, of: &DataType) -> ControlError {
    ControlError::Type {
        column: column.to_owned(),
        data_type: of.to_string(),
    }
}
