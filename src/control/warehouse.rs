//! What the control plane needs of a catalog and its SQL warehouse, and of a table's log.

use super::{
    error::Result,
    sql::{Location, Principal, TableName},
};
use crate::schema::TableSchema;
use async_trait::async_trait;
use std::sync::Arc;

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
}
