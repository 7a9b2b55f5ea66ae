//! What runs statements: the connection's warehouse, or a cluster in its place.

use super::{Section, lacking, refused, waiting};
use crate::{
    databricks::{
        ClusterId, Error, Kind as Told, Result, WarehouseId, WarehouseRef, Workspace,
        clusters::Clusters,
        commands::{CommandResult, Commands},
        contexts::Language,
        scim::Me,
        statements::{Statement, Statements},
        warehouses::{WarehouseState, Warehouses},
    },
    error::Kind,
};
use serde_json::Value;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a warehouse or cluster may take to start.
const START: Duration = Duration::from_secs(20 * 60);
/// How long one statement of ours may take.
const STATEMENT: Duration = Duration::from_secs(5 * 60);

/// Something that runs.
#[derive(Clone, Debug)]
pub(super) enum Compute {
    Warehouse(WarehouseId),
    Cluster(ClusterId),
}

impl Compute {
    /// Runs a statement and gives back its rows, `None` for NULL.
    pub(super) async fn run(
        &self,
        workspace: &Workspace,
        sql: &str,
        stop: &CancellationToken,
    ) -> Result<Vec<Vec<Option<String>>>> {
        let waiting = waiting(STATEMENT, stop).progress(|progress| tracing::debug!("{progress}"));
        match self {
            Compute::Warehouse(id) => {
                let statements = Statements::new(workspace);
                let statement = Statement::new(id, sql).query_tag("alluvium", Some("check"));
                // A table cannot be made twice; all else of ours can.
                let statement = match sql.starts_with("CREATE") {
                    true => statement,
                    false => statement.repeatable(),
                };
                let outcome = statements.execute_with(&statement, &waiting).await?;
                Ok(statements.rows(outcome).await?.rows)
            }
            Compute::Cluster(id) => match Commands::new(workspace)
                .run(id, Language::Sql, sql, &waiting)
                .await?
            {
                CommandResult::Table { data, .. } => {
                    let cell = |value: Value| match value {
                        Value::Null => None,
                        Value::String(text) => Some(text),
                        other => Some(other.to_string()),
                    };
                    Ok(data
                        .into_iter()
                        .map(|row| row.into_iter().map(cell).collect())
                        .collect())
                }
                _ => Ok(Vec::new()),
            },
        }
    }
}

/// `needed`: something is to run on it, so it is started; else it is only looked at. `None` where it does not run.
pub(super) async fn probe(
    section: &mut Section,
    workspace: &Workspace,
    me: &Me,
    needed: bool,
    stop: &CancellationToken,
) -> Option<Compute> {
    let compute = match (workspace.warehouse(), workspace.cluster()) {
        (Some(named), _) => warehouse(section, workspace, me, named, needed, stop).await?,
        (None, Some(id)) => cluster(section, workspace, id, needed, stop).await?,
        (None, None) => {
            const REMEDY: &str = "set `warehouse` of the connection to its id or name; `alluvium databricks warehouses list` shows them";
            match needed {
                true => lacking(section, "the connection names no SQL warehouse, and statements need one", REMEDY),
                false => section.note("the connection names no SQL warehouse; tables that a catalog is to know need one"),
            }
            return None;
        }
    };
    if !needed {
        return None;
    }
    match compute.run(workspace, "SELECT 1", stop).await {
        Ok(_) => {
            section.fine("runs statements");
            Some(compute)
        }
        Err(error) => {
            let remedy = match (&compute, error.kind()) {
                (Compute::Warehouse(id), Told::PermissionDenied | Told::NotFound) => {
                    can_use(id, me)
                }
                _ => String::new(),
            };
            refused(section, "a statement does not run", error, remedy);
            None
        }
    }
}

