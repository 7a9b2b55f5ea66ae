//! SQL for error messages: what a person would run where the log cannot be changed by us.

use arrow::datatypes::{DataType, Field};

/// `` `a`.`b` ``
pub(super) fn path<S: AsRef<str>>(parts: &[S]) -> String {
    parts
        .iter()
        .map(|part| format!("`{}`", part.as_ref().replace('`', "``")))
        .collect::<Vec<_>>()
        .join(".")
}

/// The type in Delta's SQL spelling.
pub(super) fn data_type(data_type: &DataType) -> String {
    let field = |field: &Field| {
        format!(
            "{}: {}",
            path(&[field.name()]),
            self::data_type(field.data_type())
        )
    };
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(_, None) => "TIMESTAMP_NTZ".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".into(),
        DataType::Struct(fields) => format!(
            "STRUCT<{}>",
            fields
                .iter()
                .map(|f| field(f))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        DataType::List(element) | DataType::LargeList(element) => {
            format!("ARRAY<{}>", self::data_type(element.data_type()))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => format!(
                "MAP<{}, {}>",
                self::data_type(fields[0].data_type()),
                self::data_type(fields[1].data_type())
            ),
            _ => "MAP<STRING, STRING>".into(),
        },
        _ => "STRING".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_spelt_as_delta_does() {
        let list = DataType::List(Field::new("element", DataType::Int64, true).into());
        let nested = DataType::Struct(vec![Field::new("a`b", list, true)].into());
        assert_eq!(data_type(&nested), "STRUCT<`a``b`: ARRAY<BIGINT>>");
        assert_eq!(path(&["a", "b c"]), "`a`.`b c`");
    }
}
