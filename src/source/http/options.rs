//! The keys of a source of type `http`.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[sources.NAME]` with `type = "http"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpOptions {
    /// The address to listen on.
    pub listen: String,
    /// Certificate and key, PEM; without it plain HTTP.
    pub tls: Option<TlsOptions>,
    /// Who may send, and to which tables; without it everybody, on loopback only.
    pub keys: Vec<HttpKey>,
    /// Allows an address other than loopback without keys.
    pub allow_anonymous: bool,
    /// When a request is answered: `spool` (durable on this disk) or `commit` (in a Delta version).
    pub ack: HttpAck,
    /// The table an event lands in, with `{table}` for the path's and `{field}` for a field of the event.
    pub table: String,
    /// The most bytes of a body as sent.
    pub max_body_bytes: u64,
    /// The most bytes of a body after decompression.
    pub max_decompressed_bytes: u64,
    /// The longest event; a longer one is a dead letter.
    pub max_event_bytes: u64,
    /// The most events of one request; a longer one is answered 413.
    pub max_events: usize,
    /// The most bytes of bodies in memory before they are in the spool; beyond them requests are
    /// answered 429. Comes on top of `memory_budget_bytes`.
    pub max_inflight_bytes: u64,
    /// The most idempotency keys remembered, about 100 bytes of memory each; the oldest are forgotten
    /// first, sooner than 24 hours if there are more.
    pub max_idempotency_keys: usize,
    /// The most requests at work at once; further ones are answered 429.
    pub max_requests: usize,
    /// The most open connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// How long a request may take to arrive.
    pub request_timeout_seconds: f64,
    /// How long a request with `ack = "commit"` waits; then it is answered 202: durable in the spool,
    /// to be committed, not to be sent again.
    pub commit_timeout_seconds: f64,
}

/// When a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpAck {
    #[default]
    Spool,
    Commit,
}

/// Certificate and key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// PEM text of the certificate chain, or `file:PATH`.
    pub cert: Secret,
    /// PEM text of the private key, or `file:PATH`.
    pub key: Secret,
}

/// One bearer token, or the password of Basic authentication.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpKey {
    /// The token.
    pub key: Secret,
    /// The tables it may write; `["*"]` for all.
    pub tables: Vec<String>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            tls: None,
            keys: Vec::new(),
            allow_anonymous: false,
            ack: HttpAck::Spool,
            table: "{table}".into(),
            max_body_bytes: 16 << 20,
            max_decompressed_bytes: 64 << 20,
            max_event_bytes: 1 << 20,
            max_events: 100_000,
            max_inflight_bytes: 64 << 20,
            max_idempotency_keys: 500_000,
            max_requests: 1_024,
            max_connections: 4_096,
            request_timeout_seconds: 30.0,
            commit_timeout_seconds: 60.0,
        }
    }
}
