//! `connection`, `catalog`, `schema`, `table_name` and `authority` of tables.

use super::Findings;
use crate::{
    config::{
        conform::near,
        options::Config,
        table::{Registration, Table, TableOptions},
        tree::join,
    },
    control::sql::{Location, TableName, check_apart},
    schema::Authority,
    storage::{Place, Stores},
};

/// Judges the keys that `own` sets, and what they make of the resolved table. A name that only a default lacks is told
/// of the defaults.
pub(super) fn check(
    path: &str,
    own: &TableOptions,
    table: &Table,
    config: &Config,
    found: &mut Findings,
) {
    let at = |key: &str| join(path, key);
    let keys = [
        ("connection", &own.connection),
        ("catalog", &own.catalog),
        ("schema", &own.schema),
        ("table_name", &own.table_name),
    ];
    // Of all tables none has the name; it is refused where that is told.
    let is_told = |key: &str| table.name.is_empty() && key == "table_name";
    let set = keys
        .iter()
        .find(|(key, value)| value.is_some() && !is_told(key));
    let Some(registration) = &table.registration else {
        if own.authority == Some(Authority::Warehouse) {
            found.add(
                at("authority"),
                "`warehouse` needs to know where the table is in Databricks: set `connection`, `catalog` and `schema`, or use `log`",
            );
        } else if let Some((key, _)) = set {
            found.add(
                at(key),
                "goes with others: a table in a catalog has `connection`, `catalog` and `schema`",
            );
        }
        return;
    };
    if set.is_none() && own.authority.is_none() {
        return;
    }
    let name = &registration.connection;
    if !config.connections.contains_key(name) {
        let known: Vec<&str> = config.connections.keys().map(String::as_str).collect();
        let hint = near(name, &known).unwrap_or_default();
        found.add(
            at("connection"),
            format!("there is no `[connections.{name}]`{hint}; add it"),
        );
    }
    if let Err(error) = TableName::new(
        &registration.catalog,
        &registration.schema,
        // The defaults are for tables of any name.
        match table.name.is_empty() {
            true => "t",
            false => &registration.table,
        },
    ) {
        let key = match error.subject() {
            Some("catalog") => "catalog",
            Some("schema") => "schema",
            _ => "table_name",
        };
        found.add(at(key), error.to_string());
    }
}

/// Judges the name under which a catalog has the dead letters.
pub(super) fn letters(config: &Config, found: &mut Findings) {
    if config.dead_letters.table_name.is_none() {
        return;
    }
    let told = match config.table(&config.dead_letters.table).registration {
        Some(Registration {
            catalog,
            schema,
            table,
            ..
        }) => TableName::new(&catalog, &schema, &table)
            .err()
            .filter(|error| error.subject() == Some("table"))
            .map(|error| error.to_string()),
        None => Some(
            "is a name in a catalog; set `connection`, `catalog` and `schema` in `[table_defaults]`"
                .to_owned(),
        ),
    };
    if let Some(message) = told {
        found.add("dead_letters.table_name", message);
    }
}

/// Tables of catalogs lie in folders of their own, under names of their own.
pub(super) fn apart(config: &Config, found: &mut Findings) {
    let stores = Stores::new(&config.stores).unwrap_or_default();
    let mut placed: Vec<(&str, Location)> = Vec::new();
    let mut named: Vec<(String, &str)> = Vec::new();
    let full = |registration: &Registration| {
        let Registration {
            connection,
            catalog,
            schema,
            table,
            ..
        } = registration;
        format!("{connection} {catalog}.{schema}.{table}").to_lowercase()
    };
    let letters = config.dead_letters.table.as_str();
    if let Some(registration) = &config.table(letters).registration {
        named.push((full(registration), letters));
    }
    for name in config.tables.keys() {
        let table = config.table(name);
        let Some(registration) = &table.registration else {
            continue;
        };
        // Told of the table itself.
        if name == letters {
            continue;
        }
        let path = join("tables", name);
        let full = full(registration);
        match named.iter().find(|(other, _)| *other == full) {
            Some((_, other)) => found.add(
                join(&path, "table_name"),
                format!("is the catalog's name of another table, too; table=`{other}`"),
            ),
            None => named.push((full, name)),
        }
        // A place that does not read is told where it is judged; one on this disk has no such rules.
        if !matches!(Place::parse(&table.url), Ok(Place::Remote(_))) {
            continue;
        }
        match Location::parse(&stores.canonical(&table.url)) {
            Ok(location) => {
                let both = placed
                    .iter()
                    .map(|(name, location)| (*name, location))
                    .chain([(name.as_str(), &location)]);
                match check_apart(both) {
                    Ok(()) => placed.push((name, location)),
                    Err(error) => found.add(join(&path, "url"), error.to_string()),
                }
            }
            Err(error) => found.add(join(&path, "url"), error.to_string()),
        }
    }
}
