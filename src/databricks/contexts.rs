//! Execution contexts on clusters, `/api/1.2/contexts` (Databricks REST reference, "Command Execution"). Classic clusters only.

use super::{
    Call, ClusterId, ContextId, Error, Kind, Result, Workspace,
    wait::{Look, Waiting},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{fmt, str::FromStr};

/// The language of a context and of its commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    Python,
    Scala,
    Sql,
    R,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "python",
            Self::Scala => "scala",
            Self::Sql => "sql",
            Self::R => "r",
        })
    }
}

impl FromStr for Language {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Python, Self::Scala, Self::Sql, Self::R]
            .into_iter()
            .find(|language| language.to_string().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| {
                let what = format!("a language is python, scala, sql or r, language=`{text}`");
                Error::told(Kind::InvalidParameter, what)
            })
    }
}

/// The life of a context.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ContextStatus {
    Pending,
    Running,
    Error,
    /// One that is newer than this program.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for ContextStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Error => "Error",
            Self::Other(status) => status,
        })
    }
}

/// The execution contexts of a workspace.
#[derive(Clone, Debug)]
pub struct Contexts {
    workspace: Workspace,
}

impl Contexts {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.clone(),
        }
    }

    /// Makes a context on a cluster that runs; it is `Pending` at first. Whoever makes one destroys it, as a cluster has room
    /// for some 150. Not repeated after an unknown outcome.
    pub async fn create(&self, cluster: &ClusterId, language: Language) -> Result<ContextId> {
        #[derive(Deserialize)]
        struct Created {
            id: ContextId,
        }
        let body = json!({ "clusterId": cluster, "language": language });
        let call = Call::post("/api/1.2/contexts/create").json(body).once();
        let created: Created = self.workspace.send(call).await?;
        Ok(created.id)
    }

    pub async fn status(&self, cluster: &ClusterId, context: &ContextId) -> Result<ContextStatus> {
        #[derive(Deserialize)]
        struct Shown {
            status: ContextStatus,
        }
        let call = Call::get("/api/1.2/contexts/status")
            .query("clusterId", cluster)
            .query("contextId", context);
        let shown: Shown = self.workspace.send(call).await?;
        Ok(shown.status)
    }

    /// Ends a context with what runs in it.
    pub async fn destroy(&self, cluster: &ClusterId, context: &ContextId) -> Result<()> {
        let body = json!({ "clusterId": cluster, "contextId": context });
        let call = Call::post("/api/1.2/contexts/destroy").json(body);
        self.workspace.send::<Value>(call).await.map(drop)
    }

    /// Waits until commands can run in it.
    ///
    /// Errors: `Unavailable` if it came to nothing; those of [`Waiting`].
    pub async fn wait_running(
        &self,
        cluster: &ClusterId,
        context: &ContextId,
        waiting: &Waiting,
    ) -> Result<()> {
        waiting
            .until("context", context, async || {
                Ok(match self.status(cluster, context).await? {
                    ContextStatus::Running => Look::Done(()),
                    ContextStatus::Error => {
                        return Err(Error::told(
                            Kind::Unavailable,
                            format!(
                                "the context came to nothing, see the cluster's driver log, cluster=`{cluster}` context=`{context}`"
                            ),
                        ));
                    }
                    status => Look::Again {
                        state: status.to_string(),
                        message: String::new(),
                    },
                })
            })
            .await
    }
}
