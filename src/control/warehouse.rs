//! What the control plane needs of a catalog and its SQL warehouse, and of a table's log.

use super::{
    error::Result,
    sql::{Location, Principal, TableName, quote},
};
use crate::schema::{ColumnType, TableSchema, names::fold, types};
use async_trait::async_trait;
use std::{collections::BTreeMap, sync::Arc};

/// A SQL warehouse and the catalog beside it, as one connection reaches them.
#[async_trait]
pub trait SqlRunner: Send + Sync {
    /// What the catalog knows under a name. Asked of the catalog itself: no warehouse runs for it.
    async fn find_table(&self, table: &TableName) -> Result<Option<Registered>>;

    /// Returns when the warehouse takes statements; starts it where it is stopped. Nothing else may start it.
    async fn ensure_running(&self) -> Result<()>;

    /// Runs a statement to its end.
    ///
    /// # Errors
    /// [`ControlError::Statement`](super::ControlError::Statement) where it was refused or failed; after any other
    /// error it may have been carried out.
    async fn run(&self, sql: &str) -> Result<()>;

    /// Who runs statements, for grants.
    async fn principal(&self) -> Result<Principal>;
}

/// A table as a catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its type as the catalog spells it: `EXTERNAL`, `MANAGED`, `VIEW`, ….
    pub kind: String,
    /// Its format, as `DELTA`; `None` of what has none.
    pub format: Option<String>,
    pub location: Option<String>,
    /// Its columns, in no particular order; `None` where the catalog tells none.
    pub columns: Option<Vec<CatalogColumn>>,
}

/// A top-level column as a catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogColumn {
    pub name: String,
    /// In SQL: `bigint`, `struct<a:bigint>`.
    pub type_text: String,
}

/// A table's log, as far as the control plane looks into it.
#[async_trait]
pub trait Logged: Send + Sync {
    /// The schema of the newest version, read now; `None` where there is no table.
    async fn schema(&self) -> Result<Option<Arc<TableSchema>>>;

    /// Told after the table's schema was changed, by us or by others: whoever writes loads it again.
    fn changed(&self);
}

/// A table of a catalog with its log.
#[derive(Clone)]
pub struct Target {
    pub name: TableName,
    pub location: Location,
    /// What it is registered with.
    pub comment: Option<String>,
    pub log: Arc<dyn Logged>,
}

impl Registered {
    /// Why the table of a catalog cannot be ours; `None` where it is.
    pub fn misfit(&self, location: &Location) -> Option<String> {
        let at = self.location.as_deref().unwrap_or_default();
        if self.kind.eq_ignore_ascii_case("MANAGED") || Location::is_managed(at) {
            return Some(
                "it is a managed table, whose log only Unity Catalog commits to; name another table, or make this one external".into(),
            );
        }
        if !self.kind.eq_ignore_ascii_case("EXTERNAL") {
            return Some(format!(
                "it is no table of ours but of type `{}`; name another table",
                self.kind
            ));
        }
        if let Some(format) = &self.format
            && !format.eq_ignore_ascii_case("DELTA")
        {
            return Some(format!(
                "its format is `{format}`, not Delta; name another table"
            ));
        }
        let is_ours = Location::parse(at).is_ok_and(|at| at == *location);
        (!is_ours).then(|| {
            format!(
                "the catalog has it at another place; name another table, or drop the one there, location=`{at}` ours=`{}`",
                location.url()
            )
        })
    }

    /// What the catalog has otherwise than the log, a text for each column: none where it is the same, or keeps no columns.
    ///
    /// Names are compared without their case, and types only where we read the catalog's spelling: a difference that is
    /// none would wake a warehouse in vain.
    pub fn differences(&self, log: &TableSchema) -> Vec<String> {
        let mut found = Vec::new();
        let Some(columns) = &self.columns else {
            return found;
        };
        let mut known: BTreeMap<String, &CatalogColumn> = columns
            .iter()
            .map(|column| (fold(&column.name), column))
            .collect();
        for field in log.columns.fields() {
            let name = quote(field.name());
            let Some(column) = known.remove(&fold(field.name())) else {
                found.push(format!("{name} is in the log alone"));
                continue;
            };
            let of_catalog = ColumnType(column.type_text.clone()).to_arrow();
            let of_catalog = of_catalog.and_then(|data_type| types::to_sql(&data_type));
            if let (Ok(of_catalog), Ok(of_log)) = (of_catalog, types::to_sql(field.data_type()))
                && fold(&of_catalog) != fold(&of_log)
            {
                found.push(format!("{name} is {of_catalog}, in the log {of_log}"));
            }
        }
        let gone = known.values().map(|column| quote(&column.name));
        found.extend(gone.map(|name| format!("{name} is in the catalog alone")));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};

    #[test]
    fn a_catalog_behind_its_log_is_told_from_one_that_spells_otherwise() {
        let inner = DataType::Struct(vec![Field::new("x-y", DataType::Int32, true)].into());
        let at = DataType::Struct(
            vec![
                Field::new("N", inner, true),
                Field::new("d", DataType::Decimal128(10, 2), true),
            ]
            .into(),
        );
        let log = Schema::new(vec![
            Field::new("Id", DataType::Int64, false),
            Field::new("at", at, true),
            Field::new("tags", types::list_of(DataType::Utf8), true),
        ]);
        let log = TableSchema::new(Arc::new(log), Vec::new());
        let differences = |columns: &[(&str, &str)]| {
            let column = |(name, text): &(&str, &str)| CatalogColumn {
                name: (*name).into(),
                type_text: (*text).into(),
            };
            let registered = Registered {
                kind: "EXTERNAL".into(),
                format: None,
                location: None,
                columns: Some(columns.iter().map(column).collect()),
            };
            registered.differences(&log)
        };
        let (id, tags) = (("id", "BIGINT"), ("tags", "array<string>"));
        let at = ("at", "struct<n:struct<`x-y`:int>,d:DECIMAL(10,2)>");
        assert_eq!(differences(&[tags, id, at]), Vec::<String>::new());
        assert_eq!(
            differences(&[("id", "int"), at, ("old", "string")]),
            [
                "`Id` is integer, in the log long",
                "`tags` is in the log alone",
                "`old` is in the catalog alone"
            ]
        );
        let narrow = ("at", "struct<n:struct<`x-y`:int>>");
        assert_eq!(differences(&[id, narrow, tags]).len(), 1);
        // What is newer than we are, or cut short, is not judged.
        for unread in ["geography(4326)", "struct<n:struct<`x-y`:int not null,..."] {
            let unread = ("at", unread);
            assert_eq!(differences(&[id, unread, tags]), Vec::<String>::new());
        }
        let silent = Registered {
            kind: "EXTERNAL".into(),
            format: None,
            location: None,
            columns: None,
        };
        assert_eq!(silent.differences(&log), Vec::<String>::new());
    }
}
