use super::*;
use crate::{
    error::Kind,
    event::{PartitionColumn, SchemaFingerprint, WriteSpec},
};
use arrow::{
    array::*,
    datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef, TimeUnit},
};
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::{ConvertedType, LogicalType},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

mod partitions;

fn spec(logical: &SchemaRef, partition_by: &[&str]) -> WriteSpec {
    let is_key = |name: &str| partition_by.contains(&name);
    let kept: Vec<usize> = (0..logical.fields().len())
        .filter(|i| !is_key(logical.field(*i).name()))
        .collect();
    WriteSpec {
        logical: logical.clone(),
        physical: Arc::new(logical.project(&kept).unwrap()),
        partition_columns: partition_by
            .iter()
            .map(|name| PartitionColumn {
                index: logical.index_of(name).unwrap(),
                logical_name: (*name).into(),
                physical_name: (*name).into(),
            })
            .collect(),
        stats_columns: kept
            .iter()
            .map(|i| vec![logical.field(*i).name().clone()])
            .collect(),
        projection: kept,
        random_prefix_length: None,
        fingerprint: SchemaFingerprint(7),
    }
}

fn encode(spec: WriteSpec, options: WriteOptions, batches: &[RecordBatch]) -> Vec<EncodedFile> {
    let mut writer = TableWriter::new(Arc::new(spec), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap()
}

fn read(file: &EncodedFile) -> RecordBatch {
    let bytes = file.to_bytes();
    assert_eq!(bytes.len() as u64, file.size);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let all = arrow::compute::concat_batches(&schema, &batches).unwrap();
    assert_eq!(all.num_rows() as u64, file.rows);
    all
}

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn keyed(keys: &[Option<&str>], days: &[i32]) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "n",
            Arc::new(Int64Array::from_iter_values(0..keys.len() as i64)),
        ),
        ("key", Arc::new(StringArray::from(keys.to_vec()))),
        ("day", Arc::new(Date32Array::from(days.to_vec()))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

fn every_type() -> RecordBatch {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let list = Arc::new(field("element", DataType::Int64));
    let mut maps = MapBuilder::new(
        Some(MapFieldNames {
            entry: "key_value".into(),
            key: "key".into(),
            value: "value".into(),
        }),
        StringBuilder::new(),
        Int64Builder::new(),
    );
    maps.keys().append_value("k");
    maps.values().append_value(1);
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let inner: Fields = vec![field("x", DataType::Utf8), field("y", DataType::Float32)].into();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("byte", Arc::new(Int8Array::from(vec![Some(-1), None]))),
        ("short", Arc::new(Int16Array::from(vec![Some(2), None]))),
        ("int", Arc::new(Int32Array::from(vec![Some(3), None]))),
        (
            "long",
            Arc::new(Int64Array::from(vec![Some(i64::MAX), None])),
        ),
        ("float", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
        (
            "double",
            Arc::new(Float64Array::from(vec![Some(f64::NAN), None])),
        ),
        (
            "small",
            Arc::new(
                Decimal128Array::from(vec![Some(123), None])
                    .with_precision_and_scale(9, 2)
                    .unwrap(),
            ),
        ),
        (
            "big",
            Arc::new(
                Decimal128Array::from(vec![Some(-1), None])
                    .with_precision_and_scale(38, 10)
                    .unwrap(),
            ),
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("é日本"), None])),
        ),
        (
            "bytes",
            Arc::new(BinaryArray::from(vec![Some(b"\xff\0".as_slice()), None])),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        (
            "utc",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_data_type(utc)),
        ),
        (
            "ntz",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None])),
        ),
        (
            "list",
            Arc::new(ListArray::new(
                list,
                arrow::buffer::OffsetBuffer::from_lengths([2, 0]),
                Arc::new(Int64Array::from(vec![Some(1), None])),
                Some(vec![true, false].into()),
            )),
        ),
        ("map", Arc::new(maps.finish())),
        (
            "struct",
            Arc::new(StructArray::new(
                inner,
                vec![
                    Arc::new(StringArray::from(vec![Some("in"), None])),
                    Arc::new(Float32Array::from(vec![None, None])),
                ],
                Some(vec![true, false].into()),
            )),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

#[test]
fn every_type_reads_back_as_it_was_under_every_compression() {
    let rows = every_type();
    for (name, end) in [
        ("zstd", ".zstd.parquet"),
        ("snappy", ".snappy.parquet"),
        ("lz4", ".lz4raw.parquet"),
        ("none", ".parquet"),
    ] {
        let options = WriteOptions {
            compression: name.parse().unwrap(),
            ..WriteOptions::default()
        };
        let files = encode(
            spec(&rows.schema(), &[]),
            options,
            std::slice::from_ref(&rows),
        );
        let [file] = files.as_slice() else {
            panic!("{files:?}")
        };
        assert!(
            file.path.ends_with(end) && file.path.starts_with("part-"),
            "{}",
            file.path
        );
        assert_eq!(file.fingerprint, SchemaFingerprint(7));
        let back = read(file);
        for (i, field) in rows.schema().fields().iter().enumerate() {
            assert_eq!(
                back.column(i).as_ref(),
                rows.column(i).as_ref(),
                "{}",
                field.name()
            );
        }
    }
    assert_eq!(
        "gzip".parse::<Compression>().unwrap_err().kind(),
        Kind::Config
    );
}

#[test]
fn the_parquet_schema_is_what_spark_expects() {
    let rows = every_type();
    let files = encode(spec(&rows.schema(), &[]), WriteOptions::default(), &[rows]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].to_bytes()).unwrap();
    let meta = reader.metadata().file_metadata();
    assert!(
        meta.key_value_metadata().is_none_or(|kv| kv.is_empty()),
        "no Arrow schema in the footer"
    );
    assert!(meta.created_by().unwrap().starts_with("alluvium version "));
    let column = |name: &str| {
        let columns = meta.schema_descr().columns();
        columns
            .iter()
            .find(|c| c.path().string() == name)
            .unwrap_or_else(|| panic!("{name}"))
            .clone()
    };
    for (name, adjusted) in [("utc", true), ("ntz", false)] {
        let Some(LogicalType::Timestamp(stamp)) = column(name).logical_type_ref().cloned() else {
            panic!("{name}");
        };
        assert_eq!(stamp.is_adjusted_to_u_t_c, adjusted);
        assert_eq!(column(name).physical_type(), parquet::basic::Type::INT64);
    }
    assert_eq!(column("small").physical_type(), parquet::basic::Type::INT32);
    assert_eq!(
        column("big").physical_type(),
        parquet::basic::Type::FIXED_LEN_BYTE_ARRAY
    );
    assert_eq!(column("text").converted_type(), ConvertedType::UTF8);
    for nested in [
        "list.list.element",
        "map.key_value.key",
        "map.key_value.value",
        "struct.x",
    ] {
        column(nested);
    }
}

