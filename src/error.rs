//! The kinds of error every room speaks of, and the one error that crosses a room's boundary.
//!
//! A room keeps its own `thiserror` enum and maps it to a [`Kind`]; the pipeline and the exit code
//! branch on the kind alone.

use std::fmt;

/// What an error asks of whoever receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The configuration or the command line is wrong; a person must change it.
    Config,
    /// A credential is missing, wrong, expired or lacks a right.
    Unauthorized,
    /// A service or a disk does not answer now; trying again may succeed.
    Unavailable,
    /// Somebody else changed the same thing first; reload and decide again.
    Conflict,
    /// Another writer owns these offsets now.
    Fenced,
    /// The data itself cannot be taken.
    InvalidData,
    /// Something we do not do, such as a Delta writer feature.
    Unsupported,
    /// What was stored does not read back as it was written.
    Corrupt,
    /// Our own mistake.
    Bug,
}

impl Kind {
    /// Whether the same call may succeed later with nothing changed by a person.
    pub fn is_retryable(self) -> bool {
        matches!(self, Kind::Unavailable | Kind::Conflict)
    }

    /// The value of the `kind` label of `alluvium_errors_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Config => "config",
            Kind::Unauthorized => "unauthorized",
            Kind::Unavailable => "unavailable",
            Kind::Conflict => "conflict",
            Kind::Fenced => "fenced",
            Kind::InvalidData => "invalid_data",
            Kind::Unsupported => "unsupported",
            Kind::Corrupt => "corrupt",
            Kind::Bug => "bug",
        }
    }
}

/// An error at a boundary between rooms: a kind, a message that says what to do, and its cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// `message`: lower case, no full stop, values last as key=`value`, with the remedy.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Keeps the cause, which [`fmt::Display`] prints after the message.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

pub type Result<T, E = Error> = std::result::Result<T, E>;
