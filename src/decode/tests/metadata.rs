//! Columns that events do not fill by name, tables refused, and rows made from other things.

use super::*;
use crate::event::{DeadLetter, RejectReason};
use arrow::datatypes::{Field, Schema};

#[test]
fn metadata_columns_say_where_a_row_came_from() {
    let columns = [
        &MetadataColumn::DEFAULT[..],
        &[MetadataColumn::Key, MetadataColumn::Headers],
    ]
    .concat();
    let schema = base_schema(&[declared("a", "long")], &columns, &[]).unwrap();
    let options = DecodeOptions {
        metadata_columns: columns,
        ..options(EvolutionPolicy::default())
    };
    let mut batch = batch(&[
        "{\"a\":1,\"_offset\":7}",
        "k1{\"h\":\"v\"}",
        "{\"a\":\"x\"}",
    ]);
    let raw = Arc::get_mut(&mut batch.raw).unwrap();
    let kept = raw.records.remove(1);
    raw.records[0].key = Some(kept.value.start..kept.value.start + 2);
    raw.records[0].headers = Some(kept.value.start + 2..kept.value.end);
    raw.slab = [&raw.slab[..], b"\xff"].concat().into();
    let end = raw.slab.len() as u32;
    raw.records[1].key = Some(end - 1..end);
    let mut decoder = Decoder::new(Arc::new(schema), Arc::new(options)).unwrap();
    let decoded = decoder.decode(&batch, &Verdicts::default(), 77).unwrap();
    let rows: Vec<Value> = rows(&decoded.rows).into_iter().map(Value::Object).collect();
    assert_eq!(
        rows,
        [
            json!({"a": 1, "_source": "web/spool-1", "_partition": 3, "_offset": 100, "_index": 0,
                "_event_time": 1_700_000_000_000_000_i64, "_ingested_at": 77, "_key": "k1", "_headers": "{\"h\":\"v\"}",
                "_rescued_data": {"_offset": 7}}),
            json!({"_source": "web/spool-1", "_partition": 3, "_offset": 102, "_index": 0,
                "_event_time": 1_700_000_000_000_002_i64, "_ingested_at": 77,
                "_rescued_data": {"a": "x", "[_key]": {"base64": "/w=="}}}),
        ]
    );
}

#[test]
fn declared_columns_copy_from_a_path() {
    let mut day = declared("day", "date");
    day.field = Some("meta.at".into());
    let mut epoch = declared("epoch_day", "date");
    epoch.field = Some("n".into());
    epoch.timestamp_unit = Some("seconds".into());
    let mut name = declared("name", "string");
    name.field = Some("n".into());
    let columns = vec![day, epoch, name];
    let schema = base_schema(&columns, &[], &[]).unwrap();
    let schema = schema
        .apply(&[
            SchemaChange::AddColumn {
                parent: vec![],
                field: Arc::new(Field::new("n", DataType::Int64, true)),
            },
            SchemaChange::AddColumn {
                parent: vec![],
                field: Arc::new(Field::new(
                    "meta",
                    ColumnType("struct<at: string>".into()).to_arrow().unwrap(),
                    true,
                )),
            },
        ])
        .unwrap();
    let options = DecodeOptions {
        columns,
        ..options(EvolutionPolicy::default())
    };
    let texts = [
        r#"{"meta":{"at":"1970-01-02T23:30:00-01:00"},"n":-1}"#,
        r#"{"meta":{"at":"1970-01-03"},"n":"Ann"}"#,
        r#"{"meta":{"at":"soon"},"day":"1970-01-01","n":null}"#,
        r#"{"meta":7}"#,
        r#"{"meta":{"at":5}}"#,
    ];
    let decoded = decode_with(&schema, options, &texts);
    let rows: Vec<Value> = rows(&decoded.rows).into_iter().map(Value::Object).collect();
    assert_eq!(
        rows,
        [
            json!({"day": 2, "epoch_day": -1, "n": -1, "meta": {"at": "1970-01-02T23:30:00-01:00"}, "_rescued_data": {"name": -1}}),
            json!({"day": 2, "name": "Ann", "meta": {"at": "1970-01-03"}, "_rescued_data": {"n": "Ann", "epoch_day": "Ann"}}),
            json!({"meta": {"at": "soon"}, "_rescued_data": {"day": "1970-01-01"}}),
            json!({"_rescued_data": {"meta": 7}}),
            json!({"meta": {}, "_rescued_data": {"meta.at": 5, "day": 5}}),
        ]
    );
}

