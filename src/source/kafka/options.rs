//! The keys of a source of type `kafka`.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, path::PathBuf};

/// `[sources.NAME]` with `type = "kafka"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaOptions {
    /// Bootstrap servers, `host:port,…`.
    pub brokers: String,
    /// Topics, or patterns that begin with `^`. New topics and partitions are found within a minute
    /// (`topic.metadata.refresh.interval.ms`).
    pub topics: Vec<String>,
    /// The consumer group. A member that dies without leaving (`kill -9`) is replaced within 15
    /// seconds: 10 of `session.timeout.ms`, the rest for the rebalance and the positions.
    pub group: String,
    /// Static membership (`group.instance.id`), unique in the group: a member that restarts within
    /// `session.timeout.ms` gets its partitions back without a rebalance.
    pub instance_id: Option<String>,
    /// Where to begin in a partition that no table knows: `earliest`, `latest` or an RFC 3339 time.
    pub start: StartPolicy,
    /// The table an event lands in, with `{topic}` for the topic's name and `{field}` for a field of the event.
    pub table: String,
    /// How long a revoked partition may take to commit what is held. The group waits as long.
    pub drain_timeout_seconds: f64,
    /// Whether rows may carry the record's headers and key (`_headers`, `_key`).
    pub keep_headers: bool,
    /// What a value that begins with a schema registry's magic byte (0x00 and a schema id) does:
    /// `stop` the source with an explanation, or make it a `dead_letter`.
    pub magic_byte: MagicByte,
    /// The longest value, in bytes; a longer one is a dead letter.
    pub max_event_bytes: u64,
    /// The bytes of one partition that are handed on together.
    pub batch_bytes: u64,
    /// How long a record waits for others to be handed on with it.
    pub batch_milliseconds: u64,
    /// The token of `sasl.mechanism = "OAUTHBEARER"`.
    pub oauth: Option<OauthOptions>,
    /// librdkafka properties, passed through but for the reserved ones. Values are never printed.
    pub properties: BTreeMap<String, Property>,
}

/// A value of `properties`: text, a number or a boolean; never printed, for it may be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property(Secret);

impl Property {
    pub fn new(value: impl Into<std::sync::Arc<str>>) -> Self {
        Self(Secret::new(value))
    }

    /// The value itself, for librdkafka alone.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl From<&str> for Property {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text, a number or a boolean")]
        enum Value {
            Text(String),
            Integer(i64),
            Float(f64),
            Boolean(bool),
        }
        Ok(match Value::deserialize(deserializer)? {
            Value::Text(text) => Self::new(text),
            Value::Integer(n) => Self::new(n.to_string()),
            Value::Float(n) => Self::new(n.to_string()),
            Value::Boolean(b) => Self::new(b.to_string()),
        })
    }
}

impl JsonSchema for Property {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Where the OAUTHBEARER token comes from: exactly one of a file and a command. Both are read again
/// whenever librdkafka asks, which is at 80 % of the token's lifetime.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OauthOptions {
    /// A file that holds the token.
    pub token_file: Option<PathBuf>,
    /// A program and its arguments; its standard output is the token. It has ten seconds.
    pub token_command: Option<Vec<String>>,
    /// The principal told to the broker; by default the token's `sub` claim.
    pub principal: Option<String>,
    /// The lifetime of a token that has no `exp` claim.
    pub lifetime_seconds: Option<f64>,
}

/// What a schema registry's magic byte does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MagicByte {
    #[default]
    Stop,
    DeadLetter,
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
            instance_id: None,
            start: StartPolicy::Earliest,
            table: "{topic}".into(),
            drain_timeout_seconds: 20.0,
            keep_headers: false,
            magic_byte: MagicByte::Stop,
            max_event_bytes: 1 << 20,
            batch_bytes: 512 << 10,
            batch_milliseconds: 50,
            oauth: None,
            properties: BTreeMap::new(),
        }
    }
}
