//! `alluvium check`.

use super::{args::ConfigArgs, databricks, output};
use crate::{
    check,
    error::{Error, Kind, Result},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium check --config alluvium.toml
  alluvium check --config alluvium.toml --json

Reads the configuration, then tries what a daemon would need: that every store and the spool can be
written and last, with the credentials the daemon will use, that brokers answer and topics exist, that
every table that exists can be appended to, that each [connections.NAME] is a workspace with Unity Catalog
in which the credential has the rights it needs. A missing right is named as its provider names it. Nothing is
written but probes that are removed, below _alluvium_probe/. Ctrl-C ends it, with what was found so far; the
exit code tells the gravest fault.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Also make so many objects in each store that its listings have two pages (S3: 1001, Azure: 5001), start
    /// warehouses, and make and drop a table where a catalog is to know tables
    #[arg(long)]
    thorough: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// How long what was made may take to be removed after Ctrl-C.
const CLEANING: Duration = Duration::from_secs(120);

async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(CLEANING).await;
}

pub(super) async fn run(args: Args) -> Result<()> {
    let config = args.config.load(None)?;
    let stop = databricks::interrupted();
    let found = tokio::select! {
        found = check::preflight(&config, args.thorough, stop.clone()) => found?,
        () = late(&stop) => {
            return Err(Error::new(
                Kind::Unavailable,
                "interrupted; what the check made may stay: files below _alluvium_probe/, tables _alluvium_probe_… (their names are in the log)",
            ));
        }
    };
    match args.json {
        true => output::json(&found.document, &found.report),
        false => output::report(found.report),
    }
}