#[test]
fn tables_that_cannot_take_every_event_are_refused() {
    let refuse = |fields: Vec<Field>, metadata: &[MetadataColumn]| {
        let schema = TableSchema::new(Arc::new(Schema::new(fields)), vec![]);
        let options = DecodeOptions {
            metadata_columns: metadata.to_vec(),
            ..options(EvolutionPolicy::default())
        };
        Decoder::new(Arc::new(schema), Arc::new(options))
            .err()
            .expect("refused")
    };
    let rescued = || Field::new("_rescued_data", DataType::Utf8, true);
    assert!(matches!(
        refuse(vec![Field::new("a", DataType::Int64, true)], &[]),
        DecodeError::NoRescuedData
    ));
    assert!(matches!(
        refuse(
            vec![rescued(), Field::new("a", DataType::Int64, false)],
            &[]
        ),
        DecodeError::NotNull(_)
    ));
    assert!(matches!(
        refuse(vec![rescued()], &[MetadataColumn::Offset]),
        DecodeError::MetadataColumn { .. }
    ));
    let other = Field::new("_offset", DataType::Utf8, true);
    assert!(matches!(
        refuse(vec![rescued(), other], &[MetadataColumn::Offset]),
        DecodeError::MetadataColumn { .. }
    ));
}

#[test]
fn columns_events_cannot_fill_stay_null() {
    let variant = DataType::Struct(
        vec![
            Field::new("metadata", DataType::Binary, false),
            Field::new("value", DataType::Binary, false),
        ]
        .into(),
    );
    let strict_list = DataType::List(Arc::new(Field::new("element", DataType::Int64, false)));
    let by_number = crate::schema::types::map_of(DataType::Int64, DataType::Utf8);
    let fields = vec![
        Field::new("_rescued_data", DataType::Utf8, true),
        Field::new("v", variant, true),
        Field::new("void", DataType::Null, true),
        Field::new("xs", strict_list, true),
        Field::new("m", by_number, true),
    ];
    let schema = TableSchema::new(Arc::new(Schema::new(fields)), vec![]);
    let decoded = decode(
        &schema,
        &[
            r#"{"v":{"metadata":"","value":""},"void":1,"xs":[1,null],"m":{"1":"x"}}"#,
            r#"{"xs":[1]}"#,
            "{}",
        ],
    );
    let rescued = decoded.rows.column(0).as_string::<i32>().value(0);
    let rescued: Value = serde_json::from_str(rescued).unwrap();
    assert_eq!(
        rescued,
        json!({"v": {"metadata": "", "value": ""}, "void": 1, "xs": [1, null], "m": {"1": "x"}})
    );
    assert_eq!(read(decoded.rows.column(3), 1), json!([1]));
}

#[test]
fn dead_letters_are_rows_too() {
    let letters = [DeadLetter {
        offset: 9,
        index: 2,
        table: "clicks".into(),
        reason: RejectReason {
            code: "malformed",
            detail: "EOF".into(),
        },
        value: bytes::Bytes::from_static(b"\xff{"),
        event_time: 5,
    }];
    let made = dead_letter_batch(&partition(), &letters, 6).unwrap();
    assert_eq!(
        Value::Object(rows(&made).remove(0)),
        json!({"source_partition": "default/web/spool-1", "_source": "web/spool-1", "_partition": 3, "_offset": 9, "_index": 2,
            "_event_time": 5, "_ingested_at": 6, "table": "clicks", "reason": "malformed", "detail": "EOF", "value": "/3s="})
    );
    assert_eq!(
        dead_letter_batch(&partition(), &[], 6).unwrap().num_rows(),
        0
    );
}

#[test]
fn rows_are_reprojected() {
    let texts = [
        r#"{"s":{"x":1},"l":[{"y":1},null],"m":{"k":{"z":1}},"i":5}"#,
        "{}",
    ];
    let old = table(&[
        ("s", "struct<x: long>"),
        ("l", "array<struct<y: long>>"),
        ("m", "map<string, struct<z: long>>"),
        ("i", "integer"),
    ]);
    let decoded = decode(&old, &texts);
    let new = table(&[
        ("new", "string"),
        ("i", "long"),
        ("m", "map<string, struct<q: array<long>, z: long>>"),
        ("l", "array<struct<y: long, w: struct<v: date>>>"),
        ("s", "struct<n: timestamp, x: long>"),
    ]);
    let moved = reproject(&decoded.rows, &new).unwrap();
    assert_eq!(moved.schema(), new.columns);
    assert_eq!(rows(&moved), rows(&decoded.rows));
    assert_eq!(reproject(&decoded.rows, &old).unwrap(), decoded.rows);
    assert!(reproject(&decoded.rows, &table(&[("s", "struct<x: long>")])).is_err());
    let narrower = table(&[
        ("s", "struct<x: integer>"),
        ("l", "array<struct<y: long>>"),
        ("m", "map<string, struct<z: long>>"),
        ("i", "integer"),
    ]);
    assert!(reproject(&decoded.rows, &narrower).is_err());
}
