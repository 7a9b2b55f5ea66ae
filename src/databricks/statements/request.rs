//! A statement, and what must hold of it before it is sent.

use super::{Error, Kind, Parameter, Result, parameters, redacted};
use crate::databricks::WarehouseId;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt;

/// The service takes no longer text.
const LONGEST_TEXT: usize = 16 << 20;
const LEAST_WAIT_SECONDS: u32 = 5;
const MOST_WAIT_SECONDS: u32 = 50;

/// What happens to a statement that has not ended within its `wait_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnWaitTimeout {
    Continue,
    Cancel,
}

/// How results come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Disposition {
    /// In the answers themselves, as JSON, up to 25 MiB in all; a longer result aborts the statement.
    #[default]
    Inline,
    /// By links into the cloud's storage, up to 100 GiB.
    ExternalLinks,
}

/// The form of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Format {
    #[default]
    JsonArray,
    ArrowStream,
    Csv,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JsonArray => "JSON_ARRAY",
            Self::ArrowStream => "ARROW_STREAM",
            Self::Csv => "CSV",
        })
    }
}

/// A statement for a warehouse. `Debug` shows it without credentials and values.
#[derive(Clone)]
pub struct Statement {
    pub text: String,
    pub warehouse: WarehouseId,
    pub catalog: Option<String>,
    pub schema: Option<String>,
    pub parameters: Vec<Parameter>,
    /// How long the service holds its first answer back for the statement to end: 0, or 5 to 50.
    pub wait_seconds: u32,
    pub on_wait_timeout: OnWaitTimeout,
    pub disposition: Disposition,
    pub format: Format,
    /// At most so many rows.
    pub row_limit: Option<u64>,
    /// At most so many bytes.
    pub byte_limit: Option<u64>,
    /// Keys and values in the query history.
    pub query_tags: Vec<(String, Option<String>)>,
    /// Whether it may be sent again when nobody knows whether it was accepted: there is no idempotency key, so this is for
    /// statements that do no more when run twice, as `… IF NOT EXISTS`, SELECT or MERGE by a key.
    pub repeatable: bool,
}

