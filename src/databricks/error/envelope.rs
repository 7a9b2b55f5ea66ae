//! The forms refusals come in: JSON of three kinds, `CODE: text`, HTML, nothing.

use super::{ApiError, Detail, Kind, remedy};
use crate::databricks::{http::Answer, trace};
use serde_json::Value;

/// So much of the service's words is kept.
const LONGEST_MESSAGE: usize = 4_000;

/// Reads a refusal. `request`: method and path, for the error.
pub(in crate::databricks) fn refusal(answer: &Answer, request: &str) -> ApiError {
    let told = told(&answer.body);
    let code = told.code.filter(|code| !code.is_empty());
    let mut message = trace::text(told.message.trim());
    if message.is_empty() {
        message = reason(answer.status);
    }
    if let Some((at, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
        message.truncate(at);
        message.push('…');
    }
    let location = answer
        .headers
        .get("location")
        .and_then(|value| value.to_str().ok());
    let kind = kind(
        answer.status,
        told.status,
        code.as_deref(),
        &message,
        location,
    );
    // We are known and refused: no other token mends that.
    let denied = kind == Kind::Unauthenticated
        && told
            .details
            .iter()
            .any(|detail| detail.reason.ends_with("_DENIED"));
    let kind = match denied {
        true => Kind::PermissionDenied,
        false => kind,
    };
    let header = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::to_owned);
    let request_id = header("x-request-id").or_else(|| {
        let info = told
            .details
            .iter()
            .find(|detail| detail.type_url.ends_with("RequestInfo"))?;
        info.request_id.clone()
    });
    ApiError {
        kind,
        status: answer.status,
        remedy: remedy::of(
            kind,
            answer.status,
            code.as_deref(),
            &message,
            request,
            location,
        ),
        error_code: code,
        message,
        details: told.details,
        request_id,
        request: request.to_owned(),
    }
}

#[derive(Default)]
struct Told {
    code: Option<String>,
    message: String,
    details: Vec<Detail>,
    /// SCIM repeats the status in the body.
    status: Option<u16>,
}

fn told(body: &[u8]) -> Told {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => from_json(&object),
        Ok(Value::String(text)) => from_text(&text),
        _ => from_text(&text),
    }
}

fn from_json(object: &serde_json::Map<String, Value>) -> Told {
    let text = |key: &str| match object.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let details = object.get("details").and_then(Value::as_array);
    let details = details
        .into_iter()
        .flatten()
        .filter_map(|detail| serde_json::from_value(detail.clone()).ok())
        .collect();
    // SCIM (RFC 7644 §3.12).
    if let Some(detail) = object.get("detail").and_then(Value::as_str) {
        let status = text("status").and_then(|status| status.parse().ok());
        let detail = match detail {
            "null" => "SCIM does not say why",
            detail => detail,
        };
        return Told {
            code: text("scimType")
                .or_else(|| text("status").map(|status| format!("SCIM_{status}"))),
            message: detail.to_owned(),
            details,
            status,
        };
    }
    // API 1.2 says `error`; Unity Catalog's open server and OAuth's endpoints nest or split it.
    let error = object.get("error");
    let inner = |key: &str| match error?.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (mut code, mut message) = (text("error_code"), text("message"));
    match error {
        Some(Value::String(error)) => match (&code, text("error_description")) {
            (None, Some(description)) => {
                code = Some(error.clone());
                message = Some(description);
            }
            _ => message = Some(error.clone()),
        },
        Some(Value::Object(_)) => {
            code = code.or_else(|| inner("type")).or_else(|| inner("code"));
            message = message.or_else(|| inner("message"));
        }
        _ => {}
    }
    code = code.or_else(|| text("errorCode"));
    message = message.or_else(|| text("errorSummary"));
    Told {
        code,
        message: message.unwrap_or_default(),
        details,
        status: None,
    }
}

