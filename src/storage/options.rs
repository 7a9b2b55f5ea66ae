//! `[stores.NAME]`: how the object stores are reached.

use super::unity_catalog::Resolved;
use crate::secret::LiveSecret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// One object store, `[stores.NAME]`. It serves every URL below its own; of several the longest counts. A URL that
/// none serves is reached with the credentials of the environment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreOptions {
    /// What it serves: `s3://bucket[/prefix]`, `az://container[/prefix]`, `abfss://container@account.dfs.core.windows.net[/prefix]`
    /// or `https://account.blob.core.windows.net/container[/prefix]`.
    pub url: Option<String>,
    /// An S3 bucket by its name alone, instead of `url`.
    pub bucket: Option<String>,
    /// Where its credentials come from.
    pub credentials: CredentialOptions,
    /// S3: the bucket's region; by default that of the environment or profile, else `us-east-1`.
    pub region: Option<String>,
    /// Another address of the service, for S3-compatible stores, private endpoints and emulators.
    pub endpoint: Option<String>,
    /// S3: the bucket in the path (`https://host/bucket/key`) instead of the host's name. By default so with an `endpoint`.
    pub path_style: Option<bool>,
    /// Whether an `endpoint` of `http:` is accepted.
    pub allow_http: bool,
    /// Azure: the storage account of an `az:` URL.
    pub account: Option<String>,
    /// S3: encryption at rest of what is written: `sse-s3`, `sse-kms` or `dsse-kms`; by default the bucket's own.
    pub encryption: Option<Encryption>,
    /// S3: the KMS key of `sse-kms` and `dsse-kms`; by default the account's key for S3.
    pub kms_key_id: Option<String>,
    /// S3: whether `sse-kms` uses a bucket key, which saves calls of KMS.
    pub bucket_key: Option<bool>,
    /// S3: a checksum that the store verifies of every object and part: `sha256` or `none`.
    pub checksum: Checksum,
    /// Accepts a store that cannot create an object only where none is. With two writers one would overwrite the
    /// other's commits, so the operator vouches that there is one.
    pub single_writer: bool,
    /// How long one request may take.
    pub request_timeout_seconds: f64,
    /// How long a connection may take to be made.
    pub connect_timeout_seconds: f64,
}

/// Where credentials come from; `type` says which way.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CredentialOptions {
    /// What the environment offers. S3: variables, the default profile, web identity, container and instance
    /// metadata, as the AWS SDKs look. Azure: variables, workload identity, managed identity.
    Environment,
    /// S3: an access key.
    Static(StaticKeys),
    /// S3: a profile of the AWS configuration files, with the roles and processes it names.
    Profile(ProfileOptions),
    /// S3: a role assumed with the credentials of another source.
    AssumeRole(Box<AssumeRoleOptions>),
    /// S3: a role assumed with an OIDC token in a file (IRSA).
    WebIdentity(WebIdentityOptions),
    /// Azure: a shared access signature.
    Sas(SasOptions),
    /// Azure: a key of the storage account.
    AccountKey(AccountKeyOptions),
    /// Azure: an application of Entra ID, by secret or by a federated token in a file.
    Entra(EntraOptions),
    /// Azure: the identity of the machine, pod or app.
    ManagedIdentity(ManagedIdentityOptions),
    /// Azure: a container whose credentials a web service hands out, as Adobe's data landing zone does.
    LandingZone(Box<LandingZoneOptions>),
    /// Temporary credentials of Unity Catalog, for S3 and Azure.
    UnityCatalog(Box<UnityCatalogOptions>),
}

impl CredentialOptions {
    /// The value of `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Static(_) => "static",
            Self::Profile(_) => "profile",
            Self::AssumeRole(_) => "assume_role",
            Self::WebIdentity(_) => "web_identity",
            Self::Sas(_) => "sas",
            Self::AccountKey(_) => "account_key",
            Self::Entra(_) => "entra",
            Self::ManagedIdentity(_) => "managed_identity",
            Self::LandingZone(_) => "landing_zone",
            Self::UnityCatalog(_) => "unity_catalog",
        }
    }
}

/// An access key of S3.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticKeys {
    /// The access key's id.
    pub access_key_id: LiveSecret,
    /// Its secret.
    pub secret_access_key: LiveSecret,
    /// The session's token, of temporary keys.
    pub session_token: Option<LiveSecret>,
}

/// A profile of `~/.aws/config` and `~/.aws/credentials`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileOptions {
    /// Its name; by default `AWS_PROFILE`, else `default`.
    pub name: Option<String>,
    /// Another configuration file.
    pub config_file: Option<PathBuf>,
    /// Another credentials file.
    pub credentials_file: Option<PathBuf>,
}

/// A role that is assumed (STS AssumeRole).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssumeRoleOptions {
    /// The role's ARN.
    pub role_arn: String,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// The session's name in CloudTrail.
    #[serde(default = "session_name")]
    pub session_name: String,
    /// How long a session lives, 900 to 43200; one role assumed by another lives 3600 at most.
    #[serde(default = "role_duration")]
    pub duration_seconds: u32,
    /// Another address of STS.
    pub sts_endpoint: Option<String>,
    /// The region whose STS is asked; by default the store's.
    pub sts_region: Option<String>,
    /// The credentials the role is assumed with; another `assume_role` makes a chain.
    #[serde(default = "environment")]
    pub source: CredentialOptions,
}

