//! Who may do what: privileges granted on a thing, and those that come down to it from what it is in.

use super::{Call, Error, Kind, PATH, Privilege, Result, Securable, Unity, page};
use crate::databricks::segment;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Privileges by principal: a user's name, a group's, the application id of a service principal.
pub type Grants = BTreeMap<String, BTreeSet<Privilege>>;

/// Privileges by principal, each with where it was granted.
pub type EffectiveGrants = BTreeMap<String, Vec<EffectiveGrant>>;

/// A privilege that counts on a thing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct EffectiveGrant {
    pub privilege: Privilege,
    /// What it was granted on; none: on the thing itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from_name: Option<String>,
}

/// What is to change for one principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantChange {
    pub principal: String,
    pub add: Vec<Privilege>,
    pub remove: Vec<Privilege>,
}

#[derive(Deserialize)]
struct Assignment<P> {
    #[serde(default)]
    principal: String,
    #[serde(default = "Vec::new")]
    privileges: Vec<P>,
}

page!(Granted, privilege_assignments: Assignment<Privilege>);
page!(Effective, privilege_assignments: Assignment<EffectiveGrant>);

impl Unity {
    /// What was granted on a thing itself, to all or to one principal.
    pub async fn grants(
        &self,
        on: Securable,
        name: &str,
        principal: Option<&str>,
    ) -> Result<Grants> {
        let call = self.asked("permissions", on, name, principal);
        Ok(gathered(self.all::<Granted>(call).await?))
    }

    /// What counts on a thing, grants on its schema, catalog and metastore included. What principals have by their groups
    /// is listed under the groups; what an owner may do is not listed.
    pub async fn effective_grants(
        &self,
        on: Securable,
        name: &str,
        principal: Option<&str>,
    ) -> Result<EffectiveGrants> {
        let call = self.asked("effective-permissions", on, name, principal);
        let mut grants = EffectiveGrants::new();
        for one in self.all::<Effective>(call).await? {
            let held = grants.entry(one.principal).or_default();
            held.extend(one.privileges);
            held.sort_by(|a, b| a.privilege.cmp(&b.privilege));
        }
        Ok(grants)
    }

    /// Grants and revokes. What is there already, or gone already, is no error.
    ///
    /// Errors: `InvalidParameter` before anything is sent where a privilege is both to be added and removed. The answer: what
    /// is granted on the thing now.
    pub async fn change_grants(
        &self,
        on: Securable,
        name: &str,
        changes: &[GrantChange],
    ) -> Result<Grants> {
        for change in changes {
            if let Some(both) = change
                .add
                .iter()
                .find(|privilege| change.remove.contains(privilege))
            {
                return Err(Error::told(
                    Kind::InvalidParameter,
                    format!(
                        "a privilege is added or removed, not both, principal=`{}` privilege=`{both}`",
                        change.principal
                    ),
                ));
            }
        }
        let dialect = self.dialect();
        let spelled = |privileges: &[Privilege]| -> Vec<String> {
            privileges
                .iter()
                .map(|privilege| privilege.spelled(dialect))
                .collect()
        };
        let changes: Vec<_> = changes
            .iter()
            .map(|change| {
                json!({
                    "principal": change.principal,
                    "add": spelled(&change.add),
                    "remove": spelled(&change.remove),
                })
            })
            .collect();
        let path = self.place("permissions", on, name);
        let call = Call::patch(path).json(json!({ "changes": changes }));
        let now: Granted = self.workspace.send(call).await?;
        Ok(gathered(now.privilege_assignments))
    }

    fn asked(&self, which: &str, on: Securable, name: &str, principal: Option<&str>) -> Call {
        let call = Call::get(self.place(which, on, name));
        match principal {
            Some(principal) => call.query("principal", principal),
            None => call,
        }
    }

    fn place(&self, which: &str, on: Securable, name: &str) -> String {
        format!(
            "{PATH}/{which}/{}/{}",
            on.spelled(self.dialect()),
            segment(name)
        )
    }
}

/// The service lists in no order, and may list a principal more than once.
fn gathered(assignments: Vec<Assignment<Privilege>>) -> Grants {
    let mut grants = Grants::new();
    for one in assignments {
        grants
            .entry(one.principal)
            .or_default()
            .extend(one.privileges);
    }
    grants
}
