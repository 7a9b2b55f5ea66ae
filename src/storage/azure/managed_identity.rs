//! The identity that Azure gives a machine, pod or app.
//!
//! Machines ask the instance metadata service (IMDS), apps and functions the address in `IDENTITY_ENDPOINT` with
//! `IDENTITY_HEADER`: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>,
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity>.

use super::{config, environment::Variables, oauth};
use crate::{
    error::Kind,
    secret::Secret,
    storage::{
        Error, ManagedIdentityOptions, Result,
        credentials::{Ask, Clock, Lease, Source},
    },
};
use async_trait::async_trait;
use object_store::azure::AzureCredential;
use reqwest::{Method, Request, header::HeaderValue};
use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const RESOURCE: &str = "https://storage.azure.com/";
/// The service is on the machine: whoever does not connect within this time is not on Azure.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);
/// Tries of one fetch; the service asks for patience with 404, 410, 429 and 5xx while it starts and updates itself.
const TRIES: u32 = 4;

/// A managed identity.
pub(super) struct ManagedIdentity {
    http: oauth::Http,
    endpoint: url::Url,
    client_id: Option<String>,
    service: Service,
    clock: Clock,
}

enum Service {
    Machine,
    /// With the header that apps must send.
    App(Secret),
}

impl ManagedIdentity {
    pub(super) fn new(
        options: &ManagedIdentityOptions,
        variables: &Variables,
        clock: Clock,
    ) -> Result<Self> {
        let header = variables.get("IDENTITY_HEADER");
        let from_environment = variables.get("IDENTITY_ENDPOINT");
        let (endpoint, service) = match (&options.endpoint, from_environment, header) {
            (Some(given), found, header) => match header {
                // The header belongs to the address it came with.
                Some(header) if found.as_ref() == Some(given) => {
                    (given.clone(), Service::App(Secret::new(header)))
                }
                _ => (given.clone(), Service::Machine),
            },
            (None, Some(found), Some(header)) => (found, Service::App(Secret::new(header))),
            (None, Some(found), None) => {
                return Err(config(format!(
                    "IDENTITY_ENDPOINT without IDENTITY_HEADER (Azure Arc, Service Fabric) is not supported, use `entra`, endpoint=`{}`",
                    oauth::bare(&found)
                )));
            }
            (None, None, _) => (IMDS.to_owned(), Service::Machine),
        };
        let parsed = url::Url::parse(&endpoint)
            .ok()
            .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
        let Some(mut endpoint) = parsed else {
            return Err(config(format!(
                "not the address of a metadata service, endpoint=`{}`",
                oauth::bare(&endpoint)
            )));
        };
        if endpoint.path() == "/" {
            endpoint.set_path("/metadata/identity/oauth2/token");
        }
        let client_id = options
            .client_id
            .clone()
            .or_else(|| variables.get("AZURE_CLIENT_ID"));
        Ok(Self {
            // It must be reached directly: a proxy would answer with its own identity.
            http: oauth::build(
                reqwest::Client::builder()
                    .no_proxy()
                    .connect_timeout(CONNECT)
                    .timeout(ANSWER),
            )?,
            endpoint,
            client_id,
            service,
            clock,
        })
    }

    async fn ask(&self) -> Result<oauth::Answer, Error> {
        let mut url = self.endpoint.clone();
        let version = match &self.service {
            Service::Machine => "2018-02-01",
            Service::App(_) => "2019-08-01",
        };
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", RESOURCE)
            .extend_pairs(self.client_id.as_ref().map(|id| ("client_id", id)));
        let mut request = Request::new(Method::GET, url);
        let (name, value) = match &self.service {
            Service::Machine => ("metadata", HeaderValue::from_static("true")),
            Service::App(header) => {
                let value = HeaderValue::from_str(header.expose());
                (
                    "x-identity-header",
                    value.map_err(|_| config("IDENTITY_HEADER cannot be sent as a header"))?,
                )
            }
        };
        request.headers_mut().insert(name, value);
        self.http.send(request).await.map_err(|e| {
            let text = format!(
                "no managed identity, the metadata service does not answer; if this is not a machine, pod or app of Azure use other credentials: {e}, endpoint=`{}`",
                self.endpoint
            );
            Error::credentials(Kind::Unavailable, text)
        })
    }
}

#[async_trait]
impl Source for ManagedIdentity {
    type Credential = AzureCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AzureCredential>> {
        let mut tried = 1;
        let asked = self.clock.now();
        let answer = loop {
            let answer = self.ask().await?;
            let wait = matches!(answer.status.as_u16(), 404 | 410 | 429 | 500..);
            if !wait || tried == TRIES {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(500) * 2u32.pow(tried)).await;
            tried += 1;
        };
        let secrets: &[&str] = match &self.service {
            Service::Machine => &[],
            Service::App(header) => &[header.expose()],
        };
        if answer.status == 400 {
            let text = format!(
                "this machine has no such identity, assign one to it (and give `client_id` if it has several), {}, endpoint=`{}`",
                oauth::said(&answer.body, secrets),
                self.endpoint
            );
            return Err(Error::credentials(Kind::Unauthorized, text));
        }
        let token = oauth::token("the metadata service", &self.endpoint, &answer, secrets)?;
        let expires = match (token.expires_on, token.expires_in) {
            (Some(at), _) => UNIX_EPOCH.checked_add(Duration::from_secs(at)),
            (None, Some(life)) => asked.checked_add(Duration::from_secs(life)),
            (None, None) => asked.checked_add(Duration::from_secs(3_600)),
        };
        Ok(Lease::new(
            AzureCredential::BearerToken(token.access_token.expose().to_owned()),
            expires,
        ))
    }

    fn describe(&self) -> String {
        match &self.client_id {
            Some(id) => format!("managed identity, client_id=`{id}`"),
            None => "managed identity, the one assigned by the system".into(),
        }
    }
}

impl fmt::Debug for ManagedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
