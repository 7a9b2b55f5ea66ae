//! What can go wrong between a call and its answer.

use super::{StatementId, commands::CommandFailure};
use std::collections::BTreeMap;
use std::time::Duration;

mod envelope;
mod remedy;

pub(super) use envelope::refusal;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error asks of whoever receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No valid credential: wrong, expired, revoked.
    Unauthenticated,
    /// A known identity without the right.
    PermissionDenied,
    NotFound,
    AlreadyExists,
    InvalidParameter,
    /// A limit of the workspace or account that does not go away by waiting.
    Quota,
    /// Too many requests, after all waiting.
    RateLimited,
    /// The service does not work now, or somebody else was first (`ABORTED`): a later try may succeed.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// No connection: name, route, TLS.
    Network,
    /// A statement was accepted and failed.
    StatementFailed,
    /// A command ran on a cluster, and the user's code failed.
    CommandFailed,
    /// Stopped on request.
    Canceled,
    /// What this service or this client does not do.
    Unsupported,
    /// The options of the connection.
    Options,
    /// An answer we do not understand.
    Unexpected,
}

impl Kind {
    /// Whether the same may succeed later with nothing changed by a person.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Kind::RateLimited | Kind::Unavailable | Kind::Timeout | Kind::Network
        )
    }

    /// Whether the credential, not the call, is at fault.
    pub fn lacks_rights(self) -> bool {
        matches!(self, Kind::Unauthenticated | Kind::PermissionDenied)
    }
}

/// An error of this room. No secret and no value of a query is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A request that cannot be made as it was put.
    #[error("{what}")]
    Invalid { what: String },
    /// The service refuses.
    #[error("{0}")]
    Api(Box<ApiError>),
    /// No token was given.
    #[error("{message}")]
    Token { kind: Kind, message: String },
    /// No answer came, or half of one.
    #[error("no answer, check the host, the network and the proxy: {reason}, request=`{request}`")]
    Network { request: String, reason: String },
    #[error("no answer within {} s, {what}", .after.as_secs_f64())]
    Timeout { what: String, after: Duration },
    #[error("{0}")]
    Statement(Box<StatementFailure>),
    #[error("{0}")]
    Command(Box<CommandFailure>),
    /// What we see ourselves, before anything is sent or in what the service shows.
    #[error("{message}")]
    Told { kind: Kind, message: String },
    #[error("canceled, {what}")]
    Canceled { what: String },
    #[error("{what}")]
    Unsupported { what: String },
    /// Options of a connection that cannot be.
    #[error("[connections.{connection}] {key}: {message}")]
    Options {
        connection: String,
        key: String,
        message: String,
    },
    #[error("{what}")]
    Unexpected { what: String },
}

/// A refusal, from whatever form it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub kind: Kind,
    pub status: u16,
    /// `error_code` of the service, as `PERMISSION_DENIED`; a number as its text.
    pub error_code: Option<String>,
    /// The service's own words.
    pub message: String,
    pub details: Vec<Detail>,
    /// For the support of Databricks.
    pub request_id: Option<String>,
    /// Method and path, without the query.
    pub request: String,
    /// What the user can do.
    pub remedy: String,
}

/// An entry of `details`, as `google.rpc.ErrorInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Detail {
    #[serde(rename = "@type")]
    pub type_url: String,
    pub reason: String,
    pub domain: String,
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// Of an entry of type `RequestInfo`.
    pub request_id: Option<String>,
}

/// A statement that was accepted and failed: HTTP 200 with `status.error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the statement failed, {message},{}{} statement=`{statement}`", told("error_code", .error_code), told("sql_state", .sql_state))]
pub struct StatementFailure {
    pub statement: StatementId,
    /// As `BAD_REQUEST`.
    pub error_code: Option<String>,
    /// As `42703`.
    pub sql_state: Option<String>,
    pub message: String,
}

fn told(name: &str, value: &Option<String>) -> String {
    let value = value.as_ref().filter(|value| !value.is_empty());
    value.map_or_else(String::new, |value| format!(" {name}=`{value}`"))
}

impl Error {
    pub fn kind(&self) -> Kind {
        match self {
            Error::Invalid { .. } => Kind::InvalidParameter,
            Error::Api(error) => error.kind,
            Error::Token { kind, .. } => *kind,
            Error::Network { .. } => Kind::Network,
            Error::Timeout { .. } => Kind::Timeout,
            Error::Statement(_) => Kind::StatementFailed,
            Error::Command(_) => Kind::CommandFailed,
            Error::Told { kind, .. } => *kind,
            Error::Canceled { .. } => Kind::Canceled,
            Error::Unsupported { .. } => Kind::Unsupported,
            Error::Options { .. } => Kind::Options,
            Error::Unexpected { .. } => Kind::Unexpected,
        }
    }

    /// `message`: what is so, and what the user can do about it.
    pub fn told(kind: Kind, message: impl Into<String>) -> Self {
        Error::Told {
            kind,
            message: message.into(),
        }
    }

    pub fn invalid(what: impl Into<String>) -> Self {
        Error::Invalid { what: what.into() }
    }

    pub fn unexpected(what: impl Into<String>) -> Self {
        Error::Unexpected { what: what.into() }
    }

    pub fn unsupported(what: impl Into<String>) -> Self {
        Error::Unsupported { what: what.into() }
    }

    /// Whether a request came to nothing that may succeed later; what we conclude ourselves from an answer does not.
    pub(super) fn is_passing(&self) -> bool {
        self.kind().is_retryable() && !matches!(self, Error::Told { .. })
    }

    /// The refusal, where it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Error::Api(error) => Some(error),
            _ => None,
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        if let Some(code) = &self.error_code {
            write!(f, ", error_code=`{code}` status=`{}`", self.status)?;
        } else {
            write!(f, ", status=`{}`", self.status)?;
        }
        write!(f, " request=`{}`", self.request)?;
        if let Some(id) = &self.request_id {
            write!(f, " request_id=`{id}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
