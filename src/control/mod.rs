//! The control plane: schema changes through a SQL warehouse, beside the data and never in its way.
//!
//! In: the columns that tables lack ([`crate::schema::SchemaChange`]), and tables that a catalog does not
//! know yet. Out: statements run on a warehouse, and schemas read again from the tables' logs. What the log
//! shows is believed, never what a statement answered.
//!
//! - [`sql`]: names, types and statements as text; pure
//! - [`changes`]: what is still to be done of what was wanted; pure
//!
//! Limits: names of 255 characters, a statement of 16 MiB.

pub mod changes;
mod error;
pub mod sql;
#[cfg(test)]
pub(crate) mod testing;

pub use error::{ControlError, Result};
