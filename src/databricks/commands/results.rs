//! What a command left behind.

use crate::databricks::CommandId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A result, of whatever type.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "resultType", rename_all = "camelCase")]
pub enum CommandResult {
    Text {
        data: String,
        /// Whether the service cut it off.
        truncated: bool,
    },
    Table {
        schema: Vec<TableColumn>,
        data: Vec<Vec<Value>>,
        /// Whether the service cut it off.
        truncated: bool,
    },
    /// A file of the cluster's, or the picture itself as `data:` URL.
    Image {
        file: String,
    },
    Images {
        files: Vec<String>,
    },
    /// The user's code failed.
    Error(CommandFailure),
    /// A type that is newer than this program.
    Other {
        kind: String,
        data: Value,
    },
}

/// One column of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct TableColumn {
    pub name: String,
    /// As the service writes it; of some services JSON, `"string"` with its quotes.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A command that ran, and whose code failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CommandFailure {
    pub command: Option<CommandId>,
    /// In one line, as `ZeroDivisionError: division by zero`.
    pub summary: String,
    /// The trace.
    pub cause: String,
    /// Whether the service cut it off.
    pub truncated: bool,
}

impl CommandFailure {
    /// The summary, or the last line of the cause.
    pub(super) fn said(&self) -> &str {
        let last = || {
            self.cause
                .trim_end()
                .lines()
                .next_back()
                .unwrap_or("it does not say why")
        };
        match self.summary.trim() {
            "" => last(),
            summary => summary,
        }
    }
}

impl std::error::Error for CommandFailure {}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command's code failed, {}", self.said())?;
        if let Some(command) = &self.command {
            write!(f, ", command=`{command}`")?;
        }
        Ok(())
    }
}

/// `results` as the service sends them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Raw {
    result_type: Option<String>,
    data: Value,
    schema: Option<Vec<Value>>,
    truncated: bool,
    summary: Option<String>,
    cause: Option<String>,
    file_name: Option<String>,
    file_names: Option<Vec<String>>,
}

impl Raw {
    /// `None` while there is no result.
    pub(super) fn into_result(self) -> Option<CommandResult> {
        let truncated = self.truncated;
        Some(match self.result_type?.as_str() {
            "text" => CommandResult::Text {
                data: text(self.data),
                truncated,
            },
            "table" => CommandResult::Table {
                schema: self
                    .schema
                    .unwrap_or_default()
                    .into_iter()
                    .map(column)
                    .collect(),
                data: rows(self.data),
                truncated,
            },
            "image" => CommandResult::Image {
                file: self.file_name.unwrap_or_else(|| text(self.data)),
            },
            "images" => CommandResult::Images {
                files: self.file_names.unwrap_or_else(|| match self.data {
                    Value::Array(files) => files.into_iter().map(text).collect(),
                    Value::Null => Vec::new(),
                    one => vec![text(one)],
                }),
            },
            "error" => CommandResult::Error(CommandFailure {
                command: None,
                summary: plain(&self.summary.unwrap_or_default()),
                cause: plain(&self.cause.unwrap_or_default()),
                truncated,
            }),
            other => CommandResult::Other {
                kind: other.to_owned(),
                data: self.data,
            },
        })
    }
}

fn text(data: Value) -> String {
    match data {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn rows(data: Value) -> Vec<Vec<Value>> {
    let row = |row| match row {
        Value::Array(values) => values,
        one => vec![one],
    };
    match data {
        Value::Array(rows) => rows.into_iter().map(row).collect(),
        _ => Vec::new(),
    }
}

/// `{"name": …, "type": …}`, where a type can be JSON of its own.
fn column(value: Value) -> TableColumn {
    let part = |name: &str| text(value.get(name).cloned().unwrap_or_default());
    TableColumn {
        name: part("name"),
        kind: part("type"),
    }
}

/// Without a terminal's colours, in which notebooks show errors.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if characters.next_if_eq(&'[').is_some() {
            // A control sequence ends with a byte from @ to ~ (ECMA-48).
            while characters.next_if(|c| !('@'..='~').contains(c)).is_some() {}
            characters.next();
        }
    }
    out
}
