//! Applications of Entra ID: tokens by a client's secret, or by a federated token (workload identity).
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>, first and third case.

use super::{config, environment::Variables, oauth, unreadable};
use crate::{
    secret::{LiveSecret, Secret},
    storage::{
        EntraOptions, Result,
        credentials::{Ask, Clock, Lease, Source},
    },
};
use async_trait::async_trait;
use object_store::azure::AzureCredential;
use std::{fmt, time::Duration};

/// The audience of the Blob service, in every cloud.
const SCOPE: &str = "https://storage.azure.com/.default";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The issuer's default, for one that does not say.
const USUAL_LIFE: Duration = Duration::from_secs(3_600);

/// An application, and what proves that we are it.
pub(super) struct Entra {
    http: oauth::Http,
    url: url::Url,
    tenant: String,
    client_id: String,
    proof: Proof,
    clock: Clock,
}

enum Proof {
    Secret(LiveSecret),
    /// The file of a token that Kubernetes (or another issuer Entra trusts) keeps fresh.
    Federated(LiveSecret),
}

impl Entra {
    pub(super) fn new(
        http: oauth::Http,
        options: &EntraOptions,
        variables: &Variables,
        clock: Clock,
    ) -> Result<Self> {
        let or = |given: &Option<String>, name: &str, option: &str| {
            given
                .clone()
                .or_else(|| variables.get(name))
                .ok_or_else(|| {
                    config(format!(
                        "Entra ID needs `{option}`, and {name} is not set either"
                    ))
                })
        };
        let tenant = or(&options.tenant_id, "AZURE_TENANT_ID", "tenant_id")?;
        let client_id = or(&options.client_id, "AZURE_CLIENT_ID", "client_id")?;
        let authority = options
            .authority
            .clone()
            .or_else(|| variables.get("AZURE_AUTHORITY_HOST"))
            .unwrap_or_else(|| "https://login.microsoftonline.com".into());
        let proof = match (&options.client_secret, &options.federated_token_file) {
            (Some(_), Some(_)) => {
                return Err(config(
                    "give `client_secret` or `federated_token_file`, not both",
                ));
            }
            (Some(secret), None) => Proof::Secret(secret.clone()),
            (None, Some(file)) => Proof::Federated(file_of(&file.display().to_string())),
            (None, None) => match variables.get("AZURE_FEDERATED_TOKEN_FILE") {
                Some(file) => Proof::Federated(file_of(&file)),
                None => {
                    return Err(config(
                        "Entra ID needs `client_secret` or `federated_token_file`, and AZURE_FEDERATED_TOKEN_FILE is not set either",
                    ));
                }
            },
        };
        if !tenant
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            || tenant.is_empty()
        {
            return Err(config(format!(
                "not a tenant's id or domain, tenant_id=`{tenant}`"
            )));
        }
        let text = format!(
            "{}/{tenant}/oauth2/v2.0/token",
            authority.trim_end_matches('/')
        );
        let Some(url) = url::Url::parse(&text).ok().filter(|url| url.has_host()) else {
            return Err(config(format!(
                "not an address of Entra ID, authority=`{}`",
                oauth::bare(&authority)
            )));
        };
        if url.scheme() != "https" && !oauth::is_loopback(&url) {
            return Err(config(format!(
                "Entra ID is asked by https only, authority=`{}`",
                oauth::bare(&authority)
            )));
        }
        Ok(Self {
            http,
            url,
            tenant,
            client_id,
            proof,
            clock,
        })
    }
}

fn file_of(path: &str) -> LiveSecret {
    LiveSecret::new(&format!("file:{path}"))
}

#[async_trait]
impl Source for Entra {
    type Credential = AzureCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AzureCredential>> {
        let (proof, names): (Secret, &[(&str, &str)]) = match &self.proof {
            Proof::Secret(secret) => (secret.read().map_err(|e| unreadable(&e))?, &[]),
            Proof::Federated(file) => {
                let token = file.read().map_err(|e| unreadable(&e))?;
                (token, &[("client_assertion_type", JWT_BEARER)])
            }
        };
        let field = match &self.proof {
            Proof::Secret(_) => "client_secret",
            Proof::Federated(_) => "client_assertion",
        };
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("scope", SCOPE),
            (field, proof.expose()),
        ];
        form.extend_from_slice(names);
        let asked = self.clock.now();
        let token =
            oauth::post(&self.http, "Entra ID", &self.url, &form, &[proof.expose()]).await?;
        let life = token.expires_in.map_or(USUAL_LIFE, Duration::from_secs);
        Ok(Lease::new(
            AzureCredential::BearerToken(token.access_token.expose().to_owned()),
            asked.checked_add(life),
        ))
    }

    fn describe(&self) -> String {
        let by = match &self.proof {
            Proof::Secret(_) => "client secret",
            Proof::Federated(_) => "federated token",
        };
        format!(
            "Entra application by {by}, client_id=`{}` tenant_id=`{}`",
            self.client_id, self.tenant
        )
    }
}

impl fmt::Debug for Entra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
