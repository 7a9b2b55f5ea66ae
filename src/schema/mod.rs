//! Names, types and the evolution of a table's schema.
//!
//! In: the fields that decoding has seen ([`Seen`]). Out: a [`TableSchema`] and the
//! [`SchemaChange`]s that would make room for them. The decision ([`evolve`]) is a pure function;
//! who applies it is the table's authority (ARCHITECTURE.md). Limits: columns and
//! depth of an [`EvolutionPolicy`], distinct fields of a [`Seen`].

mod apply;
mod base;
mod error;
mod evolve;
pub mod names;
mod options;
mod policy;
mod seen;
mod table;
pub mod types;

pub use base::{
    MetadataColumn, RESCUED_DATA, base_schema, dead_letter_schema, missing_columns,
    missing_declared, rescued_field,
};
pub use error::SchemaError;
pub use evolve::{Evolved, evolve, is_sibling_name, sibling_name};
pub use names::{EVENT_FIELD, safe_column_name, safe_table_name};
pub use options::{Authority, ColumnOptions, ColumnType, Evolution, OnConflict};
pub use policy::EvolutionPolicy;
pub use seen::{Fields as SeenFields, Kind, Room, Seen, Shape};
pub use table::{COLUMN_ID, PHYSICAL_NAME, SchemaChange, TableSchema, count_in, physical_name};

#[cfg(test)]
mod tests;
