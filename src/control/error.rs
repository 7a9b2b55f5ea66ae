//! What can go wrong between us and a catalog.

use crate::error::{Error, Kind};

pub type Result<T, E = ControlError> = std::result::Result<T, E>;

/// An error of this room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("a {what} cannot be named so: {problem}; rename it, name=`{name}`")]
    Name {
        what: &'static str,
        problem: &'static str,
        name: String,
    },
    #[error("a type has no spelling in SQL, column=`{column}` type=`{data_type}`")]
    Type { column: String, data_type: String },
    #[error("a table cannot lie there: {problem}, url=`{url}`")]
    Location { problem: String, url: String },
    #[error("a table cannot be created so: {problem}, table=`{table}`")]
    Layout { problem: String, table: String },
    #[error(
        "a statement is longer than a warehouse takes; declare fewer columns at once, bytes=`{bytes}` max=`{max}` table=`{table}`"
    )]
    TooLong {
        bytes: usize,
        max: usize,
        table: String,
    },
    #[error("{message}{}", .condition.as_ref().map_or_else(String::new, |name| format!(", condition=`{name}`")))]
    Statement {
        kind: Kind,
        /// The name of the error, as `FIELD_ALREADY_EXISTS`.
        condition: Option<String>,
        message: String,
    },
    #[error("a table of the catalog cannot be used: {problem}, table=`{table}`")]
    Misfit { problem: String, table: String },
    #[error(
        "the statements ran, and the table's log does not show what they changed; see whether the catalog's table lies at url=`{url}`"
    )]
    Unseen { url: String },
    /// The workspace does not take our credential, or does not answer: so it is for all tables.
    #[error("{message}")]
    Connection { kind: Kind, message: String },
    /// A service or a store that the control plane asks.
    #[error("{message}")]
    Service { kind: Kind, message: String },
}

impl ControlError {
    pub fn kind(&self) -> Kind {
        match self {
            ControlError::Name { .. }
            | ControlError::Location { .. }
            | ControlError::Layout { .. } => Kind::Config,
            ControlError::Misfit { .. } => Kind::Config,
            ControlError::Unseen { .. } => Kind::Conflict,
            ControlError::Statement { kind, .. }
            | ControlError::Connection { kind, .. }
            | ControlError::Service { kind, .. } => *kind,
            ControlError::Type { .. } | ControlError::TooLong { .. } => Kind::Unsupported,
        }
    }
}

impl ControlError {
    /// What a name is of: `catalog`, `schema`, `table` or `column`.
    pub fn subject(&self) -> Option<&'static str> {
        match self {
            ControlError::Name { what, .. } => Some(what),
            _ => None,
        }
    }

    /// Whether it concerns all tables of the connection.
    pub(super) fn is_common(&self) -> bool {
        matches!(self, ControlError::Connection { .. })
    }

    /// Whether a schema is missing that a statement needs.
    pub(super) fn lacks_schema(&self) -> bool {
        matches!(self, ControlError::Statement { condition: Some(name), .. } if name == "SCHEMA_NOT_FOUND")
    }

    /// Whether somebody else changed the table at the same time: the log shows what is left to do.
    pub(super) fn is_race(&self) -> bool {
        const RACES: [&str; 9] = [
            "FIELD_ALREADY_EXISTS",
            "FIELDS_ALREADY_EXISTS",
            "COLUMN_ALREADY_EXISTS",
            "DELTA_DUPLICATE_COLUMNS",
            "DELTA_METADATA_CHANGED",
            "DELTA_PROTOCOL_CHANGED",
            "DELTA_CONCURRENT_",
            "TABLE_OR_VIEW_ALREADY_EXISTS",
            "SCHEMA_ALREADY_EXISTS",
        ];
        match self {
            ControlError::Statement {
                kind, condition, ..
            } => {
                *kind == Kind::Conflict
                    || condition
                        .as_deref()
                        .is_some_and(|name| RACES.iter().any(|race| name.starts_with(race)))
            }
            _ => false,
        }
    }
}

impl From<ControlError> for Error {
    fn from(error: ControlError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}
