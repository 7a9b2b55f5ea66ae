//! What the service answers.

use crate::{
    databricks::{ExternalUrl, StatementId},
    secret::Secret,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The life of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StatementState {
    Pending,
    Running,
    Succeeded,
    Failed,
    Canceled,
    /// Succeeded, and its results can no longer be read.
    Closed,
    /// One that is newer than this program.
    #[serde(untagged)]
    Other(String),
}

impl StatementState {
    /// Whether it will change no more.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Canceled | Self::Closed
        )
    }
}

impl fmt::Display for StatementState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
            Self::Closed => "CLOSED",
            Self::Other(state) => state,
        })
    }
}

/// An answer to a statement that was accepted.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) statement_id: StatementId,
    pub(super) status: Status,
    #[serde(default)]
    pub(super) manifest: Option<Manifest>,
    #[serde(default)]
    pub(super) result: Option<ResultData>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub(super) state: StatementState,
    #[serde(default)]
    pub(super) error: Option<Told>,
    #[serde(default)]
    pub(super) sql_state: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) error_code: Option<String>,
    pub(super) message: Option<String>,
}

/// What a result is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Manifest {
    /// `JSON_ARRAY`, `CSV` or `ARROW_STREAM`.
    pub format: String,
    pub schema: Schema,
    pub total_chunk_count: u64,
    pub total_row_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_byte_count: Option<u64>,
    /// Whether a limit cut it off.
    pub truncated: bool,
}

/// The columns of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Schema {
    pub columns: Vec<Column>,
}

/// One column of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Column {
    pub name: String,
    pub position: u32,
    /// As `LONG`, `STRING`, `STRUCT`.
    pub type_name: String,
    /// As SQL writes it, `BIGINT`, `STRUCT<a: INT>`.
    pub type_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_precision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_scale: Option<u32>,
}

/// One chunk of a result; of a statement without rows there is none, `{}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResultData {
    pub(super) chunk_index: Option<u64>,
    pub(super) data_array: Option<Vec<Vec<Option<String>>>>,
    pub(super) external_links: Option<Vec<Link>>,
    pub(super) next_chunk_index: Option<u64>,
}

/// Where a chunk lies in the cloud's storage. Neither URL nor headers are printed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Link {
    pub(super) external_link: ExternalUrl,
    /// RFC 3339.
    #[serde(default)]
    pub(super) expiration: Option<String>,
    #[serde(default)]
    pub(super) chunk_index: u64,
    #[serde(default)]
    pub(super) next_chunk_index: Option<u64>,
    #[serde(default)]
    pub(super) http_headers: Option<BTreeMap<String, Secret>>,
}
