//! Temporary credentials of Unity Catalog ("credential vending"), for S3 and for Azure.
//!
//! A workspace hands out a key or a signature for the files of one external table, or for what lies below a path, for about an
//! hour. It is asked anew ahead of the end, as all sources are; a table is looked up by its name each time, for one that was
//! made anew has another id. What holds: a credential that is for another place than the store's is not used.

use super::{
    Error, Place, Remote, Result, Service, UnityCatalogOptions, VendingOperation,
    azure::sas::Signature,
    credentials::{Ask, Lease, Source},
};
use crate::{
    databricks::{
        Connections, Error as Refusal, Kind as Told, Workspace,
        unity::{AwsKeys, Operation, Unity, Vended, VendedCredential},
    },
    error::Kind,
};
use async_trait::async_trait;
use object_store::{aws::AwsCredential, azure::AzureCredential};
use std::fmt;

/// Whom to ask, and for which place.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    workspace: Workspace,
    store: Remote,
}

impl UnityCatalogOptions {
    /// Finds the workspace. `store`: what the store serves. Errors: what is wrong with the options.
    pub(super) fn connect(
        &mut self,
        store: &Remote,
        connections: &Connections,
    ) -> Result<(), String> {
        let workspace = connections
            .get(&self.connection)
            .map_err(|error| error.to_string())?;
        let store = store.clone();
        self.resolved = Some(Resolved { workspace, store });
        Ok(())
    }

    /// What asks for them. Errors: what is wrong with the options.
    pub(super) fn vending(&self) -> Result<Vending, String> {
        let Some(Resolved { workspace, store }) = &self.resolved else {
            return Err(format!("there is no `[connections.{}]`", self.connection));
        };
        let of = match (&self.table, &self.path) {
            (Some(table), _) => Of::Table(table.clone()),
            (None, Some(path)) => Of::Path(path.clone()),
            (None, None) if store.service() == Service::Azure && store.account().is_none() => {
                return Err("the storage account is not known; set `account`, or a `url` that names it (abfss://CONTAINER@ACCOUNT.dfs.core.windows.net)".into());
            }
            (None, None) => Of::Path(store.url().to_string()),
        };
        Ok(Vending {
            unity: Unity::new(workspace),
            connection: self.connection.clone(),
            of,
            operation: match self.operation {
                VendingOperation::Read => Operation::Read,
                VendingOperation::ReadWrite => Operation::ReadWrite,
                VendingOperation::CreateTable => Operation::CreateTable,
            },
            store: store.clone(),
        })
    }
}

/// What credentials are asked for.
#[derive(Debug)]
enum Of {
    /// `catalog.schema.table`.
    Table(String),
    Path(String),
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => write!(f, "table=`{name}`"),
            Self::Path(url) => write!(f, "path=`{url}`"),
        }
    }
}

/// One who asks for them.
#[derive(Debug)]
pub(super) struct Vending {
    unity: Unity,
    connection: String,
    of: Of,
    operation: Operation,
    store: Remote,
}

impl Vending {
    async fn ask(&self) -> Result<Vended> {
        let vended = match &self.of {
            Of::Path(url) => self
                .unity
                .path_credential(url, self.operation)
                .await
                .map_err(|e| self.refused(&e))?,
            Of::Table(name) => {
                let table = self.unity.table(name).await.map_err(|e| self.refused(&e))?;
                if table.is_managed() && self.operation != Operation::Read {
                    return Err(self.unusable(
                        "the table is managed, which Databricks alone writes; make it an external one",
                    ));
                }
                let Some(id) = &table.table_id else {
                    return Err(self
                        .unusable("the service tells no id of the table; name a `path` instead"));
                };
                let mut vended = self
                    .unity
                    .table_credential(id, self.operation)
                    .await
                    .map_err(|e| self.refused(&e))?;
                vended.url = vended.url.or(table.storage_location);
                vended
            }
        };
        self.here(vended)
    }

    /// Errors if it is for a place that the store is not in.
    fn here(&self, vended: Vended) -> Result<Vended> {
        let Some(Ok(Place::Remote(place))) = vended.url.as_deref().map(Place::parse) else {
            return Ok(vended);
        };
        match place.holds(&self.store) {
            true => Ok(vended),
            false => Err(self.unusable(&format!(
                "the credentials are for another place than the store's; set the store's `url` to it, or name another table or path, place=`{}` url=`{}`",
                place.url(),
                self.store.url()
            ))),
        }
    }

    fn unusable(&self, what: &str) -> Error {
        let text = format!("{what}, {} connection=`{}`", self.of, self.connection);
        Error::credentials(Kind::Unauthorized, text)
    }

    /// What a service answers is waited for, or mended there: it is never `Config`.
    fn refused(&self, error: &Refusal) -> Error {
        let kind = match error.kind() {
            Told::RateLimited
            | Told::Unavailable
            | Told::Timeout
            | Told::Network
            | Told::Unexpected
            | Told::Canceled => Kind::Unavailable,
            Told::Unsupported => Kind::Unsupported,
            _ => Kind::Unauthorized,
        };
        let text = format!(
            "Unity Catalog gives no credentials: {error}, {} connection=`{}`",
            self.of, self.connection
        );
        Error::credentials(kind, text)
    }

    fn describe(&self) -> String {
        format!(
            "Unity Catalog's temporary credentials, {} connection=`{}`",
            self.of, self.connection
        )
    }

    fn of_another_cloud(&self, theirs: &str) -> Error {
        self.unusable(&format!(
            "Unity Catalog hands out {theirs}, and the store is in {}; correct the store's `url`, the table or the path",
            self.store.service()
        ))
    }
}

/// Keys for S3.
#[derive(Debug)]
pub(super) struct TableKeys(pub(super) Vending);

#[async_trait]
impl Source for TableKeys {
    type Credential = AwsCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AwsCredential>> {
        let vended = self.0.ask().await?;
        let VendedCredential::Aws(keys) = vended.credential else {
            return Err(self.0.of_another_cloud("a signature of Azure"));
        };
        let AwsKeys {
            access_key_id,
            secret_access_key,
            session_token,
        } = keys;
        let credential = AwsCredential {
            key_id: access_key_id,
            secret_key: secret_access_key.expose().to_owned(),
            token: session_token.map(|token| token.expose().to_owned()),
        };
        Ok(Lease::new(credential, vended.expires))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// Signatures for Azure. They may be for a directory, since that is what the service signs for a table's.
#[derive(Debug)]
pub(super) struct TableSignature(pub(super) Vending);

#[async_trait]
impl Source for TableSignature {
    type Credential = AzureCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AzureCredential>> {
        let vended = self.0.ask().await?;
        let VendedCredential::AzureSas(token) = vended.credential else {
            return Err(self.0.of_another_cloud("a key of AWS"));
        };
        let (signature, _) = Signature::parse(token.expose())
            .map_err(|error| self.0.unusable(&error.to_string()))?;
        let ends = [signature.ends(), vended.expires]
            .into_iter()
            .flatten()
            .min();
        Ok(Lease::new(signature.credential(), ends))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

#[cfg(test)]
mod tests;
