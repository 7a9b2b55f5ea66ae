//! Clusters, `/api/2.1/clusters` (Databricks REST reference, "Clusters").

mod runtime;
mod spec;
#[cfg(test)]
mod tests;

pub use runtime::RuntimeVersion;
pub use spec::ClusterSpec;

use super::{
    Call, ClusterId, Error, Kind, Result, Workspace,
    page::Page,
    wait::{Look, Waiting},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt};

const PATH: &str = "/api/2.1/clusters";

/// The life of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterState {
    Pending,
    Running,
    Restarting,
    Resizing,
    Terminating,
    Terminated,
    Error,
    Unknown,
    /// One that is newer than this program.
    #[serde(untagged)]
    Other(String),
}

impl ClusterState {
    /// Whether commands can run. A cluster that grows or shrinks works meanwhile.
    pub fn works(&self) -> bool {
        matches!(self, Self::Running | Self::Resizing)
    }
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Restarting => "RESTARTING",
            Self::Resizing => "RESIZING",
            Self::Terminating => "TERMINATING",
            Self::Terminated => "TERMINATED",
            Self::Error => "ERROR",
            Self::Unknown => "UNKNOWN",
            Self::Other(state) => state,
        })
    }
}

/// A cluster as the service shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cluster {
    pub cluster_id: ClusterId,
    #[serde(default)]
    pub cluster_name: String,
    pub state: ClusterState,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state_message: String,
    #[serde(default)]
    pub spark_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_reason: Option<TerminationReason>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Why a cluster ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct TerminationReason {
    pub code: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub parameters: BTreeMap<String, String>,
}

impl fmt::Display for TerminationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code, self.kind)?;
        for (key, value) in &self.parameters {
            write!(f, ", {key}={value}")?;
        }
        Ok(())
    }
}

impl Cluster {
    /// `None` where the text is of an image of its own, whose version nobody can read.
    pub fn runtime(&self) -> Option<RuntimeVersion> {
        RuntimeVersion::parse(&self.spark_version)
    }

    /// The AWS role of its machines.
    pub fn instance_profile_arn(&self) -> Option<&str> {
        self.rest
            .get("aws_attributes")?
            .get("instance_profile_arn")?
            .as_str()
    }

    fn told(&self) -> String {
        let reason = self
            .termination_reason
            .as_ref()
            .filter(|reason| !reason.code.is_empty());
        match (self.state_message.as_str(), reason) {
            ("", None) => String::new(),
            ("", Some(reason)) => reason.to_string(),
            (message, None) => message.to_owned(),
            (message, Some(reason)) => format!("{message}: {reason}"),
        }
    }
}

/// A version of the runtime that clusters can have.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SparkVersion {
    pub key: String,
    #[serde(default)]
    pub name: String,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    clusters: Vec<Cluster>,
    next_page_token: Option<String>,
}

impl Page for Listed {
    type Item = Cluster;

    fn into_parts(self) -> (Vec<Cluster>, Option<String>) {
        (self.clusters, self.next_page_token)
    }
}

/// The clusters of a workspace.
#[derive(Clone, Debug)]
pub struct Clusters {
    workspace: Workspace,
}

