//! The keys of a source of type `kafka`.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `[sources.NAME]` with `type = "kafka"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaOptions {
    /// Bootstrap servers, `host:port,…`.
    pub brokers: String,
    /// Topics, or patterns that begin with `^`.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Where to begin in a partition that no table knows: `earliest`, `latest` or an RFC 3339 time.
    pub start: StartPolicy,
    /// The table an event lands in, with `{topic}` for the topic's name and `{field}` for a field of the event.
    pub table: String,
    /// How long a revoked partition may take to commit what is held.
    pub drain_timeout_seconds: f64,
    /// Whether rows may carry the record's headers and key (`_headers`, `_key`).
    pub keep_headers: bool,
    /// librdkafka properties, passed through but for the reserved ones.
    pub properties: BTreeMap<String, String>,
}

/// Where to begin in a partition that no table knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum StartPolicy {
    #[default]
    Earliest,
    Latest,
    /// Milliseconds since the epoch.
    Timestamp(i64),
}

impl TryFrom<String> for StartPolicy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            time => chrono::DateTime::parse_from_rfc3339(time)
                .map(|t| Self::Timestamp(t.timestamp_millis()))
                .map_err(|_| {
                    format!("start is `earliest`, `latest` or a time like 2026-01-31T00:00:00Z, not `{time}`")
                }),
        }
    }
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topics: Vec::new(),
            group: "alluvium".into(),
            start: StartPolicy::Earliest,
            table: "{topic}".into(),
            drain_timeout_seconds: 20.0,
            keep_headers: false,
            properties: BTreeMap::new(),
        }
    }
}
