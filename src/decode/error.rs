//! Why a table cannot be decoded for. Events are never errors: they become dead letters.

use crate::error::{self, Kind};

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error(
        "the table has no column to keep what does not fit; add it: ALTER TABLE … ADD COLUMN _rescued_data STRING"
    )]
    NoRescuedData,
    #[error(
        "the table lacks a metadata column or has it with another type; add it or leave it out of metadata_columns: column=`{column}` type=`{needed}`"
    )]
    MetadataColumn { column: String, needed: String },
    #[error(
        "a column must not be null, but events may lack it; let it be null: ALTER TABLE … ALTER COLUMN … DROP NOT NULL: column=`{0}`"
    )]
    NotNull(String),
    #[error(
        "timestamp_unit must be rfc3339, seconds, milliseconds or microseconds: column=`{column}` timestamp_unit=`{unit}`"
    )]
    TimestampUnit { column: String, unit: String },
    #[error(
        "a batch is larger than one decode takes; hand on smaller ones: bytes=`{bytes}` limit=`{limit}`"
    )]
    BatchTooLarge { bytes: u64, limit: u64 },
    #[error("a batch does not fit the schema it was to be re-projected to: {0}")]
    Reproject(String),
    #[error("columns could not be built; please report this: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl DecodeError {
    pub fn kind(&self) -> Kind {
        match self {
            DecodeError::NoRescuedData | DecodeError::NotNull(_) => Kind::Unsupported,
            DecodeError::MetadataColumn { .. } | DecodeError::TimestampUnit { .. } => Kind::Config,
            DecodeError::Reproject(_) => Kind::Conflict,
            DecodeError::BatchTooLarge { .. } | DecodeError::Arrow(_) => Kind::Bug,
        }
    }
}

impl From<DecodeError> for error::Error {
    fn from(error: DecodeError) -> Self {
        error::Error::new(error.kind(), error.to_string())
    }
}
