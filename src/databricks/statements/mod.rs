//! SQL statements on a warehouse, `/api/2.0/sql/statements` (Databricks REST reference, "Statement Execution").
//!
//! In: a [`Statement`]. Out: an [`Outcome`], and its rows or bytes by [`Statements::results`]. What holds:
//!
//! - A statement that the service accepted and that fails is HTTP 200: it becomes [`Kind::StatementFailed`].
//! - There is no idempotency key: a statement is sent again after an unknown outcome only if it says that it may be
//!   ([`Statement::repeatable`]).
//! - A cancellation can come too late, so the statement is looked at until it has ended, and its end counts.
//! - Links to results are fetched without our token; one that has expired is asked for again.
//! - No credential of a statement is printed ([`redacted`]), nor a parameter's value.
//!
//! Limits: results inline end at 25 MiB, by links at 100 GiB; they can be read for an hour, the state for twelve.

mod answer;
mod arrow_stream;
mod parameters;
mod redact;
mod request;
mod results;
mod run;
#[cfg(test)]
mod tests;

pub use answer::{Column, Manifest, StatementState};
pub use parameters::Parameter;
pub use redact::redacted;
pub use request::{Disposition, Format, OnWaitTimeout, Statement};
pub use results::{Chunk, Results, Rows};
pub use run::{Outcome, Snapshot};

use super::{Error, Kind, Result, Workspace};

const PATH: &str = "/api/2.0/sql/statements";

/// The statements of a workspace.
#[derive(Clone, Debug)]
pub struct Statements {
    workspace: Workspace,
}

impl Statements {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.clone(),
        }
    }
}
