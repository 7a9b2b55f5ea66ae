//! `[connections.NAME]`: how a Databricks workspace is reached. The doc comments are the configuration reference.

use super::{ClusterId, JdbcUrl, WarehouseId};
use crate::secret::LiveSecret;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// One Databricks workspace, `[connections.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionOptions {
    /// The workspace: its URL, its host with the whole domain, or a JDBC URL, of which host and warehouse or cluster are
    /// taken. By default that of the profile or of `DATABRICKS_HOST`.
    #[serde(deserialize_with = "address")]
    pub host: Option<String>,
    /// How this process proves who it is.
    pub auth: AuthOptions,
    /// A profile of `~/.databrickscfg` (or the file that `DATABRICKS_CONFIG_FILE` names); only with `auth` of type `environment`.
    pub profile: Option<String>,
    /// The account's id, for the account console's APIs.
    pub account_id: Option<String>,
    /// The workspace's id, sent with every request where one host serves several workspaces.
    pub workspace_id: Option<String>,
    /// The SQL warehouse for statements: its id or its name; `id:…` or `name:…` where a name looks like an id.
    pub warehouse: Option<WarehouseRef>,
    /// A cluster's id, for commands, and for what uses a cluster instead of a warehouse.
    pub cluster: Option<String>,
    /// Where OAuth tokens are asked for, instead of what the workspace tells of itself.
    pub token_url: Option<String>,
    /// How long one request may take; one of a call that can be repeated at most a third of `retry_budget_seconds`, so that one that hangs is followed by others.
    pub timeout_seconds: f64,
    /// How long a call may take with all its repetitions. By default 300, and 60 in `alluvium databricks`, for which people wait (there three times a `timeout_seconds` of yours, if that is more).
    pub retry_budget_seconds: Option<f64>,
    /// The version in the path of Unity Catalog's temporary credentials: `2.0` on Databricks, `2.1` on the open Unity Catalog.
    pub vending_api_version: String,
    /// Hosts beside the workspace that secrets may go to, as `accounts.cloud.databricks.com`: the token by `alluvium databricks request`, and what a token is asked for with.
    pub trusted_hosts: Vec<String>,
}

/// How this process proves who it is; `type` says which way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AuthOptions {
    /// What the environment and `~/.databrickscfg` offer, in the order of Databricks' SDKs.
    #[default]
    Environment,
    /// A service principal by OAuth.
    OauthM2m(M2mOptions),
    /// A personal access token.
    Pat(PatOptions),
    /// A service principal of Azure's Entra ID.
    Entra(EntraOptions),
    /// A token of another issuer, exchanged for one of Databricks.
    OidcFederation(FederationOptions),
}

/// A service principal by OAuth.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct M2mOptions {
    /// The service principal's application id.
    pub client_id: String,
    /// Its OAuth secret.
    pub client_secret: LiveSecret,
    /// The scopes asked for.
    #[serde(default = "all_apis")]
    pub scopes: Vec<String>,
}

/// A personal access token.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatOptions {
    /// The token.
    pub token: LiveSecret,
}

/// A service principal of Azure's Entra ID.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntraOptions {
    /// The tenant; by default the workspace is asked for it.
    pub tenant_id: Option<String>,
    /// The application's id.
    pub client_id: String,
    /// A secret of the application.
    pub client_secret: LiveSecret,
    /// The workspace's id as a resource of Azure (`/subscriptions/…/workspaces/NAME`), needed where the application is not yet a
    /// principal of the workspace.
    pub workspace_resource_id: Option<String>,
    /// The address of Entra ID; by default that of the workspace's cloud.
    pub authority: Option<String>,
}

/// A token of another issuer, exchanged for one of Databricks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederationOptions {
    /// The other issuer's token; of `file:PATH` it is read again for each exchange.
    pub token: LiveSecret,
    /// The service principal's application id; none where the account's policy says whom a token stands for.
    pub client_id: Option<String>,
    /// The scopes asked for.
    #[serde(default = "all_apis")]
    pub scopes: Vec<String>,
}

/// A warehouse by its id or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarehouseRef {
    Id(WarehouseId),
    Name(String),
}

impl WarehouseRef {
    /// `id:…`, `name:…`, or a text: 16 hexadecimal digits are an id, everything else is a name.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(id) = text.strip_prefix("id:") {
            return Self::Id(WarehouseId::new(id.trim()));
        }
        if let Some(name) = text.strip_prefix("name:") {
            return Self::Name(name.trim().to_owned());
        }
        match text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => Self::Id(WarehouseId::new(text)),
            false => Self::Name(text.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for WarehouseRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::parse(&text))
    }
}

impl JsonSchema for WarehouseRef {
    fn schema_name() -> Cow<'static, str> {
        "WarehouseRef".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

impl ConnectionOptions {
    /// What `retry_budget_seconds` says, or the SDKs' five minutes.
    pub fn budget_seconds(&self) -> f64 {
        self.retry_budget_seconds.unwrap_or(300.0)
    }

    /// The cluster, typed.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster.as_deref().map(|id| ClusterId::new(id.trim()))
    }
}

impl AuthOptions {
    /// The value of `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::OauthM2m(_) => "oauth_m2m",
            Self::Pat(_) => "pat",
            Self::Entra(_) => "entra",
            Self::OidcFederation(_) => "oidc_federation",
        }
    }
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            host: None,
            auth: AuthOptions::Environment,
            profile: None,
            account_id: None,
            workspace_id: None,
            warehouse: None,
            cluster: None,
            token_url: None,
            timeout_seconds: 60.0,
            retry_budget_seconds: None,
            vending_api_version: "2.0".into(),
            trusted_hosts: Vec::new(),
        }
    }
}

/// The password of a JDBC URL is not even kept.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| JdbcUrl::masked(&text)))
}

fn all_apis() -> Vec<String> {
    vec!["all-apis".into()]
}
