//! Preflight of a configuration, and audit of tables against their offsets.
//!
//! In: a configuration. Out: a [`Report`] for people, with the number of faults and the gravest kind.
//! Nothing is changed but a probe that is removed, and what `schema apply` is asked for. `audit` is pure: what
//! commits say of themselves in, what they prove out; the files around it read logs and sources.
//!
//! - `open`, `app_id`, `text`: tables, identities and words that the others share
//! - `files`: data files as commits name them
//! - `positions`, `show`, `rescued`: what a table holds
//! - `audits`, `reread`: rule 21 of one table, and over all tables of a source
//! - `plan`: what waits in `_rescued_data` as statements, and, asked for it, their execution
//! - `preflight`: everything a daemon would need, tried; `connection`: workspaces of Databricks

mod app_id;
pub mod audit;
mod audits;
mod connection;
mod files;
pub(crate) mod open;
mod plan;
mod positions;
mod preflight;
mod reread;
mod rescued;
mod show;
#[cfg(test)]
mod tests;
pub(crate) mod text;

pub use plan::SchemaPlan;

use crate::{
    config::Config,
    error::{Kind, Result},
};
use tokio_util::sync::CancellationToken;

/// What a check, an audit or a run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For people, whole lines.
    pub text: String,
    /// How many faults; the command then exits with the code of `kind`.
    pub faults: u64,
    /// The gravest fault's kind.
    pub kind: Kind,
}

impl Report {
    /// A report without a fault; its kind says nothing.
    fn clean(text: String) -> Self {
        Self {
            text,
            faults: 0,
            kind: Kind::InvalidData,
        }
    }
}

/// What a preflight found, said twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Preflight {
    pub report: Report,
    /// The same for programs: `{"success", "sections": [{"title", "findings": [{"level", "message", "remedy",
    /// "kind"}]}]}`. `level` is `ok`, `note`, `warning` or `fault`; `remedy` may be null; `kind` is a fault's,
    /// as in `alluvium_errors_total`, else null.
    pub document: serde_json::Value,
}

/// Tries everything a daemon with this configuration would need, without taking an event. Every
/// finding is in the report, each with its remedy. A thorough one makes thousands of objects in each store, so
/// that its listings have two pages, starts warehouses and makes a table where a catalog is to know tables; `stop` ends
/// waits for these.
///
/// # Errors
/// None of what it finds; only where it cannot look at all.
pub async fn preflight(
    config: &Config,
    thorough: bool,
    stop: CancellationToken,
) -> Result<Preflight> {
    Box::pin(preflight::preflight(config, thorough, stop)).await
}

/// Schema, versions, files, rescued values by field, proposed changes, positions.
///
/// # Errors
/// Config for a table that is not there; those of loading it.
pub async fn show_table(config: &Config, table: &str) -> Result<Report> {
    Box::pin(show::show_table(config, table)).await
}

/// The positions a table keeps, and the ledger's marks of the same partitions.
///
/// # Errors
/// As [`show_table`].
pub async fn table_positions(config: &Config, table: &str) -> Result<Report> {
    positions::table_positions(config, table).await
}

/// What would make room for rescued values: of one table, or of all whose evolution is not `none`.
///
/// # Errors
/// Config for a table that is not there; those of loading tables.
pub async fn plan_schema(config: &Config, table: Option<&str>) -> Result<SchemaPlan> {
    Box::pin(plan::plan(config, table)).await
}

/// Does what a plan says. Returned is what was done, and the error of the first table that failed.
pub async fn apply_schema(config: &Config, plan: &SchemaPlan) -> (String, Result<()>) {
    Box::pin(plan.apply(config)).await
}

/// Proves rule 21 of one table; faults are of kind InvalidData.
///
/// # Errors
/// As [`show_table`].
pub async fn audit_table(config: &Config, table: &str) -> Result<Report> {
    audits::audit_table(config, table).await
}

/// Proves rule 21 over all tables of a source, reading again what counts do not decide.
///
/// # Errors
/// Config for a source that is not configured; those of the lake and the ledger.
pub async fn audit_source(config: &Config, source: &str) -> Result<Report> {
    Box::pin(audits::audit_source(config, source)).await
}
