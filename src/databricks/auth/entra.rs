//! Identities of Azure's Entra ID: a service principal by secret, a managed identity of the machine.
//!
//! Besides the token for Databricks a request carries one for Azure's management, by which the workspace judges whether an
//! identity that it does not know has a right on it as a resource of Azure.

use super::{
    Kept,
    token::{self, Issuer, Token},
};
use crate::databricks::{
    Error, Host, Kind, Result,
    http::{Http, Outgoing},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, HeaderValue};
use std::time::Duration;
use url::Url;

/// Databricks as a resource of Entra ID, in every cloud.
pub(super) const DATABRICKS: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d";
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// One of Azure's clouds, by the workspace's host.
#[derive(Clone, Copy)]
pub(super) struct AzureCloud {
    pub(super) authority: &'static str,
    pub(super) management: &'static str,
}

pub(super) fn cloud(host: &Host) -> AzureCloud {
    let name = host.url().host_str().unwrap_or_default();
    let (authority, management) = if name.ends_with(".databricks.azure.us") {
        (
            "https://login.microsoftonline.us/",
            "https://management.core.usgovcloudapi.net/",
        )
    } else if name.ends_with(".databricks.azure.cn") {
        (
            "https://login.chinacloudapi.cn/",
            "https://management.core.chinacloudapi.cn/",
        )
    } else {
        (
            "https://login.microsoftonline.com/",
            "https://management.core.windows.net/",
        )
    };
    AzureCloud {
        authority,
        management,
    }
}

/// A service principal's token for one resource.
pub(super) struct ServicePrincipal {
    pub(super) http: Http,
    pub(super) host: Host,
    pub(super) authority: Url,
    pub(super) tenant: Option<String>,
    pub(super) client_id: String,
    pub(super) client_secret: Kept,
    pub(super) resource: String,
    /// What the workspace told.
    pub(super) found: Mutex<Option<String>>,
}

#[async_trait]
impl Issuer for ServicePrincipal {
    async fn token(&self) -> Result<Token> {
        let secret = self.client_secret.read("client secret")?;
        let tenant = self.tenant().await?;
        let mut url = self.authority.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend([tenant.as_str(), "oauth2", "token"]);
        }
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", secret.expose()),
            ("resource", &self.resource),
        ];
        let mut request = Outgoing::form(url, form, Duration::ZERO);
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        token::ask(&self.http, "Entra ID", &request, &[secret.expose()]).await
    }
}

impl ServicePrincipal {
    async fn tenant(&self) -> Result<String> {
        if let Some(tenant) = &self.tenant {
            return Ok(tenant.clone());
        }
        let found = self.found.lock().clone();
        if let Some(tenant) = found {
            return Ok(tenant);
        }
        let request = Outgoing::get(self.host.at("/aad/auth"), Duration::ZERO);
        let answer = token::send(&self.http, "the workspace", &request).await?;
        let location = answer
            .headers
            .get("location")
            .and_then(|value| value.to_str().ok());
        let tenant = location
            .filter(|_| (300..400).contains(&answer.status))
            .and_then(tenant_of);
        let tenant = tenant.ok_or_else(|| Error::Token {
            kind: Kind::Options,
            message: format!(
                "the workspace does not tell its tenant; set `tenant_id` in `auth` of the connection, host=`{}` status=`{}`",
                self.host, answer.status
            ),
        })?;
        *self.found.lock() = Some(tenant.clone());
        Ok(tenant)
    }
}

/// The tenant in `https://login.microsoftonline.com/TENANT/oauth2/authorize?…`.
fn tenant_of(location: &str) -> Option<String> {
    let url = Url::parse(location).ok()?;
    let tenant = url.path_segments()?.next()?;
    let legal = !tenant.is_empty()
        && !matches!(tenant, "common" | "organizations" | "consumers")
        && tenant
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    legal.then(|| tenant.to_owned())
}

/// A managed identity's token for one resource, by the machine's metadata service.
pub(super) struct ManagedIdentity {
    /// Past any proxy.
    pub(super) http: Http,
    pub(super) client_id: Option<String>,
    pub(super) resource: String,
}

#[async_trait]
impl Issuer for ManagedIdentity {
    async fn token(&self) -> Result<Token> {
        let mut url = Url::parse(METADATA).map_err(|error| Error::unexpected(error.to_string()))?;
        url.query_pairs_mut()
            .append_pair("api-version", "2018-02-01")
            .append_pair("resource", &self.resource);
        if let Some(id) = &self.client_id {
            url.query_pairs_mut().append_pair("client_id", id);
        }
        let mut request = Outgoing::get(url, Duration::ZERO);
        request
            .headers
            .insert("metadata", HeaderValue::from_static("true"));
        token::ask(
            &self.http,
            "Azure's metadata service, which ARM_USE_MSI wants on this machine,",
            &request,
            &[],
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_read_of_the_way_to_the_login_page() {
        let of = |text: &str| tenant_of(text);
        assert_eq!(
            of("https://login.microsoftonline.us/7d5a/oauth2/authorize?x=y").unwrap(),
            "7d5a"
        );
        assert_eq!(of("https://login.microsoftonline.com/common/oauth2"), None);
        assert_eq!(of("/login"), None);
        assert_eq!(of("https://login.microsoftonline.com/"), None);
        assert_eq!(of("https://login.microsoftonline.com/a%2Fb/x"), None);
    }

    #[test]
    fn each_cloud_has_its_authority() {
        let of = |host: &str| cloud(&Host::parse(host).unwrap()).authority;
        assert_eq!(
            of("adb-1.2.azuredatabricks.net"),
            "https://login.microsoftonline.com/"
        );
        assert_eq!(
            of("adb-1.2.databricks.azure.us"),
            "https://login.microsoftonline.us/"
        );
        assert_eq!(
            of("adb-1.2.databricks.azure.cn"),
            "https://login.chinacloudapi.cn/"
        );
    }
}
