//! What the control plane needs of a catalog and its SQL warehouse, and of a table's log.

use super::{
    error::Result,
    sql::{Location, Principal, TableName},
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

    /// In which columns the catalog is not what the log shows, as text; `None` where it is.
    ///
    /// Names are compared without their case, and types only where we read the catalog's spelling: a difference that is
    /// none would wake a warehouse in vain.
    pub fn difference(&self, log: &TableSchema) -> Option<String> {
        let known: BTreeMap<String, &str> = self
            .columns
            .as_ref()?
            .iter()
            .map(|column| (fold(&column.name), column.type_text.as_str()))
            .collect();
        let mut shown = BTreeMap::new();
        for field in log.columns.fields() {
            shown.insert(fold(field.name()), types::to_sql(field.data_type()).ok());
        }
        let gone = known.keys().filter(|name| !shown.contains_key(*name));
        let mut differing: Vec<String> = gone.map(|name| format!("-{name}")).collect();
        for (name, of) in &shown {
            match (known.get(name), of) {
                (None, _) => differing.push(format!("+{name}")),
                (Some(text), Some(of)) if is_other_type(text, of) => {
                    differing.push(format!("{name}: {text} is {of}"));
                }
                _ => {}
            }
        }
        (!differing.is_empty()).then(|| differing.join(", "))
    }
}

/// Whether a catalog's spelling of a type is certainly another type than `of`.
fn is_other_type(text: &str, of: &str) -> bool {
    let read = |text: &str| {
        let data_type = ColumnType(text.to_owned()).to_arrow().ok()?;
        types::to_sql(&data_type).ok()
    };
    match (read(text), read(of)) {
        (Some(known), Some(of)) => fold(&known) != fold(&of),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Schema};

    #[test]
    fn a_catalog_behind_its_log_is_told_from_one_that_spells_otherwise() {
        let schema = |columns: &str| {
            let of = ColumnType(format!("struct<{columns}>")).to_arrow();
            let Ok(DataType::Struct(fields)) = of else {
                panic!("a struct");
            };
            TableSchema::new(Arc::new(Schema::new(fields)), Vec::new())
        };
        let known = |columns: &[(&str, &str)]| Registered {
            kind: "EXTERNAL".into(),
            format: None,
            location: None,
            columns: Some(
                columns
                    .iter()
                    .map(|(name, text)| CatalogColumn {
                        name: (*name).into(),
                        type_text: (*text).into(),
                    })
                    .collect(),
            ),
        };
        let log = schema("Id: long, s: struct<A: long, l: array<string>>, d: decimal(10,2)");
        let same = [
            ("d", "DECIMAL(10,2)"),
            ("id", "bigint"),
            ("s", "struct<a:bigint,l:array<string>>"),
        ];
        assert_eq!(known(&same).difference(&log), None);
        // What we cannot read is taken for the same.
        let unread = [same[0], same[1], ("s", "struct<a:bigint not null,l:...")];
        assert_eq!(known(&unread).difference(&log), None);
        for (columns, difference) in [
            (vec![same[0], same[1]], "+s"),
            (vec![same[0], same[2], ("id", "int")], "id: int is long"),
            (
                vec![same[0], same[1], ("s", "struct<a:bigint>")],
                "s: struct<a:bigint> is struct<A: long, l: array<string>>",
            ),
            ([&same[..], &[("x", "string")]].concat(), "-x"),
        ] {
            assert_eq!(
                known(&columns).difference(&log).as_deref(),
                Some(difference)
            );
        }
        let silent = Registered {
            columns: None,
            ..known(&[])
        };
        assert_eq!(silent.difference(&log), None);
    }
}
