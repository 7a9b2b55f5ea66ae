//! The metastore behind a workspace.

use super::{Kind, PATH, Result, Unity};
use crate::databricks::MetastoreId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A metastore.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Metastore {
    pub metastore_id: MetastoreId,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub cloud: Option<String>,
    #[serde(default)]
    pub region: Option<String>,
    /// Whether temporary credentials are handed to engines outside of Databricks; `None` if it does not tell.
    #[serde(default)]
    pub external_access_enabled: Option<bool>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Which metastore a workspace has.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MetastoreAssignment {
    pub metastore_id: MetastoreId,
    #[serde(default)]
    pub workspace_id: Option<u64>,
    #[serde(default)]
    pub default_catalog_name: Option<String>,
}

impl Unity {
    pub async fn metastore(&self) -> Result<Metastore> {
        self.get(format!("{PATH}/metastore_summary")).await
    }

    /// The metastore of this workspace; `None` where Unity Catalog is not enabled, which the service answers by 404.
    pub async fn assignment(&self) -> Result<Option<MetastoreAssignment>> {
        match self
            .get(format!("{PATH}/current-metastore-assignment"))
            .await
        {
            Ok(assignment) => Ok(Some(assignment)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
