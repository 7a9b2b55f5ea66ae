//! The way to a store: limits of time, what a store says about waiting, and answers fit to be shown.

use super::StoreOptions;
use async_trait::async_trait;
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};
use reqwest::{
    StatusCode,
    header::{CONTENT_LENGTH, HeaderMap, LOCATION, RETRY_AFTER},
};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// How long a store may make us wait at a time, whatever it says.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is tried again at once. Short, for a request is signed only once: whoever called tries on with a new one.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 5,
        retry_timeout: Duration::from_secs(30),
    }
}

/// The limits of time of a store. Errors name the option.
pub(super) fn client_options(options: &StoreOptions) -> Result<ClientOptions, String> {
    let duration = |option: &str, seconds: f64| match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(format!(
            "a limit of time is more than 0 seconds, {option}=`{seconds}`"
        )),
    };
    Ok(ClientOptions::new()
        .with_allow_http(options.allow_http)
        .with_timeout(duration(
            "request_timeout_seconds",
            options.request_timeout_seconds,
        )?)
        .with_connect_timeout(duration(
            "connect_timeout_seconds",
            options.connect_timeout_seconds,
        )?))
}

/// Makes clients of one store.
#[derive(Debug)]
pub(super) struct Connector {
    store: String,
}

impl Connector {
    /// `store`: `NAME` of `[stores.NAME]`, under which its requests are counted.
    pub(super) fn new(store: &str) -> Self {
        Self {
            store: store.to_owned(),
        }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service {
            inner: ReqwestConnector::default().connect(options)?,
            store: self.store.clone(),
        }))
    }
}

/// A client that counts its requests, waits where the store asks for it, and hands on errors without secrets in them
/// and with what only headers say.
struct Service {
    inner: HttpClient,
    store: String,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.inner.execute(request).await;
        let status = match &answer {
            Ok(response) => response.status().as_str().to_owned(),
            Err(_) => "error".to_owned(),
        };
        metrics::counter!("alluvium_store_requests_total", "store" => self.store.clone(), "status" => status)
            .increment(1);
        let response = answer?;
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                if let Some(wait) = retry_after(response.headers(), SystemTime::now()) {
                    tracing::debug!(store = %self.store, seconds = wait.as_secs_f64(), "the store asks for a pause");
                    tokio::time::sleep(wait).await;
                }
                Ok(response)
            }
            status if status.is_client_error() || is_bare_redirect(&response) => {
                told(response).await
            }
            _ => Ok(response),
        }
    }
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            SystemTime::from(date)
                .duration_since(now)
                .unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// S3 redirects to a bucket's region without saying where to, which object_store reports without the answer's text.
fn is_bare_redirect(response: &HttpResponse) -> bool {
    response.status().is_redirection()
        && response.status() != StatusCode::NOT_MODIFIED
        && !response.headers().contains_key(LOCATION)
}

/// The answer with a text that can be shown, and with what headers add to it: answers to HEAD have no text, and
/// object_store hands on no headers of an error.
async fn told(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (mut parts, body) = response.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        value.chars().all(fits).then(|| value.to_owned())
    };
    let (region, code) = (header("x-amz-bucket-region"), header("x-ms-error-code"));
    let text = body.bytes().await?;
    let mut text = without_secrets(&String::from_utf8_lossy(&text));
    if let Some(code) = code.filter(|_| !text.contains("<Code>")) {
        text.push_str(&format!("<Code>{code}</Code>"));
    }
    if let Some(region) = region.filter(|_| !text.contains("<Region>")) {
        text.push_str(&format!("<Region>{region}</Region>"));
    }
    if parts.status.is_redirection() {
        parts.status = StatusCode::BAD_REQUEST;
    }
    parts.headers.remove(CONTENT_LENGTH);
    Ok(HttpResponse::from_parts(parts, text.into()))
}

/// What S3 repeats of a request that it does not accept: the session's token, and texts that contain it.
const REPEATED: [&str; 7] = [
    "Token-0",
    "CanonicalRequest",
    "CanonicalRequestBytes",
    "StringToSign",
    "StringToSignBytes",
    "SignatureProvided",
    "AWSAccessKeyId",
];

fn without_secrets(text: &str) -> String {
    let mut text = text.to_owned();
    for element in REPEATED {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        while let Some(start) = text.find(&open) {
            // Cut short, the text has no end of the element: then all the rest goes.
            let end = text[start..].find(&close);
            let end = end.map_or(text.len(), |end| start + end + close.len());
            text.replace_range(start..end, "");
        }
    }
    text
}

#[cfg(test)]
mod tests;