/// A role that is assumed by an OIDC token (STS AssumeRoleWithWebIdentity).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebIdentityOptions {
    /// The role's ARN; by default `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// The file that holds the token, read anew at every refresh; by default `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// The session's name; by default `AWS_ROLE_SESSION_NAME`, else `alluvium`.
    pub session_name: Option<String>,
    /// Another address of STS.
    pub sts_endpoint: Option<String>,
    /// The region whose STS is asked; by default the store's.
    pub sts_region: Option<String>,
}

/// A shared access signature of Azure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SasOptions {
    /// The token (`sv=…&sig=…`, a leading `?` is fine) or the URI of the container with it. With `file:PATH` it is
    /// read anew before it expires and when it is refused.
    pub token: LiveSecret,
}

/// A key of an Azure storage account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountKeyOptions {
    /// The key, base64.
    pub key: LiveSecret,
}

/// An application of Entra ID.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntraOptions {
    /// The tenant's id; by default `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// The application's (client) id; by default `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// The client's secret; without it `federated_token_file`.
    pub client_secret: Option<LiveSecret>,
    /// Workload identity: the file that holds the token, read anew at every refresh; by default `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// The address of Entra ID; by default `AZURE_AUTHORITY_HOST`, else `https://login.microsoftonline.com`.
    pub authority: Option<String>,
}

/// A managed identity of Azure.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ManagedIdentityOptions {
    /// The client id of a user-assigned identity.
    pub client_id: Option<String>,
    /// Another address of the metadata service; by default `IDENTITY_ENDPOINT`, else that of Azure's machines.
    pub endpoint: Option<String>,
}

/// A web service that hands out the credentials of a container.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LandingZoneOptions {
    /// The endpoint with its query, as in `https://platform.adobe.io/data/foundation/connectors/landingzone/credentials?type=dlz_databricks_source`.
    pub endpoint: String,
    /// Headers of every request (`x-api-key`, `x-gw-ims-org-id`, `x-sandbox-name`).
    #[serde(default)]
    pub headers: BTreeMap<String, LiveSecret>,
    /// The bearer token; instead of it `token_url`, `client_id` and `client_secret` obtain one.
    pub access_token: Option<LiveSecret>,
    /// Where a token is obtained by client credentials.
    pub token_url: Option<String>,
    /// The client's id at `token_url`.
    pub client_id: Option<String>,
    /// The client's secret at `token_url`.
    pub client_secret: Option<LiveSecret>,
    /// The scopes asked for at `token_url`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether a new signature may be demanded (`action=refresh`) when plain requests bring none in time. That
    /// revokes the old one for every user of the container.
    #[serde(default)]
    pub refresh: bool,
    /// The verb of that demand, `POST` or `GET`.
    #[serde(default)]
    pub refresh_method: RefreshMethod,
    /// How long before its end a signature is no longer used.
    #[serde(default = "landing_zone_margin")]
    pub margin_seconds: f64,
}

/// Temporary credentials that Unity Catalog hands out for a table or a path ("credential vending").
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnityCatalogOptions {
    /// The Databricks workspace that is asked, `NAME` of `[connections.NAME]`.
    pub connection: String,
    /// The external table whose files are here, `catalog.schema.table`; the store's `url` is its location.
    pub table: Option<String>,
    /// Instead of a table a URL within an external location; by default the store's `url`.
    pub path: Option<String>,
    /// What they are good for: `read_write`, `read`, or, of a path, `create_table`, where no table is yet.
    #[serde(default)]
    pub operation: VendingOperation,
    /// What `connection` and the store's place are, once the store is opened.
    #[serde(skip)]
    pub(super) resolved: Option<Resolved>,
}

/// What temporary credentials are good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VendingOperation {
    Read,
    #[default]
    ReadWrite,
    CreateTable,
}

/// The verb that demands a new signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RefreshMethod {
    #[default]
    #[serde(rename = "POST")]
    Post,
    #[serde(rename = "GET")]
    Get,
}

/// Encryption at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    #[serde(rename = "sse-s3")]
    SseS3,
    SseKms,
    DsseKms,
}

/// A checksum of what is uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    #[default]
    None,
    Sha256,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            url: None,
            bucket: None,
            credentials: CredentialOptions::Environment,
            region: None,
            endpoint: None,
            path_style: None,
            allow_http: false,
            account: None,
            encryption: None,
            kms_key_id: None,
            bucket_key: None,
            checksum: Checksum::None,
            single_writer: false,
            request_timeout_seconds: 60.0,
            connect_timeout_seconds: 10.0,
        }
    }
}

fn session_name() -> String {
    "alluvium".into()
}

fn role_duration() -> u32 {
    3_600
}

fn environment() -> CredentialOptions {
    CredentialOptions::Environment
}

fn landing_zone_margin() -> f64 {
    900.0
}
