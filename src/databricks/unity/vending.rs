//! Temporary credentials for the storage behind a table or a path ("credential vending").
//!
//! They are under `2.0` on Databricks and under `2.1` on the open Unity Catalog, hence `vending_api_version`. The metastore must
//! allow access from outside, and the principal needs EXTERNAL_USE_SCHEMA for tables, EXTERNAL_USE_LOCATION for paths; neither
//! comes with ownership or ALL PRIVILEGES.

use super::{Call, Error, Kind, Result, Unity};
use crate::{databricks::TableId, secret::Secret};
use serde::Deserialize;
use serde_json::json;
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What a credential is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    Read,
    #[default]
    ReadWrite,
    /// To make a table where there is none; of paths only.
    CreateTable,
}

impl Operation {
    fn of_table(self) -> Result<&'static str> {
        match self {
            Self::Read => Ok("READ"),
            Self::ReadWrite => Ok("READ_WRITE"),
            Self::CreateTable => Err(Error::told(
                Kind::InvalidParameter,
                "a table is made by the credential of a path, not of a table; name the path",
            )),
        }
    }

    fn of_path(self) -> &'static str {
        match self {
            Self::Read => "PATH_READ",
            Self::ReadWrite => "PATH_READ_WRITE",
            Self::CreateTable => "PATH_CREATE_TABLE",
        }
    }
}

/// A credential and its end.
#[derive(Clone, Debug)]
pub struct Vended {
    pub credential: VendedCredential,
    /// `None` if the service does not say.
    pub expires: Option<SystemTime>,
    /// The place it is for, as the service writes it; `None` if it does not say.
    pub url: Option<String>,
}

/// A credential of a kind that we can use.
#[derive(Clone, Debug)]
pub enum VendedCredential {
    /// Of S3, or of Cloudflare's R2.
    Aws(AwsKeys),
    /// A user delegation signature of Azure.
    AzureSas(Secret),
}

/// A temporary access key.
#[derive(Clone)]
pub struct AwsKeys {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

/// Shows the key's id alone, as AWS logs it.
impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKeys({})", self.access_key_id)
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    aws_temp_credentials: Option<Keys>,
    #[serde(default)]
    r2_temp_credentials: Option<Keys>,
    #[serde(default)]
    azure_user_delegation_sas: Option<Sas>,
    #[serde(default)]
    azure_aad: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    gcp_oauth_token: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    expiration_time: Option<i64>,
    #[serde(default)]
    url: Option<String>,
}

#[derive(Deserialize)]
struct Keys {
    access_key_id: String,
    secret_access_key: Secret,
    #[serde(default)]
    session_token: Option<Secret>,
}

#[derive(Deserialize)]
struct Sas {
    sas_token: Secret,
}

impl Unity {
    /// A credential for a table's files.
    ///
    /// Errors: `PermissionDenied` with the grants it takes; `Unsupported` for kinds that we cannot use.
    pub async fn table_credential(&self, table: &TableId, operation: Operation) -> Result<Vended> {
        let body = json!({ "table_id": table, "operation": operation.of_table()? });
        let call = Call::post(self.vending("temporary-table-credentials")).json(body);
        let answer = self.workspace.send(call).await;
        let needs = "EXTERNAL USE SCHEMA on the schema, SELECT (to write MODIFY too) on the table";
        usable(answer.map_err(|error| explained(error, needs))?)
    }

    /// A credential for what lies below a URL within an external location.
    ///
    /// Errors as of [`Unity::table_credential`].
    pub async fn path_credential(&self, url: &str, operation: Operation) -> Result<Vended> {
        let body = json!({ "url": url, "operation": operation.of_path() });
        let call = Call::post(self.vending("temporary-path-credentials")).json(body);
        let answer = self.workspace.send(call).await;
        usable(answer.map_err(|error| explained(error, FOR_PATHS))?)
    }

    /// Whether [`Unity::path_credential`] would give one; none is made.
    pub async fn may_vend_path(&self, url: &str, operation: Operation) -> Result<()> {
        let body = json!({ "url": url, "operation": operation.of_path(), "dry_run": true });
        let call = Call::post(self.vending("temporary-path-credentials")).json(body);
        self.done(call)
            .await
            .map_err(|error| explained(error, FOR_PATHS))
    }

    fn vending(&self, which: &str) -> String {
        format!(
            "/api/{}/unity-catalog/{which}",
            self.workspace.vending_api_version()
        )
    }
}

const FOR_PATHS: &str = "EXTERNAL USE LOCATION, READ FILES (to write WRITE FILES too) on the external location; paths of managed tables are refused";

/// A refusal with what it takes.
fn explained(error: Error, needs: &str) -> Error {
    match error {
        Error::Api(mut told) if told.kind == Kind::PermissionDenied => {
            told.remedy = format!(
                "enable external data access on the metastore, and grant {needs}; neither ownership nor ALL PRIVILEGES has them"
            );
            Error::Api(told)
        }
        error => error,
    }
}

fn usable(answer: Answer) -> Result<Vended> {
    let unsupported = |what: &str| {
        Err(Error::unsupported(format!(
            "Unity Catalog hands out {what}, which stores of this kind are not reached with; give the store credentials of its own (`[stores.NAME] credentials`)"
        )))
    };
    let credential = if let Some(keys) = answer.aws_temp_credentials.or(answer.r2_temp_credentials)
    {
        VendedCredential::Aws(AwsKeys {
            access_key_id: keys.access_key_id,
            secret_access_key: keys.secret_access_key,
            session_token: keys.session_token,
        })
    } else if let Some(sas) = answer.azure_user_delegation_sas {
        VendedCredential::AzureSas(sas.sas_token)
    } else if answer.azure_aad.is_some() {
        return unsupported("a token of Entra ID (azure_aad)");
    } else if answer.gcp_oauth_token.is_some() {
        return unsupported("a token of Google Cloud (gcp_oauth_token)");
    } else {
        return unsupported("a credential of a kind that is newer than this program");
    };
    let expires = answer.expiration_time.and_then(|millis| {
        let since = Duration::from_millis(u64::try_from(millis).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    });
    Ok(Vended {
        credential,
        expires,
        url: answer.url,
    })
}
