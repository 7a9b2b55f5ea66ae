//! Storage credentials: identities by which Unity Catalog reaches the cloud.

use super::{Call, Dialect, PATH, Result, Unity, at, page};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A storage credential.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StorageCredential {
    pub name: String,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub aws_iam_role: Option<AwsIamRole>,
    #[serde(default)]
    pub azure_managed_identity: Option<AzureManagedIdentity>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A role of AWS. The trust policy of `role_arn` names the two that the service answers with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct AwsIamRole {
    pub role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Who assumes the role; another one in GovCloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unity_catalog_iam_arn: Option<String>,
}

/// An access connector of Azure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct AzureManagedIdentity {
    pub access_connector_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_identity_id: Option<String>,
}

/// A storage credential to be made, of one of the two clouds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewStorageCredential {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_iam_role: Option<AwsIamRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_managed_identity: Option<AzureManagedIdentity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub read_only: bool,
    /// Whether it is made although it does not work yet, as a role that trusts nobody before its credential is known.
    pub skip_validation: bool,
}

/// What a credential is tried on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValidationTarget {
    ExternalLocation(String),
    Url(String),
}

/// What came of one try.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Validation {
    /// `LIST`, `READ`, `WRITE`, `DELETE`, `PATH_EXISTS`.
    pub operation: String,
    /// `PASS`, `FAIL`, `SKIP`.
    pub result: String,
    pub message: String,
}

impl Validation {
    pub fn failed(&self) -> bool {
        self.result == "FAIL"
    }
}

page!(Credentials, storage_credentials: StorageCredential);
page!(OpenCredentials, credentials: StorageCredential);

impl Unity {
    /// The open Unity Catalog has one resource for credentials of all purposes.
    fn credentials_kind(&self) -> &'static str {
        match self.dialect() {
            Dialect::Databricks => "storage-credentials",
            Dialect::Open => "credentials",
        }
    }

    pub async fn storage_credentials(&self) -> Result<Vec<StorageCredential>> {
        let call = Call::get(format!("{PATH}/{}", self.credentials_kind()));
        match self.dialect() {
            Dialect::Databricks => self.all::<Credentials>(call).await,
            Dialect::Open => self.all::<OpenCredentials>(call).await,
        }
    }

    pub async fn storage_credential(&self, name: &str) -> Result<StorageCredential> {
        self.get(at(self.credentials_kind(), name)).await
    }

    /// Errors: `AlreadyExists`, also where a first try came through whose answer was lost.
    pub async fn create_storage_credential(
        &self,
        credential: &NewStorageCredential,
    ) -> Result<StorageCredential> {
        let mut call =
            Call::post(format!("{PATH}/{}", self.credentials_kind())).body(credential)?;
        if let (Dialect::Open, Some(Value::Object(body))) = (self.dialect(), &mut call.body) {
            body.insert("purpose".into(), "STORAGE".into());
        }
        self.workspace.send(call).await
    }

    /// `force`: though locations depend on it.
    pub async fn delete_storage_credential(&self, name: &str, force: bool) -> Result<()> {
        let path = at(self.credentials_kind(), name);
        self.done(Call::delete(path).query("force", force)).await
    }

    /// Has the service try what a credential can do at a place; with `read_only` it tries no write.
    pub async fn validate_storage_credential(
        &self,
        name: Option<&str>,
        target: &ValidationTarget,
        read_only: bool,
    ) -> Result<Vec<Validation>> {
        #[derive(Deserialize)]
        struct Tried {
            #[serde(default)]
            results: Vec<Validation>,
        }
        let mut body = Map::new();
        if let Some(name) = name {
            body.insert("storage_credential_name".into(), name.into());
        }
        let (key, value) = match target {
            ValidationTarget::ExternalLocation(name) => ("external_location_name", name),
            ValidationTarget::Url(url) => ("url", url),
        };
        body.insert(key.into(), value.as_str().into());
        body.insert("read_only".into(), read_only.into());
        let call =
            Call::post(format!("{PATH}/validate-storage-credentials")).json(Value::Object(body));
        let tried: Tried = self.workspace.send(call).await?;
        Ok(tried.results)
    }
}
