//! Tokens of OAuth 2.0 (RFC 6749), and what their issuers answer.

use crate::{
    databricks::{
        Error, Kind, Result,
        http::{Answer, Failure, Http, Outgoing},
        retry, trace,
    },
    secret::Secret,
};
use async_trait::async_trait;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// How long one request for a token may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a token may be waited for with all repetitions: many wait for it.
const BUDGET: Duration = Duration::from_secs(60);
const MOST_TRIES: u32 = 5;
/// The life of a token whose issuer does not tell one.
const ASSUMED_LIFE: Duration = Duration::from_secs(3_600);
/// So much of an issuer's words is shown.
const LONGEST_QUOTE: usize = 600;

/// A token as its issuer hands it out.
#[derive(Clone)]
pub(in crate::databricks) struct Token {
    pub(in crate::databricks) value: Secret,
    /// From the moment it was handed out.
    pub(in crate::databricks) life: Duration,
}

/// Whoever hands out tokens. Asked anew each time; files are read each time.
#[async_trait]
pub(in crate::databricks) trait Issuer: Send + Sync {
    async fn token(&self) -> Result<Token>;
}

#[derive(Deserialize)]
struct Told {
    access_token: Secret,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
}

/// A number, or a number as text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u64),
        Decimal(f64),
        Text(String),
    }
    Ok(match Option::<Number>::deserialize(deserializer)? {
        Some(Number::Whole(seconds)) => Some(seconds),
        // Saturates, and NaN becomes 0.
        Some(Number::Decimal(seconds)) => Some(seconds as u64),
        Some(Number::Text(text)) => text.trim().parse().ok(),
        None => None,
    })
}

/// Asks for a token, again where that helps. `who` names the issuer in errors; `secrets` are struck out of its words.
pub(super) async fn ask(
    http: &Http,
    who: &str,
    request: &Outgoing,
    secrets: &[&str],
) -> Result<Token> {
    let answer = send(http, who, request).await?;
    let url = bare(request);
    if !(200..300).contains(&answer.status) {
        let kind = match answer.status {
            429 => Kind::RateLimited,
            408 | 500.. => Kind::Unavailable,
            404 => Kind::NotFound,
            _ => Kind::Unauthenticated,
        };
        let message = format!(
            "{who} gives no token, {}; {}, status=`{}` url=`{url}`",
            said(&answer.body, secrets),
            remedy(&answer.body, kind),
            answer.status,
        );
        return Err(Error::Token { kind, message });
    }
    // The parser's error could quote the token.
    let told: Told = serde_json::from_slice(&answer.body).map_err(|_| Error::Token {
        kind: Kind::Unexpected,
        message: format!("{who} answers with something that is not a token; check `token_url` and `host`, url=`{url}`"),
    })?;
    let life = told.expires_in.map_or(ASSUMED_LIFE, Duration::from_secs);
    Ok(Token {
        value: told.access_token,
        life: life.min(Duration::from_secs(366 * 86_400)),
    })
}

/// One answer, of whatever status, after as many tries as the answers ask for. Asking for a token twice does no harm.
pub(super) async fn send(http: &Http, who: &str, request: &Outgoing) -> Result<Answer> {
    let mut tries = retry::Tries::within(BUDGET, None);
    loop {
        let result = http
            .send(Outgoing {
                timeout: TIMEOUT,
                ..request.clone()
            })
            .await;
        let pause = match &result {
            Ok(answer) if matches!(answer.status, 500 | 502 | 504) => Some(retry::Pause::Growing),
            Ok(answer) => retry::after_answer(answer, "", true),
            Err(failure) => retry::after_failure(failure, true),
        };
        let pause = pause.filter(|_| tries.made < MOST_TRIES);
        let pause = pause.map(|pause| pause.length(tries.made));
        let result = result.map_err(|failure| no_answer(who, request, &failure));
        let words = match &result {
            Ok(answer) => format!("{who} answers {}, url=`{}`", answer.status, bare(request)),
            Err(error) => error.to_string(),
        };
        match pause {
            Some(pause) if tries.again(pause, words).await => {}
            _ => return result,
        }
    }
}

fn no_answer(who: &str, request: &Outgoing, failure: &Failure) -> Error {
    let kind = match failure {
        Failure::TimedOut => Kind::Timeout,
        _ => Kind::Network,
    };
    Error::Token {
        kind,
        message: format!(
            "{who} does not answer, check that it can be reached: {}, url=`{}`",
            trace::failure(failure),
            bare(request)
        ),
    }
}

fn bare(request: &Outgoing) -> String {
    let mut url = request.url.clone();
    url.set_query(None);
    trace::url(&url)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    error: serde_json::Value,
    error_description: Option<String>,
    error_code: serde_json::Value,
    message: Option<String>,
    #[serde(rename = "errorCode")]
    code: Option<String>,
    #[serde(rename = "errorSummary")]
    summary: Option<String>,
}

impl Refused {
    fn words(self) -> impl Iterator<Item = String> {
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let (error, error_code) = (text(self.error), text(self.error_code));
        [
            error,
            error_code,
            self.code,
            self.error_description,
            self.message,
            self.summary,
        ]
        .into_iter()
        .flatten()
    }
}

/// What an issuer said, short and without secrets.
fn said(body: &[u8], secrets: &[&str]) -> String {
    let words = match serde_json::from_slice::<Refused>(body) {
        Ok(refused) => refused.words().collect::<Vec<_>>().join(": "),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let mut words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        words = words.replace(secret, trace::REDACTED);
    }
    let mut words = trace::text(&words);
    if let Some((at, _)) = words.char_indices().nth(LONGEST_QUOTE) {
        words.truncate(at);
        words.push('…');
    }
    match words.is_empty() {
        true => "it does not say why".into(),
        false => format!("it says: {words}"),
    }
}

fn remedy(body: &[u8], kind: Kind) -> &'static str {
    let body = String::from_utf8_lossy(body);
    if body.contains("invalid_client") || body.contains("AADSTS7000") {
        "check the client id and its secret, which may have expired"
    } else if body.contains("invalid_scope") {
        "check `scopes`"
    } else if body.contains("invalid_grant") || body.contains("subject_token") {
        "check the federation policy of the service principal against issuer, subject and audience of the token"
    } else if kind == Kind::NotFound {
        "check `token_url` and `host`"
    } else if kind.is_retryable() {
        "try later"
    } else {
        "check what `auth` of the connection names"
    }
}
