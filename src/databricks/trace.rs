//! Requests and answers as they may be shown: the one place that renders them, with secrets struck out.
//!
//! Struck out are values by the names they stand under (headers, keys of JSON, query and form, JDBC properties), and what
//! looks like a secret wherever it stands: tokens of Databricks, JSON web tokens, `Bearer …`, signatures of URLs, and
//! what SQL holds between the parentheses of `CREDENTIAL (…)` and `ENCRYPTION (…)` and behind `PASSWORD` and its like.

use super::http::{Answer, Body, Failure, Outgoing};
use regex::{Captures, Regex};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use std::{borrow::Cow, fmt::Write, sync::LazyLock};
use url::Url;

/// Of the log lines that show requests and answers.
pub(super) const TARGET: &str = "alluvium::databricks";
pub(super) const REDACTED: &str = "[redacted]";
/// So much of a body is shown.
const LONGEST_BODY: usize = 4_096;
/// Longer bodies are not even looked at.
const LONGEST_READ: usize = 1 << 20;

/// Whether what stands under a name is secret. Names of things and their ids are not.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    let plain = [
        "_id",
        "_ids",
        "_name",
        "_type",
        "_url",
        "_comment",
        "_expiry",
        "_expires_in",
        "_days",
        "_version",
        "_config",
    ];
    if plain.iter().any(|end| name.ends_with(end))
        || name == "page_token"
        || name == "next_page_token"
    {
        return false;
    }
    let words = [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "credential",
        "assertion",
        "signature",
        "authorization",
        "cookie",
        "apikey",
        "api_key",
        "access_key",
        "account_key",
        "private_key",
        "connection_string",
        "string_value",
        "bytes_value",
        "external_link",
        "http_headers",
        "x_amz_",
        "sastoken",
        "sasuri",
        "accesskey",
    ];
    words.iter().any(|word| name.contains(word))
        || name.split('_').any(|part| part == "sas" || part == "sig")
}

struct Pattern {
    regex: Regex,
    /// What replaces it; `$1` and so on are kept.
    with: &'static str,
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let patterns = [
        // Tokens and OAuth secrets of Databricks.
        (
            r"\b(?:dapi|dose|dkea|dsapi|doau)[0-9A-Za-z_-]{8,}",
            REDACTED,
        ),
        // JSON web tokens.
        (
            r"\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]*(?:\.[0-9A-Za-z_-]*)?",
            REDACTED,
        ),
        (
            r"(?i)\b(Bearer|Basic)\s+[0-9A-Za-z+/=._~-]{4,}",
            "$1 [redacted]",
        ),
        // Queries: signatures, and values by the names of secrets.
        (
            r#"(?i)\b((?:sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential|awsaccesskeyid|access_token|client_secret|refresh_token|subject_token|id_token|token|password|pwd|secret)=)[^&\s;"'<>`,)]+"#,
            "$1[redacted]",
        ),
        // A user's name and password before a host.
        (
            r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@:]+:[^/\s@]+@",
            "$1[redacted]@",
        ),
        // SQL: COPY INTO … WITH (CREDENTIAL (…)), and the properties in it wherever they stand.
        (
            r#"(?is)\b((?:CREDENTIALS?|ENCRYPTION)\s*\()(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^()'"])*\)"#,
            "$1[redacted])",
        ),
        (
            r#"(?i)\b((?:AWS_ACCESS_KEY|AWS_SECRET_KEY|AWS_SESSION_TOKEN|AZURE_SAS_TOKEN)\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[^\s,)]+)"#,
            "$1[redacted]",
        ),
        // SQL: the options of connections and the like. In JSON a colon stands between a name and its value.
        (
            r#"(?is)\b((?:MASTER_KEY|PASSWORD|CLIENT_SECRET|ACCESS_TOKEN)['"`]?[\s=]*)'(?:[^'\\]|\\.|'')*'?"#,
            "$1'[redacted]'",
        ),
        (
            r#"(?is)\b((?:MASTER_KEY|PASSWORD|CLIENT_SECRET|ACCESS_TOKEN)['"`]?[\s=]+)"(?:[^"\\]|\\.|"")*"?"#,
            "$1\"[redacted]\"",
        ),
        // JSON that stands in text.
        (
            r#"(?i)("[^"\s]*(?:password|secret|token_value|access_token|refresh_token|id_token|session_token|sas_?token|private_key|secret_access_key)[^"\s]*"\s*:\s*")(?:[^"\\]|\\.)*""#,
            "$1[redacted]\"",
        ),
    ];
    patterns
        .into_iter()
        .filter_map(|(pattern, with)| {
            Some(Pattern {
                regex: Regex::new(pattern).ok()?,
                with,
            })
        })
        .collect()
});

/// A text with what looks like a secret struck out.
pub(super) fn text(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for Pattern { regex, with } in PATTERNS.iter() {
        if regex.is_match(&text) {
            let replaced = regex.replace_all(&text, |found: &Captures<'_>| {
                let mut out = String::new();
                found.expand(with, &mut out);
                out
            });
            text = Cow::Owned(replaced.into_owned());
        }
    }
    text.into_owned()
}

