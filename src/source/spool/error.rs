//! What goes wrong in a spool.

use crate::error::{Error, Kind};
use std::{io, path::PathBuf, sync::Arc};

/// An error of the spool. Cheap to clone: one failed fsync answers every waiter of its group.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// Nothing was stored. Room comes back as tables commit.
    #[error(
        "the spool is full: it empties as tables commit; raise spool.max_bytes or mend the store that holds the commits up, used_bytes=`{used}` max_bytes=`{max}`"
    )]
    Full { used: u64, max: u64 },
    /// Nothing was stored, and nothing of this size ever can be.
    #[error(
        "the request is larger than the spool; raise spool.max_bytes, bytes=`{bytes}` max_bytes=`{max}`"
    )]
    TooLarge { bytes: u64, max: u64 },
    /// The append was not acknowledged; whether its bytes are on the disk is unknown.
    #[error("the spool cannot {action}: {source}; free or mend the disk, path=`{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: Arc<io::Error>,
    },
    /// Nothing was stored: a mistake of the caller, or an event beyond any bound.
    #[error("the request cannot be stored: {what}")]
    Unfit { what: &'static str },
    #[error("another process holds the spool; stop it or give this one its own spool.path, path=`{}`", path.display())]
    Locked { path: PathBuf },
    /// Bytes that were once durable do not read back.
    #[error("the spool is corrupt: {what}; restore the file from a copy, or move it out of the folder to go on without the events in it that no table holds yet, path=`{}` offset=`{offset}`", path.display())]
    Corrupt {
        path: PathBuf,
        offset: u64,
        what: String,
    },
    #[error("the spool folder holds segments but no spool.json, so their positions are unknown; restore spool.json, or move the *.seg files away, path=`{}`", path.display())]
    NoIdentity { path: PathBuf },
    #[error("the spool belongs to another source; run that one until it is empty, or give this one its own spool.path, path=`{}` owner=`{owner}`", path.display())]
    Foreign { path: PathBuf, owner: String },
    /// Tables were put back to an older version after the spool had let the events go.
    #[error("the tables stand below what they had committed and the spool has let those events go; restore the tables, or move the spool folder away to go on without them, position=`{position}` low_water=`{low_water}` path=`{}`", path.display())]
    Behind {
        position: u64,
        low_water: u64,
        path: PathBuf,
    },
    #[error("the spool is closed")]
    Closed,
}

impl SpoolError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source: Arc::new(source),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Full { .. } | Self::Io { .. } | Self::Closed => Kind::Unavailable,
            Self::TooLarge { .. } | Self::Unfit { .. } => Kind::InvalidData,
            Self::Locked { .. } | Self::Foreign { .. } => Kind::Config,
            Self::Corrupt { .. } | Self::NoIdentity { .. } | Self::Behind { .. } => Kind::Corrupt,
        }
    }
}

impl From<SpoolError> for Error {
    fn from(error: SpoolError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}

pub(super) type Result<T> = std::result::Result<T, SpoolError>;
