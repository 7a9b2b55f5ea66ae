//! The command line: one file per command. In: arguments and the environment. Out: a call of the
//! pipeline or of a check, text on stdout, an exit code.

mod args;
mod audit;
mod backfill;
mod check;
mod completions;
mod config;
mod databricks;
mod exit;
mod output;
mod schema;
mod serve;
mod table;

pub use exit::{AFTER_HELP, exit_code};

use crate::{
    error::Result,
    telemetry::{self, LogFormat, Telemetry},
};
use clap::{Parser, Subcommand};

/// Lands event streams in Delta tables, exactly once, from Kafka, HTTP and files.
#[derive(Debug, Parser)]
#[command(
    name = "alluvium",
    version,
    max_term_width = 100,
    after_help = AFTER_HELP,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// How log lines look, on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        env = "ALLUVIUM_LOG_FORMAT"
    )]
    log_format: LogFormat,

    /// What is logged: a level, or directives as in `info,alluvium::commit=debug`
    #[arg(
        long = "log",
        global = true,
        default_value = "info",
        value_name = "LEVEL",
        env = "ALLUVIUM_LOG"
    )]
    log: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take events and land them, until SIGTERM
    Serve(serve::Args),
    /// Land files, or a range of a Kafka source, once
    Backfill(backfill::Args),
    /// Try everything a configuration needs, without taking an event
    Check(check::Args),
    /// Look at a table, its positions, its proof; sweep it
    Table(table::Args),
    /// Print, or run, the statements that make room for rescued values
    Schema(schema::Args),
    /// Prove that no event of a source is lost or doubled, over all its tables
    Audit(audit::Args),
    /// The effective configuration, or its JSON Schema
    Config(config::Args),
    /// Ask a Databricks workspace: warehouses, clusters, commands, statements, any request
    Databricks(databricks::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

impl Cli {
    /// Sets up logs, and metrics for the command that has an admin address, once a process.
    ///
    /// # Errors
    /// A log filter that does not parse.
    pub fn start_telemetry(&self) -> Result<Telemetry> {
        // A directive that names a room outranks whatever --log says of all. What a workspace refuses is a command's
        // own answer, while a daemon logs it.
        let more = match &self.command {
            Command::Databricks(args) if args.debug() => {
                ",alluvium::databricks=debug,alluvium::databricks::rights=off"
            }
            Command::Databricks(_) | Command::Check(_) => ",alluvium::databricks::rights=off",
            _ => "",
        };
        let filter = format!("{}{more}", self.log);
        let metrics = matches!(self.command, Command::Serve(_));
        Ok(telemetry::start(self.log_format, &filter, metrics)?)
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Whatever the command's room says; [`exit_code`] of its kind is the process's.
    pub async fn run(self, telemetry: Telemetry) -> Result<()> {
        match self.command {
            Command::Serve(args) => serve::run(args, telemetry).await,
            Command::Backfill(args) => backfill::run(args, telemetry).await,
            Command::Check(args) => check::run(args).await,
            Command::Table(args) => table::run(args).await,
            Command::Schema(args) => schema::run(args).await,
            Command::Audit(args) => audit::run(args).await,
            Command::Config(args) => config::run(args),
            Command::Databricks(args) => databricks::run(args, telemetry).await,
            Command::Completions(args) => completions::run(args),
        }
    }
}

#[cfg(test)]
mod tests;
