//! `alluvium check`.

use super::{args::ConfigArgs, output};
use crate::{check, error::Result};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium check --config alluvium.toml
  alluvium check --config alluvium.toml --json

Reads the configuration, then tries what a daemon would need: that every store and the spool can be
written and last, with the credentials the daemon will use, that brokers answer and topics exist, that
every table that exists can be appended to. A missing right is named as its provider names it. Nothing
is written but probes that are removed, below _alluvium_probe/. The exit code tells the gravest fault.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Also make so many objects in each store that its listings have two pages (S3: 1001, Azure: 5001)
    #[arg(long)]
    thorough: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let config = args.config.load(None)?;
    let found = check::preflight(&config, args.thorough).await?;
    match args.json {
        true => output::json(&found.document, &found.report),
        false => output::report(found.report),
    }
}
