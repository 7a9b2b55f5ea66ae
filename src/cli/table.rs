//! `alluvium table show|positions|audit|sweep`.

use super::{
    args::{ConfigArgs, duration},
    output,
};
use crate::{
    check,
    config::{Config, check_table_name},
    error::{Error, Kind, Result},
    maintain::{self, SweepOptions},
    pipeline::{self, Bound, ResetPositions},
};
use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium table show clicks
  alluvium table positions clicks --config alluvium.toml
  alluvium table positions reset clicks --config alluvium.toml --source clicks --to earliest
  alluvium table audit clicks --lake /var/lib/lake
  alluvium table sweep clicks --older-than 14d --delete")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print schema, sizes, versions, rescued values by field, proposed changes
    Show(One),
    /// Print, or reset, the offsets up to which a table holds its sources
    Positions(Positions),
    /// Prove that ranges join, that nothing stands twice and that counts add up
    Audit(One),
    /// Find, or delete, files that no version of a table names
    #[command(after_help = "\
Examples:
  alluvium table sweep clicks
      counts them, deletes nothing
  alluvium table sweep clicks --delete --json

Crashes between an upload and its commit leave such files; no reader sees them. Never touched: what any
version in the log names, removed files the table still keeps, hidden files and folders, and whatever is
younger than 24 hours or than delta.deletedFileRetentionDuration, for a writer may be about to commit it.
Parts of uploads that were not completed are not seen: let a life-cycle rule of the store remove those.")]
    Sweep(Sweep),
}

#[derive(Debug, clap::Args)]
struct Sweep {
    #[command(flatten)]
    one: One,

    /// Only files older than this, as in 36h or 14d; by default 7d, or as long as the table keeps removed files
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,

    /// Delete them
    #[arg(long)]
    delete: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct One {
    #[command(flatten)]
    config: ConfigArgs,

    /// The table's name
    #[arg(value_name = "TABLE")]
    table: String,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Positions {
    #[command(flatten)]
    config: ConfigArgs,

    /// The table's name
    #[arg(value_name = "TABLE", required = true)]
    table: Option<String>,

    #[command(subcommand)]
    command: Option<PositionsCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum PositionsCommand {
    /// Move positions; says what that loses or doubles, and asks
    #[command(after_help = "\
Examples:
  alluvium table positions reset clicks --config alluvium.toml --source clicks --to earliest
      reads everything again: rows that stand already will stand twice
  alluvium table positions reset clicks --config alluvium.toml --source clicks --topic clicks --to 0:1200,1:1150

Stop the daemons of the pipeline first. Until then they would be fenced.")]
    Reset(Reset),
}

#[derive(Debug, clap::Args)]
struct Reset {
    #[command(flatten)]
    one: One,

    /// The source whose positions move
    #[arg(long, value_name = "NAME")]
    source: String,

    /// Only positions of this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,

    /// Only these partitions, commas between them
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,

    /// Where to: earliest, latest, an offset, 0:100,1:200, a day or an RFC 3339 time
    #[arg(long, value_name = "BOUND")]
    to: Bound,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl One {
    fn load(&self) -> Result<Config> {
        if let Err(message) = check_table_name(&self.table) {
            return Err(Error::new(Kind::Config, message));
        }
        self.config.load(None)
    }
}

pub(super) async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Show(one) => output::report(check::show_table(&one.load()?, &one.table).await?),
        Command::Audit(one) => output::report(check::audit_table(&one.load()?, &one.table).await?),
        Command::Sweep(args) => sweep(args).await,
        Command::Positions(Positions {
            command: Some(PositionsCommand::Reset(args)),
            ..
        }) => reset(args).await,
        Command::Positions(Positions { config, table, .. }) => {
            let one = One {
                config,
                table: table.unwrap_or_default(),
            };
            output::report(check::table_positions(&one.load()?, &one.table).await?)
        }
    }
}

async fn sweep(args: Sweep) -> Result<()> {
    let config = args.one.load()?;
    let options = SweepOptions {
        older_than: args.older_than,
        delete: args.delete,
    };
    let swept = maintain::sweep_table(&config, &args.one.table, options).await?;
    match args.json {
        true => output::json(&swept.to_json(), &swept.report()),
        false => output::report(swept.report()),
    }
}

async fn reset(args: Reset) -> Result<()> {
    let config = args.one.load()?;
    let request = ResetPositions {
        table: args.one.table,
        source: args.source,
        topic: args.topic,
        partitions: args.partition,
        to: args.to,
    };
    let plan = pipeline::plan_reset(&config, &request).await?;
    output::print(&format!("{}\n", plan.text.trim_end()))?;
    if !args.yes {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(Error::new(
                Kind::Config,
                "nothing was changed: there is nobody to ask; say --yes to do what is told above",
            ));
        }
        if !confirmed(&mut stdin.lock(), &mut io::stderr())? {
            return Err(Error::new(Kind::Config, "nothing was changed"));
        }
    }
    pipeline::apply_reset(&config, plan).await
}

/// Only the whole word is a yes.
pub(super) fn confirmed(answer: &mut impl BufRead, prompt: &mut impl Write) -> Result<bool> {
    let mut line = String::new();
    write!(prompt, "Type yes to do this: ")
        .and_then(|()| prompt.flush())
        .and_then(|()| answer.read_line(&mut line))
        .map_err(|error| {
            Error::new(Kind::Unavailable, "cannot ask on this terminal").with_source(error)
        })?;
    Ok(line.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_yes() {
        for (answer, yes) in [
            ("yes\n", true),
            ("y\n", false),
            ("", false),
            ("no\n", false),
        ] {
            let said = confirmed(&mut answer.as_bytes(), &mut Vec::new()).unwrap();
            assert_eq!(said, yes, "{answer}");
        }
    }
}
