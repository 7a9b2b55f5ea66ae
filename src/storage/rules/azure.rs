//! Options of stores in Azure Blob Storage.

use super::{
    Judged, Service,
    common::{address, is_near, secret, unity_catalog, web_url},
};
use crate::storage::{Checksum, CredentialOptions, EntraOptions, LandingZoneOptions, StoreOptions};

/// A signature of a landing zone lives for days; a margin as long as that would leave none in use.
const MAX_MARGIN_SECONDS: f64 = 86_400.0;

pub(super) fn judge(options: &StoreOptions, judged: &mut Judged) {
    for (key, set) in [
        ("region", options.region.is_some()),
        ("path_style", options.path_style.is_some()),
        ("encryption", options.encryption.is_some()),
        ("kms_key_id", options.kms_key_id.is_some()),
        ("bucket_key", options.bucket_key.is_some()),
        ("checksum", options.checksum != Checksum::None),
    ] {
        judged.foreign(key, set, Service::S3, Service::Azure);
    }
    match &options.credentials {
        CredentialOptions::Environment => {}
        CredentialOptions::Sas(sas) => secret("credentials.token", &sas.token, judged),
        CredentialOptions::AccountKey(key) => secret("credentials.key", &key.key, judged),
        CredentialOptions::Entra(entra) => entra_id(entra, options.allow_http, judged),
        CredentialOptions::ManagedIdentity(identity) => {
            judged.filled_if("credentials.client_id", identity.client_id.as_deref());
            if let Some(endpoint) = &identity.endpoint {
                // Azure's own is of http:, and on the machine.
                web_url("credentials.endpoint", endpoint, judged);
            }
        }
        CredentialOptions::LandingZone(zone) => landing_zone(zone, options.allow_http, judged),
        CredentialOptions::UnityCatalog(unity) => unity_catalog("credentials", unity, judged),
        CredentialOptions::Static(_)
        | CredentialOptions::Profile(_)
        | CredentialOptions::AssumeRole(_)
        | CredentialOptions::WebIdentity(_) => judged.wrong(
            "credentials.type",
            format!(
                "`{}` is of S3, and `url` is in Azure; use environment, sas, account_key, entra, managed_identity, landing_zone or unity_catalog, or change `url`",
                options.credentials.kind()
            ),
        ),
    }
}

fn entra_id(entra: &EntraOptions, allow_http: bool, judged: &mut Judged) {
    judged.filled_if("credentials.tenant_id", entra.tenant_id.as_deref());
    judged.filled_if("credentials.client_id", entra.client_id.as_deref());
    if let Some(value) = &entra.client_secret {
        secret("credentials.client_secret", value, judged);
        if entra.federated_token_file.is_some() {
            judged.wrong(
                "credentials.federated_token_file",
                "and `client_secret` exclude each other",
            );
        }
    }
    if let Some(authority) = &entra.authority {
        address("credentials.authority", authority, allow_http, judged);
    }
}

fn landing_zone(zone: &LandingZoneOptions, allow_http: bool, judged: &mut Judged) {
    let at = |key: &str| format!("credentials.{key}");
    secure(&at("endpoint"), &zone.endpoint, allow_http, judged);
    for (name, value) in &zone.headers {
        let key = format!("credentials.headers.{name}");
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            judged.wrong(&key, "is no name of a header");
        } else if name.eq_ignore_ascii_case("authorization") {
            judged.wrong(
                &key,
                "comes from `credentials.access_token`, or `token_url`, `client_id` and `client_secret`",
            );
        }
        secret(&key, value, judged);
    }
    if let Some(token) = &zone.access_token {
        secret(&at("access_token"), token, judged);
    }
    if let Some(value) = &zone.client_secret {
        secret(&at("client_secret"), value, judged);
    }
    if let Some(url) = &zone.token_url {
        secure(&at("token_url"), url, allow_http, judged);
    }
    judged.filled_if(&at("client_id"), zone.client_id.as_deref());
    let obtained = [
        ("token_url", zone.token_url.is_some()),
        ("client_id", zone.client_id.is_some()),
        ("client_secret", zone.client_secret.is_some()),
    ];
    let any = obtained.iter().any(|(_, set)| *set);
    if zone.access_token.is_some() && any {
        judged.wrong(
            at("access_token"),
            "and `token_url`, `client_id`, `client_secret` exclude each other",
        );
    } else if zone.access_token.is_none() && !any {
        judged.wrong(
            at("access_token"),
            "is missing: give the bearer token, or `token_url`, `client_id` and `client_secret` to obtain one",
        );
    } else if zone.access_token.is_none() {
        for (key, _) in obtained.iter().filter(|(_, set)| !set) {
            judged.wrong(
                at(key),
                "is missing: a token is obtained with `token_url`, `client_id` and `client_secret`",
            );
        }
    }
    if !zone.scopes.is_empty() && zone.token_url.is_none() {
        judged.wrong(
            at("scopes"),
            "are asked for at `token_url`, which is missing",
        );
    }
    judged.within(
        &at("margin_seconds"),
        zone.margin_seconds,
        0.0,
        MAX_MARGIN_SECONDS,
    );
}

/// A web service that sees secrets: `https:`, or `http:` on this machine or where it is allowed.
fn secure(key: &str, text: &str, allow_http: bool, judged: &mut Judged) {
    if let Some(url) = web_url(key, text, judged)
        && url.scheme() == "http"
        && !allow_http
        && !is_near(&url)
    {
        judged.wrong(
            key,
            "is of `http:`, which sends tokens in the clear; write https:, or set `allow_http = true`",
        );
    }
}
