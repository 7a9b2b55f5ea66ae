use crate::{
    event::{SchemaFingerprint, WriteSpec},
    write::{TableWriter, WriteOptions},
};
use arrow::{
    array::*,
    datatypes::{DataType, Field, Fields, Schema, TimeUnit},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// The statistics that a file of some batches gets.
struct FileStats {
    columns: Vec<Vec<String>>,
    batches: Vec<RecordBatch>,
}

impl FileStats {
    fn new(_physical: &Schema, columns: &[Vec<String>]) -> Self {
        Self {
            columns: columns.to_vec(),
            batches: Vec::new(),
        }
    }

    fn update(&mut self, batch: &RecordBatch) {
        self.batches.push(batch.clone());
    }

    fn to_json(&self) -> String {
        let schema = self.batches[0].schema();
        let spec = WriteSpec {
            logical: schema.clone(),
            physical: schema.clone(),
            projection: (0..schema.fields().len()).collect(),
            partition_columns: vec![],
            stats_columns: self.columns.clone(),
            random_prefix_length: None,
            fingerprint: SchemaFingerprint(0),
        };
        let mut writer = TableWriter::new(Arc::new(spec), WriteOptions::default()).unwrap();
        for batch in &self.batches {
            writer.write(batch).unwrap();
        }
        match writer.finish().unwrap().as_slice() {
            [file] => file.stats.clone(),
            files => {
                assert!(files.is_empty());
                json!({"numRecords": 0, "minValues": {"s": {}}, "maxValues": {"s": {}}, "nullCount": {"s": {"i": 0, "f": 0, "t": 0, "ts": 0}}}).to_string()
            }
        }
    }
}

fn stats(columns: Vec<(&str, ArrayRef)>) -> Value {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap();
    let paths: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| vec![f.name().clone()])
        .collect();
    let mut stats = FileStats::new(&batch.schema(), &paths);
    stats.update(&batch);
    serde_json::from_str(&stats.to_json()).unwrap()
}

fn bounds(array: impl Array + 'static) -> (Value, Value) {
    let stats = stats(vec![("c", Arc::new(array))]);
    (
        stats["minValues"]["c"].clone(),
        stats["maxValues"]["c"].clone(),
    )
}

#[test]
fn each_type_is_spelled_as_spark_spells_it() {
    let micros = |v: Vec<i64>| TimestampMicrosecondArray::from(v);
    let decimal = |v: Vec<i128>, p, s| {
        Decimal128Array::from(v)
            .with_precision_and_scale(p, s)
            .unwrap()
    };
    let cases = [
        (bounds(Int8Array::from(vec![3, -4])), (json!(-4), json!(3))),
        (
            bounds(Int64Array::from(vec![i64::MIN, i64::MAX])),
            (json!(i64::MIN), json!(i64::MAX)),
        ),
        (
            bounds(Date32Array::from(vec![-1, 20_454])),
            (json!("1969-12-31"), json!("2026-01-01")),
        ),
        (
            bounds(micros(vec![1_500, 2_001]).with_timezone("UTC")),
            (
                json!("1970-01-01T00:00:00.001Z"),
                json!("1970-01-01T00:00:00.003Z"),
            ),
        ),
        (
            bounds(micros(vec![-1, -1_000])),
            (
                json!("1969-12-31T23:59:59.999"),
                json!("1970-01-01T00:00:00.000"),
            ),
        ),
        (
            bounds(Float64Array::from(vec![0.0, -0.0])),
            (json!(-0.0), json!(0.0)),
        ),
        (
            bounds(Float32Array::from(vec![0.1])),
            (json!(f64::from(0.1_f32)), json!(f64::from(0.1_f32))),
        ),
        (
            bounds(Float64Array::from(vec![1.0, f64::INFINITY])),
            (json!(1.0), Value::Null),
        ),
        (
            bounds(Float64Array::from(vec![f64::NEG_INFINITY, 1.0])),
            (Value::Null, json!(1.0)),
        ),
        (
            bounds(Float64Array::from(vec![1.0, f64::NAN])),
            (Value::Null, Value::Null),
        ),
        (
            bounds(StringArray::from(vec!["b\"\n", "a"])),
            (json!("a"), json!("b\"\n")),
        ),
        (
            bounds(LargeStringArray::from(vec!["b", "a"])),
            (json!("a"), json!("b")),
        ),
        (
            bounds(StringViewArray::from(vec!["b", "a"])),
            (json!("a"), json!("b")),
        ),
        (
            bounds(BooleanArray::from(vec![true, false])),
            (Value::Null, Value::Null),
        ),
        (
            bounds(BinaryArray::from(vec![b"a".as_slice()])),
            (Value::Null, Value::Null),
        ),
        (
            bounds(Date32Array::from(vec![0, i32::MAX])),
            (json!("1970-01-01"), Value::Null),
        ),
        (
            bounds(micros(vec![i64::MIN, i64::MAX])),
            (Value::Null, Value::Null),
        ),
        (
            bounds(Int64Array::from(vec![None, None])),
            (Value::Null, Value::Null),
        ),
    ];
    for (i, (got, expected)) in cases.iter().enumerate() {
        assert_eq!(got, expected, "case {i}");
    }
    let batch =
        RecordBatch::try_from_iter([("d", Arc::new(decimal(vec![-5, 1_234], 38, 2)) as ArrayRef)])
            .unwrap();
    let mut stats = FileStats::new(&batch.schema(), &[vec!["d".into()]]);
    stats.update(&batch);
    assert_eq!(
        stats.to_json(),
        r#"{"numRecords":2,"minValues":{"d":-0.05},"maxValues":{"d":12.34},"nullCount":{"d":0},"tightBounds":true}"#
    );
}

