//! The way to a workspace and to issuers of tokens: one request, one answer, nothing repeated.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap},
};
use std::{fmt, sync::Arc, time::Duration};
use url::Url;

#[cfg(test)]
mod tests;

/// An answer longer than this is not read to its end. Results of statements have 25 MiB at most, chunks of external
/// results less than 100.
const LONGEST_ANSWER: usize = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that can be sent any number of times.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// To the end of the answer.
    pub(super) timeout: Duration,
}

#[derive(Clone)]
pub(super) enum Body {
    None,
    Bytes(Bytes),
    Multipart(Vec<Part>),
}

/// A part of a multipart form: a field where it has no file name.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) key: String,
    pub(super) data: Bytes,
    pub(super) file_name: Option<String>,
}

/// An answer, read to its end.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer. No URL is in the texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection was made, so nothing was sent.
    Unreachable(String),
    /// The same, as nobody has the name, or another has it (its certificate, no TLS); trying again does not help.
    WrongAddress(String),
    /// The connection broke; what was sent may have been carried out.
    Lost(String),
    /// The same, as no answer came in time.
    TimedOut,
    /// The request cannot be sent as it is.
    Unsendable(String),
}

#[async_trait]
pub(super) trait Transport: Send + Sync {
    async fn send(&self, request: Outgoing) -> Result<Answer, Failure>;
}

pub(super) type Http = Arc<dyn Transport>;

/// A client that follows no redirect, for that would carry tokens elsewhere, and reads no `.netrc`.
///
/// `direct`: past the proxy of the environment, for what runs on this machine.
pub(super) fn client(direct: bool) -> Result<Http, String> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("alluvium/", env!("CARGO_PKG_VERSION")));
    if direct {
        builder = builder.no_proxy();
    }
    let client = builder.build().map_err(|error| chain(&error))?;
    Ok(Arc::new(client))
}

#[async_trait]
impl Transport for reqwest::Client {
    async fn send(&self, request: Outgoing) -> Result<Answer, Failure> {
        let mut builder = self
            .request(request.method, request.url)
            .headers(request.headers)
            .timeout(request.timeout);
        builder = match request.body {
            Body::None => builder,
            Body::Bytes(bytes) => builder.body(bytes),
            Body::Multipart(parts) => builder.multipart(form(parts)?),
        };
        let mut response = builder.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Failure::Unsendable(
                    "the answer is longer than 256 MiB".into(),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body: body.freeze(),
        })
    }
}

fn form(parts: Vec<Part>) -> Result<reqwest::multipart::Form, Failure> {
    let mut form = reqwest::multipart::Form::new();
    for Part {
        key,
        data,
        file_name,
    } in parts
    {
        let mut part = reqwest::multipart::Part::bytes(data.to_vec());
        if let Some(name) = file_name {
            part = part
                .file_name(name)
                .mime_str("application/octet-stream")
                .map_err(|error| Failure::Unsendable(chain(&error)))?;
        }
        form = form.part(key, part);
    }
    Ok(form)
}

fn failure(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let text = chain(&error);
    if error.is_timeout() && !error.is_connect() {
        Failure::TimedOut
    } else if error.is_builder() {
        Failure::Unsendable(text)
    } else if error.is_connect() {
        match is_wrong_address(&text) {
            true => Failure::WrongAddress(text),
            false => Failure::Unreachable(text),
        }
    } else {
        Failure::Lost(text)
    }
}

/// Whether a connection fails for what stays as it is: nobody has the name, or another answers by it. What resolvers and
/// rustls say.
fn is_wrong_address(text: &str) -> bool {
    [
        "Name or service not known",
        "nodename nor servname",
        "No address associated",
        "invalid peer certificate",
        "received corrupt message",
        "HandshakeFailure",
        "ProtocolVersion",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text)
            | Self::WrongAddress(text)
            | Self::Lost(text)
            | Self::Unsendable(text) => f.write_str(text),
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

/// Shows no more than errors do.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Outgoing {
    /// A GET without anything.
    pub(super) fn get(url: Url, timeout: Duration) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Body::None,
            timeout,
        }
    }

    /// A form of `key=value` pairs.
    pub(super) fn form<'a>(
        url: Url,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        timeout: Duration,
    ) -> Self {
        let text = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            reqwest::header::HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        Self {
            method: Method::POST,
            url,
            headers,
            body: Body::Bytes(text.into()),
            timeout,
        }
    }

    /// Method and path as errors name them, without the query.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }
}
