//! `alluvium check` of `[connections.NAME]`: whether a Databricks workspace can do what tables need of it.
//!
//! In: a connection, and what tables want through it. Out: a section of findings, each with its remedy; a missing right
//! as the GRANT that mends it. Steps go on after one that was refused, and end where all would be answered alike.
//!
//! - `reach`, `identity`, `metastore`: the workspace, who we are there, Unity Catalog
//! - `compute`: the warehouse or cluster, looked at, started where something needs it
//! - `rights`, `place`: what tables need of catalog, schema and external location
//! - `registration`: what the catalog has of each table
//! - `trial`: a table made by our writer, read back through the warehouse, taken away

mod compute;
mod identity;
mod metastore;
mod place;
mod reach;
mod registration;
mod rights;
#[cfg(test)]
mod tests;
mod trial;

use super::preflight::section::{Line, Section};
use crate::{
    config::Config,
    databricks::{ConnectionOptions, HostKind, Kind as Told, Workspace, unity::Unity},
    error::Kind,
    storage::Stores,
};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long one request may take here, and how long one call with its repetitions: a check is not to be waited for.
const REQUEST_SECONDS: f64 = 10.0;
const CALL_SECONDS: f64 = 20.0;
/// Tables that are named where they are told of together.
const NAMED: usize = 3;
/// A table that no configuration names.
const UNLISTED: &str = "others";

/// A table that a catalog is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its name in the configuration; of several alike, what they are called together.
    pub(super) table: String,
    pub(super) catalog: String,
    pub(super) schema: String,
    /// Its name in the catalog.
    pub(super) name: String,
    /// Its folder, as the configuration names it.
    pub(super) location: String,
}

/// The tables of a configuration that a connection's catalogs know, and, where `[table_defaults]` says so, those that it does
/// not list.
pub(super) fn wanted(config: &Config, connection: &str) -> Vec<Wanted> {
    let of = |name: &str| {
        let table = config.table(name);
        let registration = table
            .registration
            .filter(|one| one.connection == connection)?;
        Some(Wanted {
            table: name.to_owned(),
            catalog: registration.catalog,
            schema: registration.schema,
            name: registration.table,
            location: table.url,
        })
    };
    let mut wanted: Vec<Wanted> = config.tables.keys().filter_map(|name| of(name)).collect();
    wanted.extend(of(UNLISTED));
    wanted
}

/// What is to be tried, and by what.
pub(super) struct Trying<'a> {
    pub(super) stores: &'a Stores,
    /// Start what does not run, and make a table.
    pub(super) thorough: bool,
    /// Ends waits and statements; what was made is removed all the same.
    pub(super) stop: CancellationToken,
}

/// Checks one connection for the tables that use it.
pub(super) async fn probe(
    name: &str,
    options: &ConnectionOptions,
    wanted: Vec<Wanted>,
    trying: &Trying<'_>,
) -> Section {
    let mut section = Section::new(format!("connection {name}"));
    let mut options = options.clone();
    options.timeout_seconds = options.timeout_seconds.min(REQUEST_SECONDS);
    options.retry_budget_seconds = Some(options.budget_seconds().min(CALL_SECONDS));
    let workspace = match Workspace::new(name, &options) {
        Ok(workspace) => workspace,
        Err(error) => {
            section.error(&error.into());
            return section;
        }
    };
    section.title = format!("connection {name} {}", workspace.host());
    if !reach::probe(&mut section, &workspace).await {
        return section;
    }
    if let HostKind::Account(_) = workspace.host().kind() {
        identity::account(&mut section, &workspace).await;
        return section;
    }
    let Some(me) = identity::probe(&mut section, &workspace, &options).await else {
        return section;
    };
    let governed = metastore::probe(&mut section, &workspace).await;
    let needed = trying.thorough || !wanted.is_empty();
    let compute = compute::probe(&mut section, &workspace, &me, needed, &trying.stop).await;
    if !governed {
        return section;
    }
    let unity = Unity::new(&workspace);
    let mut there = BTreeSet::new();
    for table in &alike(wanted.clone()) {
        if trying.stop.is_cancelled() {
            break;
        }
        let before = section.lines.len();
        let at = place::probe(&mut section, &unity, &me, table, trying.stores).await;
        if !rights::probe(&mut section, &unity, &me, table).await {
            continue;
        }
        there.insert((table.catalog.clone(), table.schema.clone()));
        let judged = before..section.lines.len();
        if let (true, Some(compute), Some(at)) = (trying.thorough, &compute, at)
            && trial::run(&mut section, &workspace, compute, table, &at, trying).await
        {
            rights::proven(&mut section.lines[judged]);
        }
    }
    for table in wanted {
        let place = (table.catalog.clone(), table.schema.clone());
        if table.table != UNLISTED && there.contains(&place) && !trying.stop.is_cancelled() {
            registration::probe(&mut section, &unity, &me, &table, trying.stores).await;
        }
    }
    section
}

/// Tables that lie side by side in one schema need the same: one of them is tried for all.
fn alike(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let mut groups: Vec<(Wanted, Vec<String>)> = Vec::new();
    let beside = |a: &Wanted, b: &Wanted| {
        let folder = |one: &Wanted| place::above(one.location.trim_end_matches('/')).to_owned();
        (&a.catalog, &a.schema, folder(a)) == (&b.catalog, &b.schema, folder(b))
    };
    for one in wanted {
        let name = one.table.clone();
        match groups.iter_mut().find(|(first, _)| beside(first, &one)) {
            Some((_, names)) => names.push(name),
            None => groups.push((one, vec![name])),
        }
    }
    let called = |(first, names): (Wanted, Vec<String>)| {
        let table = match names.as_slice() {
            [one] => format!("table {one}"),
            some if some.len() <= NAMED => format!("tables {}", some.join(", ")),
            many => format!(
                "tables {} and {} more",
                many[..NAMED].join(", "),
                many.len() - NAMED
            ),
        };
        Wanted { table, ..first }
    };
    groups.into_iter().map(called).collect()
}

/// A refusal of the service as a finding: its words, and the remedy in a line of its own.
fn refused(
    section: &mut Section,
    what: &str,
    error: crate::databricks::Error,
    remedy: impl Into<String>,
) {
    let remedy = remedy.into();
    let denied = error.kind() == Told::PermissionDenied;
    let error = crate::error::Error::from(error);
    let remedy = match (denied, remedy.is_empty()) {
        (_, false) => remedy,
        (true, true) => "give the credential's principal that right".into(),
        (false, true) => String::new(),
    };
    section.fault(error.kind(), format!("{what}: {error}"), remedy);
}

/// What has to be stopped is: a wait in a check tells where it is, in the log.
fn waiting(limit: Duration, stop: &CancellationToken) -> crate::databricks::wait::Waiting {
    crate::databricks::wait::Waiting::default()
        .limit(limit)
        .stop(stop.clone())
        .progress(|progress| tracing::info!("{progress}"))
}

/// A section's fault for something that the configuration lacks.
fn lacking(section: &mut Section, what: impl Into<String>, remedy: impl Into<String>) {
    section.fault(Kind::Config, what, remedy);
}