async fn warehouse(
    section: &mut Section,
    workspace: &Workspace,
    me: &Me,
    named: &WarehouseRef,
    needed: bool,
    stop: &CancellationToken,
) -> Option<Compute> {
    let warehouses = Warehouses::new(workspace);
    let found = match named {
        WarehouseRef::Id(id) => warehouses.get(id).await,
        WarehouseRef::Name(name) => warehouses.find(name).await,
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let remedy = match (named, error.kind()) {
                (WarehouseRef::Id(id), Told::PermissionDenied | Told::NotFound) => {
                    format!(
                        "check the id (`alluvium databricks warehouses list`), or have CAN USE granted: {}",
                        can_use(id, me)
                    )
                }
                _ => String::new(),
            };
            refused(section, "the SQL warehouse is not to be had", error, remedy);
            return None;
        }
    };
    let told = format!("warehouse {} ({})", found.name, found.id);
    match (&found.state, needed) {
        (WarehouseState::Running, _) => section.fine(format!("{told} runs")),
        (WarehouseState::Deleting | WarehouseState::Deleted, _) => {
            section.fault(
                Kind::Config,
                format!("{told} is {}", found.state),
                "name another in `warehouse` of the connection",
            );
            return None;
        }
        (state, false) => section.note(format!(
            "{told} is {state}; it is started where a table's schema changes"
        )),
        (state, true) => {
            tracing::info!("{told} is {state} and is started");
            if let Err(error) = warehouses
                .ensure_running(&found.id, &waiting(START, stop))
                .await
            {
                let remedy = not_started(&error, || can_use(&found.id, me));
                refused(section, "the SQL warehouse does not start", error, remedy);
                return None;
            }
            section.fine(format!("{told} was {state} and was started"));
        }
    }
    Some(Compute::Warehouse(found.id))
}

async fn cluster(
    section: &mut Section,
    workspace: &Workspace,
    id: &ClusterId,
    needed: bool,
    stop: &CancellationToken,
) -> Option<Compute> {
    let clusters = Clusters::new(workspace);
    let found = match clusters.get(id).await {
        Ok(found) => found,
        Err(error) => {
            refused(
                section,
                "the cluster is not to be had",
                error,
                "check the id (`alluvium databricks clusters list`), or have CAN ATTACH TO granted on it",
            );
            return None;
        }
    };
    let told = format!("cluster {} ({id})", found.cluster_name);
    if found.runtime().is_some_and(|version| {
        version < crate::databricks::clusters::RuntimeVersion { major: 6, minor: 3 }
    }) {
        section.fault(
            Kind::Unsupported,
            format!(
                "{told} has a runtime below 6.3, spark_version=`{}`",
                found.spark_version
            ),
            "give it a newer runtime",
        );
    }
    match (found.state.works(), needed) {
        (true, _) => section.fine(format!("{told} runs")),
        (false, false) => section.note(format!(
            "{told} is {}; nothing but a job of its own starts it unasked",
            found.state
        )),
        (false, true) => {
            tracing::info!("{told} is {} and is started", found.state);
            if let Err(error) = clusters.ensure_running(id, &waiting(START, stop)).await {
                let remedy = not_started(&error, || {
                    "have CAN RESTART granted on the cluster".to_owned()
                });
                refused(section, "the cluster does not start", error, remedy);
                return None;
            }
            section.fine(format!("{told} was {} and was started", found.state));
        }
    }
    Some(Compute::Cluster(id.clone()))
}

fn not_started(error: &Error, denied: impl FnOnce() -> String) -> String {
    match error.kind() {
        Told::PermissionDenied => denied(),
        Told::Timeout => {
            "look at its events in the workspace: quota, machines, the network's way out".into()
        }
        _ => String::new(),
    }
}

/// The request that gives the right, for whoever may manage the warehouse.
fn can_use(id: &WarehouseId, me: &Me) -> String {
    let who = match me.application() {
        Some(application) => format!("\"service_principal_name\": \"{application}\""),
        None => format!("\"user_name\": \"{}\"", me.user_name),
    };
    format!(
        "alluvium databricks request -X PATCH /2.0/permissions/warehouses/{id} --data '{{\"access_control_list\": [{{{who}, \"permission_level\": \"CAN_USE\"}}]}}'"
    )
}
