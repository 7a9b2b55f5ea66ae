//! Databricks SQL as text: names, types, statements. Pure.
//!
//! Whatever comes from events or from a configuration stands inside backticks or quotes. Every statement may
//! be run twice: either it says `IF NOT EXISTS`, or running it again is an error that changes nothing.

mod alter;
mod create;
mod grants;
mod location;
mod names;
mod statement;
mod text;
mod types;

#[cfg(test)]
mod tests;

pub use alter::{AddedColumn, alterations};
pub use create::{CreateTable, Definition};
pub use grants::Principal;
pub use location::{Location, check_apart};
pub use names::{SchemaName, TableName, quote};
pub use statement::{MAX_STATEMENT_BYTES, Statement};
pub use text::literal;
pub use types::data_type;
