//! Tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), and what their issuers answer.

use crate::{
    error::Kind,
    secret::Secret,
    storage::{Error, Result, StoreOptions},
};
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// An answer longer than this is not read to its end.
const LONGEST_ANSWER: usize = 1 << 20;
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

/// A client for token issuers and their like. It follows no redirect: that would carry secrets elsewhere.
pub(in crate::storage) fn client(options: &StoreOptions) -> Result<reqwest::Client> {
    build(
        reqwest::Client::builder()
            .timeout(Duration::from_secs_f64(options.request_timeout_seconds.min(30.0)))
            .connect_timeout(Duration::from_secs_f64(options.connect_timeout_seconds)),
    )
}

pub(super) fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("alluvium/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| Error::credentials(Kind::Config, format!("no HTTP client can be made: {}", causes(&e))))
}

/// Posts `form` to `url` and reads the token. `who` names the issuer in errors; `secrets` are struck out of its words.
pub(in crate::storage) async fn post(
    http: &reqwest::Client,
    who: &str,
    url: &str,
    form: &[(&str, &str)],
    secrets: &[&str],
) -> Result<Token> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = http
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(body);
    let answer = send(request).await.map_err(|e| {
        let text = format!("{who} does not answer, check that it can be reached: {e}, url=`{}`", bare(url));
        Error::credentials(Kind::Unavailable, text)
    })?;
    token(who, url, &answer, secrets)
}

/// An answer, read.
pub(in crate::storage) struct Answer {
    pub(in crate::storage) status: reqwest::StatusCode,
    pub(in crate::storage) headers: reqwest::header::HeaderMap,
    pub(in crate::storage) body: Vec<u8>,
}

/// Errors have no URL in them.
pub(in crate::storage) async fn send(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(|e| causes(&e.without_url()))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| causes(&e.without_url()))? {
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

pub(super) fn token(who: &str, url: &str, answer: &Answer, secrets: &[&str]) -> Result<Token> {
    if !answer.status.is_success() {
        let text = format!(
            "{who} gives no token, {}, status=`{}` url=`{}`",
            said(&answer.body, secrets),
            answer.status.as_u16(),
            bare(url)
        );
        return Err(Error::credentials(kind_of_status(answer.status), text));
    }
    serde_json::from_slice(&answer.body).map_err(|_| {
        // The parser's error could quote the token.
        let text = format!("{who} answers with something that is not a token, check the address, url=`{}`", bare(url));
        Error::credentials(Kind::Config, text)
    })
}

pub(in crate::storage) fn kind_of_status(status: reqwest::StatusCode) -> Kind {
    match status.as_u16() {
        408 | 425 | 429 | 500.. => Kind::Unavailable,
        404 | 405 => Kind::Config,
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
            .chain([told.error_description, told.message, told.title, told.detail].into_iter().flatten())
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

/// An error with its causes, which reqwest's own text leaves out.
pub(in crate::storage) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
