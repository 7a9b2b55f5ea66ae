//! What a client is told: JSON, always with what to do.
//!
//! 200 (and 202, see [`accepted`]): `{"accepted":n,"rejected":m,"rejected_events":[{"index","code","reason"}…]}`.
//! Else: `{"error":{"code","message","remedy"}}`, with `Retry-After` on 429 and 503.

use crate::{event::RejectReason, source::spool::SpoolError};
use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// An answer, its body whole.
pub(super) type Response = axum::http::Response<String>;

/// The most rejected events an answer lists.
pub(super) const MAX_LISTED: usize = 100;

/// A request that is not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    message: String,
    remedy: String,
}

impl Refusal {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn bad_request(
        code: &'static str,
        message: impl Into<String>,
        remedy: &str,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, remedy)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the request carries no key this source knows",
            "send `Authorization: Bearer KEY`, or Basic authentication with the key as password",
        )
    }

    pub(super) fn forbidden(table: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("the key may not write table `{table}`"),
            "use a key of this table, or add the table to the key's `tables`",
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this path",
            "POST events to /v1/events/TABLE",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "events are posted",
            "use POST",
        )
    }

    pub(super) fn timed_out() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the body did not arrive in time; nothing was taken",
            "send smaller requests, or raise request_timeout_seconds",
        )
    }

    pub(super) fn too_large(what: &str, limit: u64, option: &str) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("{what} is more than {limit}; nothing was taken"),
            format!("split the request, or raise {option}"),
        )
    }

    pub(super) fn unsupported(
        code: &'static str,
        message: impl Into<String>,
        remedy: &str,
    ) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message, remedy)
    }

    pub(super) fn other_body() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was used with another body within 24 hours; nothing was taken",
            "use a new key for each request, and the same key only to send the same body again",
        )
    }

    pub(super) fn too_many(what: &str) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            format!("{what}; nothing was taken"),
            "send again after the time in Retry-After, with fewer requests at once",
        )
    }

    pub(super) fn draining() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting_down",
            "this instance is shutting down; nothing was taken",
            "send again after the time in Retry-After",
        )
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "internal",
            "the request failed inside; it is not known to be stored",
            "send again with an Idempotency-Key, and report this",
        )
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        // Paths of the server are for its log, not for clients.
        match error {
            SpoolError::TooLarge { max, .. } => {
                Self::too_large("the request", max, "spool.max_bytes")
            }
            SpoolError::Full { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "spool_full",
                "the spool is full because commits are behind; nothing was taken",
                "send again after the time in Retry-After; the operator sees why in the log",
            ),
            SpoolError::Unfit { .. } => Self::internal(),
            SpoolError::Closed => Self::draining(),
            _ => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "spool_failed",
                "the disk did not confirm the events; they are not acknowledged",
                "send again after the time in Retry-After, with an Idempotency-Key so that nothing lands twice",
            ),
        }
    }
}

impl Refusal {
    pub(super) fn into_response(self) -> Response {
        let body =
            json!({"error": {"code": self.code, "message": self.message, "remedy": self.remedy}});
        let mut response = json_response(self.status, &body);
        let headers = response.headers_mut();
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"alluvium\""),
                );
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        response
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    text_response(status, body.to_string())
}

fn text_response(status: StatusCode, json: String) -> Response {
    let mut response = Response::new(json);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// What became of the commit that a request waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Commit {
    /// Not asked for, or no event to wait for.
    None,
    Version(u64),
    /// Durable here, committed later: 202. Not 503, which would make clients send the events again.
    Later,
}

/// The answer to a request that is durable.
pub(super) fn accepted(
    accepted: usize,
    rejected: usize,
    listed: &[(u32, RejectReason)],
    replayed: bool,
    commit: Commit,
) -> Response {
    if listed.is_empty() && !replayed && matches!(commit, Commit::None) {
        // Nearly every answer.
        return text_response(
            StatusCode::OK,
            format!("{{\"accepted\":{accepted},\"rejected\":{rejected},\"rejected_events\":[]}}"),
        );
    }
    let events: Vec<_> = listed
        .iter()
        .take(MAX_LISTED)
        .map(|(index, reason)| json!({"index": index, "code": reason.code, "reason": &*reason.detail}))
        .collect();
    let mut body = json!({"accepted": accepted, "rejected": rejected, "rejected_events": events});
    let mut status = StatusCode::OK;
    if let Some(body) = body.as_object_mut() {
        if listed.len() > MAX_LISTED {
            body.insert("rejected_events_truncated".into(), true.into());
        }
        if replayed {
            body.insert("replayed".into(), true.into());
        }
        match commit {
            Commit::None => {}
            Commit::Version(version) => {
                body.insert("version".into(), version.into());
            }
            Commit::Later => {
                status = StatusCode::ACCEPTED;
                body.insert("version".into(), Value::Null);
                body.insert(
                    "note".into(),
                    "the events are durable in the spool and will be committed; do not send them again".into(),
                );
            }
        }
    }
    json_response(status, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, sync::Arc};

    #[test]
    fn a_failing_disk_is_503_and_its_path_stays_with_us() {
        let refusal = Refusal::from(SpoolError::Io {
            action: "fsync",
            path: "/secret/place".into(),
            source: Arc::new(io::ErrorKind::StorageFull.into()),
        });
        assert!(!format!("{refusal:?}").contains("secret"));
        assert_eq!(refusal.code, "spool_failed");
        let response = refusal.into_response();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(
            Refusal::from(SpoolError::TooLarge { bytes: 2, max: 1 }).status,
            413
        );
        assert_eq!(Refusal::from(SpoolError::Closed).code, "shutting_down");
    }
}
