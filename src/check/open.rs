//! Lake, tables and ledger as checks open them: to read, and nothing is made.

use crate::{
    commit::{TableLog, TableState},
    config::Config,
    databricks::Connections,
    error::{Error, Kind, Result},
    pipeline::TableSettings,
    storage::{Lake, Stores, TableLocation},
};
use futures::StreamExt;
use std::sync::Arc;

/// A table that exists.
pub(crate) struct Table {
    pub(crate) settings: TableSettings,
    pub(crate) log: TableLog,
    pub(crate) state: Arc<TableState>,
}

/// The lake of a configuration.
pub(crate) fn lake(config: &Config) -> Result<Lake> {
    let stores = Stores::connected(&config.stores, &Connections::new(&config.connections))?;
    Ok(Lake::open(&config.lake.url, &stores)?)
}

/// The log of a table, which need not exist.
pub(crate) fn table_log(
    config: &Config,
    lake: &Lake,
    name: &str,
) -> Result<(TableSettings, TableLog)> {
    let settings = TableSettings::new(config, name)?;
    let location = lake.table(name, settings.url.as_deref())?;
    let log = TableLog::new(location, name, settings.commit.clone());
    Ok((settings, log))
}

/// Whether there is a log. Asked first, because the kernel complains aloud of one that is not there.
pub(crate) async fn exists(location: &TableLocation) -> Result<bool> {
    let path = location.root.clone().join("_delta_log");
    match location.store.list(Some(&path)).next().await {
        None | Some(Err(object_store::Error::NotFound { .. })) => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(error)) => Err(Error::new(
            crate::storage::kind_of(&error),
            format!("cannot list the table's log, url=`{}`", location.url),
        )
        .with_source(error)),
    }
}

/// The table, or `None` where there is none.
pub(crate) async fn find(config: &Config, lake: &Lake, name: &str) -> Result<Option<Table>> {
    let (settings, log) = table_log(config, lake, name)?;
    if !exists(log.location()).await? {
        return Ok(None);
    }
    Ok(log.load().await?.map(|state| Table {
        settings,
        log,
        state,
    }))
}

/// The table a command names.
///
/// # Errors
/// Config where there is none, with the tables there are.
pub(crate) async fn named(config: &Config, lake: &Lake, name: &str) -> Result<Table> {
    if let Some(table) = find(config, lake, name).await? {
        return Ok(table);
    }
    let tables = lake.tables().await?;
    let known = match tables.is_empty() {
        true => "the lake has no tables yet".to_owned(),
        false => format!("tables=`{}`", tables.join(", ")),
    };
    Err(Error::new(
        Kind::Config,
        format!(
            "no such table, {known} table=`{name}` lake=`{}`",
            lake.url()
        ),
    ))
}

/// The names of all tables that are in the lake or in the configuration, the ledger left out.
pub(crate) async fn all_names(config: &Config, lake: &Lake) -> Result<Vec<String>> {
    let mut names = lake.tables().await?;
    names.extend(config.tables.keys().cloned());
    names.sort();
    names.dedup();
    names.retain(|name| *name != config.dead_letters.table);
    Ok(names)
}
