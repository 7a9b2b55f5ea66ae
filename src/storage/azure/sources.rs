//! From the options of a store to the source of its credentials.

use super::{
    Source,
    account_key::AccountKey,
    blobs::Account,
    entra::Entra,
    environment::{Offer, Variables},
    managed_identity::ManagedIdentity,
    oauth,
    settling::Settling,
    signature::GivenSignature,
};
use crate::{
    secret::LiveSecret,
    storage::{
        AccountKeyOptions, CredentialOptions, EntraOptions, LandingZoneOptions,
        ManagedIdentityOptions, Result, SasOptions, StoreOptions, credentials::Clock,
        landing_zone::LandingZone, unity_catalog::TableSignature,
    },
};
use std::sync::Arc;

pub(super) struct Sources<'a> {
    pub(super) container: &'a str,
    pub(super) options: &'a StoreOptions,
    pub(super) variables: &'a Variables,
    pub(super) settling: &'a Arc<Settling>,
    pub(super) clock: &'a Clock,
}

impl Sources<'_> {
    /// The source of the credentials, and where the account's name comes from.
    pub(super) fn of(
        &self,
        credentials: &CredentialOptions,
        account: Option<String>,
    ) -> Result<(Source, Account)> {
        match (credentials, account) {
            (_, Some(account)) => {
                let source = self.source(credentials, &account)?;
                Ok((source, Account::Named(account)))
            }
            (CredentialOptions::LandingZone(options), None) => {
                let zone = self.landing_zone(options, None)?;
                let named = Arc::clone(&zone);
                let account = Account::Later(Arc::new(move || named.account()));
                Ok((Box::new(zone), account))
            }
            (_, None) => Err(super::config(
                "the storage account is not known; set `account`, or a URL that names it (abfss://CONTAINER@ACCOUNT.dfs.core.windows.net)",
            )),
        }
    }

    fn landing_zone(
        &self,
        options: &LandingZoneOptions,
        account: Option<&str>,
    ) -> Result<Arc<LandingZone>> {
        let zone = LandingZone::new(
            oauth::client(self.options)?,
            self.container,
            account,
            options,
            self.options,
            Arc::clone(self.settling),
            self.clock.clone(),
        );
        Ok(Arc::new(zone?))
    }

    fn source(&self, credentials: &CredentialOptions, account: &str) -> Result<Source> {
        let entra = |options: &EntraOptions| {
            let http = oauth::client(self.options)?;
            Entra::new(http, options, self.variables, self.clock.clone())
        };
        let managed = |options: &ManagedIdentityOptions| {
            ManagedIdentity::new(options, self.variables, self.clock.clone())
        };
        Ok(match credentials {
            CredentialOptions::Sas(SasOptions { token }) => {
                self.signature(token.clone(), account)?
            }
            CredentialOptions::AccountKey(AccountKeyOptions { key }) => {
                self.account_key(key.clone())?
            }
            CredentialOptions::Entra(options) => Box::new(entra(options)?),
            CredentialOptions::ManagedIdentity(options) => Box::new(managed(options)?),
            CredentialOptions::Environment => {
                let none = EntraOptions {
                    tenant_id: None,
                    client_id: None,
                    client_secret: None,
                    federated_token_file: None,
                    authority: None,
                };
                match self.variables.offer() {
                    Offer::Signature(token) => self.signature(LiveSecret::new(&token), account)?,
                    Offer::AccountKey(key) => self.account_key(LiveSecret::new(&key))?,
                    Offer::ClientSecret(secret) => Box::new(entra(&EntraOptions {
                        client_secret: Some(LiveSecret::new(&secret)),
                        ..none
                    })?),
                    Offer::Federated => Box::new(entra(&none)?),
                    Offer::ManagedIdentity => {
                        Box::new(managed(&ManagedIdentityOptions::default())?)
                    }
                }
            }
            CredentialOptions::Static(_)
            | CredentialOptions::Profile(_)
            | CredentialOptions::AssumeRole(_)
            | CredentialOptions::WebIdentity(_) => {
                return Err(super::config(
                    "these credentials are for S3; for Azure use `sas`, `account_key`, `entra`, `managed_identity`, `landing_zone`, `unity_catalog` or `environment`",
                ));
            }
            CredentialOptions::LandingZone(options) => {
                Box::new(self.landing_zone(options, Some(account))?)
            }
            CredentialOptions::UnityCatalog(options) => {
                let vending = options.vending().map_err(super::config)?;
                Box::new(TableSignature(vending))
            }
        })
    }

    fn account_key(&self, key: LiveSecret) -> Result<Source> {
        let key = AccountKey(key);
        if key.0.file().is_none() {
            key.read().map_err(|e| super::config(e.to_string()))?;
        }
        Ok(Box::new(key))
    }

    /// A signature in the configuration itself is judged at once; one in a file when it is read.
    fn signature(&self, token: LiveSecret, account: &str) -> Result<Source> {
        let given = GivenSignature {
            account: account.to_owned(),
            container: self.container.to_owned(),
            plain_http: self
                .options
                .endpoint
                .as_deref()
                .is_some_and(|endpoint| endpoint.starts_with("http:")),
            clock: self.clock.clone(),
            token,
        };
        if given.token.file().is_none() {
            given
                .lasting_faults()
                .map_err(|e| super::config(e.to_string()))?;
        }
        Ok(Box::new(given))
    }
}
