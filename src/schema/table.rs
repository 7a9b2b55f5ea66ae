//! A table's schema at one version, its fingerprint, and whether a file fits it.

use super::{names, types};
use crate::event::SchemaFingerprint;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Delta's field metadata that says under which name a column lies in the files.
pub const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";
/// Delta's field metadata that says under which id a column lies in the files.
pub const COLUMN_ID: &str = "delta.columnMapping.id";

/// The logical schema of a table at one version.
///
/// Field metadata keeps what Delta keeps there (`delta.columnMapping.physicalName`,
/// `delta.columnMapping.id`, comments).
#[derive(Clone, Debug, PartialEq)]
pub struct TableSchema {
    /// All columns in table order, partition columns included.
    pub columns: SchemaRef,
    /// Logical names, in the table's order.
    pub partition_columns: Vec<String>,
    pub fingerprint: SchemaFingerprint,
}

/// One change of a schema. All are additive or widening: no value already stored changes.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaChange {
    /// A nullable column, or a field of the struct at `parent`: a path of logical names, in which
    /// `element` goes into a list and `value` into a map, as the kernel spells it; empty: top level.
    AddColumn {
        parent: Vec<String>,
        field: FieldRef,
    },
    /// A wider type for the column at `path` (Delta type widening).
    Widen { path: Vec<String>, to: DataType },
}

impl TableSchema {
    /// Computes the fingerprint: order, names, types, physical names and ids of all columns, and
    /// the partitioning. Whether a column may be null does not matter to a file that has it.
    pub fn new(columns: SchemaRef, partition_columns: Vec<String>) -> TableSchema {
        let mut text = String::new();
        describe(columns.fields(), &mut text);
        for name in &partition_columns {
            text.push_str("/partition ");
            part(name, &mut text);
        }
        let digest = Sha256::digest(text.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        TableSchema {
            columns,
            partition_columns,
            fingerprint: SchemaFingerprint(u64::from_be_bytes(first)),
        }
    }

    /// Whether a file encoded for this schema may be committed to `table` (rule 4): each of its
    /// columns is there under the same physical name and id with the same type (structs may have
    /// gained nullable fields), the columns gained are nullable, and the partitioning is the same.
    pub fn fits(&self, table: &TableSchema) -> bool {
        self.fingerprint == table.fingerprint
            || (fields_fit(self.columns.fields(), table.columns.fields())
                && self.physical_partitioning() == table.physical_partitioning())
    }

    fn physical_partitioning(&self) -> Vec<&str> {
        self.partition_columns
            .iter()
            .map(|name| match self.columns.field_with_name(name) {
                Ok(field) => physical_name(field),
                Err(_) => name,
            })
            .collect()
    }

    /// The schema with the events' fields that comments name ([`names::event_field_comment`]), where the metadata does
    /// not: a table whose schema was changed by SQL has no other place for them. The fingerprint is the same.
    pub fn with_commented_fields(&self) -> TableSchema {
        let fields = fields_of_comments(self.columns.fields());
        let metadata = self.columns.metadata().clone();
        TableSchema {
            columns: Arc::new(Schema::new_with_metadata(fields, metadata)),
            partition_columns: self.partition_columns.clone(),
            fingerprint: self.fingerprint,
        }
    }

    /// How many columns there are, the fields of structs counted.
    pub fn column_count(&self) -> usize {
        count(self.columns.fields())
    }
}

fn fields_of_comments(fields: &Fields) -> Fields {
    let named = |field: &FieldRef| {
        let inner = inside_of_comments(field.data_type());
        let mut field = field.as_ref().clone().with_data_type(inner);
        let comment = field.metadata().get("comment");
        if let Some(name) = comment.and_then(|text| names::event_field_of_comment(text))
            && !field.metadata().contains_key(names::EVENT_FIELD)
        {
            let mut metadata = field.metadata().clone();
            metadata.insert(names::EVENT_FIELD.into(), name);
            field = field.with_metadata(metadata);
        }
        field
    };
    fields.iter().map(named).collect()
}

fn inside_of_comments(data_type: &DataType) -> DataType {
    let of_field = |field: &FieldRef| {
        let inner = inside_of_comments(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(inner))
    };
    match data_type {
        DataType::Struct(fields) => DataType::Struct(fields_of_comments(fields)),
        DataType::List(element) => DataType::List(of_field(element)),
        DataType::Map(entries, sorted) => DataType::Map(of_field(entries), *sorted),
        other => other.clone(),
    }
}

/// The name under which files hold the column.
pub fn physical_name(field: &Field) -> &str {
    field
        .metadata()
        .get(PHYSICAL_NAME)
        .map_or(field.name().as_str(), String::as_str)
}

/// How many columns these make, the fields of structs counted.
fn count(fields: &Fields) -> usize {
    fields.iter().map(|f| 1 + count_in(f.data_type())).sum()
}

/// How many fields lie within a type.
pub fn count_in(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => count(fields),
        DataType::List(element) => count_in(element.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().map(|f| count_in(f.data_type())).sum(),
            _ => 0,
        },
        _ => 0,
    }
}

/// Length first, so that no two lists of names read the same.
fn part(text: &str, out: &mut String) {
    out.push_str(&text.len().to_string());
    out.push(':');
    out.push_str(text);
}

fn describe(fields: &Fields, out: &mut String) {
    out.push('(');
    for field in fields {
        part(field.name(), out);
        part(physical_name(field), out);
        part(
            field.metadata().get(COLUMN_ID).map_or("", String::as_str),
            out,
        );
        describe_type(field.data_type(), out);
    }
    out.push(')');
}

fn describe_type(data_type: &DataType, out: &mut String) {
    match data_type {
        DataType::Struct(fields) => {
            out.push_str("struct");
            describe(fields, out);
        }
        DataType::List(element) => {
            out.push_str("list ");
            describe_type(element.data_type(), out);
        }
        DataType::Map(entries, _) => {
            out.push_str("map");
            if let DataType::Struct(fields) = entries.data_type() {
                describe(fields, out);
            }
        }
        plain => part(
            &types::to_sql(plain).unwrap_or_else(|_| plain.to_string()),
            out,
        ),
    }
}

fn fields_fit(file: &Fields, table: &Fields) -> bool {
    file.iter().all(|field| {
        table.iter().any(|other| {
            physical_name(field) == physical_name(other)
                && field.metadata().get(COLUMN_ID) == other.metadata().get(COLUMN_ID)
                && type_fits(field.data_type(), other.data_type())
        })
    }) && table.iter().all(|other| {
        other.is_nullable()
            || file
                .iter()
                .any(|field| physical_name(field) == physical_name(other))
    })
}

fn type_fits(file: &DataType, table: &DataType) -> bool {
    match (file, table) {
        (DataType::Struct(a), DataType::Struct(b)) => fields_fit(a, b),
        (DataType::List(a), DataType::List(b)) => type_fits(a.data_type(), b.data_type()),
        (DataType::Map(a, _), DataType::Map(b, _)) => match (a.data_type(), b.data_type()) {
            (DataType::Struct(a), DataType::Struct(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| type_fits(a.data_type(), b.data_type()))
            }
            _ => false,
        },
        (a, b) => a == b,
    }
}
