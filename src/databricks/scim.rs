//! Who we are, and which service principals there are: SCIM 2.0, `/api/2.0/preview/scim/v2` (RFC 7644). Read only.

use super::{ApplicationId, Call, Error, Kind, Result, ScimId, Workspace};
use serde::{Deserialize, Serialize};
use std::fmt;

const PATH: &str = "/api/2.0/preview/scim/v2";
/// The group of a workspace's administrators.
const ADMINS: &str = "admins";

/// A member of a list that SCIM shows: a group, role or entitlement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Entry {
    pub value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// The user or service principal that asks.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    pub id: ScimId,
    #[serde(default)]
    pub user_name: String,
    #[serde(default)]
    pub display_name: String,
    /// Of a service principal; see [`Me::application`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<ApplicationId>,
    #[serde(default)]
    pub active: Option<bool>,
    #[serde(default)]
    pub groups: Vec<Entry>,
    #[serde(default)]
    pub entitlements: Vec<Entry>,
    #[serde(default)]
    pub roles: Vec<Entry>,
}

impl Me {
    /// Whether it is an administrator of the workspace, by the groups it is in.
    pub fn is_admin(&self) -> bool {
        self.groups
            .iter()
            .any(|group| group.display.as_deref() == Some(ADMINS))
    }

    pub fn has_entitlement(&self, name: &str) -> bool {
        self.entitlements.iter().any(|entry| entry.value == name)
    }

    /// The application's id of a service principal, which `Me` names in `userName` where it has no `applicationId`.
    pub fn application(&self) -> Option<ApplicationId> {
        let named = || {
            uuid::Uuid::try_parse(&self.user_name)
                .is_ok()
                .then(|| ApplicationId::new(&self.user_name))
        };
        self.application_id.clone().or_else(named)
    }

    /// What grants name it by: the application's id, or the user's name.
    pub fn principal(&self) -> &str {
        self.application_id
            .as_ref()
            .map_or(&self.user_name, |id| id.as_str())
    }
}

impl fmt::Display for Me {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.application().is_some() {
            "service principal"
        } else {
            "user"
        };
        match (self.display_name.as_str(), self.principal()) {
            ("", principal) => write!(f, "{kind} {principal}"),
            (name, principal) if name == principal => write!(f, "{kind} {principal}"),
            (name, principal) => write!(f, "{kind} {name} ({principal})"),
        }
    }
}

/// A service principal of the workspace.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePrincipal {
    /// What paths name it by; not its application's id.
    pub id: ScimId,
    pub application_id: ApplicationId,
    #[serde(default)]
    pub display_name: String,
    #[serde(default)]
    pub active: Option<bool>,
    #[serde(default)]
    pub groups: Vec<Entry>,
    #[serde(default)]
    pub entitlements: Vec<Entry>,
    #[serde(default)]
    pub roles: Vec<Entry>,
}

/// The identities of a workspace.
#[derive(Clone, Debug)]
pub struct Scim {
    workspace: Workspace,
}

impl Scim {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.clone(),
        }
    }

    pub async fn me(&self) -> Result<Me> {
        self.workspace.send(Call::get(format!("{PATH}/Me"))).await
    }

    pub async fn service_principal(&self, id: &ScimId) -> Result<ServicePrincipal> {
        let path = format!("{PATH}/ServicePrincipals/{}", super::segment(id));
        self.workspace.send(Call::get(path)).await
    }

    /// The service principal of an application.
    ///
    /// Errors: `NotFound`.
    pub async fn by_application_id(&self, id: &ApplicationId) -> Result<ServicePrincipal> {
        self.one("applicationId", id.as_str()).await
    }

    /// The service principal of a name.
    ///
    /// Errors: `NotFound`; `InvalidParameter` if several bear it.
    pub async fn by_display_name(&self, name: &str) -> Result<ServicePrincipal> {
        self.one("displayName", name).await
    }

    async fn one(&self, attribute: &str, value: &str) -> Result<ServicePrincipal> {
        let mut found = self.filtered(attribute, value).await?;
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Error::told(
                Kind::NotFound,
                format!(
                    "the workspace has no such service principal; add it to the workspace, {attribute}=`{value}`"
                ),
            )),
            _ => {
                let ids: Vec<&str> = found
                    .iter()
                    .map(|one| one.application_id.as_str())
                    .collect();
                Err(Error::told(
                    Kind::InvalidParameter,
                    format!(
                        "several service principals match, give the application id of one, {attribute}=`{value}` application_ids=`{}`",
                        ids.join(", ")
                    ),
                ))
            }
        }
    }

    /// All whose attribute is this value, page by page (`startIndex` counts from 1).
    async fn filtered(&self, attribute: &str, value: &str) -> Result<Vec<ServicePrincipal>> {
        #[derive(Deserialize)]
        struct Listed {
            #[serde(rename = "Resources", default)]
            resources: Vec<ServicePrincipal>,
            #[serde(rename = "totalResults", default)]
            total: usize,
        }
        let mut found: Vec<ServicePrincipal> = Vec::new();
        loop {
            let call = Call::get(format!("{PATH}/ServicePrincipals"))
                .query("filter", format!("{attribute} eq {}", quoted(value)))
                .query("startIndex", found.len() + 1)
                .query("count", 100);
            let page: Listed = self.workspace.send(call).await?;
            let came = page.resources.len();
            found.extend(page.resources);
            if came == 0 || found.len() >= page.total {
                // A service that does not know the filter answers with all.
                found.retain(|one| match attribute {
                    "applicationId" => one.application_id.as_str().eq_ignore_ascii_case(value),
                    _ => one.display_name == value,
                });
                return Ok(found);
            }
        }
    }
}

/// A value in a filter is a JSON string (RFC 7644, 3.4.2.2).
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests;