#[test]
fn zeros_of_both_signs_are_within_bounds_for_readers_that_tell_them_apart() {
    for zeros in [[0.0, -0.0], [-0.0, 0.0], [0.0, 0.0], [-0.0, -0.0]] {
        let (min, max) = bounds(Float64Array::from(zeros.to_vec()));
        assert!(min.as_f64().unwrap().is_sign_negative(), "{zeros:?}");
        assert!(max.as_f64().unwrap().is_sign_positive(), "{zeros:?}");
    }
}

#[test]
fn only_wanted_leaves_are_there_nested_as_the_columns_are() {
    let inner: Fields = vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("tags", DataType::new_list(DataType::Int64, true), true),
    ]
    .into();
    let structs = StructArray::new(
        inner.clone(),
        vec![
            Arc::new(Int64Array::from(vec![Some(100), Some(2), None])),
            Arc::new(StringArray::from(vec!["x", "y", "z"])),
            Arc::new(ListArray::from_iter_primitive::<
                arrow::datatypes::Int64Type,
                _,
                _,
            >([Some(vec![Some(1)]), None, None])),
        ],
        // The first row's struct is null: the 100 and the list in it are not values.
        Some(vec![false, true, true].into()),
    );
    let outer: Fields = vec![Field::new("s", DataType::Struct(inner), true)].into();
    let outer = StructArray::new(
        outer,
        vec![Arc::new(structs)],
        Some(vec![true, true, true].into()),
    );
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("o", Arc::new(outer) as ArrayRef, true),
        ("unwanted", Arc::new(Int64Array::from(vec![1, 2, 3])), true),
    ])
    .unwrap();
    let path = |p: &str| p.split('.').map(str::to_owned).collect::<Vec<_>>();
    let wanted = [
        "o.s.a",
        "o.s.tags",
        "o.s.tags.element",
        "o.s.nowhere",
        "gone",
        "o.s.a.b",
    ]
    .map(path);
    let mut stats = FileStats::new(&batch.schema(), &wanted);
    stats.update(&batch);
    let json: Value = serde_json::from_str(&stats.to_json()).unwrap();
    assert_eq!(
        json,
        json!({
            "numRecords": 3,
            "minValues": {"o": {"s": {"a": 2}}},
            "maxValues": {"o": {"s": {"a": 2}}},
            "nullCount": {"o": {"s": {"a": 2, "tags": 3}}},
            "tightBounds": true,
        })
    );
}

#[test]
fn without_columns_there_is_still_the_count() {
    let batch =
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)])
            .unwrap();
    let mut stats = FileStats::new(&batch.schema(), &[]);
    stats.update(&batch);
    assert_eq!(
        stats.to_json(),
        r#"{"numRecords":1,"minValues":{},"maxValues":{},"nullCount":{},"tightBounds":true}"#
    );
}

#[test]
fn a_column_name_may_hold_anything() {
    let json = stats(vec![("a\"b\\c.d", Arc::new(Int64Array::from(vec![1])))]);
    assert_eq!(json["minValues"]["a\"b\\c.d"], json!(1));
}

/// One row of the oracle's table; the first flag says whether the struct itself is there.
type Row = (bool, Option<i64>, Option<f64>, Option<String>, Option<i64>);

