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
}

impl ControlError {
    pub fn kind(&self) -> Kind {
        match self {
            ControlError::Name { .. }
            | ControlError::Location { .. }
            | ControlError::Layout { .. } => Kind::Config,
            ControlError::Type { .. } | ControlError::TooLong { .. } => Kind::Unsupported,
        }
    }
}

impl From<ControlError> for Error {
    fn from(error: ControlError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}
