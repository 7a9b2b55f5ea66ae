//! `[sources.NAME]`: which kind of source, and the keys of that kind.

use crate::source::{http::HttpOptions, kafka::KafkaOptions};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// One source of events: `[sources.NAME]`; `type` says of which kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourceOptions {
    Http(HttpOptions),
    Kafka(KafkaOptions),
}

impl SourceOptions {
    /// The value of `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Kafka(_) => "kafka",
        }
    }
}

/// Written by hand: the derived schema joins `type` to a `$ref` with `additionalProperties: false`,
/// which no document satisfies.
impl JsonSchema for SourceOptions {
    fn schema_name() -> Cow<'static, str> {
        "SourceOptions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let http = tagged(
            "http",
            "The kind of source.",
            HttpOptions::json_schema(generator),
            &[("ack", json!("spool"))],
        );
        let kafka = tagged(
            "kafka",
            "The kind of source.",
            KafkaOptions::json_schema(generator),
            &[("start", json!("earliest")), ("magic_byte", json!("stop"))],
        );
        schemars::json_schema!({
            "description": "One source of events; `type` says of which kind.",
            "oneOf": [http, kafka],
        })
    }
}

/// The schema of one kind with its `type`, which means `meaning`, and the defaults that schemars cannot see.
pub(super) fn tagged(
    kind: &str,
    meaning: &str,
    schema: Schema,
    defaults: &[(&str, Value)],
) -> Value {
    let mut schema = schema.to_value();
    if let Some(properties) = schema.get_mut("properties") {
        for (key, default) in defaults {
            if let Some(property) = properties.get_mut(key) {
                property["default"] = default.clone();
            }
        }
        properties["type"] = json!({
            "type": "string",
            "const": kind,
            "description": meaning,
        });
    }
    let mut required = vec![json!("type")];
    if let Some(more) = schema.get("required").and_then(Value::as_array) {
        required.extend(more.iter().cloned());
    }
    schema["required"] = required.into();
    schema
}