fn row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        "[a-c\u{7f}é\u{10FFFF}]{0,4}",
        "[ab]{30,34}",
        "\u{10FFFF}{31,70}",
    ];
    let double = prop_oneof![
        8 => -1e3..1e3_f64,
        1 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY]),
        1 => prop::num::f64::ANY,
    ];
    (
        prop::bool::weighted(0.8),
        prop::option::of(any::<i64>()),
        prop::option::of(double),
        prop::option::of(text),
        prop::option::of(-4_000_000_000_000_000..4_000_000_000_000_000_i64),
    )
}

fn table(rows: &[Row]) -> RecordBatch {
    let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields: Fields = vec![
        Field::new("i", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("t", DataType::Utf8, true),
        Field::new("ts", zone.clone(), true),
    ]
    .into();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|r| r.3.as_deref()).collect::<StringArray>()),
        Arc::new(
            rows.iter()
                .map(|r| r.4)
                .collect::<TimestampMicrosecondArray>()
                .with_data_type(zone),
        ),
    ];
    let nulls = rows.iter().map(|r| r.0).collect::<Vec<_>>().into();
    let structs = StructArray::new(fields, columns, Some(nulls));
    RecordBatch::try_from_iter_with_nullable([("s", Arc::new(structs) as ArrayRef, true)]).unwrap()
}

proptest! {
    #[test]
    fn statistics_agree_with_a_look_at_every_row(
        rows in prop::collection::vec(row(), 0..40),
        cuts in prop::collection::vec(0..40_usize, 0..4),
    ) {
        let whole = table(&rows);
        let wanted = ["i", "f", "t", "ts"].map(|c| vec!["s".to_owned(), c.to_owned()]);
        let mut stats = FileStats::new(&whole.schema(), &wanted);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(rows.len())).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            stats.update(&whole.slice(pair[0], pair[1] - pair[0]));
        }
        let json: Value = serde_json::from_str(&stats.to_json()).unwrap();
        prop_assert_eq!(&json["numRecords"], &json!(rows.len()));
        let there: Vec<&Row> = rows.iter().filter(|r| r.0).collect();
        let (min, max, nulls) = (&json["minValues"]["s"], &json["maxValues"]["s"], &json["nullCount"]["s"]);
        let missing = |n: usize| json!(rows.len() - n);

        let ints: Vec<i64> = there.iter().filter_map(|r| r.1).collect();
        prop_assert_eq!(&nulls["i"], &missing(ints.len()));
        prop_assert_eq!(min["i"].as_i64(), ints.iter().min().copied());
        prop_assert_eq!(max["i"].as_i64(), ints.iter().max().copied());

        let floats: Vec<f64> = there.iter().filter_map(|r| r.2).collect();
        prop_assert_eq!(&nulls["f"], &missing(floats.len()));
        let nan = floats.iter().any(|f| f.is_nan());
        let least = floats.iter().copied().reduce(f64::min).filter(|f| !nan && f.is_finite());
        let most = floats.iter().copied().reduce(f64::max).filter(|f| !nan && f.is_finite());
        prop_assert_eq!(min["f"].as_f64(), least);
        prop_assert_eq!(max["f"].as_f64(), most);
        // Also for readers that put -0.0 below 0.0.
        for f in &floats {
            prop_assert!(min["f"].as_f64().is_none_or(|m| m.total_cmp(f).is_le()));
            prop_assert!(max["f"].as_f64().is_none_or(|m| m.total_cmp(f).is_ge()));
        }

        let texts: Vec<&str> = there.iter().filter_map(|r| r.3.as_deref()).collect();
        prop_assert_eq!(&nulls["t"], &missing(texts.len()));
        prop_assert_eq!(min["t"].is_null(), texts.is_empty());
        for t in &texts {
            prop_assert!(min["t"].as_str().unwrap() <= *t);
            prop_assert!(max["t"].as_str().is_none_or(|m| m >= *t));
        }
        if texts.iter().all(|t| t.chars().count() <= 32) {
            prop_assert_eq!(max["t"].as_str(), texts.iter().max().copied());
        }

        let times: Vec<i64> = there.iter().filter_map(|r| r.4).collect();
        prop_assert_eq!(&nulls["ts"], &missing(times.len()));
        let parse = |v: &Value| v.as_str().map(|s| chrono::DateTime::parse_from_rfc3339(s).unwrap().timestamp_micros());
        let (low, high) = (parse(&min["ts"]), parse(&max["ts"]));
        prop_assert_eq!(low.is_none(), times.is_empty());
        for t in &times {
            prop_assert!(low.unwrap() <= *t && *t <= high.unwrap());
        }
        if let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) {
            prop_assert!(least - low.unwrap() < 1_000 && high.unwrap() - most < 1_000);
        }
    }
}
