//! `alluvium databricks statement get|cancel`.

use super::{
    rows::{self, Form, Sink},
    session::Session,
    sql::{submitted, waiting},
    wait::{Line, WaitArgs},
};
use crate::{
    databricks::{
        StatementId,
        statements::{Snapshot, StatementState, Statements},
    },
    error::Result,
};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium databricks statement get 01f0-1234 --wait
  alluvium databricks statement get 01f0-1234 --format json --output rows.json
  alluvium databricks statement cancel 01f0-1234 --wait

Results can be read for an hour, states for twelve.")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Its state and, once it has succeeded, its result
    Get(Get),
    /// Ask for its end; it may end otherwise first
    Cancel(Cancel),
}

#[derive(Debug, clap::Args)]
struct Get {
    /// The statement's id
    #[arg(value_name = "STATEMENT_ID")]
    statement: StatementId,

    #[command(flatten)]
    wait: WaitArgs,

    /// The form of rows; what was submitted as csv or arrow stays that
    #[arg(long, value_name = "FORM", value_enum)]
    format: Option<Form>,

    /// Where the result goes
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Cancel {
    /// The statement's id
    #[arg(value_name = "STATEMENT_ID")]
    statement: StatementId,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<()> {
    let statements = Statements::new(&session.workspace);
    match args.action {
        Action::Get(args) => {
            // A result that nothing can take is not waited for.
            let sink = Sink::open(args.output.as_deref(), args.format == Some(Form::Arrow))?;
            let snapshot = seen(session, &statements, &args.statement, &args.wait).await?;
            if snapshot.failure.is_some() && session.show.is_json() {
                failed(session, &snapshot)?;
            }
            match snapshot.state.is_final() {
                true => {
                    let outcome = snapshot.into_outcome()?;
                    rows::print(session, outcome, args.format, sink).await
                }
                false => submitted(session, &snapshot),
            }
        }
        Action::Cancel(args) => {
            statements.cancel(&args.statement).await?;
            let snapshot = seen(session, &statements, &args.statement, &args.wait).await?;
            submitted(session, &snapshot)
        }
    }
}

/// The statement as it is, or, with --wait, when it has ended, however it did. When the wait ends, the statement goes on.
async fn seen(
    session: &Session,
    statements: &Statements,
    id: &StatementId,
    wait: &WaitArgs,
) -> Result<Snapshot> {
    if !wait.wait {
        return Ok(statements.get(id).await?);
    }
    let _line = Line(&session.telemetry);
    let waited = statements.wait(id, &waiting(&wait.limit, session)).await;
    let snapshot = statements.get(id).await?;
    match waited {
        Err(error) if !snapshot.state.is_final() => Err(error.into()),
        _ => Ok(snapshot),
    }
}

/// A failure as a document, beside the error that ends the command.
fn failed(session: &Session, snapshot: &Snapshot) -> Result<()> {
    let failure = snapshot.failure.as_ref();
    let error = failure.map(|failure| {
        json!({"error_code": failure.error_code, "sql_state": failure.sql_state, "message": failure.message})
    });
    session.show.one(
        &json!({"statement_id": snapshot.statement, "state": StatementState::Failed, "error": error}),
        &[],
    )
}
