//! Whether a table is in its catalog: under its name, external, at its folder, with the columns of its log.

use super::{
    Section, Wanted, place, refused,
    rights::{grant, quoted},
};
use crate::{
    check::open,
    commit::{CommitOptions, TableLog},
    control::{
        Registered,
        sql::{Location, TableName},
    },
    databricks::{
        Kind as Told,
        scim::Me,
        unity::{Column, Unity},
    },
    error::{Kind, Result},
    schema::{ColumnType, TableSchema, types},
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
    let registered = Registered {
        kind: found.table_type,
        format: found.data_source_format,
        location: found.storage_location,
    };
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
    if found.columns.is_empty() {
        section.fine(told);
        section.note(format!(
            "{table}: the catalog shows no columns, so they are not compared"
        ));
        return;
    }
    let differences = differences(&found.columns, &log);
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

/// What the catalog has otherwise than the log, by column. A type that we cannot read is not judged.
fn differences(catalog: &[Column], log: &TableSchema) -> Vec<String> {
    let mut found = Vec::new();
    for field in log.columns.fields() {
        let name = quoted(field.name());
        let Some(column) = catalog
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(field.name()))
        else {
            found.push(format!("{name} is in the log alone"));
            continue;
        };
        let of_catalog = ColumnType(column.type_text.clone()).to_arrow();
        let of_catalog = of_catalog.and_then(|kind| types::to_sql(&kind));
        let of_log = types::to_sql(field.data_type());
        if let (Ok(of_catalog), Ok(of_log)) = (of_catalog, of_log)
            && !of_catalog.eq_ignore_ascii_case(&of_log)
        {
            found.push(format!("{name} is {of_catalog}, in the log {of_log}"));
        }
    }
    let known = |column: &&Column| {
        let names = log.columns.fields().iter().map(|field| field.name());
        names
            .into_iter()
            .any(|name| name.eq_ignore_ascii_case(&column.name))
    };
    let gone = catalog.iter().filter(|column| !known(column));
    found.extend(gone.map(|column| format!("{} is in the catalog alone", quoted(&column.name))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};

    #[test]
    fn columns_are_compared_by_name_and_type_in_any_spelling() {
        let of = |name: &str, text: &str| Column {
            name: name.into(),
            type_text: text.into(),
            ..Column::default()
        };
        let inner = DataType::Struct(vec![Field::new("x y", DataType::Int32, true)].into());
        let fields = vec![
            Field::new("Id", DataType::Int64, false),
            Field::new(
                "at",
                DataType::Struct(vec![Field::new("n", inner, true)].into()),
                true,
            ),
            Field::new("tags", types::list_of(DataType::Utf8), true),
        ];
        let log = TableSchema::new(Arc::new(Schema::new(fields)), Vec::new());
        let at = of("at", "struct<n:struct<`x y`:int>>");
        let same = [of("id", "BIGINT"), at.clone(), of("tags", "array<string>")];
        assert_eq!(differences(&same, &log), Vec::<String>::new());
        let other = [
            of("id", "int"),
            at,
            of("old", "string"),
            of("tags", "geography(4326)"),
        ];
        assert_eq!(
            differences(&other[..3], &log),
            [
                "`Id` is integer, in the log long",
                "`tags` is in the log alone",
                "`old` is in the catalog alone"
            ]
        );
        // A type that is newer than we are is not judged.
        assert_eq!(differences(&other, &log).len(), 2);
    }
}
