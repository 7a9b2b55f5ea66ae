//! Whether files encoded for one schema can be named in a table of another (rule 4).

use crate::{event::SchemaFingerprint, schema::TableSchema};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use std::hash::{DefaultHasher, Hash, Hasher};

const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";
const FIELD_ID: &str = "delta.columnMapping.id";

/// A [`TableSchema`] with its fingerprint: names, physical names, field ids, types, partitioning.
pub(super) fn table_schema(columns: SchemaRef, partition_columns: Vec<String>) -> TableSchema {
    let mut hasher = DefaultHasher::new();
    hash_fields(columns.fields(), &mut hasher);
    partition_columns.hash(&mut hasher);
    let fingerprint = SchemaFingerprint(hasher.finish());
    TableSchema {
        columns,
        partition_columns,
        fingerprint,
    }
}

/// Whether every column of `files` is in `table` under the same physical name, id and type, and
/// what the table has more is nullable.
pub(super) fn fits(files: &TableSchema, table: &TableSchema) -> bool {
    files.fingerprint == table.fingerprint
        || (files.partition_columns == table.partition_columns
            && fields_fit(files.columns.fields(), table.columns.fields()))
}

fn fields_fit(files: &Fields, table: &Fields) -> bool {
    let all_known = files.iter().all(|field| {
        table
            .iter()
            .find(|column| column.name() == field.name())
            .is_some_and(|column| field_fits(field, column))
    });
    let rest_is_nullable = table.iter().all(|column| {
        column.is_nullable() || files.iter().any(|field| field.name() == column.name())
    });
    all_known && rest_is_nullable
}

fn field_fits(field: &Field, column: &Field) -> bool {
    physical_name(field) == physical_name(column)
        && field.metadata().get(FIELD_ID) == column.metadata().get(FIELD_ID)
        && (column.is_nullable() || !field.is_nullable())
        && type_fits(field.data_type(), column.data_type())
}

fn type_fits(files: &DataType, table: &DataType) -> bool {
    match (files, table) {
        (DataType::Struct(a), DataType::Struct(b)) => fields_fit(a, b),
        (DataType::List(a), DataType::List(b)) => type_fits(a.data_type(), b.data_type()),
        (DataType::Map(a, _), DataType::Map(b, _)) => match (a.data_type(), b.data_type()) {
            (DataType::Struct(a), DataType::Struct(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b.iter())
                        .all(|(a, b)| type_fits(a.data_type(), b.data_type()))
            }
            _ => false,
        },
        (a, b) => a == b,
    }
}

pub(super) fn physical_name(field: &Field) -> &str {
    field
        .metadata()
        .get(PHYSICAL_NAME)
        .map_or(field.name().as_str(), String::as_str)
}

fn hash_fields(fields: &Fields, hasher: &mut DefaultHasher) {
    fields.len().hash(hasher);
    for field in fields {
        field.name().hash(hasher);
        physical_name(field).hash(hasher);
        field.metadata().get(FIELD_ID).hash(hasher);
        field.is_nullable().hash(hasher);
        hash_type(field.data_type(), hasher);
    }
}

fn hash_type(data_type: &DataType, hasher: &mut DefaultHasher) {
    match data_type {
        DataType::Struct(fields) => {
            "struct".hash(hasher);
            hash_fields(fields, hasher);
        }
        DataType::List(element) => {
            "list".hash(hasher);
            hash_type(element.data_type(), hasher);
        }
        DataType::Map(entries, _) => {
            "map".hash(hasher);
            hash_type(entries.data_type(), hasher);
        }
        other => other.hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use std::{collections::HashMap, sync::Arc};

    fn schema(fields: Vec<Field>) -> TableSchema {
        table_schema(Arc::new(Schema::new(fields)), Vec::new())
    }

    #[test]
    fn a_table_may_have_more_nullable_columns_than_the_files() {
        let files = schema(vec![Field::new("a", DataType::Int64, true)]);
        let more = schema(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
        ]);
        let needs = schema(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, false),
        ]);
        assert!(fits(&files, &files));
        assert!(fits(&files, &more));
        assert!(!fits(&more, &files));
        assert!(!fits(&files, &needs));
    }

    #[test]
    fn types_physical_names_and_partitioning_must_agree() {
        let long = schema(vec![Field::new("a", DataType::Int64, true)]);
        let text = schema(vec![Field::new("a", DataType::Utf8, true)]);
        let mapped = schema(vec![Field::new("a", DataType::Int64, true).with_metadata(
            HashMap::from([(PHYSICAL_NAME.to_owned(), "col-1".to_owned())]),
        )]);
        let partitioned = table_schema(long.columns.clone(), vec!["a".into()]);
        assert!(!fits(&long, &text));
        assert!(!fits(&long, &mapped));
        assert!(!fits(&long, &partitioned));
    }

    #[test]
    fn structs_grow_like_tables() {
        let inner = |names: &[&str]| {
            DataType::Struct(
                names
                    .iter()
                    .map(|name| Field::new(*name, DataType::Utf8, true))
                    .collect(),
            )
        };
        let small = schema(vec![Field::new("s", inner(&["a"]), true)]);
        let large = schema(vec![Field::new("s", inner(&["a", "b"]), true)]);
        assert!(fits(&small, &large));
        assert!(!fits(&large, &small));
    }
}
