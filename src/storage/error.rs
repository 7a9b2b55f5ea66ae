//! What can go wrong between a URL and its objects.

use crate::error::Kind;
use std::io;

/// An error of the storage room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("not a place tables can be in, {reason}, url=`{url}`")]
    InvalidUrl { url: String, reason: String },
    #[error(
        "storage of this kind is not supported, use a folder, s3://, az://, abfss:// or https://ACCOUNT.blob.core.windows.net/, scheme=`{scheme}` url=`{url}`"
    )]
    UnsupportedScheme { scheme: String, url: String },
    #[error("not a table name, {reason}, name=`{name}`")]
    InvalidName { name: String, reason: &'static str },
    #[error("[stores.{store}] {key}: {message}")]
    Options {
        store: String,
        key: String,
        message: String,
    },
    #[error(
        "the store does not keep a second writer from replacing an object, so two daemons could overwrite each other's commits; \
         use a store with conditional puts (If-None-Match), or, if no other process will ever write there, set `single_writer = true` in {store}, url=`{url}`"
    )]
    NotConditional { store: String, url: String },
    #[error("the object store failed, {action}, path=`{path}`: {source}")]
    Store {
        action: &'static str,
        path: String,
        source: object_store::Error,
    },
    /// No credentials: what was asked, where, what was said, the remedy.
    #[error("{message}")]
    Credentials { kind: Kind, message: String },
    /// What is wrong with the options of a store.
    #[error("{reason}, store=`{store}`")]
    InvalidStore { store: String, reason: String },
    /// A store's answer in our words ([`super::explain`]); the answer itself is its source.
    #[error("{message}")]
    Answer {
        kind: Kind,
        message: String,
        /// The right that is missing, as the provider names it.
        right: Option<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// `message`: what was asked, where, what was said, the remedy; no secret.
    pub fn credentials(kind: Kind, message: impl Into<String>) -> Self {
        Error::Credentials {
            kind,
            message: message.into(),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Error::InvalidUrl { .. } | Error::Options { .. } => Kind::Config,
            Error::UnsupportedScheme { .. } | Error::NotConditional { .. } => Kind::Unsupported,
            Error::InvalidName { .. } => Kind::InvalidData,
            Error::Store { source, .. } => kind_of(source),
            Error::Credentials { kind, .. } | Error::Answer { kind, .. } => *kind,
            Error::InvalidStore { .. } => Kind::Config,
        }
    }
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        crate::error::Error::new(error.kind(), error.to_string())
    }
}

/// What an object store's error asks of its receiver.
///
/// Whatever is not understood is [`Kind::Unavailable`]: a later try may succeed. Stores answer "not
/// found" to a write for a missing bucket and for one whose existence the credential may not learn, so
/// it counts as a missing right; a reader that expects absence must look at the error itself first.
pub fn kind_of(error: &object_store::Error) -> Kind {
    use object_store::Error as E;
    if let Some(told) = ours(error) {
        return told.kind();
    }
    match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } | E::NotFound { .. } => {
            Kind::Unauthorized
        }
        E::AlreadyExists { .. } | E::Precondition { .. } => Kind::Conflict,
        E::NotSupported { .. } | E::NotImplemented { .. } => Kind::Unsupported,
        E::UnknownConfigurationKey { .. } => Kind::Config,
        E::InvalidPath { .. } => Kind::InvalidData,
        E::Generic { source, .. } if lacks_right(source.as_ref()) => Kind::Unauthorized,
        _ => Kind::Unavailable,
    }
}

/// The error of this room that one of object_store carries, if it does.
pub fn ours<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours);
        }
        cause = error.source();
    }
    None
}

/// Whether the operating system refused for lack of rights, somewhere in the chain of causes.
fn lacks_right(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return is_refusal(io);
        }
        cause = error.source();
    }
    false
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// An operating system's error in object_store's words, so that wrappers and callers see one type.
pub(super) fn io_error(path: &std::path::Path, source: io::Error) -> object_store::Error {
    let path = path.display().to_string();
    match source.kind() {
        io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists {
            path,
            source: source.into(),
        },
        io::ErrorKind::NotFound => object_store::Error::NotFound {
            path,
            source: source.into(),
        },
        _ if is_refusal(&source) => object_store::Error::PermissionDenied {
            path,
            source: source.into(),
        },
        _ => object_store::Error::Generic {
            store: "DurableLocal",
            source: Box::new(AtPath { path, source }),
        },
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{source}, path=`{path}`")]
struct AtPath {
    path: String,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn kind(os: io::ErrorKind) -> Kind {
        kind_of(&io_error(Path::new("/x"), os.into()))
    }

    #[test]
    fn a_full_disk_is_waited_for_and_a_refusal_is_not() {
        assert_eq!(kind(io::ErrorKind::StorageFull), Kind::Unavailable);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), Kind::Unauthorized);
        assert_eq!(kind(io::ErrorKind::ReadOnlyFilesystem), Kind::Unauthorized);
        assert_eq!(kind(io::ErrorKind::AlreadyExists), Kind::Conflict);
    }

    #[test]
    fn a_refusal_deep_in_the_chain_is_found() {
        let error = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(AtPath {
                path: "/x".into(),
                source: io::ErrorKind::PermissionDenied.into(),
            }),
        };
        assert_eq!(kind_of(&error), Kind::Unauthorized);
    }
}
