//! Commands in execution contexts, `/api/1.2/commands` (Databricks REST reference, "Command Execution").
//!
//! In: code in one of four languages. Out: its result, of whatever type. A command can be `Finished` and have failed all the
//! same: then it is the user's code that failed, [`Kind::CommandFailed`].

mod results;
#[cfg(test)]
mod tests;

pub use results::{CommandFailure, CommandResult, TableColumn};

use super::{
    Call, ClusterId, CommandId, ContextId, Error, Kind, Result, Workspace,
    clusters::Clusters,
    contexts::{Contexts, Language},
    wait::{Look, Waiting},
};
use results::Raw;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// The life of a command.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum CommandStatus {
    Queued,
    Running,
    Cancelling,
    Finished,
    Cancelled,
    Error,
    /// One that is newer than this program.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Cancelling => "Cancelling",
            Self::Finished => "Finished",
            Self::Cancelled => "Cancelled",
            Self::Error => "Error",
            Self::Other(status) => status,
        })
    }
}

/// A command and where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandRef {
    pub cluster_id: ClusterId,
    pub context_id: ContextId,
    pub command_id: CommandId,
}

impl fmt::Display for CommandRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command_id.as_str())
    }
}

/// A command as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSnapshot {
    pub status: CommandStatus,
    /// Once it has ended.
    pub result: Option<CommandResult>,
}

/// The commands of a workspace.
#[derive(Clone, Debug)]
pub struct Commands {
    workspace: Workspace,
}

impl Commands {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.clone(),
        }
    }

    /// Hands code over and does not wait. Not repeated after an unknown outcome.
    pub async fn execute(
        &self,
        cluster: &ClusterId,
        context: &ContextId,
        language: Language,
        code: &str,
    ) -> Result<CommandRef> {
        #[derive(Deserialize)]
        struct Accepted {
            id: CommandId,
        }
        let body = json!({
            "clusterId": cluster, "contextId": context, "language": language, "command": code,
        });
        let call = Call::post("/api/1.2/commands/execute").json(body).once();
        let accepted: Accepted = self.workspace.send(call).await?;
        Ok(CommandRef {
            cluster_id: cluster.clone(),
            context_id: context.clone(),
            command_id: accepted.id,
        })
    }

    /// How a command is now.
    pub async fn status(&self, command: &CommandRef) -> Result<CommandSnapshot> {
        #[derive(Deserialize)]
        struct Shown {
            status: CommandStatus,
            #[serde(default)]
            results: Option<Raw>,
        }
        let call = Call::get("/api/1.2/commands/status")
            .query("clusterId", &command.cluster_id)
            .query("contextId", &command.context_id)
            .query("commandId", &command.command_id);
        let shown: Shown = self.workspace.send(call).await?;
        Ok(CommandSnapshot {
            status: shown.status,
            result: shown.results.and_then(Raw::into_result),
        })
    }

    /// Asks for a command's end. It may end otherwise first.
    pub async fn cancel(&self, command: &CommandRef) -> Result<()> {
        let call = Call::post("/api/1.2/commands/cancel").body(command)?;
        self.workspace.send::<Value>(call).await.map(drop)
    }

    /// Waits for a command's result; one that is waited for in vain goes on.
    ///
    /// Errors: `CommandFailed` if the code failed; `Canceled`; `Unavailable` if the service could not run it or its cluster has ended; those of
    /// [`Waiting`].
    pub async fn wait(&self, command: &CommandRef, waiting: &Waiting) -> Result<CommandResult> {
        let ended = waiting
            .until("command", command, async || {
                let snapshot = match self.status(command).await {
                    Err(error) if error.is_passing() => {
                        Clusters::new(&self.workspace)
                            .still_there(&command.cluster_id)
                            .await?;
                        return Err(error);
                    }
                    looked => looked?,
                };
                Ok(match snapshot.status {
                    CommandStatus::Finished | CommandStatus::Cancelled | CommandStatus::Error => {
                        Look::Done(snapshot)
                    }
                    status => Look::Again {
                        state: status.to_string(),
                        message: String::new(),
                    },
                })
            })
            .await?;
        match (ended.status, ended.result) {
            (CommandStatus::Cancelled, _) => Err(Error::Canceled {
                what: format!("by whoever may stop it, command=`{command}`"),
            }),
            (CommandStatus::Finished, Some(CommandResult::Error(failure))) => {
                Err(Error::Command(Box::new(CommandFailure {
                    command: Some(command.command_id.clone()),
                    ..failure
                })))
            }
            (CommandStatus::Finished, Some(result)) => Ok(result),
            (CommandStatus::Finished, None) => Ok(CommandResult::Text {
                data: String::new(),
                truncated: false,
            }),
            (_, result) => {
                let said = match result {
                    Some(CommandResult::Error(failure)) => failure.said().to_owned(),
                    _ => "it does not say why".into(),
                };
                Err(Error::told(
                    Kind::Unavailable,
                    format!(
                        "the command could not be run, make another context if this one is lost: {said}, command=`{command}` context=`{}` cluster=`{}`",
                        command.context_id, command.cluster_id
                    ),
                ))
            }
        }
    }

    /// Runs code in a context of its own, which is destroyed after it.
    pub async fn run(
        &self,
        cluster: &ClusterId,
        language: Language,
        code: &str,
        waiting: &Waiting,
    ) -> Result<CommandResult> {
        let contexts = Contexts::new(&self.workspace);
        let context = contexts.create(cluster, language).await?;
        let ran = async {
            contexts.wait_running(cluster, &context, waiting).await?;
            let command = self.execute(cluster, &context, language, code).await?;
            self.wait(&command, waiting).await
        };
        let ran = ran.await;
        if let Err(error) = contexts.destroy(cluster, &context).await {
            tracing::warn!(%cluster, %context, %error, "an execution context was left behind");
        }
        ran
    }
}
