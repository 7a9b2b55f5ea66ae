//! A request of the user's own making.

use bytes::Bytes;
use std::time::Duration;

/// A request as the user puts it, with the inputs that raw requests of connectors have.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct RawAnswer {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: RawBody,
    /// Tries made.
    pub tries: u32,
    /// The refusal, where the status is no success.
    pub error: Option<super::ApiError>,
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
}

/// Shows sizes: bodies may hold secrets.
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
