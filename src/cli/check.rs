//! `alluvium check`.

use super::{args::ConfigArgs, output};
use crate::{check, error::Result};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium check --config alluvium.toml

Reads the configuration, then tries what a daemon would need: that lake and spool can be written
and last, that brokers answer and topics exist, that every table that exists can be appended to.
Nothing is written but a probe that is removed. The exit code tells the gravest fault.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let config = args.config.load(None)?;
    output::report(check::preflight(&config).await?)
}
