//! Tables of catalogs: where each is registered, and the agents that see to it.

use super::worker::{Control, Shared};
use crate::{
    commit::TableLog,
    config::Registration,
    control::{
        Agent, ControlError, Databricks, Logged, SqlRunner, Target, Waiting,
        sql::{Location, TableName},
    },
    databricks::Connections,
    error::{Error, Kind, Result},
    schema::{Authority, SchemaChange, TableSchema},
    storage::TableLocation,
};
use async_trait::async_trait;
use futures::FutureExt;
use parking_lot::Mutex;
use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// The connections in use, each with its agent.
pub(crate) struct Catalogs {
    connections: Connections,
    agents: Mutex<BTreeMap<String, Agent>>,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
    shared: Arc<Shared>,
}

impl Catalogs {
    /// Within the runtime that the agents are to run on.
    pub(crate) fn new(connections: Connections, shared: Arc<Shared>) -> Self {
        Self {
            connections,
            agents: Mutex::default(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            shared,
        }
    }

    /// Serves a connection's tables by `runner` from now on.
    #[cfg(test)]
    pub(crate) fn serve(&self, connection: &str, runner: Arc<dyn SqlRunner>) -> Agent {
        let agent = self.start(connection, runner);
        let mut agents = self.agents.lock();
        agents.insert(connection.to_owned(), agent.clone());
        agent
    }

    /// The agent of a connection, made at its first table. No request is made.
    pub(crate) fn agent(&self, connection: &str) -> Result<Agent> {
        // Held throughout: of two that ask at once, one would get an agent that nobody knows of.
        let mut agents = self.agents.lock();
        if let Some(agent) = agents.get(connection) {
            return Ok(agent.clone());
        }
        let agent = self.start(connection, runner(&self.connections, connection)?);
        agents.insert(connection.to_owned(), agent.clone());
        Ok(agent)
    }

    fn start(&self, connection: &str, runner: Arc<dyn SqlRunner>) -> Agent {
        let (agent, task) = Agent::new(connection, runner, self.shared.cancel.clone());
        let shared = self.shared.clone();
        // Else its tables would be waited for in vain.
        let guarded = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                shared.fail(Error::new(
                    Kind::Bug,
                    "a warehouse's task panicked; what it had under way is read from the tables by the next run",
                ));
            }
        };
        self.tasks.spawn_on(guarded, &self.runtime);
        agent
    }

    /// The tables whose catalogs are not what they are to be.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        self.agents
            .lock()
            .values()
            .flat_map(Agent::waiting)
            .collect()
    }

    /// Waits for the agents after the cancellation. What they had under way is read from the tables by whoever is next.
    pub(crate) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What runs statements for a connection.
///
/// # Errors
/// Config for a connection that is not there, or has no warehouse.
pub(crate) fn runner(connections: &Connections, connection: &str) -> Result<Arc<dyn SqlRunner>> {
    let workspace = connections.get(connection).map_err(Error::from)?;
    Ok(Arc::new(Databricks::new(workspace)?))
}

/// A table's place in its catalog, as its worker knows it.
#[derive(Clone)]
pub(crate) struct Desk {
    agent: Agent,
    target: Target,
    authority: Authority,
}

impl Desk {
    pub(crate) fn new(
        agent: Agent,
        registration: &Registration,
        authority: Authority,
        log: Arc<TableLog>,
        control: mpsc::UnboundedSender<Control>,
    ) -> Result<Self> {
        Ok(Self {
            agent,
            target: target(
                registration,
                Arc::new(Log {
                    log,
                    control: Some(control),
                }),
            )?,
            authority,
        })
    }

    /// The table's log is there: the catalog is to have it.
    pub(crate) fn exists(&self) {
        self.agent.register(&self.target);
    }

    /// Whether the schema is changed through the warehouse alone.
    pub(crate) fn is_authority(&self) -> bool {
        self.authority == Authority::Warehouse
    }

    /// Asks for changes to a table that may get `room` columns more in all. Returned is what cannot be asked for.
    pub(crate) fn want(&self, changes: &[SchemaChange], room: usize) -> Vec<ControlError> {
        self.agent.want_within(&self.target, changes, room)
    }

    /// We changed the log's schema ourselves.
    pub(crate) fn evolved(&self) {
        self.agent.sync(&self.target);
    }
}

/// A table of a catalog with its log.
///
/// # Errors
/// Config for a name or a place that a catalog does not take.
pub(crate) fn target(registration: &Registration, log: Arc<Log>) -> Result<Target> {
    Ok(Target {
        name: TableName::new(
            &registration.catalog,
            &registration.schema,
            &registration.table,
        )?,
        location: Location::parse(&plain_url(log.log.location()))?,
        comment: registration.comment.clone(),
        log,
    })
}

/// The folder's URL as a catalog takes it: characters as they are, not percent-encoded.
fn plain_url(location: &TableLocation) -> String {
    let before = &location.url[..url::Position::BeforePath];
    format!("{before}/{}", location.root)
}

/// A table's log, as the control plane sees it.
pub(crate) struct Log {
    log: Arc<TableLog>,
    control: Option<mpsc::UnboundedSender<Control>>,
}

impl Log {
    /// Nobody is told of changes.
    pub(crate) fn alone(log: Arc<TableLog>) -> Arc<Self> {
        Arc::new(Self { log, control: None })
    }
}

#[async_trait]
impl Logged for Log {
    async fn schema(&self) -> Result<Option<Arc<TableSchema>>, ControlError> {
        let state = self.log.load().await.map_err(|error| {
            let error = Error::from(error);
            ControlError::Service {
                kind: error.kind(),
                message: error.to_string(),
            }
        })?;
        Ok(state.map(|state| state.schema.clone()))
    }

    fn changed(&self) {
        if let Some(control) = &self.control {
            // A worker that has stopped writes nothing.
            let _ = control.send(Control::Reload);
        }
    }
}

#[cfg(test)]
mod tests;
