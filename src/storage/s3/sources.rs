//! From the options of credentials to their source, with every mistake that can be seen without asking anybody.

use super::{
    assume_role::AssumeRole, environment::Environment, profile::Profile, sdk::Sdk,
    static_keys::StaticSource, sts::Sts, web_identity::WebIdentity,
};
use crate::{
    secret::LiveSecret,
    storage::{
        AssumeRoleOptions, CredentialOptions, ProfileOptions, Result, StaticKeys,
        WebIdentityOptions, credentials::Source, unity_catalog::TableKeys,
    },
};
use object_store::aws::AwsCredential;
use url::Url;

type Boxed = Box<dyn Source<Credential = AwsCredential>>;

/// What went wrong in the options; the caller names the store.
pub(super) type Fault = String;

/// Builds sources for one store.
pub(super) struct Sources {
    pub(super) sdk: Sdk,
    pub(super) allow_http: bool,
}

/// Sessions of a role that was assumed by another role live an hour at most (IAM, "role chaining").
const LONGEST_CHAINED_SECONDS: u32 = 3_600;
const ROLE_SECONDS: std::ops::RangeInclusive<u32> = 900..=43_200;

impl Sources {
    pub(super) fn build(&self, options: &CredentialOptions) -> Result<Boxed, Fault> {
        Ok(match options {
            CredentialOptions::Environment => Box::new(Environment(self.sdk.clone())),
            CredentialOptions::Static(keys) => Box::new(static_keys(keys)?),
            CredentialOptions::Profile(options) => Box::new(self.profile(options)?),
            CredentialOptions::AssumeRole(options) => Box::new(self.assume_role(options)?),
            CredentialOptions::WebIdentity(options) => Box::new(self.web_identity(options)?),
            CredentialOptions::Sas(_) => return Err(azure("sas")),
            CredentialOptions::AccountKey(_) => return Err(azure("account_key")),
            CredentialOptions::Entra(_) => return Err(azure("entra")),
            CredentialOptions::ManagedIdentity(_) => return Err(azure("managed_identity")),
            CredentialOptions::LandingZone(_) => return Err(azure("landing_zone")),
            CredentialOptions::UnityCatalog(options) => Box::new(TableKeys(options.vending()?)),
        })
    }

    fn profile(&self, options: &ProfileOptions) -> Result<Profile, Fault> {
        let files = [&options.config_file, &options.credentials_file];
        for path in files.into_iter().flatten() {
            std::fs::metadata(path).map_err(|error| {
                format!(
                    "a file of the AWS profile cannot be read: {error}, file=`{}`",
                    path.display()
                )
            })?;
        }
        Ok(Profile {
            options: options.clone(),
            sdk: self.sdk.clone(),
        })
    }

    fn assume_role(&self, options: &AssumeRoleOptions) -> Result<AssumeRole, Fault> {
        arn(&options.role_arn)?;
        session_name(&options.session_name)?;
        if let Some(id) = &options.external_id {
            external_id(id)?;
        }
        let seconds = options.duration_seconds;
        if !ROLE_SECONDS.contains(&seconds) {
            return Err(format!(
                "`duration_seconds` of an assumed role is 900 to 43200, duration_seconds=`{seconds}`"
            ));
        }
        let chained = matches!(
            options.source,
            CredentialOptions::AssumeRole(_) | CredentialOptions::WebIdentity(_)
        );
        if chained && seconds > LONGEST_CHAINED_SECONDS {
            return Err(format!(
                "a role assumed by another role lives 3600 seconds at most (AWS limits role chaining); lower its `duration_seconds`, role=`{}` duration_seconds=`{seconds}`",
                options.role_arn
            ));
        }
        Ok(AssumeRole {
            source: self.build(&options.source)?,
            sts: self.sts(&options.sts_endpoint, &options.sts_region)?,
            options: options.clone(),
        })
    }

