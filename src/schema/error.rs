//! What can be wrong with a schema, a type's spelling or a name.

use crate::error::{self, Kind};

/// An error of this room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("a column type cannot be read: {problem} at character {position} of type=`{text}`")]
    Type {
        text: String,
        /// Counted from 1.
        position: usize,
        problem: String,
    },
    #[error("an Arrow type has no Delta type: type=`{0}`")]
    NoDeltaType(String),
    #[error(
        "a column name cannot hold ` ,;{{}}()=`, a tab, a line end or be empty; rename it: column=`{0}`"
    )]
    BadName(String),
    #[error("two columns have one name, case aside; rename one: column=`{0}`")]
    Duplicate(String),
    #[error(
        "there is no such metadata column; use _source, _partition, _offset, _index, _event_time, _ingested_at, _key or _headers: column=`{0}`"
    )]
    UnknownMetadataColumn(String),
    #[error(
        "a partition column must be declared: add a [[tables.NAME.columns]] for it: column=`{0}`"
    )]
    UndeclaredPartitionColumn(String),
    #[error("a partition column must have a plain type: column=`{column}` type=`{data_type}`")]
    PartitionType { column: String, data_type: String },
    #[error("a table cannot be partitioned by all of its columns: columns=`{0}`")]
    OnlyPartitionColumns(String),
    #[error(
        "the table has a column of this name with another type; rename it there, or change the configured column: column=`{column}` type=`{found}` needed=`{needed}`"
    )]
    ColumnType {
        column: String,
        found: String,
        needed: String,
    },
    #[error("a schema change does not apply: {problem}: column=`{path}`")]
    Change { path: String, problem: &'static str },
}

impl SchemaError {
    pub fn kind(&self) -> Kind {
        match self {
            SchemaError::Type { .. }
            | SchemaError::BadName(_)
            | SchemaError::Duplicate(_)
            | SchemaError::UnknownMetadataColumn(_)
            | SchemaError::UndeclaredPartitionColumn(_)
            | SchemaError::PartitionType { .. }
            | SchemaError::OnlyPartitionColumns(_)
            | SchemaError::ColumnType { .. } => Kind::Config,
            SchemaError::NoDeltaType(_) => Kind::Unsupported,
            SchemaError::Change { .. } => Kind::Conflict,
        }
    }
}

impl From<SchemaError> for error::Error {
    fn from(error: SchemaError) -> Self {
        error::Error::new(error.kind(), error.to_string())
    }
}
