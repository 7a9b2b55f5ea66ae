//! What can go wrong between rows and a file in storage.

use crate::{error::Kind, storage};

/// An error of the write room. After one from a [`super::TableWriter`], drop the writer: some of the rows may be
/// in its files and others not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("unknown compression, use zstd, snappy, lz4 or none, compression=`{0}`")]
    Compression(String),
    #[error(
        "rows do not have the table's columns, which is a mistake in alluvium; restart, nothing is lost, and report it with the table's schema: {reason}, column=`{column}`"
    )]
    Schema { column: String, reason: String },
    #[error(
        "a column that must have a value has none; alter the table so that it may be null (alter table … alter column … drop not null), column=`{column}`"
    )]
    Null { column: String },
    #[error(
        "a value cannot be a partition value, partition by another column, {reason}, column=`{column}`"
    )]
    PartitionValue { column: String, reason: String },
    #[error(
        "a column has a type that Delta tables do not have; leave it out or alter the table, type=`{data_type}`, column=`{column}`"
    )]
    Type { column: String, data_type: String },
    #[error(
        "encoding a Parquet file failed, which is a mistake in alluvium; the rows are read again from their source, try another `compression`, and report it with the table's schema, path=`{path}`: {source}"
    )]
    Encode {
        path: String,
        source: parquet::errors::ParquetError,
    },
    #[error(
        "arranging rows failed, which is a mistake in alluvium; the rows are read again from their source, report it with the table's schema: {0}"
    )]
    Arrange(#[from] arrow::error::ArrowError),
    #[error(
        "uploading a file failed, check that the place exists and that the credential may write there, path=`{path}`: {source}"
    )]
    Upload {
        path: String,
        source: object_store::Error,
    },
    #[error(
        "an upload was given up at shutdown; its rows are read again at the next start, path=`{path}`"
    )]
    Cancelled { path: String },
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    pub fn kind(&self) -> Kind {
        match self {
            Error::Compression(_) => Kind::Config,
            Error::Type { .. } => Kind::Unsupported,
            Error::Null { .. } | Error::PartitionValue { .. } => Kind::InvalidData,
            Error::Schema { .. } | Error::Encode { .. } | Error::Arrange(_) => Kind::Bug,
            Error::Upload { source, .. } => storage::kind_of(source),
            Error::Cancelled { .. } => Kind::Unavailable,
            Error::Storage(error) => error.kind(),
        }
    }
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        crate::error::Error::new(error.kind(), error.to_string())
    }
}
