//! `alluvium schema plan|apply`.

use super::{args::ConfigArgs, output, table::confirmed};
use crate::{
    check,
    error::{Error, Kind, Result},
};
use std::io::{self, IsTerminal};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium schema plan --config alluvium.toml
  alluvium schema apply orders --config alluvium.toml --yes

What waits is read from the values in _rescued_data of the newest files, so no daemon need run. A table with authority = \"warehouse\" is changed by its connection's SQL
warehouse, which is started for it; any other by a commit to its log.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the statements that would make room for rescued values
    Plan(Tables),
    /// Run them
    Apply(Apply),
}

#[derive(Debug, clap::Args)]
struct Tables {
    #[command(flatten)]
    config: ConfigArgs,

    /// One table; by default all whose evolution is not `none`
    #[arg(value_name = "TABLE")]
    table: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Apply {
    #[command(flatten)]
    tables: Tables,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Plan(tables) => {
            let config = tables.config.load(None)?;
            let plan = check::plan_schema(&config, tables.table.as_deref()).await?;
            output::print(&plan.text())
        }
        Command::Apply(args) => apply(args).await,
    }
}

async fn apply(args: Apply) -> Result<()> {
    let config = args.tables.config.load(None)?;
    let plan = check::plan_schema(&config, args.tables.table.as_deref()).await?;
    output::print(&plan.text())?;
    if plan.is_empty() {
        return Ok(());
    }
    if !args.yes {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(Error::new(
                Kind::Config,
                "nothing was changed: there is nobody to ask; say --yes to run what is printed above",
            ));
        }
        if !confirmed(&mut stdin.lock(), &mut io::stderr())? {
            return Err(Error::new(Kind::Config, "nothing was changed"));
        }
    }
    let (done, outcome) = check::apply_schema(&config, &plan).await;
    output::print(&done)?;
    outcome
}
