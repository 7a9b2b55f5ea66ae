//! A shared access signature of the configuration.

use super::{
    refused,
    sas::{Named, Signature},
    unreadable,
};
use crate::{
    secret::LiveSecret,
    storage::{
        Result,
        credentials::{Ask, Clock, Lease, Source},
    },
};
use async_trait::async_trait;
use object_store::azure::AzureCredential;

/// A token or SAS URI, read anew whenever a credential is asked for.
#[derive(Debug)]
pub(super) struct GivenSignature {
    pub(super) token: LiveSecret,
    pub(super) account: String,
    pub(super) container: String,
    /// The endpoint is http.
    pub(super) plain_http: bool,
    pub(super) clock: Clock,
}

impl GivenSignature {
    fn read(&self) -> Result<Signature> {
        let text = self.token.read().map_err(|e| unreadable(&e))?;
        let (signature, named) =
            Signature::parse(text.expose()).map_err(|e| refused(e.to_string()))?;
        if let Some(named) = named {
            self.same_place(&named)?;
        }
        Ok(signature)
    }

    /// Errors if it can never be of use: malformed, or of another place, resource or protocol.
    pub(super) fn lasting_faults(&self) -> Result<()> {
        match self.read()?.check(self.clock.now(), self.plain_http) {
            Err(unusable) if !unusable.passing => Err(refused(unusable.to_string())),
            _ => Ok(()),
        }
    }

    fn same_place(&self, named: &Named) -> Result<()> {
        let other = |what, theirs: &str, ours: &str| {
            Err(refused(format!(
                "the SAS URI is of another {what} than the store, give the one of the store's, uri=`{theirs}` store=`{ours}`"
            )))
        };
        if !named.account.eq_ignore_ascii_case(&self.account) {
            return other("account", &named.account, &self.account);
        }
        if !named.container.is_empty() && named.container != self.container {
            return other("container", &named.container, &self.container);
        }
        Ok(())
    }
}

#[async_trait]
impl Source for GivenSignature {
    type Credential = AzureCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AzureCredential>> {
        let signature = self.read()?;
        signature
            .check(self.clock.now(), self.plain_http)
            .map_err(|unusable| {
                let place = match self.token.file() {
                    Some(path) => format!(" file=`{}`", path.display()),
                    None => String::new(),
                };
                refused(format!("{unusable}{place}"))
            })?;
        let expires = signature.ends();
        Ok(Lease::new(signature.credential(), expires))
    }

    fn describe(&self) -> String {
        match self.read() {
            Ok(signature) => signature.to_string(),
            Err(_) => "shared access signature".into(),
        }
    }
}
