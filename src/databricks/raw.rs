//! A request of the user's own making, with the inputs that raw requests of connectors have.
//!
//! What is repeated, with `max_retries` above 0:
//!
//! | | GET, HEAD, OPTIONS, PUT, DELETE | other methods | `retry_on_all_errors`, any method |
//! |---|---|---|---|
//! | no connection, or a broken one | yes | yes | yes |
//! | a name that nobody has, a wrong certificate | no | no | yes |
//! | no answer in time | no | no | yes |
//! | 5xx, 429 | yes | no | yes |
//! | 3xx, other 4xx | no | no | yes |
//!
//! That is how the connector does it whose inputs these are. What is different: `Retry-After` is the shortest pause, the pause
//! of `exponential_backoff` is 200, 400, 800 … ms (up to a minute, and up to a fifth more by chance) whatever `retry_delay` is, no
//! redirect is followed. The connection's `retry_budget_seconds` does not count here. An answer that does not know our
//! OAuth token has the token renewed and the request sent again, once, without counting.

use super::{ApiError, Error, Result, trace};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};

mod build;
mod run;

/// A request as the user puts it.
#[derive(Clone)]
pub struct RawRequest {
    /// Any method, also `LINK`, `PURGE`, `UNLINK`.
    pub method: String,
    /// A path, which `https://HOST/api/` is put before, or an absolute URL. The token goes to the workspace and to
    /// trusted hosts only.
    pub url: String,
    /// The body; not together with `form` and `files`.
    pub data: Option<RawData>,
    /// Fields of a multipart form.
    pub form: Vec<(String, String)>,
    /// Files of a multipart form.
    pub files: Vec<FilePart>,
    /// Appended to the query of `url`; keys may repeat.
    pub query: Vec<(String, String)>,
    /// `Authorization` among them is refused: the connection's credential is sent.
    pub headers: Vec<(String, String)>,
    pub response_type: ResponseType,
    /// Of one try, from its start to the end of the answer; without it the connection's.
    pub timeout: Option<Duration>,
    /// The pause before each repetition.
    pub retry_delay: Duration,
    /// Repeats after every answer that is no success, and after timeouts, whatever the method.
    pub retry_on_all_errors: bool,
    /// Repetitions at most; 0 for none.
    pub max_retries: u32,
    /// The pause doubles from repetition to repetition; `retry_delay` is ignored.
    pub exponential_backoff: bool,
    /// Logs the request and its answers at level `info`, secrets struck out.
    pub debug: bool,
}

/// A body.
#[derive(Clone)]
pub enum RawData {
    Json(serde_json::Value),
    /// Sent as it is; JSON by its text gets the type of JSON, all else `application/x-www-form-urlencoded`, as axios does.
    Text(String),
    Bytes(Bytes),
}

/// A file of a multipart form.
#[derive(Clone)]
pub struct FilePart {
    pub key: String,
    pub data: Bytes,
    /// By default the key.
    pub file_name: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseType {
    #[default]
    Json,
    Text,
    Binary,
}

/// An answer, whatever its status.
#[derive(Clone)]
pub struct RawAnswer {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: RawBody,
    /// Tries made.
    pub tries: u32,
    /// The refusal, where the status is no success.
    pub error: Option<ApiError>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RawBody {
    Json(serde_json::Value),
    /// Also of an answer that was to be JSON and is not.
    Text(String),
    Binary(Bytes),
}

impl RawRequest {
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            data: None,
            form: Vec::new(),
            files: Vec::new(),
            query: Vec::new(),
            headers: Vec::new(),
            response_type: ResponseType::Json,
            timeout: None,
            retry_delay: Duration::ZERO,
            retry_on_all_errors: false,
            max_retries: 0,
            exponential_backoff: false,
            debug: false,
        }
    }

    /// Names for files, by their keys. Errors: `InvalidParameter`, a name for a file that is not there.
    pub fn file_names(mut self, names: &BTreeMap<String, String>) -> Result<Self> {
        for (key, name) in names {
            let mut found = false;
            for file in self.files.iter_mut().filter(|file| file.key == *key) {
                file.file_name = Some(name.clone());
                found = true;
            }
            if !found {
                return Err(Error::invalid(format!(
                    "a file name is given for a file that is not, key=`{key}`"
                )));
            }
        }
        Ok(self)
    }
}

impl RawAnswer {
    /// The answer where it is a success. Errors: the refusal.
    pub fn into_result(self) -> Result<Self> {
        match self.error {
            Some(error) => Err(Error::Api(Box::new(error))),
            None => Ok(self),
        }
    }
}

/// Shows no value: there may be secrets anywhere.
impl std::fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("RawRequest")
            .field("method", &self.method)
            .field("url", &trace::text(url))
            .field("data", &self.data)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Shows no value either.
impl std::fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawAnswer")
            .field("status", &self.status)
            .field("tries", &self.tries)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Shows sizes.
impl std::fmt::Debug for RawData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(_) => f.write_str("JSON"),
            Self::Text(text) => write!(f, "text of {} bytes", text.len()),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl std::fmt::Debug for FilePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilePart")
            .field("key", &self.key)
            .field("bytes", &self.data.len())
            .field("file_name", &self.file_name)
            .finish()
    }
}

#[cfg(test)]
mod tests;
