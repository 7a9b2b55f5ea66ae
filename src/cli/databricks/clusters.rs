//! `alluvium databricks clusters list|get|start|restart|terminate|node-types`.

use super::{
    session::Session,
    show::field,
    wait::{Line, WaitArgs},
};
use crate::{
    databricks::{
        ClusterId,
        clusters::{Cluster, ClusterState, Clusters},
        node_types,
        wait::Waiting,
    },
    error::{Error, Kind, Result},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium databricks clusters list
  alluvium databricks clusters get 1234-567890-abcde123
  alluvium databricks clusters start 1234-567890-abcde123 --wait
  alluvium databricks clusters restart 1234-567890-abcde123
  alluvium databricks clusters terminate 1234-567890-abcde123 --wait
  alluvium databricks clusters node-types --json")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Pinned and active ones, and those that ended in the last 30 days (200 all-purpose, 30 of jobs)
    List,
    /// One, with all its settings
    Get(One),
    /// Start a terminated one
    Start(Move),
    /// Restart one that runs
    Restart(Move),
    /// End its machines; it keeps its settings and can be started again
    Terminate(Move),
    /// The machines that clusters can be made of
    NodeTypes,
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its id; by default the connection's
    #[arg(value_name = "CLUSTER")]
    cluster: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Move {
    #[command(flatten)]
    one: One,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<()> {
    let clusters = Clusters::new(&session.workspace);
    match args.action {
        Action::List => list(session, &clusters.list().await?),
        Action::Get(one) => {
            let id = session.cluster(one.cluster.as_deref())?;
            show(session, &clusters.get(&id).await?)
        }
        Action::Start(Move { one, wait }) => {
            let id = session.cluster(one.cluster.as_deref())?;
            let begun = async {
                clusters.start(&id).await?;
                clusters.get(&id).await
            };
            let running = async |waiting: &Waiting| clusters.ensure_running(&id, waiting).await;
            show(session, &wait.outcome(session, running, begun).await?)
        }
        Action::Restart(Move { one, wait }) => {
            let id = session.cluster(one.cluster.as_deref())?;
            clusters.restart(&id).await?;
            let running = async |waiting: &Waiting| clusters.wait_running(&id, waiting).await;
            show(
                session,
                &wait.outcome(session, running, clusters.get(&id)).await?,
            )
        }
        Action::Terminate(Move { one, wait }) => {
            let id = session.cluster(one.cluster.as_deref())?;
            clusters.terminate(&id).await?;
            let ended = async |waiting: &Waiting| clusters.wait_terminated(&id, waiting).await;
            show(
                session,
                &wait.outcome(session, ended, clusters.get(&id)).await?,
            )
        }
        Action::NodeTypes => {
            let found = node_types::list(&session.workspace).await?;
            let rows = found.iter().map(|kind| {
                [
                    kind.node_type_id.clone(),
                    kind.category.clone(),
                    kind.num_cores.to_string(),
                    format!("{:.1}", kind.memory_mb as f64 / 1024.0),
                    kind.num_gpus.to_string(),
                    if kind.is_deprecated { "deprecated" } else { "" }.to_owned(),
                ]
            });
            session.show.many(
                &found,
                ["ID", "CATEGORY", "CORES", "GIB", "GPUS", ""],
                rows,
                "the workspace offers no node types",
            )
        }
    }
}

/// A cluster on which something can run: started if it is asked for, else only looked at.
///
/// # Errors
/// Unavailable for one that does not run: a command starts none, only a job of its own would.
pub(super) async fn ready(
    session: &Session,
    id: &ClusterId,
    start: bool,
    wait: &WaitArgs,
) -> Result<()> {
    let clusters = Clusters::new(&session.workspace);
    if start {
        let _line = Line(&session.telemetry);
        clusters.ensure_running(id, &wait.waiting(session)).await?;
        return Ok(());
    }
    let found = clusters.get(id).await?;
    match found.state.works() {
        true => Ok(()),
        false => Err(not_running(id, &found.state)),
    }
}

fn not_running(id: &ClusterId, state: &ClusterState) -> Error {
    Error::new(
        Kind::Unavailable,
        format!(
            "the cluster does not run, and commands start none: say --start, or run `alluvium databricks clusters start {id} --wait` first, cluster=`{id}` state=`{state}`"
        ),
    )
}

fn list(session: &Session, found: &[Cluster]) -> Result<()> {
    let rows = found.iter().map(|cluster| {
        [
            cluster.cluster_id.to_string(),
            cluster.cluster_name.clone(),
            cluster.state.to_string(),
            cluster.spark_version.clone(),
            field(&cluster.rest, "node_type_id"),
            field(&cluster.rest, "cluster_source"),
        ]
    });
    session.show.many(
        &found,
        ["ID", "NAME", "STATE", "RUNTIME", "NODE TYPE", "SOURCE"],
        rows,
        "no cluster, or none that this credential may see",
    )
}

fn show(session: &Session, found: &Cluster) -> Result<()> {
    let reason = found
        .termination_reason
        .as_ref()
        .filter(|reason| !reason.code.is_empty());
    session.show.one(
        found,
        &[
            ("id", found.cluster_id.to_string()),
            ("name", found.cluster_name.clone()),
            ("state", found.state.to_string()),
            ("message", found.state_message.clone()),
            (
                "ended by",
                reason.map(ToString::to_string).unwrap_or_default(),
            ),
            ("runtime", found.spark_version.clone()),
            ("node type", field(&found.rest, "node_type_id")),
            ("workers", field(&found.rest, "num_workers")),
            ("autoscale", field(&found.rest, "autoscale")),
            ("access mode", field(&found.rest, "data_security_mode")),
            (
                "instance profile",
                found.instance_profile_arn().unwrap_or_default().to_owned(),
            ),
            (
                "idle minutes",
                field(&found.rest, "autotermination_minutes"),
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminated_cluster_needs_is_said() {
        let told = not_running(&ClusterId::new("1-2-c"), &ClusterState::Terminated).to_string();
        assert!(
            told.contains("--start") && told.contains("clusters start 1-2-c --wait"),
            "{told}"
        );
        assert!(
            told.ends_with("cluster=`1-2-c` state=`TERMINATED`"),
            "{told}"
        );
    }
}
