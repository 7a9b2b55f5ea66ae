//! `CREATE TABLE`, of a table with columns, or of one whose log is at its location already.

use super::super::error::{ControlError, Result};
use super::{Location, TableName, names, text, types};
use crate::schema::TableSchema;
use std::collections::BTreeMap;

/// The most clustering columns a table may have.
const MAX_CLUSTER_COLUMNS: usize = 4;

/// An external Delta table.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    pub table: TableName,
    /// Of a location that holds a table already, at most a comment: its log says everything else, and columns, layout or
    /// properties that differed from it would be an error.
    pub definition: Option<Definition>,
    pub location: Location,
}

/// What a new table is made with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    pub schema: Option<TableSchema>,
    /// Top-level columns, at most four; not beside partition columns.
    pub cluster_by: Vec<String>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
}

impl CreateTable {
    /// Registers the table whose log is at `location`, under a comment of the catalog's own.
    pub fn register(table: TableName, location: Location, comment: Option<String>) -> Self {
        Self {
            table,
            definition: comment.map(|comment| Definition {
                comment: Some(comment),
                ..Definition::default()
            }),
            location,
        }
    }

    pub(super) fn sql(&self) -> Result<String> {
        let mut sql = format!("CREATE TABLE IF NOT EXISTS {}", self.table.sql());
        let definition = self.definition.as_ref();
        let schema = definition.and_then(|definition| definition.schema.as_ref());
        if let Some(schema) = schema {
            let columns: Result<Vec<String>> = schema
                .columns
                .fields()
                .iter()
                .map(|field| {
                    Ok(format!(
                        "{} {}{}{}",
                        names::column(&[], field.name())?,
                        types::data_type(field.name(), field.data_type())?,
                        if field.is_nullable() { "" } else { " NOT NULL" },
                        types::comment(field)
                    ))
                })
                .collect();
            sql += &format!(" ({})", columns?.join(", "));
        }
        sql += " USING DELTA";
        if let Some(definition) = definition {
            self.layout(definition, &mut sql)?;
        }
        sql += &format!(" LOCATION {}", text::literal(self.location.url()));
        if let Some(definition) = definition {
            if let Some(comment) = &definition.comment {
                sql += &format!(" COMMENT {}", text::literal(comment));
            }
            if !definition.properties.is_empty() {
                let properties: Vec<String> = definition
                    .properties
                    .iter()
                    .map(|(key, value)| {
                        format!("{} = {}", text::literal(key), text::literal(value))
                    })
                    .collect();
                sql += &format!(" TBLPROPERTIES ({})", properties.join(", "));
            }
        }
        Ok(sql)
    }

    fn layout(&self, definition: &Definition, sql: &mut String) -> Result<()> {
        let refuse = |problem: String| ControlError::Layout {
            problem,
            table: self.table.to_string(),
        };
        let partitions = match &definition.schema {
            Some(schema) => schema.partition_columns.as_slice(),
            None => &[],
        };
        let clusters = &definition.cluster_by;
        if !partitions.is_empty() && !clusters.is_empty() {
            return Err(refuse(
                "it is partitioned or clustered, not both; leave out one".into(),
            ));
        }
        if clusters.len() > MAX_CLUSTER_COLUMNS {
            return Err(refuse(format!(
                "it may be clustered by at most {MAX_CLUSTER_COLUMNS} columns"
            )));
        }
        let list = |columns: &[String]| -> Result<String> {
            let quoted: Result<Vec<String>> = columns
                .iter()
                .map(|name| names::column(&[], name))
                .collect();
            Ok(quoted?.join(", "))
        };
        if !partitions.is_empty() {
            *sql += &format!(" PARTITIONED BY ({})", list(partitions)?);
        }
        if !clusters.is_empty() {
            *sql += &format!(" CLUSTER BY ({})", list(clusters)?);
        }
        Ok(())
    }
}
