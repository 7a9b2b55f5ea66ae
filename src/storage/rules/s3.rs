//! Options of stores in S3.

use super::{
    Judged, Service,
    common::{address, secret, unity_catalog},
};
use crate::storage::{
    AssumeRoleOptions, CredentialOptions, Encryption, StoreOptions, place::check_region,
};

/// How many roles may be assumed one by another.
const MAX_CHAIN: usize = 5;

pub(super) fn judge(options: &StoreOptions, judged: &mut Judged) {
    judged.foreign(
        "account",
        options.account.is_some(),
        Service::Azure,
        Service::S3,
    );
    if let Some(region) = &options.region
        && let Err(message) = check_region(region)
    {
        judged.wrong("region", message);
    }
    encryption(options, judged);
    credentials(
        "credentials",
        &options.credentials,
        options.allow_http,
        1,
        judged,
    );
}

fn encryption(options: &StoreOptions, judged: &mut Judged) {
    let kms = matches!(
        options.encryption,
        Some(Encryption::SseKms | Encryption::DsseKms)
    );
    if options.kms_key_id.is_some() && !kms {
        judged.wrong(
            "kms_key_id",
            "is the key of `encryption = \"sse-kms\"` or `\"dsse-kms\"`; set `encryption` too",
        );
    }
    judged.filled_if("kms_key_id", options.kms_key_id.as_deref());
    if options.bucket_key.is_some() && options.encryption != Some(Encryption::SseKms) {
        judged.wrong(
            "bucket_key",
            "is for `encryption = \"sse-kms\"` alone; set `encryption`, or take out `bucket_key`",
        );
    }
}

/// `depth`: how many roles are assumed so far, this one included.
fn credentials(
    key: &str,
    options: &CredentialOptions,
    allow_http: bool,
    depth: usize,
    judged: &mut Judged,
) {
    let at = |below: &str| format!("{key}.{below}");
    match options {
        CredentialOptions::Environment => {}
        CredentialOptions::Static(keys) => {
            secret(&at("access_key_id"), &keys.access_key_id, judged);
            secret(&at("secret_access_key"), &keys.secret_access_key, judged);
            if let Some(token) = &keys.session_token {
                secret(&at("session_token"), token, judged);
            }
        }
        CredentialOptions::Profile(profile) => {
            judged.filled_if(&at("name"), profile.name.as_deref());
        }
        CredentialOptions::AssumeRole(role) => {
            assume_role(key, role, allow_http, depth, judged);
        }
        CredentialOptions::WebIdentity(web) => {
            if let Some(arn) = &web.role_arn {
                role_arn(&at("role_arn"), arn, web.sts_endpoint.is_some(), judged);
            }
            if let Some(name) = &web.session_name {
                session_name(&at("session_name"), name, judged);
            }
            sts(
                key,
                web.sts_endpoint.as_deref(),
                web.sts_region.as_deref(),
                allow_http,
                judged,
            );
        }
        CredentialOptions::UnityCatalog(unity) if depth == 1 => unity_catalog(key, unity, judged),
        CredentialOptions::UnityCatalog(_) => judged.wrong(
            at("type"),
            "`unity_catalog` credentials are for the files of a place alone and assume no role; use static, profile or environment",
        ),
        CredentialOptions::Sas(_)
        | CredentialOptions::AccountKey(_)
        | CredentialOptions::Entra(_)
        | CredentialOptions::ManagedIdentity(_)
        | CredentialOptions::LandingZone(_) => judged.wrong(
            at("type"),
            format!(
                "`{}` is of Azure, and `url` is in S3; use environment, static, profile, assume_role, web_identity or unity_catalog, or change `url`",
                options.kind()
            ),
        ),
    }
}

fn assume_role(
    key: &str,
    role: &AssumeRoleOptions,
    allow_http: bool,
    depth: usize,
    judged: &mut Judged,
) {
    let at = |below: &str| format!("{key}.{below}");
    role_arn(
        &at("role_arn"),
        &role.role_arn,
        role.sts_endpoint.is_some(),
        judged,
    );
    session_name(&at("session_name"), &role.session_name, judged);
    if let Some(id) = &role.external_id {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
        let fits = (2..=1224).contains(&id.len()) && id.chars().all(legal);
        if judged.filled(&at("external_id"), id) && !fits {
            judged.wrong(
                at("external_id"),
                "has 2 to 1224 letters, digits and _+=,.@:/- only",
            );
        }
    }
    let chained = matches!(
        role.source,
        CredentialOptions::AssumeRole(_) | CredentialOptions::WebIdentity(_)
    );
    let duration = at("duration_seconds");
    if chained && (3_601..=43_200).contains(&role.duration_seconds) {
        judged.wrong(
            duration,
            format!(
                "is at most 3600 for a role assumed by another (`{}`), not `{}`",
                at("source"),
                role.duration_seconds
            ),
        );
    } else {
        judged.within(&duration, role.duration_seconds, 900, 43_200);
    }
    sts(
        key,
        role.sts_endpoint.as_deref(),
        role.sts_region.as_deref(),
        allow_http,
        judged,
    );
    match depth < MAX_CHAIN {
        true => credentials(&at("source"), &role.source, allow_http, depth + 1, judged),
        false => judged.wrong(
            at("source"),
            format!("is too deep: at most {MAX_CHAIN} roles are assumed one by another"),
        ),
    }
}

fn sts(
    key: &str,
    endpoint: Option<&str>,
    region: Option<&str>,
    allow_http: bool,
    judged: &mut Judged,
) {
    if let Some(endpoint) = endpoint {
        address(&format!("{key}.sts_endpoint"), endpoint, allow_http, judged);
    }
    if let Some(region) = region
        && let Err(message) = check_region(region)
    {
        judged.wrong(format!("{key}.sts_region"), message);
    }
}

/// `arn:aws:iam::ACCOUNT:role/NAME`; other services with an STS have forms of their own.
fn role_arn(key: &str, arn: &str, of_another_service: bool, judged: &mut Judged) {
    if !judged.filled(key, arn) {
        return;
    }
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let aws = match parts.as_slice() {
        ["arn", partition, "iam", "", account, role] => {
            partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && role
                    .strip_prefix("role/")
                    .is_some_and(|name| !name.is_empty())
        }
        _ => false,
    };
    let other = of_another_service && parts.first() == Some(&"arn");
    if !aws && !other {
        judged.wrong(
            key,
            "is no role's ARN, as in `arn:aws:iam::123456789012:role/loader`",
        );
    }
}

fn session_name(key: &str, name: &str, judged: &mut Judged) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&name.len()) || !name.chars().all(legal) {
        judged.wrong(key, "has 2 to 64 letters, digits and _+=,.@- only");
    }
}
