//! `alluvium config show|schema`.

use super::{args::ConfigArgs, output};
use crate::{
    config::{self, Environment},
    error::Result,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium config show --config alluvium.toml
  alluvium config schema > alluvium.schema.json")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print every key with its value and where that came from; secrets are redacted
    Show {
        #[command(flatten)]
        config: ConfigArgs,

        /// Address of the HTTP source, over its `listen`
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
    },
    /// Print the JSON Schema of the configuration file
    Schema,
}

pub(super) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Show { config, listen } => output::print(&config::show(
            config.config.as_deref(),
            &Environment::of_process(),
            &config.flags(listen),
        )?),
        Command::Schema => output::print(&config::schema()),
    }
}
