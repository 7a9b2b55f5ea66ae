//! A key of the storage account.

use super::{refused, unreadable};
use crate::{
    secret::LiveSecret,
    storage::{
        Result,
        credentials::{Ask, Lease, Source},
    },
};
use async_trait::async_trait;
use object_store::azure::{AzureAccessKey, AzureCredential};

/// Signs each request with the account's key (`SharedKey`). A key has no end; one that was rotated is refused, and the
/// file is read again.
#[derive(Debug)]
pub(super) struct AccountKey(pub(super) LiveSecret);

impl AccountKey {
    pub(super) fn read(&self) -> Result<AzureAccessKey> {
        let key = self.0.read().map_err(|e| unreadable(&e))?;
        // The decoder's error would name the byte it stumbled over.
        AzureAccessKey::try_new(key.expose()).map_err(|_| {
            refused("the account key is not base64; copy key1 or key2 of the storage account's `Access keys` whole")
        })
    }
}

#[async_trait]
impl Source for AccountKey {
    type Credential = AzureCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AzureCredential>> {
        let key = self.read()?;
        Ok(Lease::new(AzureCredential::AccessKey(key), None))
    }

    fn describe(&self) -> String {
        match self.0.file() {
            Some(path) => format!("the account's key, file=`{}`", path.display()),
            None => "the account's key".into(),
        }
    }
}
