//! A workspace for tests: answers from a script, on the virtual clock.

use super::{
    ConnectionOptions, Workspace,
    auth::Surroundings,
    http::{Answer, Body, Failure, Http, Outgoing, Transport},
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// In every secret of these tests.
pub(super) const PLANTED: &str = "planted-7f3a9c";

pub(super) enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    Fail(Failure),
    After(Duration, Box<Reply>),
}

pub(super) fn json(status: u16, body: serde_json::Value) -> Reply {
    Reply::Answer(status, Vec::new(), body.to_string().into())
}

pub(super) fn text(status: u16, body: &str) -> Reply {
    Reply::Answer(status, Vec::new(), body.to_owned().into())
}

pub(super) fn with(status: u16, header: &'static str, value: &str) -> Reply {
    Reply::Answer(status, vec![(header, value.to_owned())], "{}".into())
}

type Script = Box<dyn Fn(&Outgoing, usize) -> Reply + Send + Sync>;

/// Answers by a script, which sees the request and how many came before it.
pub(super) struct Fake {
    script: Script,
    seen: Mutex<Vec<(Instant, Outgoing)>>,
}

impl Fake {
    pub(super) fn new(
        script: impl Fn(&Outgoing, usize) -> Reply + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            seen: Mutex::default(),
        })
    }

    /// `METHOD path` of each request.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen
            .lock()
            .iter()
            .map(|(_, request)| request.name())
            .collect()
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.seen
            .lock()
            .iter()
            .filter(|(_, request)| request.url.path() == path)
            .count()
    }

    pub(super) fn seen(&self) -> Vec<(Instant, Outgoing)> {
        self.seen.lock().clone()
    }
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, request: Outgoing) -> Result<Answer, Failure> {
        let number = {
            let mut seen = self.seen.lock();
            seen.push((Instant::now(), request.clone()));
            seen.len() - 1
        };
        let mut reply = (self.script)(&request, number);
        while let Reply::After(pause, then) = reply {
            if pause >= request.timeout && !request.timeout.is_zero() {
                tokio::time::sleep(request.timeout).await;
                return Err(Failure::TimedOut);
            }
            tokio::time::sleep(pause).await;
            reply = *then;
        }
        match reply {
            Reply::Answer(status, headers, body) => {
                let header = |(name, value): (&'static str, String)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_str(&value).unwrap(),
                    )
                };
                Ok(Answer {
                    status,
                    headers: headers.into_iter().map(header).collect::<HeaderMap>(),
                    body,
                })
            }
            Reply::Fail(failure) => Err(failure),
            Reply::After(..) => unreachable!("unwound above"),
        }
    }
}

/// What was sent, as text.
pub(super) fn body(request: &Outgoing) -> String {
    match &request.body {
        Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

pub(super) fn header(request: &Outgoing, name: &str) -> Option<String> {
    Some(request.headers.get(name)?.to_str().unwrap().to_owned())
}

pub(super) fn options(toml_like: serde_json::Value) -> ConnectionOptions {
    serde_json::from_value(toml_like).unwrap()
}

/// A connection with a personal access token.
pub(super) fn pat() -> ConnectionOptions {
    options(serde_json::json!({
        "host": "https://h.cloud.databricks.com",
        "auth": { "type": "pat", "token": format!("dapi{PLANTED}") },
    }))
}

/// A connection by OAuth.
pub(super) fn m2m() -> ConnectionOptions {
    options(serde_json::json!({
        "host": "https://h.cloud.databricks.com",
        "auth": { "type": "oauth_m2m", "client_id": "app", "client_secret": format!("dose{PLANTED}") },
    }))
}

pub(super) fn try_workspace(
    options: &ConnectionOptions,
    surroundings: &Surroundings,
    fake: &Arc<Fake>,
) -> super::Result<Workspace> {
    let http = || -> Http { Arc::<Fake>::clone(fake) };
    Workspace::with("test", options, surroundings, |_| Ok(http()), || Ok(http()))
}

pub(super) fn workspace(options: &ConnectionOptions, fake: &Arc<Fake>) -> Workspace {
    try_workspace(options, &Surroundings::default(), fake).unwrap()
}

/// A token endpoint's answer.
pub(super) fn token(number: usize, seconds: u64) -> Reply {
    json(
        200,
        serde_json::json!({
            "access_token": format!("t{number}-{PLANTED}"), "token_type": "Bearer", "expires_in": seconds, "scope": "all-apis",
        }),
    )
}
