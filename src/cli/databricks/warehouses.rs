//! `alluvium databricks warehouses list|get|start|stop`.

use super::{session::Session, show::field, wait::WaitArgs};
use crate::{
    databricks::{
        wait::Waiting,
        warehouses::{Warehouse, Warehouses},
    },
    error::Result,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium databricks warehouses list
  alluvium databricks warehouses get 1234567890abcdef
  alluvium databricks warehouses start reporting --wait --wait-timeout 10m
  alluvium databricks warehouses stop reporting --wait")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// All that the credential may see
    List,
    /// One, with its health
    Get(One),
    /// Start it; one that runs is left alone
    Start(Move),
    /// Stop it; its statements are cancelled
    Stop(Move),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its id or its name (`id:…`, `name:…` where either could be meant); by default the connection's
    #[arg(value_name = "WAREHOUSE")]
    warehouse: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Move {
    #[command(flatten)]
    one: One,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<()> {
    let warehouses = Warehouses::new(&session.workspace);
    match args.action {
        Action::List => list(session, &warehouses.list().await?),
        Action::Get(one) => show(session, &session.warehouse(one.warehouse.as_deref()).await?),
        Action::Start(Move { one, wait }) => {
            let id = session.warehouse_id(one.warehouse.as_deref()).await?;
            let begun = async {
                warehouses.start(&id).await?;
                warehouses.get(&id).await
            };
            let running = async |waiting: &Waiting| warehouses.ensure_running(&id, waiting).await;
            show(session, &wait.outcome(session, running, begun).await?)
        }
        Action::Stop(Move { one, wait }) => {
            let id = session.warehouse_id(one.warehouse.as_deref()).await?;
            warehouses.stop(&id).await?;
            let stopped = async |waiting: &Waiting| warehouses.wait_stopped(&id, waiting).await;
            show(
                session,
                &wait.outcome(session, stopped, warehouses.get(&id)).await?,
            )
        }
    }
}

fn list(session: &Session, found: &[Warehouse]) -> Result<()> {
    let rows = found.iter().map(|warehouse| {
        [
            warehouse.id.to_string(),
            warehouse.name.clone(),
            warehouse.state.to_string(),
            warehouse.size().unwrap_or_default().to_owned(),
            field(&warehouse.rest, "warehouse_type"),
            auto_stop(warehouse),
        ]
    });
    session.show.many(
        &found,
        ["ID", "NAME", "STATE", "SIZE", "TYPE", "AUTO STOP"],
        rows,
        "no SQL warehouse, or none that this credential may see",
    )
}

fn show(session: &Session, found: &Warehouse) -> Result<()> {
    let odbc = found.odbc_params.as_ref();
    session.show.one(
        found,
        &[
            ("id", found.id.to_string()),
            ("name", found.name.clone()),
            ("state", found.state.to_string()),
            (
                "health",
                found
                    .health
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
            ("size", found.size().unwrap_or_default().to_owned()),
            ("type", field(&found.rest, "warehouse_type")),
            (
                "serverless",
                field(&found.rest, "enable_serverless_compute"),
            ),
            (
                "clusters",
                found
                    .num_clusters
                    .map(|n| n.to_string())
                    .unwrap_or_default(),
            ),
            ("auto stop", auto_stop(found)),
            (
                "host",
                odbc.map(|odbc| odbc.hostname.clone()).unwrap_or_default(),
            ),
            (
                "path",
                odbc.map(|odbc| odbc.path.clone()).unwrap_or_default(),
            ),
        ],
    )
}

fn auto_stop(warehouse: &Warehouse) -> String {
    match warehouse.auto_stop_minutes() {
        None => String::new(),
        Some(0) => "never".into(),
        Some(minutes) => format!("{minutes} min"),
    }
}