#[test]
fn mapped_columns_get_their_physical_names_and_ids_at_every_depth() {
    let id = |field: Field, id: &str| {
        Arc::new(field.with_metadata(HashMap::from([(
            "PARQUET:field_id".to_owned(),
            id.to_owned(),
        )])))
    };
    let logical_inner: Fields = vec![field("street", DataType::Utf8)].into();
    let item = |fields: &Fields| Arc::new(field("element", DataType::Struct(fields.clone())));
    let logical = Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("region", DataType::Utf8),
        field("places", DataType::List(item(&logical_inner))),
        field("name", DataType::Utf8),
    ]));
    let inner: Fields = vec![id(field("col-4", DataType::Utf8), "4")].into();
    let physical = Arc::new(Schema::new(vec![
        id(field("col-5", DataType::Utf8), "5"),
        id(field("col-3", DataType::List(item(&inner))), "3"),
        id(field("col-1", DataType::Int64), "1"),
    ]));
    let spec = WriteSpec {
        logical: logical.clone(),
        physical,
        projection: vec![3, 2, 0],
        partition_columns: vec![PartitionColumn {
            index: 1,
            logical_name: "region".into(),
            physical_name: "col-2".into(),
        }],
        stats_columns: vec![
            vec!["col-1".into()],
            vec!["col-3".into()],
            vec!["col-2".into()],
        ],
        random_prefix_length: Some(3),
        fingerprint: SchemaFingerprint(1),
    };
    let streets = StructArray::new(
        logical_inner.clone(),
        vec![Arc::new(StringArray::from(vec!["Elm"]))],
        None,
    );
    let places = ListArray::new(
        item(&logical_inner),
        arrow::buffer::OffsetBuffer::from_lengths([1]),
        Arc::new(streets),
        None,
    );
    let rows = RecordBatch::try_new(
        logical,
        vec![
            Arc::new(Int64Array::from(vec![9])),
            Arc::new(StringArray::from(vec!["EU"])),
            Arc::new(places),
            // Same values in another layout, as a decoder may well give.
            arrow::compute::cast(&StringArray::from(vec!["Ada"]), &DataType::Utf8).unwrap(),
        ],
    )
    .unwrap();
    let files = encode(spec, WriteOptions::default(), &[rows]);
    let file = &files[0];
    assert_eq!(
        file.partition_values,
        BTreeMap::from([("col-2".to_owned(), Some("EU".to_owned()))])
    );
    assert_eq!(file.path.split('/').count(), 2);
    let stats: serde_json::Value = serde_json::from_str(&file.stats).unwrap();
    assert_eq!(stats["minValues"], serde_json::json!({"col-1": 9}));
    assert_eq!(
        stats["nullCount"],
        serde_json::json!({"col-3": 0, "col-1": 0})
    );

    let back = read(file);
    let names: Vec<_> = back
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["col-5", "col-3", "col-1"]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.to_bytes()).unwrap();
    let root = reader.parquet_schema().root_schema();
    let ids: Vec<_> = root
        .get_fields()
        .iter()
        .map(|f| f.get_basic_info().id())
        .collect();
    assert_eq!(ids, [5, 3, 1]);
    let nested = &reader.parquet_schema().column(1);
    assert_eq!(nested.path().string(), "col-3.list.element.col-4");
    assert_eq!(nested.self_type().get_basic_info().id(), 4);
}

