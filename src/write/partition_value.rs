//! Partition values as the log spells them.

use super::{Error, Result};
use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    },
};
use delta_kernel::{
    expressions::{DecimalData, Scalar},
    partition::serialization::serialize_partition_value,
    schema::DecimalType,
};

/// The value of `column` at `row` as protocol section "Partition Value Serialization" has it; `None` is null, and
/// so is an empty string. Timestamps are UTC, `2026-01-01T00:00:00.000000Z`, as Delta's Spark writer spells them.
///
/// Errors: `InvalidData` for a value that has no spelling (a date past the calendar, binary that is no UTF-8),
/// `Bug` for a type that cannot be partitioned by.
pub(super) fn serialise(name: &str, column: &ArrayRef, row: usize) -> Result<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    serialize_partition_value(&scalar(name, column, row)?).map_err(|e| Error::PartitionValue {
        column: name.to_owned(),
        reason: e.to_string(),
    })
}

fn scalar(name: &str, column: &ArrayRef, row: usize) -> Result<Scalar> {
    Ok(match column.data_type() {
        DataType::Boolean => Scalar::Boolean(column.as_boolean().value(row)),
        DataType::Int8 => Scalar::Byte(column.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => Scalar::Short(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => Scalar::Integer(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Scalar::Long(column.as_primitive::<Int64Type>().value(row)),
        // Adding zero makes -0.0 into 0.0, as Spark does: they are one value.
        DataType::Float32 => Scalar::Float(column.as_primitive::<Float32Type>().value(row) + 0.0),
        DataType::Float64 => Scalar::Double(column.as_primitive::<Float64Type>().value(row) + 0.0),
        DataType::Utf8 => Scalar::String(column.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => Scalar::String(column.as_string::<i64>().value(row).into()),
        DataType::Utf8View => Scalar::String(column.as_string_view().value(row).into()),
        DataType::Binary => Scalar::Binary(column.as_binary::<i32>().value(row).into()),
        DataType::LargeBinary => Scalar::Binary(column.as_binary::<i64>().value(row).into()),
        DataType::BinaryView => Scalar::Binary(column.as_binary_view().value(row).into()),
        DataType::Date32 => Scalar::Date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            match zone {
                Some(_) => Scalar::Timestamp(micros),
                None => Scalar::TimestampNtz(micros),
            }
        }
        DataType::Decimal128(precision, scale) => {
            let value = column.as_primitive::<Decimal128Type>().value(row);
            let decimal = DecimalType::try_new(*precision, u8::try_from(*scale).unwrap_or(0))
                .and_then(|ty| DecimalData::try_new(value, ty));
            Scalar::Decimal(decimal.map_err(|e| Error::PartitionValue {
                column: name.to_owned(),
                reason: e.to_string(),
            })?)
        }
        other => {
            return Err(Error::Schema {
                column: name.to_owned(),
                reason: format!("a table cannot be partitioned by the type {other}"),
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use arrow::array::*;
    use std::sync::Arc;

    fn of(array: impl Array + 'static) -> Option<String> {
        serialise("c", &(Arc::new(array) as ArrayRef), 0).unwrap()
    }

    #[test]
    fn every_type_is_spelled_as_the_protocol_says() {
        let day = 20_454; // 2026-01-01
        let micros = i64::from(day) * 86_400_000_000 + 3_723_000_004;
        let utc = |us| TimestampMicrosecondArray::from(vec![us]).with_timezone("UTC");
        let ntz = |us| TimestampMicrosecondArray::from(vec![us]);
        let decimal = |v, p, s| {
            Decimal128Array::from(vec![v])
                .with_precision_and_scale(p, s)
                .unwrap()
        };
        let text = |s: &str| StringArray::from(vec![s]);
        let cases = [
            (of(text("")), None),
            (of(StringArray::from(vec![None::<&str>])), None),
            (of(BinaryArray::from(vec![b"".as_slice()])), None),
            (of(Int64Array::from(vec![None])), None),
            (
                of(text("a/b=c%d é 日本\u{1}\n")),
                Some("a/b=c%d é 日本\u{1}\n"),
            ),
            (of(LargeStringArray::from(vec!["x"])), Some("x")),
            (of(StringViewArray::from(vec![" "])), Some(" ")),
            (of(BooleanArray::from(vec![true])), Some("true")),
            (of(BooleanArray::from(vec![false])), Some("false")),
            (of(Int8Array::from(vec![-128])), Some("-128")),
            (of(Int16Array::from(vec![7])), Some("7")),
            (of(Int32Array::from(vec![0])), Some("0")),
            (
                of(Int64Array::from(vec![i64::MIN])),
                Some("-9223372036854775808"),
            ),
            (of(Float32Array::from(vec![0.1])), Some("0.1")),
            (of(Float64Array::from(vec![-0.0])), Some("0.0")),
            (of(Float64Array::from(vec![1e20])), Some("1.0E20")),
            (of(Float64Array::from(vec![f64::NAN])), Some("NaN")),
            (
                of(Float64Array::from(vec![f64::NEG_INFINITY])),
                Some("-Infinity"),
            ),
            (of(Date32Array::from(vec![day])), Some("2026-01-01")),
            (of(Date32Array::from(vec![-719_162])), Some("0001-01-01")),
            (of(utc(micros)), Some("2026-01-01T01:02:03.000004Z")),
            (of(utc(-1)), Some("1969-12-31T23:59:59.999999Z")),
            (of(ntz(micros)), Some("2026-01-01 01:02:03.000004")),
            (of(decimal(1_234, 10, 2)), Some("12.34")),
            (of(decimal(-5, 10, 2)), Some("-0.05")),
            (of(decimal(42, 5, 0)), Some("42")),
            (of(BinaryArray::from(vec![b"hi".as_slice()])), Some("hi")),
        ];
        for (i, (got, expected)) in cases.iter().enumerate() {
            assert_eq!(got.as_deref(), *expected, "case {i}");
        }
    }

    #[test]
    fn what_has_no_spelling_is_an_error() {
        let kind = |array: ArrayRef| serialise("c", &array, 0).unwrap_err().kind();
        let binary = BinaryArray::from(vec![[0xff, 0xfe].as_slice()]);
        assert_eq!(kind(Arc::new(binary)), Kind::InvalidData);
        assert_eq!(
            kind(Arc::new(Date32Array::from(vec![i32::MAX]))),
            Kind::InvalidData
        );
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]);
        assert_eq!(kind(Arc::new(list)), Kind::Bug);
    }
}
