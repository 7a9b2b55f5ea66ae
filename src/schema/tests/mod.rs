//! Schemas and what was seen, made from text.

mod base;
mod evolution;
mod table;

use super::*;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use std::sync::Arc;

fn schema(columns: &[(&str, &str)]) -> TableSchema {
    let fields: Vec<FieldRef> = columns
        .iter()
        .map(|(name, sql)| Arc::new(Field::new(*name, column_type(sql), true)))
        .collect();
    TableSchema::new(Arc::new(Schema::new(fields)), Vec::new())
}

fn column_type(sql: &str) -> DataType {
    ColumnType(sql.into()).to_arrow().unwrap()
}

/// Adds a value as the decoder does.
fn observe(value: &serde_json::Value, shape: &mut Shape, room: &mut Room) {
    use serde_json::Value;
    shape.count(match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Boolean,
        Value::Number(n) if n.is_i64() => Kind::Long,
        Value::Number(n) if n.is_u64() => Kind::BigInteger,
        Value::Number(_) => Kind::Double,
        Value::String(s) if s.ends_with('Z') => Kind::Timestamp,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Struct,
    });
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(inner) = shape.fields.entry(name, room) {
                    observe(value, inner, room);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                observe(element, shape.element_mut(), room);
            }
        }
        _ => {}
    }
}

fn path(text: &str) -> Vec<String> {
    text.split('.')
        .filter(|s| !s.is_empty())
        .map(str::to_string)
        .collect()
}

fn unknown(seen: &mut Seen, parent: &str, event: serde_json::Value) {
    let serde_json::Value::Object(fields) = event else {
        panic!("an object")
    };
    for (name, value) in &fields {
        if let Some((shape, room)) = seen.unknown(&path(parent), name) {
            observe(value, shape, room);
        }
    }
}

fn conflict(seen: &mut Seen, at: &str, value: serde_json::Value) {
    let (shape, room) = seen.conflict(&path(at)).unwrap();
    observe(&value, shape, room);
}

/// The changes as `path: type` lines.
fn lines(changes: &[SchemaChange]) -> Vec<String> {
    changes
        .iter()
        .map(|change| match change {
            SchemaChange::AddColumn { parent, field } => {
                let mut path = parent.clone();
                path.push(field.name().clone());
                format!(
                    "{}: {}",
                    path.join("."),
                    types::to_sql(field.data_type()).unwrap()
                )
            }
            SchemaChange::Widen { path, to } => {
                format!("{} -> {}", path.join("."), types::to_sql(to).unwrap())
            }
        })
        .collect()
}

fn evolved(table: &TableSchema, seen: &Seen, policy: &EvolutionPolicy) -> Vec<String> {
    let changes = evolve(table, seen, policy).changes;
    table.apply(&changes).expect("what is decided applies");
    lines(&changes)
}
