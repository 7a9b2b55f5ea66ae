//! What can go wrong with files.

use crate::{
    error::{Error, Kind},
    storage,
};
use std::{io, path::PathBuf};

/// Errors of this room.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("no file matches; check the path and its rights input=`{0}`")]
    NoMatch(String),
    #[error(
        "bad glob pattern; quote it in the shell and see `alluvium backfill --help`: {reason} input=`{input}`"
    )]
    BadPattern { input: String, reason: String },
    #[error("not the URL of an object, a folder or a pattern, {reason} input=`{input}`")]
    BadObjectUrl { input: String, reason: String },
    /// An input's store cannot be told or opened.
    #[error(transparent)]
    Place(#[from] storage::Error),
    #[error(
        "the object store failed, {action}; what is committed stays, the same command goes on from there: {source} path=`{path}`"
    )]
    Object {
        action: &'static str,
        path: String,
        source: object_store::Error,
    },
    /// An answer that will not be another one later.
    #[error(
        "the object store refuses the request, and would again; what is committed stays; mend what it names and run the same command: {source} path=`{path}`"
    )]
    Refused {
        path: String,
        source: object_store::Error,
    },
    #[error(
        "the store answers with the whole object where a part of it was asked for, so it cannot be read in parts; have what stands before the store (proxy, cache) pass on `Range`, or copy the object to this machine, path=`{0}`"
    )]
    NoRanges(String),
    #[error(
        "an object below has a name that cannot be read; rename that object, or name a folder below that does not hold it: {source} path=`{path}`"
    )]
    BadObjectName {
        path: String,
        source: object_store::path::Error,
    },
    #[error(
        "the object is gone; what is committed stays; put it back as it was and run the same command path=`{0}`"
    )]
    ObjectGone(String),
    /// Whoever reads was told to leave while a store did not answer.
    #[error("reading was stopped; the same command goes on from what is committed")]
    Halted,
    #[error(
        "a file: URL must be an absolute path on this machine, as in file:///data/a.ndjson input=`{0}`"
    )]
    BadFileUrl(String),
    #[error("a path must be UTF-8 to stand in the manifest; rename the file path=`{0}`")]
    PathNotUtf8(String),
    #[error(
        "cannot tell the format; name the file .ndjson, .jsonl, .json, .csv, .tsv or .parquet, compressed with a further .gz or .zst path=`{0}`"
    )]
    UnknownFormat(String),
    #[error("the file is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8) path=`{0}`")]
    Utf16(String),
    #[error(
        "cannot read the file; check that it is there and may be read, then run the same command again: {source} path=`{path}` after_records=`{records}`"
    )]
    Read {
        path: String,
        records: u64,
        source: io::Error,
    },
    #[error(
        "{problem}; nothing committed is lost; mend the file for a run of its own path=`{path}` after_records=`{records}`"
    )]
    Damaged {
        path: String,
        records: u64,
        problem: String,
    },
    #[error(
        "a record is longer than the limit; split the file path=`{path}` after_records=`{records}` limit_bytes=`{limit}`"
    )]
    RecordTooLong {
        path: String,
        records: u64,
        limit: usize,
    },
    #[error(
        "a column cannot be read as JSON: {problem}; write the file without that column, or with another type path=`{path}`"
    )]
    Column { path: String, problem: String },
    #[error(
        "the CSV header cannot be used: {problem}; mend the first line of the file path=`{path}`"
    )]
    Header { path: String, problem: String },
    /// The inputs are no longer those of the manifest; the text says what each way on would do.
    #[error("{0}")]
    InputsChanged(String),
    #[error(
        "the run's manifest is missing, yet the table holds positions of it, so which records they count cannot be told; take another run id (--run-id), which reads every file from its start run_id=`{run_id}` lane=`{lane}` position=`{position}`"
    )]
    ManifestLost {
        run_id: String,
        lane: u32,
        position: u64,
    },
    #[error(
        "the run's manifest does not read back as it was written: {problem}; restore it or take another run id (--run-id) path=`{path}`"
    )]
    ManifestCorrupt { path: String, problem: String },
    #[error(
        "the manifest was written by a newer alluvium; use that version path=`{path}` format=`{format}`"
    )]
    ManifestFormat { path: String, format: u32 },
    #[error("a run id is 1 to 64 letters, digits, `-` or `_` run_id=`{0}`")]
    BadRunId(String),
    #[error(
        "the file changed while it was read; what is committed stays, the rest was not taken; put its first state back and run the same command, or take another run id (--run-id), which reads it from its start path=`{0}`"
    )]
    ChangedWhileRead(String),
    #[error(
        "the position lies past the end of the lane, so the files are not those that were read; take another run id (--run-id) lane=`{lane}` position=`{position}` records=`{records}`"
    )]
    PastTheEnd {
        lane: u32,
        position: u64,
        records: u64,
    },
    #[error(
        "other writers keep moving this run's positions; stop the other backfill of the same run or let it finish run_id=`{run_id}` lane=`{lane}`"
    )]
    NoProgress { run_id: String, lane: u32 },
    #[error(
        "the pipeline stopped before the backfill was done; run the same command again to go on"
    )]
    PipelineStopped,
    #[error(
        "the manifest cannot be read or written; check that the table's folder is there and may be written to, then run the same command again: {source} path=`{path}`"
    )]
    Store {
        path: String,
        source: object_store::Error,
    },
    #[error("{0}")]
    Overlap(String),
    #[error(
        "a range begins below its end; swap or change --from and --to: topic=`{topic}` partition=`{partition}` from=`{from}` to=`{to}`"
    )]
    EmptyRange {
        topic: String,
        partition: i32,
        from: u64,
        to: u64,
    },
    #[error(
        "a run was started from the plan of a dry run, whose manifest is not recorded; plan it again with `record`"
    )]
    NotRecorded,
    #[error(
        "a reading task ended early; run the same command again, which goes on from what is committed, and report this: {0}"
    )]
    Task(String),
}

