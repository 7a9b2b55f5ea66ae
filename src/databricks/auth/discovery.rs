//! Where a workspace's tokens are asked for.

use super::token;
use crate::databricks::{
    Error, Host, HostKind, Kind, Result,
    host::is_loopback,
    http::{Http, Outgoing},
};
use parking_lot::Mutex;
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// What a workspace tells of itself at `/.well-known/databricks-config`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    /// Where OAuth's endpoints are described; may hold `{account_id}`.
    pub oidc_endpoint: String,
    #[serde(default)]
    pub account_id: Option<String>,
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// `AWS`, `AZURE`, `GCP`.
    #[serde(default)]
    pub cloud: Option<String>,
}

#[derive(Deserialize)]
struct Described {
    token_endpoint: String,
}

/// The token endpoint: told, or found out once.
pub(super) struct Endpoint {
    pub(super) host: Host,
    /// Of the options.
    pub(super) token_url: Option<Url>,
    /// Of the environment: where OAuth's endpoints are described.
    pub(super) discovery_url: Option<Url>,
    pub(super) account_id: Option<String>,
    pub(super) trusted: Vec<Host>,
    pub(super) found: Mutex<Option<Url>>,
}

impl Endpoint {
    /// Errors: `Network` and its like where the workspace does not answer, `Options` where it names an endpoint that
    /// secrets are not sent to.
    pub(super) async fn token_url(&self, http: &Http) -> Result<Url> {
        if let Some(url) = &self.token_url {
            return Ok(url.clone());
        }
        let found = self.found.lock().clone();
        if let Some(url) = found {
            return Ok(url);
        }
        let url = self.find(http).await?;
        *self.found.lock() = Some(url.clone());
        Ok(url)
    }

    /// Forgets what was found where the endpoint is not there (any longer).
    pub(super) fn judged<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(Error::Token {
            kind: Kind::NotFound,
            ..
        }) = &result
        {
            *self.found.lock() = None;
        }
        result
    }

    async fn find(&self, http: &Http) -> Result<Url> {
        let described = match &self.discovery_url {
            Some(url) => url.clone(),
            None => match discover(http, &self.host).await? {
                Some(discovery) => match self.described_at(&discovery) {
                    Some(url) => url,
                    None => return Ok(self.usual()),
                },
                None => return Ok(self.usual()),
            },
        };
        self.allow(&described)?;
        let described: Option<Described> = json(http, described).await?;
        let Some(url) = described.and_then(|described| Url::parse(&described.token_endpoint).ok())
        else {
            return Ok(self.usual());
        };
        self.allow(&url)?;
        Ok(url)
    }

    fn described_at(&self, discovery: &Discovery) -> Option<Url> {
        let account = self.account_id.as_ref().or(discovery.account_id.as_ref());
        let base = match account {
            Some(id) => discovery.oidc_endpoint.replace("{account_id}", id),
            None if discovery.oidc_endpoint.contains("{account_id}") => return None,
            None => discovery.oidc_endpoint.clone(),
        };
        Url::parse(&format!(
            "{}/.well-known/oauth-authorization-server",
            base.trim_end_matches('/')
        ))
        .ok()
    }

    /// Where tokens are asked for by custom.
    fn usual(&self) -> Url {
        match (self.host.kind(), &self.account_id) {
            (HostKind::Account(_), Some(id)) => {
                self.host.at(&format!("/oidc/accounts/{id}/v1/token"))
            }
            _ => self.host.at("/oidc/v1/token"),
        }
    }

    /// A secret goes where the workspace sends us only if that is the workspace, Databricks, or a trusted host.
    fn allow(&self, url: &Url) -> Result<()> {
        let name = url.host_str().unwrap_or_default();
        let told = Host::parse(url.as_str()).ok();
        let databricks = told.is_some_and(|host| host.cloud().is_some());
        let trusted = self.trusted.iter().any(|host| host.serves(url));
        // Whoever sets a place of description trusts it.
        let set = self
            .discovery_url
            .as_ref()
            .is_some_and(|told| told.origin() == url.origin());
        let own =
            self.host.url().host() == url.host() && (url.scheme() == "https" || is_loopback(url));
        if own || trusted || set || databricks && url.scheme() == "https" {
            return Ok(());
        }
        Err(Error::Token {
            kind: Kind::Options,
            message: format!(
                "the workspace names a token endpoint on another host, which no secret is sent to; if it is right, set `token_url` of the connection, host=`{name}`"
            ),
        })
    }
}

/// Asks a workspace what it is. `None`: it does not tell.
pub(in crate::databricks) async fn discover(http: &Http, host: &Host) -> Result<Option<Discovery>> {
    json(http, host.at("/.well-known/databricks-config")).await
}

/// The JSON at a URL; `None` where there is none.
async fn json<T: serde::de::DeserializeOwned>(http: &Http, url: Url) -> Result<Option<T>> {
    let request = Outgoing::get(url, Duration::ZERO);
    let answer = token::send(http, "the workspace", &request).await?;
    match answer.status {
        200..=299 => Ok(serde_json::from_slice(&answer.body).ok()),
        429 | 500.. => Err(Error::Token {
            kind: Kind::Unavailable,
            message: format!(
                "the workspace does not tell its token endpoint; try later, or set `token_url` of the connection, status=`{}` path=`{}`",
                answer.status,
                request.url.path()
            ),
        }),
        _ => Ok(None),
    }
}
