//! Catalogs.

use super::{Call, PATH, Result, Unity, at, page};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A catalog.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Catalog {
    pub name: String,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    /// Where its managed tables are, by its maker's word.
    #[serde(default)]
    pub storage_root: Option<String>,
    /// The same with what the service adds (`…/__unitystorage/catalogs/…`).
    #[serde(default)]
    pub storage_location: Option<String>,
    #[serde(default)]
    pub catalog_type: Option<String>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A catalog to be made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewCatalog {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

page!(Catalogs, catalogs: Catalog);

impl Unity {
    pub async fn catalogs(&self) -> Result<Vec<Catalog>> {
        self.all::<Catalogs>(Call::get(format!("{PATH}/catalogs")))
            .await
    }

    pub async fn catalog(&self, name: &str) -> Result<Catalog> {
        self.get(at("catalogs", name)).await
    }

    /// Errors: `AlreadyExists`, also where a first try came through whose answer was lost.
    pub async fn create_catalog(&self, catalog: &NewCatalog) -> Result<Catalog> {
        let call = Call::post(format!("{PATH}/catalogs")).body(catalog)?;
        self.workspace.send(call).await
    }

    /// `force`: with all that is in it.
    pub async fn delete_catalog(&self, name: &str, force: bool) -> Result<()> {
        self.done(Call::delete(at("catalogs", name)).query("force", force))
            .await
    }
}