impl Clusters {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.clone(),
        }
    }

    /// Pinned and active clusters, and those that ended lately (of 30 days, at most 200 all-purpose and 30 of jobs).
    pub async fn list(&self) -> Result<Vec<Cluster>> {
        let call = Call::get(format!("{PATH}/list")).query("page_size", "100");
        self.workspace.whole::<_, Listed>(call).await
    }

    /// Errors: `NotFound` for one that is not there, which the service calls an invalid parameter.
    pub async fn get(&self, id: &ClusterId) -> Result<Cluster> {
        self.shown(id).await
    }

    /// Starts one that is TERMINATED.
    pub async fn start(&self, id: &ClusterId) -> Result<()> {
        self.ask("start", id).await
    }

    /// Restarts one that is RUNNING.
    pub async fn restart(&self, id: &ClusterId) -> Result<()> {
        // Twice would be two restarts.
        self.done(
            Call::post(format!("{PATH}/restart"))
                .json(json!({ "cluster_id": id }))
                .once(),
        )
        .await
    }

    /// Ends its machines and keeps its settings; it can be started again.
    pub async fn terminate(&self, id: &ClusterId) -> Result<()> {
        self.ask("delete", id).await
    }

    /// Takes it away with its settings, for ever.
    pub async fn permanent_delete(&self, id: &ClusterId) -> Result<()> {
        self.ask("permanent-delete", id).await
    }

    pub async fn spark_versions(&self) -> Result<Vec<SparkVersion>> {
        #[derive(Deserialize)]
        struct Versions {
            #[serde(default)]
            versions: Vec<SparkVersion>,
        }
        let shown: Versions = self
            .workspace
            .send(Call::get(format!("{PATH}/spark-versions")))
            .await?;
        Ok(shown.versions)
    }

    /// All settings of a cluster, fields that are unknown to us included.
    pub async fn spec(&self, id: &ClusterId) -> Result<ClusterSpec> {
        Ok(ClusterSpec::of(self.shown(id).await?))
    }

    /// Changes settings and keeps all others. A cluster that runs is restarted by it; nothing is sent where nothing changed.
    ///
    /// Whether something was sent.
    pub async fn edit(
        &self,
        id: &ClusterId,
        change: impl FnOnce(&mut ClusterSpec),
    ) -> Result<bool> {
        let before = self.spec(id).await?;
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(false);
        }
        let call = Call::post(format!("{PATH}/edit"))
            .json(after.request(id))
            .once();
        self.done(call).await?;
        Ok(true)
    }

    /// Waits until it runs. Starts nothing.
    ///
    /// Errors: `Unavailable` with the reason if it has terminated or failed; those of [`Waiting`].
    pub async fn wait_running(&self, id: &ClusterId, waiting: &Waiting) -> Result<Cluster> {
        self.wait(id, waiting, |state| match state {
            state if state.works() => Some(true),
            ClusterState::Terminated | ClusterState::Terminating | ClusterState::Error => {
                Some(false)
            }
            _ => None,
        })
        .await
    }

    /// Waits until its machines have ended.
    pub async fn wait_terminated(&self, id: &ClusterId, waiting: &Waiting) -> Result<Cluster> {
        self.wait(id, waiting, |state| match state {
            ClusterState::Terminated => Some(true),
            ClusterState::Error => Some(false),
            _ => None,
        })
        .await
    }

    /// Starts it if it has terminated, and waits until it runs. Nothing else starts a terminated cluster but a job of its own.
    pub async fn ensure_running(&self, id: &ClusterId, waiting: &Waiting) -> Result<Cluster> {
        let mut found = self.get(id).await?;
        if found.state == ClusterState::Terminating {
            found = self.wait_terminated(id, waiting).await?;
        }
        if found.state == ClusterState::Terminated
            && let Err(error) = self.start(id).await
        {
            // Somebody else may have been first.
            let now = self.get(id).await?;
            if matches!(
                now.state,
                ClusterState::Terminated | ClusterState::Terminating
            ) {
                return Err(error);
            }
        }
        self.wait_running(id, waiting).await
    }

    /// Errors: `Unavailable` where it has ended, and with it what ran on it. One that cannot be looked at counts as there.
    pub(super) async fn still_there(&self, id: &ClusterId) -> Result<()> {
        match self.get(id).await {
            Ok(Cluster {
                state:
                    state @ (ClusterState::Terminating | ClusterState::Terminated | ClusterState::Error),
                ..
            }) => Err(Error::told(
                Kind::Unavailable,
                format!(
                    "the cluster has ended, and its contexts and commands with it: start it and make another context, cluster=`{id}` state=`{state}`"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// `ends`: `Some(true)` is what is waited for, `Some(false)` that it will not come.
    async fn wait(
        &self,
        id: &ClusterId,
        waiting: &Waiting,
        ends: impl Fn(&ClusterState) -> Option<bool>,
    ) -> Result<Cluster> {
        waiting
            .until("cluster", id, async || {
                let found = self.get(id).await?;
                let told = found.told();
                match ends(&found.state) {
                    Some(true) => Ok(Look::Done(found)),
                    Some(false) => Err(Error::told(
                        Kind::Unavailable,
                        format!(
                            "the cluster is {}, start it again, or look at its event log in the workspace, cluster=`{}` name=`{}` reason=`{told}`",
                            found.state, found.cluster_id, found.cluster_name
                        ),
                    )),
                    None => Ok(Look::Again {
                        state: found.state.to_string(),
                        message: told,
                    }),
                }
            })
            .await
    }

    async fn shown<T: serde::de::DeserializeOwned>(&self, id: &ClusterId) -> Result<T> {
        let call = Call::get(format!("{PATH}/get")).query("cluster_id", id);
        self.workspace.send(call).await
    }

    async fn ask(&self, what: &str, id: &ClusterId) -> Result<()> {
        let call = Call::post(format!("{PATH}/{what}")).json(json!({ "cluster_id": id }));
        self.done(call).await
    }

    async fn done(&self, call: Call) -> Result<()> {
        self.workspace.send::<Value>(call).await.map(drop)
    }
}
