//! The schema keys of `[tables.NAME]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when events bring fields that the table lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evolution {
    /// Columns are added as fields appear.
    #[default]
    Auto,
    /// Changes are proposed (`alluvium schema plan`) and wait for a person; until then the fields are kept in `_rescued_data`.
    Plan,
    /// Columns never change; unknown fields are kept in `_rescued_data`.
    None,
}

/// Who changes the table's schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Alluvium, by a commit of its own before the data.
    #[default]
    Log,
    /// Unity Catalog, by statements on a SQL warehouse.
    Warehouse,
}

/// What to do with a value that does not fit its column; a table lists them in the order tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Widen the column's type, where the table's features and its authority allow it.
    Widen,
    /// Keep the value in a column of its own type beside it: `name__string`, `name__double`, ….
    Sibling,
    /// Keep the whole original value in `_rescued_data`, the column null.
    Rescue,
    /// Make the record a dead letter.
    Reject,
}

/// One declared column: `[[tables.NAME.columns]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnOptions {
    /// The column's name.
    pub name: String,
    /// The column's type: `boolean`, `integer`, `long`, `float`, `double`, `decimal(p,s)`, `string`, `binary` (base64),
    /// `date`, `timestamp`, `timestamp_ntz`, `struct<a: long, …>`, `array<…>`, `map<string, …>`, or `json` (any value, kept as its JSON text in a string column).
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    /// The event's field the value is taken from, as a path with dots; by default the column's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How numbers become timestamps: `rfc3339` (text only), `seconds`, `milliseconds` or `microseconds` since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_unit: Option<String>,
    /// Shown by readers as the column's comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A column type in Delta's SQL spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ColumnType(pub String);