impl FilesError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoMatch(_)
            | Self::BadPattern { .. }
            | Self::BadFileUrl(_)
            | Self::BadObjectUrl { .. }
            | Self::ObjectGone(_)
            | Self::Refused { .. }
            | Self::PathNotUtf8(_)
            | Self::BadRunId(_)
            | Self::InputsChanged(_)
            | Self::EmptyRange { .. }
            | Self::Overlap(_) => Kind::Config,
            Self::Place(error) => error.kind(),
            Self::Object { source, .. } => storage::kind_of(source),
            Self::UnknownFormat(_)
            | Self::NoRanges(_)
            | Self::Utf16(_)
            | Self::Column { .. }
            | Self::ManifestFormat { .. } => Kind::Unsupported,
            Self::Damaged { .. }
            | Self::BadObjectName { .. }
            | Self::RecordTooLong { .. }
            | Self::Header { .. }
            | Self::ChangedWhileRead(_) => Kind::InvalidData,
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Kind::Unauthorized,
                io::ErrorKind::NotFound => Kind::Config,
                _ => Kind::Unavailable,
            },
            Self::Store { source, .. } => match source {
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. } => Kind::Unauthorized,
                _ => Kind::Unavailable,
            },
            Self::ManifestLost { .. } | Self::ManifestCorrupt { .. } | Self::PastTheEnd { .. } => {
                Kind::Corrupt
            }
            Self::NoProgress { .. } => Kind::Fenced,
            Self::PipelineStopped | Self::Halted => Kind::Unavailable,
            Self::NotRecorded | Self::Task(_) => Kind::Bug,
        }
    }

    /// For readers that know only I/O errors; [`Self::from_io`] finds it again.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// The error that [`Self::into_io`] wrapped, or another of the same text.
    pub(crate) fn from_io(error: io::Error) -> Self {
        error
            .downcast::<Self>()
            .unwrap_or_else(|error| Self::Task(error.to_string()))
    }

    /// An I/O error before any record of the file.
    pub(crate) fn open(path: &str, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            records: 0,
            source,
        }
    }
}

impl From<FilesError> for Error {
    fn from(error: FilesError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}

/// A path as text, or why not.
pub(crate) fn path_text(path: PathBuf) -> Result<String, FilesError> {
    path.into_os_string()
        .into_string()
        .map_err(|path| FilesError::PathNotUtf8(path.to_string_lossy().into_owned()))
}
