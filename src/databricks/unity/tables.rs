//! Tables.

use super::{Call, Error, Kind, PATH, Result, Unity, at, page};
use crate::databricks::TableId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `catalog.schema.table`, as paths name tables: without quotes, in lower case, as the service keeps names.
pub fn full_name(catalog: &str, schema: &str, table: &str) -> String {
    format!("{catalog}.{schema}.{table}").to_lowercase()
}

/// A table or view.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Table {
    pub name: String,
    #[serde(default)]
    pub catalog_name: String,
    #[serde(default)]
    pub schema_name: String,
    #[serde(default)]
    pub full_name: String,
    /// `MANAGED`, `EXTERNAL`, `VIEW`, …
    #[serde(default)]
    pub table_type: String,
    /// `DELTA`, …; none of a view.
    #[serde(default)]
    pub data_source_format: Option<String>,
    #[serde(default)]
    pub storage_location: Option<String>,
    /// None of a service that does not tell.
    #[serde(default)]
    pub table_id: Option<TableId>,
    #[serde(default)]
    pub columns: Vec<Column>,
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Table {
    pub fn is_external(&self) -> bool {
        self.table_type == "EXTERNAL"
    }

    pub fn is_managed(&self) -> bool {
        self.table_type == "MANAGED"
    }

    pub fn is_delta(&self) -> bool {
        self.data_source_format.as_deref() == Some("DELTA")
    }
}

/// One column of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Column {
    pub name: String,
    /// In SQL, `bigint`.
    pub type_text: String,
    /// `LONG`.
    pub type_name: String,
    /// The field as Delta's log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_json: Option<String>,
    pub position: u32,
    pub nullable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_index: Option<u32>,
}

/// An external Delta table to be registered; its log is there already.
#[derive(Clone, Debug, Default)]
pub struct NewTable {
    pub catalog: String,
    pub schema: String,
    pub name: String,
    pub location: String,
    /// Not compared with the log by the service.
    pub columns: Vec<Column>,
    pub properties: BTreeMap<String, String>,
}

page!(Tables, tables: Table);

impl Unity {
    pub async fn tables(&self, catalog: &str, schema: &str) -> Result<Vec<Table>> {
        let call = Call::get(format!("{PATH}/tables"))
            .query("catalog_name", catalog)
            .query("schema_name", schema);
        self.all::<Tables>(call).await
    }

    /// `name`: `catalog.schema.table`.
    pub async fn table(&self, name: &str) -> Result<Table> {
        self.get(at("tables", name)).await
    }

    /// The table, or `None` where there is none, or no schema for it.
    pub async fn find_table(&self, name: &str) -> Result<Option<Table>> {
        match self.table(name).await {
            Ok(table) => Ok(Some(table)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a table or view of this name, also one whose columns may not be read.
    pub async fn table_exists(&self, name: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Shown {
            table_exists: bool,
        }
        match self.get::<Shown>(at("tables", name) + "/exists").await {
            Ok(shown) => Ok(shown.table_exists),
            // Of a schema that is missing, or of a service without this call.
            Err(error) if error.kind() == Kind::NotFound => {
                Ok(self.find_table(name).await?.is_some())
            }
            Err(error) => Err(error),
        }
    }

    /// Registers an external Delta table. It needs USE_CATALOG, USE_SCHEMA, CREATE_TABLE and EXTERNAL_USE_SCHEMA, and on the
    /// external location CREATE_EXTERNAL_TABLE and EXTERNAL_USE_LOCATION.
    ///
    /// Errors: `AlreadyExists`, also where a first try came through whose answer was lost.
    pub async fn create_external_table(&self, table: &NewTable) -> Result<Table> {
        if table.location.trim().is_empty() {
            let what = format!("an external table has a location, table=`{}`", table.name);
            return Err(Error::told(Kind::InvalidParameter, what));
        }
        let body = json!({
            "catalog_name": table.catalog,
            "schema_name": table.schema,
            "name": table.name,
            "table_type": "EXTERNAL",
            "data_source_format": "DELTA",
            "storage_location": table.location,
            "columns": table.columns,
            "properties": table.properties,
        });
        self.workspace
            .send(Call::post(format!("{PATH}/tables")).json(body))
            .await
    }

    /// Takes a table out of the catalog. The files of an external one stay.
    pub async fn delete_table(&self, name: &str) -> Result<()> {
        self.done(Call::delete(at("tables", name))).await
    }
}
