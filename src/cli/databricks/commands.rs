//! `alluvium databricks commands run|status`.

use super::{
    clusters::ready,
    contexts::LanguageArgs,
    session::Session,
    show::{cell, table},
    text,
    wait::{Line, WaitArgs},
};
use crate::{
    cli::output,
    databricks::{
        CommandId, ContextId, Error as DatabricksError,
        commands::{CommandRef, CommandResult, CommandSnapshot, CommandStatus, Commands},
    },
    error::Result,
};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium databricks commands run --cluster 1234-567890-abcde123 --context 5793410823456789 --wait 'print(1 + 1)'
  alluvium databricks commands run --context 5793410823456789 --language sql -f count.sql --wait
  alluvium databricks commands status 5220029674192230 --context 5793410823456789

Code that fails ends with exit code 5.")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Run code; prints the command's id or, with --wait, its result
    Run(Box<Run>),
    /// The state of a command and, once it has ended, its result
    Status(Status),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["code", "file"]))]
struct Run {
    /// The code; - reads it from stdin
    #[arg(value_name = "CODE")]
    code: Option<String>,

    /// The code's file; - is stdin
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    language: LanguageArgs,

    /// Start the cluster if it does not run; contexts do not outlive a cluster's end
    #[arg(long)]
    start: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
struct Status {
    /// The command's id
    #[arg(value_name = "COMMAND_ID")]
    command: CommandId,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The execution context's id
    #[arg(long, value_name = "CONTEXT_ID")]
    context: ContextId,

    /// The cluster's id; by default the connection's
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<()> {
    let commands = Commands::new(&session.workspace);
    match args.action {
        Action::Run(args) => {
            let code = text::given(args.code.as_deref(), args.file.as_ref())?;
            let cluster = session.cluster(args.place.cluster.as_deref())?;
            ready(session, &cluster, args.start, &args.wait).await?;
            let language = args.language.language();
            let command = commands
                .execute(&cluster, &args.place.context, language, &code)
                .await?;
            let snapshot = match args.wait.wait {
                true => ended(session, &commands, &command, &args.wait).await?,
                false => CommandSnapshot {
                    status: CommandStatus::Queued,
                    result: None,
                },
            };
            show(session, &command, snapshot)
        }
        Action::Status(args) => {
            let command = CommandRef {
                cluster_id: session.cluster(args.place.cluster.as_deref())?,
                context_id: args.place.context,
                command_id: args.command,
            };
            let snapshot = match args.wait.wait {
                true => ended(session, &commands, &command, &args.wait).await?,
                false => commands.status(&command).await?,
            };
            show(session, &command, snapshot)
        }
    }
}

/// The command with its result when it has ended, however it did.
async fn ended(
    session: &Session,
    commands: &Commands,
    command: &CommandRef,
    wait: &WaitArgs,
) -> Result<CommandSnapshot> {
    let waited = {
        let _line = Line(&session.telemetry);
        commands.wait(command, &wait.waiting(session)).await
    };
    match waited {
        Ok(result) => Ok(CommandSnapshot {
            status: CommandStatus::Finished,
            result: Some(result),
        }),
        Err(DatabricksError::Command(failure)) => Ok(CommandSnapshot {
            status: CommandStatus::Finished,
            result: Some(CommandResult::Error(*failure)),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The result, and for code that failed its error after it.
fn show(session: &Session, command: &CommandRef, snapshot: CommandSnapshot) -> Result<()> {
    let document = json!({
        "id": command.command_id,
        "context_id": command.context_id,
        "cluster_id": command.cluster_id,
        "status": snapshot.status,
        "results": snapshot.result,
    });
    match (session.show.is_json(), &snapshot.result) {
        (true, _) | (false, None) => session.show.one(
            &document,
            &[
                ("command", command.to_string()),
                ("status", snapshot.status.to_string()),
            ],
        )?,
        (false, Some(result)) => output::print(&told(result))?,
    }
    match snapshot.result {
        Some(CommandResult::Error(failure)) => {
            Err(DatabricksError::Command(Box::new(failure)).into())
        }
        _ => Ok(()),
    }
}

/// A result for people.
fn told(result: &CommandResult) -> String {
    let (mut text, truncated) = match result {
        CommandResult::Text { data, truncated } => (printable(data), *truncated),
        CommandResult::Table {
            schema,
            data,
            truncated,
        } => {
            let head: Vec<&str> = schema.iter().map(|column| column.name.as_str()).collect();
            let rows = data
                .iter()
                .map(|row| row.iter().map(value).collect())
                .collect();
            (table(&head, rows), *truncated)
        }
        CommandResult::Image { file } => (format!("image: {}", cell(file)), false),
        CommandResult::Images { files } => {
            let lines: Vec<String> = files
                .iter()
                .map(|file| format!("image: {}", cell(file)))
                .collect();
            (lines.join("\n"), false)
        }
        CommandResult::Error(failure) => (printable(&failure.cause), failure.truncated),
        CommandResult::Other { kind, data } => (
            format!("{}: {}", cell(kind), printable(&data.to_string())),
            false,
        ),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if truncated {
        text.push_str("the service cut the result off\n");
    }
    text
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::String(text) => cell(text),
        other => cell(&other.to_string()),
    }
}

/// Lines stay lines; nothing else of a text moves the cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::commands::{CommandFailure, TableColumn};

    #[test]
    fn results_of_every_type_are_told() {
        let text = |data: &str, truncated| CommandResult::Text {
            data: data.into(),
            truncated,
        };
        assert_eq!(told(&text("", false)), "");
        assert_eq!(
            told(&text("1\n2", true)),
            "1\n2\nthe service cut the result off\n"
        );
        assert_eq!(told(&text("a\u{1b}[2J", false)), "a\u{fffd}[2J\n");
        let column = |name: &str| TableColumn {
            name: name.into(),
            kind: "int".into(),
        };
        let table = CommandResult::Table {
            schema: vec![column("n"), column("text")],
            data: vec![
                vec![json!(1), json!("one")],
                vec![Value::Null, json!({"a": 2})],
            ],
            truncated: false,
        };
        assert_eq!(told(&table), "n     text\n1     one\nNULL  {\"a\":2}\n");
        assert_eq!(
            told(&CommandResult::Images {
                files: vec!["a".into(), "b".into()]
            }),
            "image: a\nimage: b\n"
        );
        let failure = CommandFailure {
            cause: "Traceback\n  x".into(),
            ..CommandFailure::default()
        };
        assert_eq!(told(&CommandResult::Error(failure)), "Traceback\n  x\n");
    }
}
