//! Rows of Parquet as JSON: exact, and found again.

use super::{
    FilesError,
    reader_tests::{records_from, values, write},
};
use ::parquet::{
    arrow::ArrowWriter,
    basic::Compression as Codec,
    data_type::{Int96, Int96Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use arrow::{
    array::*,
    datatypes::{DataType, Field, Int32Type, Int64Type, Schema},
    record_batch::RecordBatch,
};
use std::{path::Path, sync::Arc};

fn file(dir: &Path, batch: &RecordBatch) -> String {
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder()
        .set_compression(Codec::SNAPPY)
        .set_max_row_group_row_count(Some(3))
        .build();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    write(dir, "a.parquet", &bytes)
}

#[test]
fn exact_values() {
    let dir = tempfile::tempdir().unwrap();
    let decimals = Decimal128Array::from(vec![Some(12345678901234567890123456789012345678), None])
        .with_precision_and_scale(38, 10)
        .unwrap();
    let mut map = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
    map.keys().append_value(7);
    map.values().append_null();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("x\n"), None].into_iter().collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "long",
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None])) as ArrayRef,
            true,
        ),
        (
            "ulong",
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
            true,
        ),
        (
            "float",
            Arc::new(Float32Array::from(vec![Some(0.1), Some(2.0)])),
            true,
        ),
        (
            "double",
            Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN)])),
            true,
        ),
        (
            "infinite",
            Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), None])),
            true,
        ),
        ("decimal", Arc::new(decimals), true),
        (
            "date",
            Arc::new(Date32Array::from(vec![Some(19_723), None])),
            true,
        ),
        (
            "instant",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_456), None])
                    .with_timezone("+02:00"),
            ),
            true,
        ),
        (
            "local",
            Arc::new(TimestampMillisecondArray::from(vec![
                Some(1_700_000_000_123),
                None,
            ])),
            true,
        ),
        (
            "bytes",
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None])),
            true,
        ),
        ("text", Arc::new(dictionary), true),
        ("map", Arc::new(map.finish()), true),
        ("list", Arc::new(list), true),
    ])
    .unwrap();
    let got = values(&file(dir.path(), &batch));
    assert_eq!(
        got,
        [
            concat!(
                r#"{"long":-9223372036854775808,"ulong":18446744073709551615,"float":0.1,"double":0.1,"#,
                r#""infinite":"-Infinity","decimal":1234567890123456789012345678.9012345678,"#,
                r#""date":"2024-01-01","instant":"2023-11-14T22:13:20.123456Z","local":"2023-11-14T22:13:20.123","#,
                r#""bytes":"AP8=","text":"x\n","map":{"7":null},"list":[1,null]}"#
            ),
            r#"{"float":2.0,"double":"NaN"}"#
        ]
    );
}

#[test]
fn times_past_the_calendar_are_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let times = TimestampMicrosecondArray::from(vec![i64::MAX, 0]).with_timezone("UTC");
    let batch = RecordBatch::try_from_iter([
        ("t", Arc::new(times) as ArrayRef),
        ("d", Arc::new(Date32Array::from(vec![i32::MAX, 0]))),
    ])
    .unwrap();
    assert_eq!(
        values(&file(dir.path(), &batch)),
        [
            r#"{"t":9223372036854775807,"d":2147483647}"#,
            r#"{"t":"1970-01-01T00:00:00Z","d":"1970-01-01"}"#
        ]
    );
}

#[test]
fn rows_are_found_again_over_row_groups() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<i64> = (0..20).collect();
    let schema = Arc::new(Schema::new(vec![Field::new("i", DataType::Int64, false)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(rows))]).unwrap();
    let path = file(dir.path(), &batch);
    let want: Vec<String> = (0..20).map(|i| format!("{{\"i\":{i}}}")).collect();
    assert_eq!(values(&path), want);

    let whole = std::fs::read(&path).unwrap();
    let mut broken = whole.clone();
    for byte in &mut broken[40..60] {
        *byte ^= 0xff;
    }
    for bytes in [&whole[..whole.len() - 1], &broken[..]] {
        let error = records_from(&write(dir.path(), "b.parquet", bytes), 0, 10).unwrap_err();
        assert!(matches!(error, FilesError::Damaged { .. }), "{error}");
    }
}

#[test]
fn int96_is_an_instant() {
    let dir = tempfile::tempdir().unwrap();
    let schema = Arc::new(
        parse_message_type(
            "message m { required int64 a; optional group s { required int96 t; } }",
        )
        .unwrap(),
    );
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<::parquet::data_type::Int64Type>()
        .write_batch(&[5], None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let mut t = Int96::new();
    // Nanoseconds of the day, then the Julian day of 2300-01-01.
    t.set_data(
        3_600_000_000_000u64 as u32,
        (3_600_000_000_000u64 >> 32) as u32,
        2_561_118,
    );
    column
        .typed::<Int96Type>()
        .write_batch(&[t], Some(&[1]), None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let got = values(&write(dir.path(), "a.parquet", &bytes));
    assert_eq!(got, [r#"{"a":5,"s":{"t":"2300-01-01T01:00:00Z"}}"#]);
}
