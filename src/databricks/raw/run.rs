//! The tries of a raw request.

use super::{RawAnswer, RawBody, RawRequest, ResponseType, build::build};
use crate::databricks::{
    Result, Workspace,
    client::no_answer,
    error::refusal,
    http::{Answer, Failure, Outgoing},
    retry, trace,
};
use chrono::Utc;
use reqwest::Method;
use std::time::Duration;

const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

impl Workspace {
    /// A request of the user's own making. Errors only where no answer came; a refusal is an answer
    /// ([`RawAnswer::into_result`]).
    pub async fn raw(&self, raw: RawRequest) -> Result<RawAnswer> {
        let inner = &self.0;
        let (request, who) = build(&raw, &inner.host, &inner.trusted, inner.timeout)?;
        // As many as were asked for, however long they take.
        let mut tries = retry::Tries::unlimited(self.name());
        loop {
            if raw.debug {
                tracing::info!(target: trace::TARGET, connection = self.name(), "> {}", trace::Request(&request));
            }
            let result = inner.authorized(request.clone(), who).await?;
            if raw.debug {
                match &result {
                    Ok(answer) => {
                        tracing::info!(target: trace::TARGET, connection = self.name(), "< {}", trace::Response(answer))
                    }
                    Err(failure) => {
                        tracing::info!(target: trace::TARGET, connection = self.name(), "< {}", trace::failure(failure))
                    }
                }
            }
            let again = tries.made <= raw.max_retries
                && repeated(&result, &request.method, raw.retry_on_all_errors);
            let pause = again.then(|| pause(&raw, &result, tries.made));
            let told = match result {
                Ok(answer) => Ok(told(answer, raw.response_type, tries.made, &request)),
                Err(failure) => Err(no_answer(&failure, &request.name(), request.timeout)),
            };
            let words = match &told {
                Ok(answer) => answer.error.as_ref().map(ToString::to_string),
                Err(error) => Some(error.to_string()),
            };
            match pause {
                Some(pause) if tries.again(pause, words.unwrap_or_default()).await => {}
                _ => return told,
            }
        }
    }
}

/// The table at the top of the module.
fn repeated(result: &Result<Answer, Failure>, method: &Method, all: bool) -> bool {
    let idempotent = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
    ]
    .contains(method);
    match result {
        Ok(answer) => match answer.status {
            200..=299 => false,
            429 | 500.. => all || idempotent,
            _ => all,
        },
        Err(Failure::Unreachable(_) | Failure::Lost(_)) => true,
        Err(Failure::TimedOut | Failure::WrongAddress(_)) => all,
        Err(Failure::Unsendable(_)) => false,
    }
}

/// The pause before the try after `tried` ones.
fn pause(raw: &RawRequest, result: &Result<Answer, Failure>, tried: u32) -> Duration {
    let pause = match raw.exponential_backoff {
        true => {
            let grown = SHORTEST_BACKOFF.saturating_mul(2u32.saturating_pow(tried));
            let grown = grown.min(LONGEST_BACKOFF);
            grown + grown.mul_f64(fastrand::f64() * 0.2)
        }
        false => raw.retry_delay,
    };
    let told = result
        .as_ref()
        .ok()
        .and_then(|answer| retry::retry_after(&answer.headers, Utc::now()));
    pause.max(told.unwrap_or_default())
}

fn told(answer: Answer, kind: ResponseType, tries: u32, request: &Outgoing) -> RawAnswer {
    let error = (!(200..300).contains(&answer.status)).then(|| refusal(&answer, &request.name()));
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    };
    let words = || String::from_utf8_lossy(&answer.body).into_owned();
    let body = match kind {
        ResponseType::Binary => RawBody::Binary(answer.body.clone()),
        ResponseType::Text => RawBody::Text(words()),
        ResponseType::Json if answer.body.trim_ascii().is_empty() => {
            RawBody::Json(serde_json::Value::Null)
        }
        ResponseType::Json => match serde_json::from_slice(&answer.body) {
            Ok(value) => RawBody::Json(value),
            Err(_) => RawBody::Text(words()),
        },
    };
    RawAnswer {
        status: answer.status,
        headers: answer.headers.iter().map(header).collect(),
        body,
        tries,
        error,
    }
}