#[test]
fn files_end_near_their_target_size() {
    let noise = |n: usize| (0..n).map(|_| fastrand::i64(..)).collect::<Vec<_>>();
    let rows = |n| {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(noise(n))) as ArrayRef)])
            .unwrap()
    };
    let options = WriteOptions {
        target_file_size_bytes: 1 << 20,
        ..WriteOptions::default()
    };
    let mut writer = TableWriter::new(Arc::new(spec(&rows(1).schema(), &[])), options).unwrap();
    writer.write(&rows(10_000)).unwrap();
    assert!(writer.take_full().is_empty());
    assert!(writer.memory_bytes() > 80_000, "{}", writer.memory_bytes());
    writer.write(&rows(500_000)).unwrap();
    assert!(writer.memory_bytes() > 3 << 20);
    let full = writer.take_full();
    assert!((3..=4).contains(&full.len()), "{}", full.len());
    for file in &full {
        assert!((1 << 20..3 << 19).contains(&file.size), "{}", file.size);
    }
    let rest = writer.finish().unwrap();
    assert_eq!(
        full.iter().chain(&rest).map(|f| f.rows).sum::<u64>(),
        510_000
    );
}

#[test]
fn row_groups_end_at_their_limits() {
    let rows = keyed(&[Some("a"); 1_000], &[0; 1_000]);
    let options = WriteOptions {
        max_row_group_rows: 300,
        ..WriteOptions::default()
    };
    let files = encode(spec(&rows.schema(), &[]), options, &[rows]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].to_bytes()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 4);
}

#[test]
fn nothing_in_nothing_out() {
    let rows = keyed(&[], &[]);
    for key in [&[][..], &["key"][..]] {
        assert!(
            encode(
                spec(&rows.schema(), key),
                WriteOptions::default(),
                std::slice::from_ref(&rows)
            )
            .is_empty()
        );
    }
}

#[test]
fn rows_of_another_schema_and_missing_values_are_refused() {
    let rows = keyed(&[Some("a")], &[0]);
    let spec = Arc::new(spec(&rows.schema(), &["key"]));
    let kind = |spec: &Arc<WriteSpec>, rows: &RecordBatch| {
        let mut writer = TableWriter::new(spec.clone(), WriteOptions::default()).unwrap();
        writer.write(rows).unwrap_err().kind()
    };
    assert_eq!(kind(&spec, &rows.project(&[0, 1]).unwrap()), Kind::Bug);
    assert_eq!(kind(&spec, &rows.project(&[1, 1, 2]).unwrap()), Kind::Bug);
    let mut required = (*spec).clone();
    let fields: Vec<_> = required
        .physical
        .fields()
        .iter()
        .map(|f| f.as_ref().clone().with_nullable(false))
        .collect();
    required.physical = Arc::new(Schema::new(fields));
    let null = RecordBatch::try_new(
        rows.schema(),
        vec![
            Arc::new(Int64Array::from(vec![None])),
            rows.column(1).clone(),
            rows.column(2).clone(),
        ],
    )
    .unwrap();
    assert_eq!(kind(&Arc::new(required), &null), Kind::InvalidData);
}
