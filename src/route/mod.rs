//! Event to table.
//!
//! In: a [`RawBatch`]. Out: for each table, which of its records belong there; and the records that
//! belong nowhere, with the reason. A source's records go to the tables bound to it; where none is,
//! the source's template names the table: `{topic}`, `{table}` (the one the record names itself), or
//! `{field}` and `{a.b}` of the event. Routing depends on the record and the configuration alone, so
//! that a record read again goes to the same table (invariant 2); the one exception, the limit on the
//! number of tables, only ever makes dead letters, whose verdicts are final (exactly-once.md, rule 11).
//!
//! Limits: names of at most [`MAX_NAME_BYTES`]; at most `max_tables` tables a router.

mod error;
mod field;
mod names;
mod router;
mod template;

#[cfg(test)]
mod tests;

pub use error::RouteError;
pub use names::{MAX_NAME_BYTES, clean};
pub use router::{Binding, Routed, Router};
pub use template::Template;

#[cfg(doc)]
use crate::event::RawBatch;
