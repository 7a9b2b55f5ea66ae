//! Why an HTTP source does not start.

use crate::{
    error::{Error, Kind},
    source::spool::SpoolError,
};
use std::{io, net::SocketAddr};

/// An error of starting or stopping the source. What a client is told is `answer.rs`.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("`listen` is not an address like 127.0.0.1:8080: {source}, listen=`{listen}`")]
    Address { listen: String, source: io::Error },
    #[error(
        "an address other than loopback needs keys: add `keys`, listen on 127.0.0.1, or set allow_anonymous = true, listen=`{address}`"
    )]
    Open { address: SocketAddr },
    #[error(
        "cannot listen: {source}; stop what holds the port or choose another, listen=`{listen}`"
    )]
    Bind { listen: String, source: io::Error },
    #[error("a key of `keys` is empty or has no tables; give it both, index=`{index}`")]
    Key { index: usize },
    #[error("tls.{part} does not hold a usable PEM {part}: {reason}")]
    Tls { part: &'static str, reason: String },
    #[error("`{option}` must be a number of seconds above zero")]
    Seconds { option: &'static str },
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl HttpError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address { .. }
            | Self::Open { .. }
            | Self::Key { .. }
            | Self::Tls { .. }
            | Self::Seconds { .. } => Kind::Config,
            Self::Bind { .. } => Kind::Unavailable,
            Self::Spool(error) => error.kind(),
        }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}
