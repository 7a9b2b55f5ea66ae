//! Batches made from texts, and rows read back as JSON.

mod bounds;
mod drift;
mod json;
mod metadata;
mod oracle;
mod passes;
mod rebuild;
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
    array::{Array, AsArray},
    datatypes::DataType,
};
use rebuild::{read, rows};
use serde_json::{Value, json};
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

/// One event into one table, as a JSON object.
pub(super) fn row(columns: &[(&str, &str)], text: &str) -> Value {
    let decoded = decode(&table(columns), &[text]);
    let mut rows = rows(&decoded.rows);
    assert_eq!(rows.len(), 1, "{:?}", decoded.rejected);
    Value::Object(rows.remove(0))
}
