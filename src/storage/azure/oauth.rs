//! Tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), and what their issuers answer.

use crate::{
    error::Kind,
    secret::Secret,
    storage::{Error, Result, StoreOptions, explain::chain},
};
use async_trait::async_trait;
use reqwest::{
    Method, Request,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::{Deserialize, Deserializer};
use std::{sync::Arc, time::Duration};

/// An answer longer than this is not read to its end.
const LONGEST_ANSWER: usize = 1 << 20;
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
/// So much of a provider's words is shown.
const LONGEST_QUOTE: usize = 600;

/// A token as its issuer hands it out.
#[derive(Deserialize)]
pub(in crate::storage) struct Token {
    pub(in crate::storage) access_token: Secret,
    /// Seconds; some issuers write them as text.
    #[serde(default, deserialize_with = "seconds")]
    pub(in crate::storage) expires_in: Option<u64>,
    /// Seconds since 1970, which managed identities give.
    #[serde(default, deserialize_with = "seconds")]
    pub(in crate::storage) expires_on: Option<u64>,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }
    Ok(match Option::<Number>::deserialize(deserializer)? {
        Some(Number::Number(n)) => Some(n),
        Some(Number::Text(text)) => text.trim().parse().ok(),
        None => None,
    })
}

/// The way to token issuers and their like.
#[async_trait]
pub(in crate::storage) trait Transport: Send + Sync {
    /// The whole answer. Errors (no answer came, or half of one) have no URL in them.
    async fn send(&self, request: Request) -> Result<Answer, String>;
}

pub(in crate::storage) type Http = Arc<dyn Transport>;

/// A client that follows no redirect, for that would carry secrets elsewhere.
pub(in crate::storage) fn client(options: &StoreOptions) -> Result<Http> {
    // The options have been judged with those of the store itself.
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_REQUEST);
    build(
        reqwest::Client::builder()
            .timeout(seconds(options.request_timeout_seconds).min(LONGEST_REQUEST))
            .connect_timeout(seconds(options.connect_timeout_seconds)),
    )
}

pub(super) fn build(builder: reqwest::ClientBuilder) -> Result<Http> {
    let client = builder
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("alluvium/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| {
            Error::credentials(
                Kind::Config,
                format!("no HTTP client can be made: {}", chain(&e)),
            )
        })?;
    Ok(Arc::new(client))
}

/// An answer, read.
#[derive(Clone)]
pub(in crate::storage) struct Answer {
    pub(in crate::storage) status: reqwest::StatusCode,
    pub(in crate::storage) headers: HeaderMap,
    pub(in crate::storage) body: Vec<u8>,
}

#[async_trait]
impl Transport for reqwest::Client {
    async fn send(&self, request: Request) -> Result<Answer, String> {
        let told = |e: reqwest::Error| chain(&e.without_url());
        let mut response = self.execute(request).await.map_err(told)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err("the answer is longer than a mebibyte".into());
            }
        }
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body,
        })
    }
}

/// Posts `form` to `url` and reads the token. `who` names the issuer in errors; `secrets` are struck out of its words.
pub(in crate::storage) async fn post(
    http: &Http,
    who: &str,
    url: &url::Url,
    form: &[(&str, &str)],
    secrets: &[&str],
) -> Result<Token> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let mut request = Request::new(Method::POST, url.clone());
    let headers = request.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(body.into());
    let answer = http.send(request).await.map_err(|e| {
        let url = bare(url.as_str());
        let text = format!("{who} does not answer, check that it can be reached: {e}, url=`{url}`");
        Error::credentials(Kind::Unavailable, text)
    })?;
    token(who, url, &answer, secrets)
}

pub(super) fn token(who: &str, url: &url::Url, answer: &Answer, secrets: &[&str]) -> Result<Token> {
    let url = bare(url.as_str());
    if !answer.status.is_success() {
        let text = format!(
            "{who} gives no token, {}, status=`{}` url=`{}`",
            said(&answer.body, secrets),
            answer.status.as_u16(),
            url
        );
        return Err(Error::credentials(kind_of_status(answer.status), text));
    }
    serde_json::from_slice(&answer.body).map_err(|_| {
        // The parser's error could quote the token.
        let text = format!(
            "{who} answers with something that is not a token, check the address, url=`{url}`"
        );
        Error::credentials(Kind::Unauthorized, text)
    })
}

/// What a service answers is waited for, or mended there: a daemon does not end with it.
pub(in crate::storage) fn kind_of_status(status: reqwest::StatusCode) -> Kind {
    match status.as_u16() {
        408 | 425 | 429 | 500.. => Kind::Unavailable,
        _ => Kind::Unauthorized,
    }
}

/// What a provider said, short and without secrets: the members that errors are told in, else the text.
pub(in crate::storage) fn said(body: &[u8], secrets: &[&str]) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Told {
        error: serde_json::Value,
        error_description: Option<String>,
        error_code: serde_json::Value,
        message: Option<String>,
        title: Option<String>,
        detail: Option<String>,
    }
    let text = match serde_json::from_slice::<Told>(body) {
        Ok(told) => [told.error, told.error_code]
            .iter()
            .filter_map(|value| match value {
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Object(map) => map.get("message")?.as_str().map(str::to_owned),
                serde_json::Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .chain(
                [
                    told.error_description,
                    told.message,
                    told.title,
                    told.detail,
                ]
                .into_iter()
                .flatten(),
            )
            .collect::<Vec<_>>()
            .join(": "),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        text = text.replace(secret, "[redacted]");
    }
    let cut = text.char_indices().nth(LONGEST_QUOTE).map(|(at, _)| at);
    match (text.is_empty(), cut) {
        (true, _) => "it does not say why".into(),
        (false, Some(at)) => format!("it says: {}…", &text[..at]),
        (false, None) => format!("it says: {text}"),
    }
}

/// An URL without query, fragment and user.
pub(in crate::storage) fn bare(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.into()
        }
        Err(_) => url.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

/// Whether an address is this machine's own.
pub(in crate::storage) fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