impl Statement {
    /// Results inline, the first answer held back for 10 s, not repeatable.
    pub fn new(warehouse: &WarehouseId, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            warehouse: warehouse.clone(),
            catalog: None,
            schema: None,
            parameters: Vec::new(),
            wait_seconds: 10,
            on_wait_timeout: OnWaitTimeout::Continue,
            disposition: Disposition::Inline,
            format: Format::JsonArray,
            row_limit: None,
            byte_limit: None,
            query_tags: Vec::new(),
            repeatable: false,
        }
    }

    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    #[must_use]
    pub fn catalog(mut self, catalog: &str) -> Self {
        self.catalog = Some(catalog.to_owned());
        self
    }

    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.to_owned());
        self
    }

    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    #[must_use]
    pub fn wait_seconds(mut self, seconds: u32) -> Self {
        self.wait_seconds = seconds;
        self
    }

    #[must_use]
    pub fn on_wait_timeout(mut self, then: OnWaitTimeout) -> Self {
        self.on_wait_timeout = then;
        self
    }

    #[must_use]
    pub fn row_limit(mut self, rows: u64) -> Self {
        self.row_limit = Some(rows);
        self
    }

    #[must_use]
    pub fn byte_limit(mut self, bytes: u64) -> Self {
        self.byte_limit = Some(bytes);
        self
    }

    #[must_use]
    pub fn query_tag(mut self, key: &str, value: Option<&str>) -> Self {
        self.query_tags
            .push((key.to_owned(), value.map(str::to_owned)));
        self
    }

    /// Results by links, in this form.
    #[must_use]
    pub fn external(mut self, format: Format) -> Self {
        (self.disposition, self.format) = (Disposition::ExternalLinks, format);
        self
    }

    /// Refuses what the service would refuse, and what it would not heed.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| {
            Err(Error::told(
                Kind::InvalidParameter,
                format!("not a statement: {what}"),
            ))
        };
        if self.text.trim().is_empty() {
            return wrong("it is empty".into());
        }
        if self.text.len() > LONGEST_TEXT {
            return wrong(format!(
                "it is longer than 16 MiB, split it, bytes=`{}`",
                self.text.len()
            ));
        }
        if self.warehouse.as_str().is_empty() {
            return wrong("it names no warehouse, set `warehouse`".into());
        }
        let seconds = self.wait_seconds;
        if seconds != 0 && !(LEAST_WAIT_SECONDS..=MOST_WAIT_SECONDS).contains(&seconds) {
            return wrong(format!(
                "the service waits 0 s, or {LEAST_WAIT_SECONDS} to {MOST_WAIT_SECONDS}, wait_timeout=`{seconds}s`"
            ));
        }
        if seconds == 0 && self.on_wait_timeout == OnWaitTimeout::Cancel {
            return wrong("what is not waited for is not canceled, give `on_wait_timeout` CANCEL a `wait_timeout` of 5 to 50 s".into());
        }
        if self.disposition == Disposition::Inline && self.format != Format::JsonArray {
            return wrong(format!(
                "only JSON_ARRAY comes inline, take EXTERNAL_LINKS, format=`{}`",
                self.format
            ));
        }
        for (name, limit) in [
            ("row_limit", self.row_limit),
            ("byte_limit", self.byte_limit),
        ] {
            if limit == Some(0) {
                return wrong(format!("a limit is 1 or more, {name}=`0`"));
            }
        }
        if let Some((key, _)) = self
            .query_tags
            .iter()
            .find(|(key, _)| key.trim().is_empty())
        {
            return wrong(format!("a query tag has a key, key=`{key}`"));
        }
        parameters::check(&self.parameters)
    }

    /// The body of the request; what is the service's default is left out.
    pub(super) fn body(&self) -> Value {
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| {
            if !value.is_null() {
                body.insert(key.to_owned(), value);
            }
        };
        set("statement", json!(self.text));
        set("warehouse_id", json!(self.warehouse));
        set("catalog", json!(self.catalog));
        set("schema", json!(self.schema));
        set("wait_timeout", json!(format!("{}s", self.wait_seconds)));
        if self.wait_seconds > 0 {
            set("on_wait_timeout", json!(self.on_wait_timeout));
        }
        set("disposition", json!(self.disposition));
        set("format", json!(self.format));
        set("row_limit", json!(self.row_limit));
        set("byte_limit", json!(self.byte_limit));
        if !self.parameters.is_empty() {
            set("parameters", json!(self.parameters));
        }
        if !self.query_tags.is_empty() {
            let tag = |(key, value): &(String, Option<String>)| match value {
                Some(value) => json!({ "key": key, "value": value }),
                None => json!({ "key": key }),
            };
            set("query_tags", self.query_tags.iter().map(tag).collect());
        }
        Value::Object(body)
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("text", &redacted(&self.text))
            .field("warehouse", &self.warehouse)
            .field("parameters", &self.parameters)
            .field("repeatable", &self.repeatable)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement::new(&WarehouseId::new("w"), "SELECT :a")
    }

    #[test]
    fn what_the_service_refuses_is_refused_before_it_is_sent() {
        statement().check().unwrap();
        statement().wait_seconds(0).check().unwrap();
        statement()
            .wait_seconds(50)
            .on_wait_timeout(OnWaitTimeout::Cancel)
            .check()
            .unwrap();
        statement().external(Format::Csv).check().unwrap();
        let inline_csv = Statement {
            format: Format::Csv,
            ..statement()
        };
        for wrong in [
            statement().wait_seconds(4),
            statement().wait_seconds(51),
            statement()
                .wait_seconds(0)
                .on_wait_timeout(OnWaitTimeout::Cancel),
            inline_csv,
            statement().row_limit(0),
            statement().byte_limit(0),
            statement().query_tag(" ", None),
            statement()
                .parameter(Parameter::text("a", "1"))
                .parameter(Parameter::text("a", "2")),
            Statement::new(&WarehouseId::new("w"), " \n"),
            Statement::new(&WarehouseId::new("w"), "x".repeat(LONGEST_TEXT + 1)),
            Statement::new(&WarehouseId::new(""), "SELECT 1"),
        ] {
            let error = wrong.check().unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidParameter, "{error}");
        }
    }

    #[test]
    fn the_body_has_the_services_names() {
        let body = statement()
            .catalog("c")
            .schema("s")
            .parameter(Parameter::text("a", "x"))
            .parameter(Parameter::typed("n", "INT", None))
            .row_limit(7)
            .query_tag("team", Some("data"))
            .query_tag("once", None)
            .external(Format::ArrowStream)
            .body();
        let expected = json!({
            "statement": "SELECT :a", "warehouse_id": "w", "catalog": "c", "schema": "s",
            "wait_timeout": "10s", "on_wait_timeout": "CONTINUE",
            "disposition": "EXTERNAL_LINKS", "format": "ARROW_STREAM", "row_limit": 7,
            "parameters": [{ "name": "a", "value": "x" }, { "name": "n", "type": "INT" }],
            "query_tags": [{ "key": "team", "value": "data" }, { "key": "once" }],
        });
        assert_eq!(body, expected);
        assert_eq!(
            statement().wait_seconds(0).body().get("on_wait_timeout"),
            None
        );
    }

    #[test]
    fn debug_shows_neither_credentials_nor_values() {
        let text = "COPY INTO t FROM 'x' WITH (CREDENTIAL (AWS_SECRET_KEY='planted'))";
        let statement =
            Statement::new(&WarehouseId::new("w"), text).parameter(Parameter::text("a", "planted"));
        let shown = format!("{statement:?}");
        assert!(
            shown.contains("COPY INTO t") && !shown.contains("planted"),
            "{shown}"
        );
    }
}