    fn web_identity(&self, options: &WebIdentityOptions) -> Result<WebIdentity, Fault> {
        let role_arn = given(options.role_arn.clone(), "role_arn", "AWS_ROLE_ARN")?;
        arn(&role_arn)?;
        let file = options.token_file.as_ref();
        let file = given(
            file.map(|path| path.display().to_string()),
            "token_file",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        )?;
        let token = LiveSecret::new(&format!("file:{file}"));
        token
            .read()
            .map_err(|error| format!("no OIDC token to assume a role with: {error}"))?;
        let name = options.session_name.clone();
        let name = name.or_else(|| variable("AWS_ROLE_SESSION_NAME"));
        let name = name.unwrap_or_else(|| "alluvium".into());
        session_name(&name)?;
        Ok(WebIdentity {
            role_arn,
            session_name: name,
            token,
            sts: self.sts(&options.sts_endpoint, &options.sts_region)?,
        })
    }

    fn sts(&self, endpoint: &Option<String>, region: &Option<String>) -> Result<Sts, Fault> {
        if let Some(endpoint) = endpoint {
            address("sts_endpoint", endpoint, self.allow_http)?;
        }
        Ok(Sts {
            sdk: self.sdk.with_region(region.as_deref()),
            endpoint: endpoint.clone(),
        })
    }
}

fn static_keys(keys: &StaticKeys) -> Result<StaticSource, Fault> {
    StaticSource::new(keys.clone()).map_err(|error| error.to_string())
}

fn azure(kind: &str) -> Fault {
    format!(
        "credentials of type `{kind}` are for Azure, an S3 store takes environment, static, profile, assume_role, web_identity or unity_catalog"
    )
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn given(value: Option<String>, option: &str, name: &str) -> Result<String, Fault> {
    value.or_else(|| variable(name)).ok_or_else(|| {
        format!("web identity needs `{option}` or the variable {name}, which EKS sets in pods whose service account has a role")
    })
}

fn arn(text: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() >= 6 && parts[0] == "arn" && !text.contains(['<', '>', ' ']) {
        return Ok(());
    }
    Err(format!(
        "not the ARN of a role, it looks like `arn:aws:iam::123456789012:role/NAME`, role_arn=`{text}`"
    ))
}

/// STS AssumeRole, `RoleSessionName`.
fn session_name(text: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if (2..=64).contains(&text.len()) && text.chars().all(fits) {
        return Ok(());
    }
    Err(format!(
        "a session's name has 2 to 64 letters, digits and `_+=,.@-`, session_name=`{text}`"
    ))
}

/// STS AssumeRole, `ExternalId`.
fn external_id(text: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if (2..=1224).contains(&text.len()) && text.chars().all(fits) {
        return Ok(());
    }
    Err(format!(
        "an external id has 2 to 1224 letters, digits and `_+=,.@:/-`, external_id=`{text}`"
    ))
}

/// An address of a service: `https`, or `http` where that is allowed, and no path, query or user in it.
pub(super) fn address(option: &str, text: &str, allow_http: bool) -> Result<Url, Fault> {
    let url =
        Url::parse(text).map_err(|error| format!("not an address: {error}, {option}=`{text}`"))?;
    let fault = match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            return Err(format!(
                "`{option}` holds a user or password; credentials belong in `credentials`"
            ));
        }
        "https" => None,
        "http" if allow_http => None,
        "http" => Some(
            "`http:` is not encrypted; use `https:`, or set `allow_http` if the network is yours",
        ),
        _ => Some("an address begins with `https://`"),
    };
    let fault = fault
        .or_else(|| url.host_str().is_none().then_some("it has no host"))
        .or_else(|| {
            url.query()
                .or(url.fragment())
                .map(|_| "it has no query or fragment")
        });
    match fault {
        Some(fault) => Err(format!("{fault}, {option}=`{text}`")),
        None => Ok(url),
    }
}
