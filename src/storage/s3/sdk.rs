//! What the credential crates of the AWS SDK share: an HTTP client, and their types in ours.
//!
//! The providers of aws-config are built anew at each fetch: they keep profiles, tokens of the metadata service and
//! sessions for as long as they live, and what is kept is [`Cached`](crate::storage::credentials::Cached)'s business.

use crate::{
    error::Kind,
    storage::{Error, Result, credentials::Lease, explain},
};
use aws_config::{BehaviorVersion, ConfigLoader, Region, provider_config::ProviderConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};
use aws_sdk_sts::config::SharedHttpClient;
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{self, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use object_store::aws::AwsCredential;
use std::fmt;
use url::{Host, Url};

/// How the SDK reaches STS and metadata services: TLS by ring with the system's roots, proxies of the environment for
/// what is not near.
#[derive(Clone)]
pub(super) struct Sdk {
    http: SharedHttpClient,
    region: String,
}

impl fmt::Debug for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sdk")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Sdk {
    /// `region`: whose STS is asked.
    pub(super) fn new(region: &str) -> Self {
        Self {
            http: SharedHttpClient::new(Clients {
                near: client(ProxyConfig::disabled),
                far: client(ProxyConfig::from_env),
            }),
            region: region.to_owned(),
        }
    }

    pub(super) fn with_region(&self, region: Option<&str>) -> Self {
        Self {
            http: self.http.clone(),
            region: region.unwrap_or(&self.region).to_owned(),
        }
    }

    pub(super) fn region(&self) -> Region {
        Region::new(self.region.clone())
    }

    /// For providers of aws-config.
    pub(super) fn provider(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_http_client(self.http.clone())
            .with_region(Some(self.region()))
    }

    /// For clients of services. With the region given, loading it reads the environment and files but asks nobody.
    pub(super) fn config(&self) -> ConfigLoader {
        aws_config::defaults(BehaviorVersion::latest())
            .region(self.region())
            .http_client(self.http.clone())
            .identity_cache(aws_config::identity::IdentityCache::no_cache())
    }
}

fn client(proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, _| {
        let mut connector = Connector::builder();
        if let Some(settings) = settings {
            connector = connector.connector_settings(settings.clone());
        }
        connector
            .proxy_config(proxy())
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build()
    })
}

/// A client for what [`is_near`], and one for everything else.
#[derive(Debug)]
struct Clients {
    near: SharedHttpClient,
    far: SharedHttpClient,
}

impl HttpClient for Clients {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connectors {
            near: self.near.http_connector(settings, components),
            far: self.far.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct Connectors {
    near: SharedHttpConnector,
    far: SharedHttpConnector,
}

impl HttpConnector for Connectors {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match is_near(request.uri()) {
            true => self.near.call(request),
            false => self.far.call(request),
        }
    }
}

/// Whether an address is this machine's or its link's, where metadata services are and no proxy gets to.
fn is_near(uri: &str) -> bool {
    let Ok(uri) = Url::parse(uri) else {
        return false;
    };
    match uri.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::/32: EC2's own.
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.segments()[..2] == [0xfd00, 0xec2]
        }
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A provider's credentials as a lease. `what` names the provider, `remedy` what the operator can do.
pub(super) async fn lease_of(
    provider: impl ProvideCredentials,
    what: &str,
    remedy: &str,
) -> Result<Lease<AwsCredential>> {
    match provider.provide_credentials().await {
        Ok(credentials) => Ok(lease(&credentials)),
        Err(error) => {
            let kind = match &error {
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_) => Kind::Unauthorized,
                _ => Kind::Unavailable,
            };
            Err(Error::credentials(
                kind,
                format!(
                    "no credentials from {what}; {remedy}: {}",
                    explain::chain(&error)
                ),
            ))
        }
    }
}

pub(super) fn lease(credentials: &Credentials) -> Lease<AwsCredential> {
    let credential = AwsCredential {
        key_id: credentials.access_key_id().to_owned(),
        secret_key: credentials.secret_access_key().to_owned(),
        token: credentials.session_token().map(ToOwned::to_owned),
    };
    Lease::new(credential, credentials.expiry())
}

/// Ours in the SDK's type, to sign a request to STS with.
pub(super) fn credentials(credential: &AwsCredential) -> Credentials {
    Credentials::new(
        &*credential.key_id,
        &*credential.secret_key,
        credential.token.clone(),
        None,
        "alluvium",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_near_and_sts_is_not() {
        for uri in [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest/api/token",
            "http://127.0.0.1:8080/",
            "http://[::1]/",
            "http://localhost:1/",
        ] {
            assert!(is_near(uri), "{uri}");
        }
        for uri in [
            "https://sts.eu-central-1.amazonaws.com/",
            "https://10.0.0.1/",
            "http://[fd00:ec3::1]/",
            "/relative",
        ] {
            assert!(!is_near(uri), "{uri}");
        }
    }
}
