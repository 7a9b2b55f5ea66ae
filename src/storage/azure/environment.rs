//! What the environment offers, in this order: a signature, an account key, an application with its secret, one with a
//! federated token, and else a managed identity.
//!
//! The names are those of the Azure SDKs, the `az` command and `object_store`.

use std::{fmt, sync::Arc};

/// The variables of the process, or of a test.
#[derive(Clone)]
pub(super) struct Variables(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Variables {
    pub(super) fn process() -> Self {
        Self(Arc::new(|name| std::env::var(name).ok()))
    }

    #[cfg(test)]
    pub(super) fn of(pairs: &[(&'static str, &str)]) -> Self {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        Self(Arc::new(move |name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value.clone())
        }))
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// The first that is set.
    fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name))
    }

    pub(super) fn account(&self) -> Option<String> {
        self.first(&["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"])
    }

    pub(super) fn offer(&self) -> Offer {
        if let Some(token) = self.first(&["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"]) {
            return Offer::Signature(token);
        }
        let keys = [
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_KEY",
        ];
        if let Some(key) = self.first(&keys) {
            return Offer::AccountKey(key);
        }
        let application =
            self.get("AZURE_CLIENT_ID").is_some() && self.get("AZURE_TENANT_ID").is_some();
        match self.get("AZURE_CLIENT_SECRET") {
            Some(secret) if application => Offer::ClientSecret(secret),
            _ if application && self.get("AZURE_FEDERATED_TOKEN_FILE").is_some() => {
                Offer::Federated
            }
            _ => Offer::ManagedIdentity,
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

/// What was found; its texts are secrets or `file:` with their places.
#[derive(PartialEq, Eq)]
pub(super) enum Offer {
    Signature(String),
    AccountKey(String),
    ClientSecret(String),
    Federated,
    ManagedIdentity,
}

impl Offer {
    pub(super) fn is_identity(&self) -> bool {
        !matches!(self, Offer::Signature(_) | Offer::AccountKey(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_sdks() {
        let all = [
            ("AZURE_STORAGE_SAS_TOKEN", "sas"),
            ("AZURE_STORAGE_KEY", "key"),
            ("AZURE_CLIENT_ID", "client"),
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_SECRET", "secret"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
        ];
        let found = |from: usize, without: &str| {
            let kept: Vec<_> = all[from..]
                .iter()
                .filter(|(name, _)| *name != without)
                .copied()
                .collect();
            Variables::of(&kept).offer()
        };
        assert!(found(0, "") == Offer::Signature("sas".into()));
        assert!(found(1, "") == Offer::AccountKey("key".into()));
        assert!(found(2, "") == Offer::ClientSecret("secret".into()));
        assert!(found(2, "AZURE_CLIENT_SECRET") == Offer::Federated);
        assert!(found(2, "AZURE_TENANT_ID") == Offer::ManagedIdentity);
        assert!(found(6, "") == Offer::ManagedIdentity);
        let blank = Variables::of(&[
            ("AZURE_STORAGE_SAS_TOKEN", " "),
            ("AZURE_STORAGE_ACCESS_KEY", "key"),
        ]);
        assert!(blank.offer() == Offer::AccountKey("key".into()));
        assert_eq!(
            Variables::of(&[("AZURE_STORAGE_ACCOUNT", "acc")])
                .account()
                .as_deref(),
            Some("acc")
        );
    }
}
