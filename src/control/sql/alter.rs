//! Changes of a table's schema as statements, as few as Databricks takes.

use super::super::error::Result;
use super::{MAX_STATEMENT_BYTES, Statement, TableName};
use crate::schema::{EVENT_FIELD, SchemaChange};
use arrow::datatypes::{DataType, Field, FieldRef};
use std::sync::Arc;

/// A column to add, or a field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct AddedColumn {
    /// As in [`SchemaChange::AddColumn`]: `element` goes into a list, `value` into a map. Databricks spells
    /// it so too ("ADD COLUMN": all components of the path must exist).
    pub parent: Vec<String>,
    pub field: FieldRef,
}

/// The statements that make the changes: all columns in one, each wider type in its own.
///
/// Columns come first: a table that may not be widened has them all the same. An event's field whose name is
/// not its column's stands in the column's comment, for a statement reaches no other metadata of a column.
///
/// Errors: a name or a type that a warehouse does not take.
pub fn alterations(table: &TableName, changes: &[SchemaChange]) -> Result<Vec<Statement>> {
    let mut columns = Vec::new();
    let mut types = Vec::new();
    for change in changes {
        match change {
            SchemaChange::AddColumn { parent, field } => columns.push(AddedColumn {
                parent: parent.clone(),
                field: Arc::new(commented(field)),
            }),
            SchemaChange::Widen { path, to } => types.push(Statement::AlterType {
                table: table.clone(),
                path: path.clone(),
                to: to.clone(),
            }),
        }
    }
    let mut statements = Vec::new();
    if !columns.is_empty() {
        add_columns(table, columns, &mut statements)?;
    }
    statements.extend(types);
    for statement in &statements {
        statement.sql()?;
    }
    Ok(statements)
}

/// Halves what is longer than a statement may be.
fn add_columns(
    table: &TableName,
    mut columns: Vec<AddedColumn>,
    out: &mut Vec<Statement>,
) -> Result<()> {
    let bytes: usize = columns
        .iter()
        .map(|column| column_bytes(column).unwrap_or(0))
        .sum();
    if bytes > MAX_STATEMENT_BYTES / 2 && columns.len() > 1 {
        let rest = columns.split_off(columns.len() / 2);
        add_columns(table, columns, out)?;
        return add_columns(table, rest, out);
    }
    out.push(Statement::AddColumns {
        table: table.clone(),
        columns,
    });
    Ok(())
}

fn column_bytes(column: &AddedColumn) -> Result<usize> {
    let parents: usize = column.parent.iter().map(|part| 2 * part.len() + 3).sum();
    let own = super::types::data_type(column.field.name(), column.field.data_type())?.len();
    Ok(parents + own + 2 * column.field.name().len() + super::types::comment(&column.field).len())
}

/// The field with the event's name in its comment, at every depth.
fn commented(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    let event_field = metadata.remove(EVENT_FIELD);
    metadata.retain(|key, _| key == super::types::COMMENT);
    if let Some(name) = event_field {
        let comment = crate::schema::names::event_field_comment(&name);
        metadata
            .entry(super::types::COMMENT.into())
            .and_modify(|own| *own = format!("{own} ({comment})"))
            .or_insert(comment);
    }
    Field::new(field.name(), commented_type(field.data_type()), true).with_metadata(metadata)
}

fn commented_type(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| {
        Arc::new(
            field
                .as_ref()
                .clone()
                .with_data_type(commented_type(field.data_type())),
        )
    };
    match data_type {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| commented(field)).collect())
        }
        DataType::List(element) => DataType::List(inner(element)),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(pair) => {
                let pair = DataType::Struct(pair.iter().map(inner).collect());
                let entries = entries.as_ref().clone().with_data_type(pair);
                DataType::Map(Arc::new(entries), *sorted)
            }
            _ => data_type.clone(),
        },
        other => other.clone(),
    }
}
