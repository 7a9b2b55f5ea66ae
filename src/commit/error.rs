//! What can go wrong at a table's log.

use crate::error::{Error, Kind};
use delta_kernel::KernelError;
use std::error::Error as StdError;

pub type Result<T, E = CommitError> = std::result::Result<T, E>;

/// An error of this room. It is cloned to every upload of a group.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    #[error("cannot {action} the log of table=`{table}`: {message}")]
    Log {
        kind: Kind,
        action: &'static str,
        table: String,
        message: String,
    },
    #[error("{message}, table=`{table}`")]
    Unsupported { table: String, message: String },
    #[error(
        "the table was replaced by another one: positions of the old one do not hold for it; restart to begin with the new one, \
         expected_id=`{expected}` found_id=`{found}` table=`{table}`"
    )]
    Replaced {
        table: String,
        expected: String,
        found: String,
    },
    #[error("the table has gone: restore it, or restart to make a new one, table=`{table}`")]
    Gone { table: String },
    #[error(
        "files waited for days to be committed to a table that is not there yet and may have been cleaned up meanwhile; \
         start again: nothing was acknowledged, and their events are read anew, table=`{table}`"
    )]
    Aged { table: String },
    #[error("other writers committed faster than this change could be; try again, table=`{table}`")]
    Busy { table: String },
    #[error("the upload is not well formed: {message}, table=`{table}`")]
    Upload { table: String, message: String },
    #[error(
        "a file's statistics do not read as the table's columns: {message}, path=`{path}` table=`{table}`"
    )]
    Statistics {
        table: String,
        path: String,
        message: String,
    },
    #[error(
        "stopped before the commit's fate was known; the next start reads it from the table, table=`{table}`"
    )]
    Cancelled { table: String },
}

impl CommitError {
    pub fn kind(&self) -> Kind {
        match self {
            CommitError::Log { kind, .. } => *kind,
            CommitError::Unsupported { .. } => Kind::Unsupported,
            CommitError::Replaced { .. } | CommitError::Gone { .. } | CommitError::Aged { .. } => {
                Kind::Corrupt
            }
            CommitError::Busy { .. } => Kind::Conflict,
            CommitError::Upload { .. } => Kind::Bug,
            CommitError::Statistics { .. } => Kind::InvalidData,
            CommitError::Cancelled { .. } => Kind::Unavailable,
        }
    }

    pub(super) fn kernel(table: &str, action: &'static str, error: KernelError) -> Self {
        CommitError::Log {
            kind: kernel_kind(&error),
            action,
            table: table.to_owned(),
            message: one_line(&error.without_backtrace().to_string()),
        }
    }

    pub(super) fn store(table: &str, action: &'static str, error: object_store::Error) -> Self {
        CommitError::Log {
            kind: store_kind(&error),
            action,
            table: table.to_owned(),
            message: one_line(&error.to_string()),
        }
    }

    pub(super) fn corrupt(table: &str, action: &'static str, message: impl ToString) -> Self {
        CommitError::Log {
            kind: Kind::Corrupt,
            action,
            table: table.to_owned(),
            message: message.to_string(),
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}

/// Errors of the kernel may carry a backtrace or a response body over many lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn store_kind(error: &object_store::Error) -> Kind {
    if let Some(told) = crate::storage::ours(error) {
        return told.kind();
    }
    match error {
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => Kind::Unauthorized,
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            Kind::Unsupported
        }
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            Kind::Conflict
        }
        error => source_kind(error).unwrap_or(Kind::Unavailable),
    }
}

/// The kind that an I/O error below names, where there is one.
fn source_kind(error: &(dyn StdError + 'static)) -> Option<Kind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(match io.kind() {
                std::io::ErrorKind::PermissionDenied => Kind::Unauthorized,
                _ => Kind::Unavailable,
            });
        }
        next = error.source();
    }
    None
}

fn kernel_kind(error: &KernelError) -> Kind {
    match error {
        KernelError::Backtraced { source, .. } => kernel_kind(source),
        KernelError::ObjectStore(error) => store_kind(error),
        KernelError::IOError(error) => source_kind(error).unwrap_or(Kind::Unavailable),
        // A file between a listing and its reading can be cleaned up by another writer.
        KernelError::Reqwest(_) | KernelError::JoinFailure(_) | KernelError::FileNotFound(_) => {
            Kind::Unavailable
        }
        KernelError::FileAlreadyExists(_) | KernelError::TableAlreadyExistsAtPath(_) => {
            Kind::Conflict
        }
        KernelError::Unsupported(_) | KernelError::InvalidColumnMappingMode(_) => Kind::Unsupported,
        KernelError::StatsValidation(_) => Kind::InvalidData,
        error => {
            let mut next: Option<&(dyn StdError + 'static)> = Some(error);
            while let Some(inner) = next {
                if let Some(store) = inner.downcast_ref::<object_store::Error>() {
                    return store_kind(store);
                }
                next = inner.source();
            }
            source_kind(error).unwrap_or(Kind::Corrupt)
        }
    }
}
