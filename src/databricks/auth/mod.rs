//! Credentials of a workspace: who we are, kept fresh, as headers of a request.

mod cache;
mod discovery;
mod entra;
mod kept;
mod oauth;
mod profile;
mod surroundings;
mod token;
mod unified;

pub use discovery::Discovery;
pub(super) use discovery::discover;
pub(super) use kept::Kept;
pub(super) use surroundings::Surroundings;

use super::{AuthOptions, ConnectionOptions, EntraOptions, Error, Host, Result, http::Http};
use cache::TokenCache;
use discovery::Endpoint;
use entra::{DATABRICKS, ManagedIdentity, ServicePrincipal};
use oauth::{ClientCredentials, Federation};
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use unified::{Choice, Unified};
use url::Url;

const RESOURCE_ID: HeaderName = HeaderName::from_static("x-databricks-azure-workspace-resource-id");
const MANAGEMENT_TOKEN: HeaderName =
    HeaderName::from_static("x-databricks-azure-sp-management-token");

/// What a connection is once its options, the environment and its profile are read.
pub(super) struct Identity {
    pub(super) host: Host,
    pub(super) account_id: Option<String>,
    pub(super) workspace_id: Option<String>,
    pub(super) warehouse_id: Option<String>,
    pub(super) cluster_id: Option<String>,
    pub(super) auth: Auth,
}

/// The credential of a connection.
pub(super) struct Auth {
    scheme: Scheme,
    connection: String,
}

/// What a connection's credential is, whichever place it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A personal access token: it is what it is until somebody replaces it.
    PersonalToken,
    /// Tokens by OAuth or of Entra ID, each renewed before its end. `end`: of the present one, where there is one.
    Issued { end: Option<std::time::SystemTime> },
}

enum Scheme {
    Pat(Kept),
    OAuth(TokenCache),
    Entra {
        token: TokenCache,
        management: TokenCache,
        /// The workspace as a resource of Azure; with it the management token is a must.
        resource_id: Option<String>,
    },
}

impl Auth {
    /// The headers that carry the credential, and the generation of its token.
    pub(super) async fn headers(&self) -> Result<(HeaderMap, u64)> {
        let mut headers = HeaderMap::new();
        let generation = match &self.scheme {
            Scheme::Pat(token) => {
                let token = token.read("personal access token")?;
                self.bearer(&mut headers, AUTHORIZATION, "Bearer ", token.expose())?;
                0
            }
            Scheme::OAuth(cache) => {
                let (token, generation) = cache.get().await?;
                self.bearer(&mut headers, AUTHORIZATION, "Bearer ", token.expose())?;
                generation
            }
            Scheme::Entra {
                token,
                management,
                resource_id,
            } => {
                let (token, generation) = token.get().await?;
                self.bearer(&mut headers, AUTHORIZATION, "Bearer ", token.expose())?;
                let second = match resource_id {
                    Some(_) => Some(management.get().await?.0),
                    // A principal that the workspace knows needs none.
                    None => management.get_if_offered().await.unwrap_or_else(|error| {
                        tracing::debug!(connection = %self.connection, %error, "no token for Azure's management");
                        None
                    }),
                };
                if let Some(token) = second {
                    self.bearer(&mut headers, MANAGEMENT_TOKEN, "", token.expose())?;
                }
                if let Some(id) = resource_id {
                    let value = HeaderValue::from_str(id).map_err(|_| {
                        self.options("auth.workspace_resource_id", "is no resource id")
                    })?;
                    headers.insert(RESOURCE_ID, value);
                }
                generation
            }
        };
        Ok((headers, generation))
    }

    pub(super) fn credential(&self) -> Credential {
        match &self.scheme {
            Scheme::Pat(_) => Credential::PersonalToken,
            Scheme::OAuth(cache) | Scheme::Entra { token: cache, .. } => {
                Credential::Issued { end: cache.end() }
            }
        }
    }

