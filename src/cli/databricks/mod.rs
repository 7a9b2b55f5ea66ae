//! `alluvium databricks …`: what a Databricks workspace can be asked to do, one file per group of actions.
//!
//! In: a connection by its name, by being the only one, or from the environment. Out: a table on a terminal, one JSON
//! document elsewhere; progress and traces on stderr.
//!
//! - `session`: which workspace, and how its answers are told
//! - `show`, `wait`, `text`: answers, waits with progress, code and statements from files
//! - `me`, `warehouses`, `clusters`, `contexts`, `commands`, `sql`, `statement`, `request`: the actions

mod clusters;
mod commands;
mod contexts;
mod me;
mod request;
mod rows;
mod session;
mod show;
mod sql;
mod statement;
mod text;
mod wait;
mod warehouses;

use crate::{error::Result, telemetry::Telemetry};
use session::{Session, SessionArgs};
pub(super) use wait::interrupted;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium databricks me --config alluvium.toml --connection prod
  alluvium databricks warehouses start reporting --wait
  alluvium databricks sql 'select :n + 1' --param n:INT=41
  alluvium databricks request /2.0/clusters/list --profile dev

The workspace is [connections.NAME] of the configuration; with no connection configured it is found as
Databricks' own tools find it, by DATABRICKS_HOST and its kin and ~/.databrickscfg. Answers are tables on a
terminal, JSON elsewhere and with --json. Every action: docs/databricks.md.")]
pub(super) struct Args {
    #[command(flatten)]
    session: SessionArgs,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Who the connection's credential stands for
    Me,
    /// SQL warehouses: list, get, start, stop
    Warehouses(warehouses::Args),
    /// Clusters: list, get, start, restart, terminate, and the machines they can be made of
    Clusters(clusters::Args),
    /// Execution contexts on a cluster
    Contexts(contexts::Args),
    /// Commands in an execution context
    Commands(commands::Args),
    /// Run a SQL statement on a warehouse
    Sql(Box<sql::Args>),
    /// A statement that was submitted: its state and result, or its end
    Statement(statement::Args),
    /// Any request to the workspace's API
    Request(Box<request::Args>),
}

impl Args {
    /// Whether requests and answers are to be logged.
    pub(super) fn debug(&self) -> bool {
        self.session.debug
    }
}

pub(super) async fn run(args: Args, telemetry: Telemetry) -> Result<()> {
    let session = Session::open(&args.session, telemetry)?;
    match args.action {
        Action::Me => me::run(&session).await,
        Action::Warehouses(args) => warehouses::run(args, &session).await,
        Action::Clusters(args) => clusters::run(args, &session).await,
        Action::Contexts(args) => contexts::run(args, &session).await,
        Action::Commands(args) => commands::run(args, &session).await,
        Action::Sql(args) => sql::run(*args, &session).await,
        Action::Statement(args) => statement::run(args, &session).await,
        Action::Request(args) => request::run(*args, &session).await,
    }
}