/// JSON with secrets struck out: by the names they stand under, and by what they look like.
pub(super) fn json(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            // `{"name": …, "value": …}` and `{"key": …, "value": …}`, as parameters and variables are given.
            let pair = ["name", "key"]
                .iter()
                .find_map(|key| object.get(*key).and_then(Value::as_str))
                .is_some_and(is_secret);
            let member = |(key, value): (&String, &Value)| {
                let value = match pair && key == "value" || is_secret(key) {
                    true => struck(value),
                    false => json(value),
                };
                (key.clone(), value)
            };
            Value::Object(object.iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(json).collect()),
        Value::String(words) => Value::String(text(words)),
        other => other.clone(),
    }
}

/// What stands under a secret's name. Objects keep their form, since only some of their members are secret: an exception
/// is `http_headers`, whose names say nothing.
fn struck(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Object(object) => {
            let known = object.keys().any(|key| is_secret(key) || is_plain(key));
            let member = |(key, value): (&String, &Value)| {
                let value = match value {
                    Value::Object(_) | Value::Array(_) => struck(value),
                    value if known && !is_secret(key) && is_plain(key) => json(value),
                    _ => Value::String(REDACTED.into()),
                };
                (key.clone(), value)
            };
            Value::Object(object.iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(struck).collect()),
        _ => Value::String(REDACTED.into()),
    }
}

/// Members of credentials that tell what they are.
fn is_plain(key: &str) -> bool {
    let known = [
        "name",
        "id",
        "comment",
        "owner",
        "url",
        "role_arn",
        "expiration_time",
        "expiry_time",
        "creation_time",
        "created_at",
        "full_name",
        "read_only",
        "token_id",
        "external_id",
        "unity_catalog_iam_arn",
        "operation",
        "prefix",
    ];
    known.contains(&key)
}

/// A URL with the values of secret query keys struck out, without user and fragment.
pub(super) fn url(url: &Url) -> String {
    let mut out = url.clone();
    let _ = out.set_username("");
    let _ = out.set_password(None);
    out.set_fragment(None);
    out.set_query(None);
    let mut shown = text(out.as_str());
    for (index, (key, value)) in url.query_pairs().enumerate() {
        let value = match is_secret(&key) {
            true => REDACTED.to_owned(),
            false => text(&value),
        };
        let _ = write!(shown, "{}{key}={value}", if index == 0 { '?' } else { '&' });
    }
    shown
}

/// [`request`], made only if it is shown.
pub(super) struct Request<'a>(pub(super) &'a Outgoing);
/// [`answer`], made only if it is shown.
pub(super) struct Response<'a>(pub(super) &'a Answer);

impl std::fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&request(self.0))
    }
}

impl std::fmt::Display for Response<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&answer(self.0))
    }
}

/// A request: first line, headers, body.
fn request(request: &Outgoing) -> String {
    let mut out = format!("{} {}", request.method, url(&request.url));
    headers(&mut out, &request.headers);
    match &request.body {
        Body::None => {}
        Body::Bytes(bytes) => body(&mut out, &request.headers, bytes),
        Body::Multipart(parts) => {
            for part in parts {
                let name = part
                    .file_name
                    .as_deref()
                    .map(|name| format!(" file_name={name}"));
                let _ = write!(
                    out,
                    "\n[{}{}: {} bytes]",
                    part.key,
                    name.unwrap_or_default(),
                    part.data.len()
                );
            }
        }
    }
    out
}

/// An answer: status, headers, body.
fn answer(answer: &Answer) -> String {
    let mut out = answer.status.to_string();
    headers(&mut out, &answer.headers);
    body(&mut out, &answer.headers, &answer.body);
    out
}

/// Why there was none.
pub(super) fn failure(failure: &Failure) -> String {
    text(&failure.to_string())
}

fn headers(out: &mut String, headers: &HeaderMap) {
    for (name, value) in headers {
        let value = match (
            value.is_sensitive() || is_secret(name.as_str()),
            value.to_str(),
        ) {
            (false, Ok(value)) if name == "location" => {
                Url::parse(value).map_or_else(|_| text(value), |location| url(&location))
            }
            (false, Ok(value)) => text(value),
            _ => REDACTED.into(),
        };
        let _ = write!(out, "\n{name}: {value}");
    }
}

fn body(out: &mut String, headers: &HeaderMap, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let shown = match std::str::from_utf8(bytes) {
        Ok(_) if bytes.len() > LONGEST_READ => None,
        Ok(words)
            if kind.starts_with("application/x-www-form-urlencoded") && words.contains('=') =>
        {
            Some(form(words))
        }
        Ok(words) => Some(match serde_json::from_str::<Value>(words) {
            Ok(value) => json(&value).to_string(),
            Err(_) => text(words),
        }),
        Err(_) => None,
    };
    match shown {
        Some(shown) => match shown.char_indices().nth(LONGEST_BODY) {
            Some((at, _)) => {
                let _ = write!(out, "\n{}… [{} bytes]", &shown[..at], bytes.len());
            }
            None => {
                let _ = write!(out, "\n{shown}");
            }
        },
        None => {
            let _ = write!(out, "\n[{} bytes]", bytes.len());
        }
    }
}

fn form(words: &str) -> String {
    let mut out = String::new();
    for (key, value) in url::form_urlencoded::parse(words.as_bytes()) {
        let value = if is_secret(&key) {
            REDACTED.into()
        } else {
            text(&value)
        };
        let _ = write!(
            out,
            "{}{key}={value}",
            if out.is_empty() { "" } else { "&" }
        );
    }
    out
}

#[cfg(test)]
mod tests;
