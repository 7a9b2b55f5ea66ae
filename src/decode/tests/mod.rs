//! Batches made from texts, and rows read back as JSON.

mod bounds;
mod drift;
mod json;
mod metadata;
mod oracle;
mod passes;
mod rules;
mod types;

use super::*;
use crate::{
    event::{
        ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, RoutedBatch, SourcePartition,
    },
    schema::{
        ColumnOptions, ColumnType, EvolutionPolicy, MetadataColumn, SchemaChange, TableSchema,
        base_schema, evolve,
    },
};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimestampMicrosecondType,
    },
};
use base64::Engine as _;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn partition() -> Arc<Partition> {
    Arc::new(Partition {
        id: SourcePartition::new("default/web/spool-1"),
        source: "web".into(),
        label: "web/spool-1".into(),
        topic: "".into(),
        number: 3,
    })
}

/// One record a text, at offsets from 100.
pub(super) fn batch<T: AsRef<[u8]>>(texts: &[T]) -> RoutedBatch {
    let mut slab = Vec::new();
    let mut records = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let start = slab.len() as u32;
        slab.extend_from_slice(text.as_ref());
        records.push(RecordSpan {
            offset: 100 + i as u64,
            value: start..slab.len() as u32,
            key: None,
            headers: None,
            event_time: 1_700_000_000_000_000 + i as i64,
            table: u32::MAX,
            kind: RecordKind::Event,
        });
    }
    RoutedBatch {
        raw: Arc::new(RawBatch {
            partition: partition(),
            epoch: 1,
            start: 100,
            end: 100 + texts.len() as u64,
            slab: slab.into(),
            records,
            tables: Vec::new(),
            permit: ByteBudget::new(1 << 30).charge(0),
        }),
        select: None,
    }
}

pub(super) fn declared(name: &str, sql: &str) -> ColumnOptions {
    ColumnOptions {
        name: name.into(),
        data_type: ColumnType(sql.into()),
        field: None,
        timestamp_unit: None,
        comment: None,
    }
}

/// A table of these columns and `_rescued_data`, without metadata columns.
pub(super) fn table(columns: &[(&str, &str)]) -> TableSchema {
    let columns: Vec<ColumnOptions> = columns.iter().map(|(n, t)| declared(n, t)).collect();
    base_schema(&columns, &[], &[]).unwrap()
}

pub(super) fn options(policy: EvolutionPolicy) -> DecodeOptions {
    DecodeOptions {
        table: "clicks".into(),
        metadata_columns: Vec::new(),
        policy,
        ..DecodeOptions::default()
    }
}

pub(super) fn decode_with<T: AsRef<[u8]>>(
    schema: &TableSchema,
    options: DecodeOptions,
    texts: &[T],
) -> Decoded {
    let mut decoder = Decoder::new(Arc::new(schema.clone()), Arc::new(options)).unwrap();
    let decoded = decoder
        .decode(&batch(texts), &Verdicts::default(), 5)
        .unwrap();
    let counts = &decoded.counts;
    assert_eq!(decoded.rows.schema_ref(), &schema.columns);
    assert_eq!(decoded.rows.num_rows() as u64, counts.rows);
    assert_eq!(decoded.rejected.len() as u64, counts.dead_letters);
    assert_eq!(counts.offsets(), texts.len() as u64);
    decoded
}

pub(super) fn decode<T: AsRef<[u8]>>(schema: &TableSchema, texts: &[T]) -> Decoded {
    decode_with(schema, options(EvolutionPolicy::default()), texts)
}

/// Decodes, evolves until nothing changes, and returns the last pass.
pub(super) fn decode_evolving<T: AsRef<[u8]>>(
    mut schema: TableSchema,
    policy: &EvolutionPolicy,
    texts: &[T],
) -> (TableSchema, Decoded) {
    for _ in 0..10 {
        let decoded = decode_with(&schema, options(policy.clone()), texts);
        let changes = evolve(&schema, &decoded.seen, policy).changes;
        if changes.is_empty() {
            return (schema, decoded);
        }
        schema = schema.apply(&changes).unwrap();
    }
    panic!("evolution does not come to rest");
}

/// The rows as JSON objects, nulls left out, `_rescued_data` parsed.
pub(super) fn rows(batch: &RecordBatch) -> Vec<Map<String, Value>> {
    (0..batch.num_rows())
        .map(|row| {
            let mut object = Map::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let mut value = read(column, row);
                if field.name() == "_rescued_data"
                    && let Value::String(text) = &value
                {
                    let parsed: Map<String, Value> = serde_json::from_str(text).unwrap();
                    let mut parser = crate::decode::json::Parser::default();
                    let members = parser.parse(text.as_bytes()).unwrap().members(0).count();
                    assert_eq!(members, parsed.len(), "a doubled key in {text}");
                    value = Value::Object(parsed);
                }
                if !value.is_null() {
                    object.insert(field.name().clone(), value);
                }
            }
            object
        })
        .collect()
}

/// A value of an array as JSON: times in microseconds, dates in days, decimals and bytes as text.
pub(super) fn read(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Decimal128(..) => array
            .as_primitive::<Decimal128Type>()
            .value_as_string(row)
            .into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => base64::engine::general_purpose::STANDARD
            .encode(array.as_binary::<i32>().value(row))
            .into(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
        DataType::Timestamp(..) => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .into(),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let object: Map<String, Value> = fields
                .iter()
                .zip(columns)
                .map(|(field, column)| (field.name().clone(), read(column, row)))
                .filter(|(_, value)| !value.is_null())
                .collect();
            Value::Object(object)
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            (0..elements.len()).map(|i| read(&elements, i)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let object: Map<String, Value> = (0..entries.len())
                .map(|i| {
                    let key = entries.column(0).as_string::<i32>().value(i).to_string();
                    (key, read(entries.column(1), i))
                })
                .collect();
            assert_eq!(object.len(), entries.len(), "a doubled key in a map");
            Value::Object(object)
        }
        other => panic!("{other}"),
    }
}

/// One event into one table, as a JSON object.
pub(super) fn row(columns: &[(&str, &str)], text: &str) -> Value {
    let decoded = decode(&table(columns), &[text]);
    let mut rows = rows(&decoded.rows);
    assert_eq!(rows.len(), 1, "{:?}", decoded.rejected);
    Value::Object(rows.remove(0))
}
