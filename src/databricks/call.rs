//! One call of an API, as a value.

use super::{Error, Result};
use reqwest::Method;
use serde::Serialize;
use std::{fmt::Display, time::Duration};

/// A call: JSON in, JSON out.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// From the root: `/api/2.0/…`. Names of users' things in it pass [`segment`].
    pub path: String,
    /// Keys may repeat. Values are not shown in errors.
    pub query: Vec<(String, String)>,
    pub body: Option<serde_json::Value>,
    /// Of one request; without it the connection's.
    pub timeout: Option<Duration>,
    /// Whether it may be sent again when nobody knows whether it was carried out.
    pub repeatable: bool,
}

impl Call {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            timeout: None,
            repeatable: true,
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    #[must_use]
    pub fn query(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.query.push((key.into(), value.to_string()));
        self
    }

    /// The body. Errors: `Unexpected`, a value that is no JSON (a map whose keys are not text).
    pub fn body(mut self, body: &(impl Serialize + ?Sized)) -> Result<Self> {
        let value = serde_json::to_value(body).map_err(|error| {
            Error::unexpected(format!(
                "the body is no JSON: {error}, path=`{}`",
                self.path
            ))
        })?;
        self.body = Some(value);
        Ok(self)
    }

    /// A body that is JSON already.
    #[must_use]
    pub fn json(mut self, body: serde_json::Value) -> Self {
        self.body = Some(body);
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Never sent again when it may have been carried out: after a lost connection, a timeout, a server's fault.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }
}

/// A name as one segment of a path, percent-encoded (RFC 3986): a `/` in it does not end the segment.
pub fn segment(name: &(impl Display + ?Sized)) -> String {
    let mut out = String::new();
    for byte in name.to_string().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    // Dot segments would be taken out of the path.
    match out.as_str() {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => out,
    }
}
