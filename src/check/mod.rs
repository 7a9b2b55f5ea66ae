//! Preflight of a configuration, and audit of tables against their offsets.

pub mod audit;

use crate::{
    config::Config,
    error::{Error, Kind, Result},
};

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

fn unsupported<T>(what: &str) -> Result<T> {
    Err(Error::new(
        Kind::Unsupported,
        format!("this build has no checks yet, command=`{what}`"),
    ))
}

/// Tries everything a daemon with this configuration would need, without taking an event.
pub async fn preflight(_config: &Config) -> Result<Report> {
    unsupported("check")
}

/// Schema, files, sizes, rescued values by field, proposed changes.
pub async fn show_table(_config: &Config, _table: &str) -> Result<Report> {
    unsupported("table show")
}

/// The positions a table keeps.
pub async fn table_positions(_config: &Config, _table: &str) -> Result<Report> {
    unsupported("table positions")
}

/// Proves rule 21 of one table.
pub async fn audit_table(_config: &Config, _table: &str) -> Result<Report> {
    unsupported("table audit")
}

/// Proves rule 21 over all tables of a source, re-reading gaps.
pub async fn audit_source(_config: &Config, _source: &str) -> Result<Report> {
    unsupported("audit")
}
