//! The Delta log of a table: what it shows, and the versions we add to it.
//!
//! In: [`Upload`]s, files that are in storage but in no version yet, with the offset ranges they
//! account for. Out: a [`CommitOutcome`], and the [`TableState`] that the next files are encoded
//! for. Only this room makes a range committed (invariants 1, 2, 4 and 5).
//!
//! Layout:
//! - [`decide`](mod@decide): the rules of exactly-once as a pure function
//! - `log`: the trait a log is behind; `kernel`, `append`, `create`, `adds`, `positions`: `delta_kernel` behind it
//! - `land`: the loop that repeats a commit until its fate is known
//! - `state`, `preflight`: what a snapshot means to a writer, and which tables are refused
//! - `table_log`: one table, for the other rooms; `group`: one committer for all its producers
//! - `evolve`: metadata commits; `checkpoint`, `checkpoint_file`: background work; `segment`: snapshots without a listing; `history`, `named`, `dead_letters`: reading
//!
//! Kernel calls block, so each runs in `spawn_blocking`. Limits: a table holds at most
//! [`options::MAX_COLUMNS`] columns and one version names at most [`options::MAX_FILES_PER_COMMIT`] files.

mod account;
mod adds;
mod append;
mod checkpoint;
mod checkpoint_file;
mod create;
mod dead_letters;
pub mod decide;
mod error;
mod evolve;
mod group;
mod history;
mod kernel;
mod land;
mod log;
mod named;
mod new_table;
pub mod options;
mod parts;
mod positions;
mod preflight;
mod properties;
mod reset;
mod segment;
mod sql;
mod state;
mod table_log;
#[cfg(test)]
mod tests;
mod upload;

pub use account::{CommitAccount, MarkAccount, RangeAccount, ResetAccount};
pub use error::{CommitError, Result};
pub use group::{GroupCommitter, Lander};
pub use history::CommitRecord;
pub use named::NamedFiles;
pub use new_table::{new_table_spec, spec_of_new_table};
pub use options::CommitOptions;
pub use properties::{MAX_CLUSTER_COLUMNS, check_property};
pub use state::{ProtocolSummary, TableState};
pub use table_log::TableLog;
pub use upload::{CommitOutcome, Evolved, Mark, Upload};
