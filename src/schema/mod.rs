//! Names, types and the evolution of a table's schema.
//!
//! In: the fields that decoding has seen. Out: a [`TableSchema`] and the [`SchemaChange`]s that
//! would make room for them. The decision is a pure function; who applies it is the table's
//! authority (design.md, "Schema evolution").

mod options;

pub use options::{Authority, ColumnOptions, ColumnType, Evolution, OnConflict};

use crate::event::SchemaFingerprint;
use arrow::datatypes::{FieldRef, SchemaRef};

/// The logical schema of a table at one version.
///
/// Field metadata keeps what Delta keeps there (`delta.columnMapping.physicalName`,
/// `delta.columnMapping.id`, comments).
#[derive(Clone, Debug, PartialEq)]
pub struct TableSchema {
    /// All columns in table order, partition columns included.
    pub columns: SchemaRef,
    /// Logical names, in the table's order.
    pub partition_columns: Vec<String>,
    pub fingerprint: SchemaFingerprint,
}

/// One change of a schema. All are additive or widening: no value already stored changes.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaChange {
    /// A nullable column, or a field of the struct at `parent` (path of logical names; empty: top level).
    AddColumn { parent: Vec<String>, field: FieldRef },
    /// A wider type for the column at `path` (Delta type widening).
    Widen {
        path: Vec<String>,
        to: arrow::datatypes::DataType,
    },
}
