//! Schemas.

use super::{Call, PATH, Result, Unity, at, page};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A schema.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Schema {
    pub name: String,
    #[serde(default)]
    pub catalog_name: String,
    /// `catalog.schema`.
    #[serde(default)]
    pub full_name: String,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default)]
    pub storage_root: Option<String>,
    #[serde(default)]
    pub storage_location: Option<String>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A schema to be made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewSchema {
    pub name: String,
    pub catalog_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

page!(Schemas, schemas: Schema);

impl Unity {
    pub async fn schemas(&self, catalog: &str) -> Result<Vec<Schema>> {
        let call = Call::get(format!("{PATH}/schemas")).query("catalog_name", catalog);
        self.all::<Schemas>(call).await
    }

    pub async fn schema(&self, catalog: &str, schema: &str) -> Result<Schema> {
        self.get(at("schemas", &format!("{catalog}.{schema}")))
            .await
    }

    /// Errors: `AlreadyExists`, also where a first try came through whose answer was lost.
    pub async fn create_schema(&self, schema: &NewSchema) -> Result<Schema> {
        let call = Call::post(format!("{PATH}/schemas")).body(schema)?;
        self.workspace.send(call).await
    }

    /// `force`: with all that is in it.
    pub async fn delete_schema(&self, catalog: &str, schema: &str, force: bool) -> Result<()> {
        let path = at("schemas", &format!("{catalog}.{schema}"));
        self.done(Call::delete(path).query("force", force)).await
    }
}
