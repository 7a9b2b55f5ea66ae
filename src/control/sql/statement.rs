//! The statements we run, as values that become text.

use super::super::error::{ControlError, Result};
use super::{
    AddedColumn, CreateTable, SchemaName, TableName, names, text,
    types::{self, data_type},
};
use arrow::datatypes::DataType;

/// The longest text a warehouse takes (Statement Execution API).
pub const MAX_STATEMENT_BYTES: usize = 16 << 20;

/// A statement. Each may be run again when nobody knows whether it ran.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    CreateSchema {
        schema: SchemaName,
        comment: Option<String>,
    },
    CreateTable(CreateTable),
    /// Run again it fails, for the columns are there, and changes nothing.
    AddColumns {
        table: TableName,
        columns: Vec<AddedColumn>,
    },
    /// A wider type for one column; run again it changes nothing.
    AlterType {
        table: TableName,
        path: Vec<String>,
        to: DataType,
    },
    /// The catalog takes over the schema and properties that the log of an external table shows.
    SyncMetadata {
        table: TableName,
    },
}

impl Statement {
    /// Errors: a name, a type, a layout or a length that a warehouse does not take.
    pub fn sql(&self) -> Result<String> {
        let sql = match self {
            Statement::CreateSchema { schema, comment } => {
                let mut sql = format!("CREATE SCHEMA IF NOT EXISTS {}", schema.sql());
                if let Some(comment) = comment {
                    sql += &format!(" COMMENT {}", text::literal(comment));
                }
                sql
            }
            Statement::CreateTable(create) => create.sql()?,
            Statement::AddColumns { table, columns } => {
                let columns: Result<Vec<String>> = columns.iter().map(AddedColumn::sql).collect();
                format!(
                    "ALTER TABLE {} ADD COLUMNS ({})",
                    table.sql(),
                    columns?.join(", ")
                )
            }
            Statement::AlterType { table, path, to } => {
                let (name, parent) = path.split_last().ok_or_else(|| ControlError::Name {
                    what: "column",
                    problem: "it is empty",
                    name: String::new(),
                })?;
                format!(
                    "ALTER TABLE {} ALTER COLUMN {} TYPE {}",
                    table.sql(),
                    names::column(parent, name)?,
                    data_type(name, to)?
                )
            }
            Statement::SyncMetadata { table } => {
                format!("MSCK REPAIR TABLE {} SYNC METADATA", table.sql())
            }
        };
        if sql.len() > MAX_STATEMENT_BYTES {
            return Err(ControlError::TooLong {
                bytes: sql.len(),
                max: MAX_STATEMENT_BYTES,
                table: self.table().map(TableName::to_string).unwrap_or_default(),
            });
        }
        Ok(sql)
    }

    /// The table it is about.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Statement::CreateTable(create) => Some(&create.table),
            Statement::AddColumns { table, .. }
            | Statement::AlterType { table, .. }
            | Statement::SyncMetadata { table } => Some(table),
            Statement::CreateSchema { .. } => None,
        }
    }
}

impl AddedColumn {
    fn sql(&self) -> Result<String> {
        Ok(format!(
            "{} {}{}",
            names::column(&self.parent, self.field.name())?,
            data_type(self.field.name(), self.field.data_type())?,
            types::comment(&self.field)
        ))
    }
}