/// `CODE: text`, HTML, or words.
fn from_text(text: &str) -> Told {
    let text = text.trim();
    if let Some((code, message)) = text.split_once(": ")
        && !code.is_empty()
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    {
        return Told {
            code: Some(code.to_owned()),
            message: message.to_owned(),
            ..Told::default()
        };
    }
    let message = between(text, "<pre>", "</pre>").or_else(|| between(text, "<title>", "</title>"));
    let message = match message {
        Some(message) => message.to_owned(),
        // A page without either says nothing that helps.
        None if text.starts_with('<') => String::new(),
        None => text.to_owned(),
    };
    Told {
        message,
        ..Told::default()
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    let (inside, _) = rest.split_once(end)?;
    Some(inside.trim()).filter(|inside| !inside.is_empty())
}

fn reason(status: u16) -> String {
    let words = reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    match words {
        Some(words) => format!("the service says no more than {words}"),
        None => "the service does not say why".into(),
    }
}

/// By the code first, then by the status: codes are finer.
fn kind(
    status: u16,
    told: Option<u16>,
    code: Option<&str>,
    message: &str,
    location: Option<&str>,
) -> Kind {
    if location.is_some_and(|location| location.contains("private-link-validation-error")) {
        return Kind::PermissionDenied;
    }
    // A wrong personal access token is 403 on some clouds.
    if status == 403
        && ["Invalid access token", "Invalid Token", "token is expired"]
            .iter()
            .any(|words| message.contains(words))
    {
        return Kind::Unauthenticated;
    }
    let number = code.and_then(|code| code.parse::<u16>().ok());
    match code {
        // Clusters, jobs and runs that are missing (the SDKs make the same exception).
        Some("INVALID_PARAMETER_VALUE") if status == 400 && missing(message) => Kind::NotFound,
        Some(code) if number.is_none() => {
            by_code(code, status).unwrap_or_else(|| by_status(told.unwrap_or(status)))
        }
        _ => by_status(
            told.or(number.filter(|code| (400..600).contains(code)))
                .unwrap_or(status),
        ),
    }
}

fn missing(message: &str) -> bool {
    ["Cluster ", "Job ", "Run ", "Run: "]
        .iter()
        .any(|start| message.contains(start))
        && (message.contains("does not exist") || message.contains("doesn't exist"))
}

fn by_code(code: &str, status: u16) -> Option<Kind> {
    Some(match code {
        "UNAUTHENTICATED"
        | "UNAUTHORIZED"
        | "CUSTOMER_UNAUTHORIZED"
        | "invalid_client"
        | "invalid_token" => Kind::Unauthenticated,
        "PERMISSION_DENIED" => Kind::PermissionDenied,
        "INVALID_PARAMETER_VALUE" | "BAD_REQUEST" | "MALFORMED_REQUEST" | "INVALID_STATE" => {
            Kind::InvalidParameter
        }
        "QUOTA_EXCEEDED" => Kind::Quota,
        "REQUEST_LIMIT_EXCEEDED" if status != 429 => Kind::Quota,
        "REQUEST_LIMIT_EXCEEDED" | "RESOURCE_EXHAUSTED" => Kind::RateLimited,
        "TEMPORARILY_UNAVAILABLE"
        | "SERVICE_UNDER_MAINTENANCE"
        | "WORKSPACE_TEMPORARILY_UNAVAILABLE"
        | "INTERNAL_ERROR"
        | "IO_ERROR"
        | "UNKNOWN"
        | "ABORTED" => Kind::Unavailable,
        "DEADLINE_EXCEEDED" => Kind::Timeout,
        "CANCELLED" | "CANCELED" => Kind::Canceled,
        "NOT_IMPLEMENTED" | "UNIMPLEMENTED" | "FEATURE_DISABLED" => Kind::Unsupported,
        "uniqueness" => Kind::AlreadyExists,
        code if code.ends_with("ALREADY_EXISTS") => Kind::AlreadyExists,
        code if code.ends_with("DOES_NOT_EXIST") || code.ends_with("NOT_FOUND") => Kind::NotFound,
        code if code.ends_with("LIMIT_EXCEEDED") || code.ends_with("QUOTA_EXCEEDED") => Kind::Quota,
        _ => return None,
    })
}

fn by_status(status: u16) -> Kind {
    match status {
        401 => Kind::Unauthenticated,
        403 => Kind::PermissionDenied,
        404 | 410 => Kind::NotFound,
        408 | 504 => Kind::Timeout,
        409 => Kind::AlreadyExists,
        429 => Kind::RateLimited,
        499 => Kind::Canceled,
        501 => Kind::Unsupported,
        400..=499 => Kind::InvalidParameter,
        500..=599 => Kind::Unavailable,
        _ => Kind::Unexpected,
    }
}
