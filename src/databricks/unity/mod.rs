//! Unity Catalog by REST, `/api/2.1/unity-catalog` (Databricks REST reference, "Unity Catalog"; the open Unity Catalog speaks most
//! of it).
//!
//! One [`Unity`] for all; a file for each kind of thing. Fields that are newer than this program are kept in `rest`.

mod catalogs;
mod external_locations;
mod grants;
mod metastore;
mod privilege;
mod schemas;
mod storage_credentials;
mod tables;
#[cfg(test)]
mod tests;
mod vending;

pub use catalogs::{Catalog, NewCatalog};
pub use external_locations::{ExternalLocation, NewExternalLocation};
pub use grants::{EffectiveGrant, EffectiveGrants, GrantChange, Grants};
pub use metastore::{Metastore, MetastoreAssignment};
pub use privilege::{Dialect, Privilege, Securable};
pub use schemas::{NewSchema, Schema};
pub use storage_credentials::{
    AwsIamRole, AzureManagedIdentity, NewStorageCredential, StorageCredential, Validation,
    ValidationTarget,
};
pub use tables::{Column, NewTable, Table, full_name};
pub use vending::{AwsKeys, Operation, Vended, VendedCredential};

use super::{Call, Error, Kind, Page, Result, Workspace, segment};
use serde::de::DeserializeOwned;
use serde_json::Value;

const PATH: &str = "/api/2.1/unity-catalog";

/// Unity Catalog as one workspace sees it.
#[derive(Clone, Debug)]
pub struct Unity {
    workspace: Workspace,
}

impl Unity {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.clone(),
        }
    }

    /// Whose spelling the service has.
    pub fn dialect(&self) -> Dialect {
        // The open Unity Catalog is known by where its temporary credentials are.
        match self.workspace.vending_api_version() {
            "2.1" => Dialect::Open,
            _ => Dialect::Databricks,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T> {
        self.workspace.send(Call::get(path)).await
    }

    /// All of a list. `max_results=0` leaves the size of pages to the service; without it some lists come whole or not at all.
    async fn all<P: Page>(&self, call: Call) -> Result<Vec<P::Item>> {
        self.workspace
            .whole::<P::Item, P>(call.query("max_results", 0))
            .await
    }

    async fn done(&self, call: Call) -> Result<()> {
        self.workspace.send::<Value>(call).await.map(drop)
    }
}

/// `/api/2.1/unity-catalog/KIND/NAME`.
fn at(kind: &str, name: &str) -> String {
    format!("{PATH}/{kind}/{}", segment(name))
}

/// A page of a list whose items are under one key.
macro_rules! page {
    ($page:ident, $key:ident: $item:ty) => {
        #[derive(serde::Deserialize)]
        struct $page {
            #[serde(default)]
            $key: Vec<$item>,
            #[serde(default)]
            next_page_token: Option<String>,
        }

        impl $crate::databricks::Page for $page {
            type Item = $item;

            fn into_parts(self) -> (Vec<$item>, Option<String>) {
                (self.$key, self.next_page_token)
            }
        }
    };
}
use page;
