//! Whether a table is in its catalog: under its name, external, at its folder, with the columns of its log.

use super::{Section, Wanted, place, refused, rights::grant};
use crate::{
    check::open,
    commit::{CommitOptions, TableLog},
    control::{
        Registered,
        sql::{Location, TableName},
    },
    databricks::{Kind as Told, scim::Me, unity::Unity},
    error::{Kind, Result},
    schema::TableSchema,
    storage::Stores,
};
use std::sync::Arc;

/// Columns that are named where they differ.
const NAMED: usize = 5;

pub(super) async fn probe(
    section: &mut Section,
    unity: &Unity,
    me: &Me,
    wanted: &Wanted,
    stores: &Stores,
) {
    let table = format!("table {}", wanted.table);
    let name = match TableName::new(&wanted.catalog, &wanted.schema, &wanted.name) {
        Ok(name) => name,
        Err(error) => {
            section.error(&error.into());
            return;
        }
    };
    // A folder that no catalog takes has been told of.
    let Ok(url) = place::spelled(&wanted.location, stores) else {
        return;
    };
    let location = match Location::parse(&url) {
        Ok(location) => location,
        Err(error) => {
            section.error(&error.into());
            return;
        }
    };
    let found = match unity.find_table(&name.full_name()).await {
        Ok(found) => found,
        Err(error) => {
            let remedy = match error.kind() {
                Told::PermissionDenied => grant("SELECT", &format!("TABLE {}", name.sql()), me),
                _ => String::new(),
            };
            let what = format!("{table}: whether the catalog has it is not to be had");
            refused(section, &what, error, remedy);
            return;
        }
    };
    let log = match schema(wanted, stores).await {
        Ok(log) => log,
        Err(error) => {
            section.note(format!("{table}: its log is not to be read: {error}"));
            return;
        }
    };
    let full = name.full_name();
    let Some(found) = found else {
        section.note(match log {
            Some(_) => format!("{table}: not registered yet as {full}; a daemon that writes to it registers it, or `alluvium schema apply`"),
            None => format!("{table}: will be registered as {full} once it is there"),
        });
        return;
    };
    let registered = Registered::from(found);
    if let Some(misfit) = registered.misfit(&location) {
        section.fault(
            Kind::Config,
            format!("{table}: {full} of the catalog cannot be it"),
            misfit,
        );
        return;
    }
    let Some(log) = log else {
        section.warn(
            format!("{table}: registered as {full}, and its folder holds no table"),
            format!("if its files are gone for good: DROP TABLE {}", name.sql()),
        );
        return;
    };
    let told = format!("{table}: registered as {full}, EXTERNAL, at its folder");
    if registered.columns.is_none() {
        section.fine(told);
        section.note(format!(
            "{table}: the catalog shows no columns, so they are not compared"
        ));
        return;
    }
    let differences = registered.differences(&log);
    match differences.as_slice() {
        [] => section.fine(format!("{told}, with the columns of its log")),
        some => {
            section.fine(told);
            let more = match some.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let some = some[..some.len().min(NAMED)].join(", ");
            section.warn(
                format!("{table}: the catalog's columns are not the log's: {some}{more}"),
                format!("MSCK REPAIR TABLE {} SYNC METADATA", name.sql()),
            );
        }
    }
}

/// The schema that the table's log has now; `None` where there is none.
async fn schema(wanted: &Wanted, stores: &Stores) -> Result<Option<Arc<TableSchema>>> {
    let location = stores.locate(&wanted.location)?;
    if !open::exists(&location).await? {
        return Ok(None);
    }
    let log = TableLog::new(location, &wanted.table, CommitOptions::default());
    Ok(log.load().await?.map(|state| Arc::clone(&state.schema)))
}
