//! The control plane: schema changes through a SQL warehouse, beside the data and never in its way.
//!
//! In: the columns that tables lack ([`crate::schema::SchemaChange`]), and tables that a catalog does not
//! know yet. Out: statements run on a warehouse, and schemas read again from the tables' logs. What the log
//! shows is believed, never what a statement answered.
//!
//! - [`sql`]: names, types and statements as text; pure
//! - [`changes`]: what is still to be done of what was wanted; pure
//! - [`Agent`]: one task for each warehouse, which gathers what tables want and wakes it once for all
//! - `turn`: what is done for one table while the warehouse is awake
//! - [`Databricks`]: a workspace's warehouse and catalog, by [`crate::databricks`]
//! - [`SqlRunner`], [`Logged`]: what it needs of a warehouse and of a table's log
//!
//! What holds: data waits for nothing here. A warehouse is started for statements alone, never to look. After
//! any failure the log is read before anything is done again, so that two who want the same column at once end
//! with one. A failure is told once, with the statement and the grants that would mend it, and tried again
//! after pauses that grow: to half an hour, or to six hours where a statement was refused, as a person is to mend it
//! and each try wakes the warehouse. News does not wait for what was refused.
//!
//! Limits: names of 255 characters, a statement of 16 MiB.

mod agent;
pub mod changes;
mod databricks;
mod error;
pub mod sql;
#[cfg(test)]
pub(crate) mod testing;
mod turn;
mod warehouse;

pub use agent::{Agent, Waiting};
pub use databricks::Databricks;
pub use error::{ControlError, Result};
pub use turn::{apply, plan};
pub use warehouse::{CatalogColumn, Logged, Registered, SqlRunner, Target};
