//! The rights a statement needs, as statements that grant them.

use super::{Location, SchemaName, Statement, TableName, quote};

/// Who runs statements: a user's address, a service principal's application id, a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(pub String);

impl Statement {
    /// What somebody with the right to grant would run so that `to` may run this statement.
    ///
    /// Source: Databricks, "Unity Catalog privileges" and "ALTER TABLE" (columns and types need `MODIFY`).
    pub fn grants(&self, to: &Principal) -> Vec<String> {
        let to = quote(&to.0);
        match self {
            Statement::CreateSchema { schema, .. } => vec![format!(
                "GRANT USE CATALOG, CREATE SCHEMA ON CATALOG {} TO {to}",
                quote(schema.catalog())
            )],
            Statement::CreateTable(create) => {
                let mut grants = reach(create.table.schema(), &to);
                grants.push(format!(
                    "GRANT CREATE TABLE ON SCHEMA {} TO {to}",
                    create.table.schema().sql()
                ));
                grants.push(on_location(&create.location, &to));
                grants
            }
            Statement::AddColumns { table, .. }
            | Statement::AlterType { table, .. }
            | Statement::SyncMetadata { table } => on_table(table, &to),
        }
    }
}

fn reach(schema: &SchemaName, to: &str) -> Vec<String> {
    vec![
        format!(
            "GRANT USE CATALOG ON CATALOG {} TO {to}",
            quote(schema.catalog())
        ),
        format!("GRANT USE SCHEMA ON SCHEMA {} TO {to}", schema.sql()),
    ]
}

fn on_table(table: &TableName, to: &str) -> Vec<String> {
    let mut grants = reach(table.schema(), to);
    grants.push(format!("GRANT MODIFY ON TABLE {} TO {to}", table.sql()));
    grants
}

/// The name of the location is known to the catalog alone; its URL is what we know.
fn on_location(location: &Location, to: &str) -> String {
    format!(
        "GRANT CREATE EXTERNAL TABLE ON EXTERNAL LOCATION `<the one that covers {}>` TO {to}",
        location.url().replace('`', "``")
    )
}
