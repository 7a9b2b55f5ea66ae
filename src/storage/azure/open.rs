//! From the options of a store to a client.

use super::{
    answers::Answers,
    blobs::{Account, Blobs},
    environment::Variables,
    oauth,
    settling::{Patient, Settling},
    sources::Sources,
};
use crate::storage::{
    CredentialOptions, Error, Opened, Result, SasOptions, StoreOptions,
    credentials::{Cached, Clock, Source as _, Timing},
    http, landing_zone,
    renewing::Renewing,
};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use std::sync::Arc;

/// Opens a container. Makes no request: credentials are fetched at the first one.
///
/// `name`: of `[stores.NAME]`, for metrics and errors. `account`: of the URL; without it that of the options, the SAS URI,
/// the endpoint or the environment, or the one a landing zone names. Errors ([`Error::InvalidStore`]) are what is wrong
/// with the options.
pub fn open(
    name: &str,
    container: &str,
    account: Option<&str>,
    options: &StoreOptions,
) -> Result<Opened> {
    open_with(
        name,
        container,
        account,
        options,
        &Variables::process(),
        Clock::default(),
    )
    .map_err(|error| {
        let reason = match error {
            error @ Error::InvalidStore { .. } => return error,
            error => error.to_string(),
        };
        let store = name.to_owned();
        Error::InvalidStore { store, reason }
    })
}

pub(super) fn open_with(
    name: &str,
    container: &str,
    account: Option<&str>,
    options: &StoreOptions,
    variables: &Variables,
    clock: Clock,
) -> Result<Opened> {
    let invalid = |reason: String| Error::InvalidStore {
        store: name.to_owned(),
        reason,
    };
    fits_azure(options).map_err(|reason| invalid(reason.to_owned()))?;
    let endpoint = options
        .endpoint
        .as_deref()
        .map(|text| endpoint(text, options))
        .transpose()
        .map_err(invalid)?;
    let account = account
        .map(str::to_owned)
        .or_else(|| options.account.clone())
        .or_else(|| endpoint.as_ref().and_then(account_of_endpoint))
        .or_else(|| account_of_uri(&options.credentials))
        // A landing zone names its own, which is hardly that of the environment.
        .or_else(|| match options.credentials {
            CredentialOptions::LandingZone(_) => None,
            _ => variables.account(),
        });
    if let Some(account) = account.as_deref().filter(|account| !is_account(account)) {
        return Err(invalid(format!(
            "an account's name is 3 to 24 lower-case letters and digits, account=`{account}`"
        )));
    }
    let settling = Arc::new(Settling::default());
    let sources = Sources {
        container,
        options,
        variables,
        settling: &settling,
        clock: &clock,
    };
    let (source, account) = sources.of(&options.credentials, account)?;
    let identity = source.describe();
    let mut timing = Timing::default();
    if matches!(options.credentials, CredentialOptions::LandingZone(_)) {
        timing.fetch = landing_zone::FETCH;
    }
    let credentials = Cached::with(name, source, timing, clock.clone());
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_credentials(Arc::new(credentials.clone()))
        .with_http_connector(Patient {
            inner: http::Connector::new(name),
            settling,
        })
        .with_client_options(http::client_options(options).map_err(invalid)?)
        .with_retry(http::retries());
    if let Some(endpoint) = &endpoint {
        let endpoint = endpoint.as_str().trim_end_matches('/');
        builder = builder.with_config(AzureConfigKey::Endpoint, endpoint);
    }
    let shown = match &account {
        Account::Named(account) => format!("azure container {container} of {account}"),
        Account::Later(_) => format!("azure container {container}"),
    };
    let blobs = Blobs::new(shown, builder, account, credentials.clone())
        .map_err(|e| invalid(e.to_string()))?;
    let answers = Answers {
        store: name.to_owned(),
        container: container.to_owned(),
        identity: identity.clone(),
        by_role: by_role(&options.credentials, variables),
    };
    let credentials = Arc::new(credentials);
    Ok(Opened {
        store: Arc::new(Renewing::new(blobs, credentials.clone(), answers)),
        identity,
        credentials: Some(credentials),
    })
}

fn by_role(credentials: &CredentialOptions, variables: &Variables) -> bool {
    match credentials {
        CredentialOptions::Entra(_) | CredentialOptions::ManagedIdentity(_) => true,
        CredentialOptions::Environment => variables.offer().is_identity(),
        _ => false,
    }
}

/// Refuses options that say nothing to Azure.
fn fits_azure(options: &StoreOptions) -> Result<(), &'static str> {
    if options.region.is_some() {
        return Err("`region` is for S3; an account's address names no region");
    }
    if options.path_style.is_some() {
        return Err("`path_style` is for S3");
    }
    if options.encryption.is_some() || options.kms_key_id.is_some() || options.bucket_key.is_some()
    {
        return Err(
            "`encryption`, `kms_key_id` and `bucket_key` are for S3; Azure encrypts by the account's settings",
        );
    }
    if options.checksum != crate::storage::Checksum::None {
        return Err("`checksum` is for S3");
    }
    Ok(())
}

fn endpoint(text: &str, options: &StoreOptions) -> Result<url::Url, String> {
    let url = url::Url::parse(text).ok().filter(|url| url.has_host());
    let shown = oauth::bare(text);
    match url {
        Some(url) if url.query().is_some() || url.fragment().is_some() => Err(format!(
            "leave the query out of `endpoint`; signatures are credentials, endpoint=`{shown}`"
        )),
        Some(url) if url.scheme() == "https" || url.scheme() == "http" && options.allow_http => {
            Ok(url)
        }
        Some(url) if url.scheme() == "http" => Err(format!(
            "an endpoint of http needs `allow_http = true`, endpoint=`{shown}`"
        )),
        _ => Err(format!(
            "not an address of a Blob service, endpoint=`{shown}`"
        )),
    }
}

/// An emulator has the account in its path, Azure in its host.
fn account_of_endpoint(url: &url::Url) -> Option<String> {
    let in_path = url
        .path_segments()?
        .find(|segment| !segment.is_empty())
        .map(str::to_owned);
    in_path.or_else(|| {
        let (account, rest) = url.domain()?.split_once('.')?;
        rest.starts_with("blob.").then(|| account.to_owned())
    })
}

fn account_of_uri(credentials: &CredentialOptions) -> Option<String> {
    let CredentialOptions::Sas(SasOptions { token }) = credentials else {
        return None;
    };
    let (_, named) = super::sas::Signature::parse(token.read().ok()?.expose()).ok()?;
    named.map(|named| named.account)
}

fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}