    fn bearer(
        &self,
        headers: &mut HeaderMap,
        name: HeaderName,
        scheme: &str,
        token: &str,
    ) -> Result<()> {
        let mut value = HeaderValue::from_str(&format!("{scheme}{token}"))
            .map_err(|_| self.options("auth", "the token has characters that no token has"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }

    fn options(&self, key: &str, message: &str) -> Error {
        Error::Options {
            connection: self.connection.clone(),
            key: key.to_owned(),
            message: message.to_owned(),
        }
    }

    /// Replaces a token that was refused, once for all who saw the same one. `false`: there is nothing to replace it by,
    /// as a personal access token is what it is, and a new token was refused just now.
    pub(super) async fn renew(&self, seen: u64) -> Result<bool> {
        match &self.scheme {
            Scheme::Pat(_) => Ok(false),
            Scheme::OAuth(cache) | Scheme::Entra { token: cache, .. } => cache.renew(seen).await,
        }
    }
}

/// Reads what a connection rests on. `local`: a client past any proxy. Errors: `Options`.
pub(super) fn identify(
    connection: &str,
    options: &ConnectionOptions,
    given: Option<Host>,
    trusted: &[Host],
    surroundings: &Surroundings,
    http: impl FnOnce(&Host) -> Result<Http>,
    local: impl FnOnce() -> Result<Http>,
) -> Result<Identity> {
    let wrong = |key: &str, message: String| Error::Options {
        connection: connection.to_owned(),
        key: key.to_owned(),
        message,
    };
    let unified = match &options.auth {
        AuthOptions::Environment => {
            let own = [
                ("host", given.as_ref().map(Host::to_string)),
                ("profile", options.profile.clone()),
                ("account_id", options.account_id.clone()),
                ("workspace_id", options.workspace_id.clone()),
            ];
            let found = Unified::gather(&own, surroundings);
            Some(found.map_err(|message| wrong("auth", message))?)
        }
        _ => None,
    };
    let from = |name: &str| {
        unified
            .as_ref()
            .and_then(|unified| unified.get(name))
            .map(str::to_owned)
    };
    let host = match (given, from("host")) {
        (Some(host), _) => host,
        (None, Some(text)) => Host::parse(&text).map_err(|message| wrong("host", message))?,
        (None, None) => return Err(wrong("host", "is missing; give the workspace's URL, or a profile that has it, or set DATABRICKS_HOST".into())),
    };
    let account_id = options.account_id.clone().or_else(|| from("account_id"));
    if matches!(host.kind(), super::HostKind::Account(_)) && account_id.is_none() {
        return Err(wrong(
            "host",
            format!(
                "is the account console, not a workspace; open the workspace in the browser and copy its URL, or set `account_id` to use the account's APIs, host=`{host}`"
            ),
        ));
    }
    let url = |key: &str, text: Option<String>| {
        text.map(|text| super::rules::secret_url(&text).map_err(|message| wrong(key, message)))
            .transpose()
    };
    let token_url = url("token_url", options.token_url.clone())?;
    let discovery_url = url("auth", from("discovery_url"))?;
    let client = http(&host)?;
    let endpoint = || Endpoint {
        host: host.clone(),
        token_url: token_url.clone(),
        discovery_url: discovery_url.clone(),
        account_id: account_id.clone(),
        trusted: trusted.to_vec(),
        found: Mutex::default(),
    };
    let m2m = |client_id: String, client_secret: Kept, scopes: Vec<String>| {
        let issuer = ClientCredentials {
            http: client.clone(),
            endpoint: endpoint(),
            client_id,
            client_secret,
            scopes: scopes.join(" "),
        };
        Scheme::OAuth(TokenCache::new(connection, issuer, cache::MARGIN))
    };
    let federation = |subject: Kept, client_id: Option<String>, scopes: Vec<String>| {
        let issuer = Federation {
            http: client.clone(),
            endpoint: endpoint(),
            subject,
            client_id,
            scopes: scopes.join(" "),
        };
        Scheme::OAuth(TokenCache::new(connection, issuer, cache::MARGIN))
    };
    let entra = |options: EntraOptions, secret: Kept| -> Result<Scheme> {
        let cloud = entra::cloud(&host);
        let authority = options.authority.as_deref().unwrap_or(cloud.authority);
        let authority: Url = super::rules::secret_url(authority)
            .map_err(|message| wrong("auth.authority", message))?;
        let issuer = |resource: &str| ServicePrincipal {
            http: client.clone(),
            host: host.clone(),
            authority: authority.clone(),
            tenant: options.tenant_id.clone(),
            client_id: options.client_id.clone(),
            client_secret: secret.clone(),
            resource: resource.to_owned(),
            found: Mutex::default(),
        };
        Ok(Scheme::Entra {
            token: TokenCache::new(connection, issuer(DATABRICKS), cache::AZURE_MARGIN),
            management: TokenCache::new(connection, issuer(cloud.management), cache::AZURE_MARGIN),
            resource_id: options.workspace_resource_id.clone(),
        })
    };
    let scheme = match (&options.auth, &unified) {
        (AuthOptions::Pat(options), _) => Scheme::Pat(Kept::Live(options.token.clone())),
        (AuthOptions::OauthM2m(options), _) => m2m(
            options.client_id.trim().to_owned(),
            Kept::Live(options.client_secret.clone()),
            options.scopes.clone(),
        ),
        (AuthOptions::OidcFederation(options), _) => federation(
            Kept::Live(options.token.clone()),
            options.client_id.clone(),
            options.scopes.clone(),
        ),
        (AuthOptions::Entra(options), _) => {
            entra(options.clone(), Kept::Live(options.client_secret.clone()))?
        }
        (AuthOptions::Environment, Some(unified)) => {
            let choice = unified
                .choose(&host.to_string())
                .map_err(|message| wrong("auth", message))?;
            match choice {
                Choice::Pat { token } => Scheme::Pat(token),
                Choice::M2m {
                    client_id,
                    client_secret,
                } => m2m(client_id, client_secret, unified.scopes()),
                Choice::Federation { subject, client_id } => {
                    federation(subject, client_id, unified.scopes())
                }
                Choice::Entra {
                    tenant_id,
                    client_id,
                    client_secret,
                } => {
                    let options = EntraOptions {
                        tenant_id,
                        client_id,
                        client_secret: crate::secret::LiveSecret::new(""),
                        workspace_resource_id: from("azure_workspace_resource_id"),
                        authority: None,
                    };
                    entra(options, client_secret)?
                }
                Choice::ManagedIdentity { client_id } => {
                    let local = local()?;
                    let issuer = |resource: &str| ManagedIdentity {
                        http: local.clone(),
                        client_id: client_id.clone(),
                        resource: resource.to_owned(),
                    };
                    Scheme::Entra {
                        token: TokenCache::new(connection, issuer(DATABRICKS), cache::AZURE_MARGIN),
                        management: TokenCache::new(
                            connection,
                            issuer(entra::cloud(&host).management),
                            cache::AZURE_MARGIN,
                        ),
                        resource_id: from("azure_workspace_resource_id"),
                    }
                }
            }
        }
        (AuthOptions::Environment, None) => return Err(wrong("auth", "is not read".into())),
    };
    Ok(Identity {
        account_id,
        workspace_id: options
            .workspace_id
            .clone()
            .or_else(|| from("workspace_id")),
        warehouse_id: from("warehouse_id"),
        cluster_id: from("cluster_id"),
        auth: Auth {
            scheme,
            connection: connection.to_owned(),
        },
        host,
    })
}

#[cfg(test)]
mod tests;
