//! `alluvium databricks contexts create|destroy`.

use super::{
    clusters::ready,
    session::Session,
    wait::{Line, WaitArgs},
};
use crate::{
    databricks::{
        ContextId,
        contexts::{Contexts, Language},
    },
    error::Result,
};
use serde_json::json;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium databricks contexts create --cluster 1234-567890-abcde123 --language python --start --wait
  alluvium databricks contexts destroy 5793410823456789 --cluster 1234-567890-abcde123

Commands need a classic cluster that runs. Contexts are lost when it restarts or ends.")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make one and print its id
    Create(Create),
    /// Give one up
    Destroy(Destroy),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The cluster's id; by default the connection's
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,

    #[command(flatten)]
    language: LanguageArgs,

    /// Start the cluster if it does not run
    #[arg(long)]
    start: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
struct Destroy {
    /// The context's id
    #[arg(value_name = "CONTEXT_ID")]
    context: ContextId,

    /// The cluster's id; by default the connection's
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

/// The language of a context and its commands.
#[derive(Debug, clap::Args)]
pub(super) struct LanguageArgs {
    /// What the code is written in
    #[arg(long, value_enum, default_value_t = Spoken::Python, value_name = "LANGUAGE")]
    language: Spoken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Spoken {
    Python,
    Scala,
    Sql,
    R,
}

impl LanguageArgs {
    pub(super) fn language(&self) -> Language {
        match self.language {
            Spoken::Python => Language::Python,
            Spoken::Scala => Language::Scala,
            Spoken::Sql => Language::Sql,
            Spoken::R => Language::R,
        }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> Result<()> {
    let contexts = Contexts::new(&session.workspace);
    match args.action {
        Action::Create(args) => {
            let cluster = session.cluster(args.cluster.as_deref())?;
            ready(session, &cluster, args.start, &args.wait).await?;
            let language = args.language.language();
            let context = contexts.create(&cluster, language).await?;
            if args.wait.wait {
                let _line = Line(&session.telemetry);
                contexts
                    .wait_running(&cluster, &context, &args.wait.waiting(session))
                    .await?;
            }
            session.show.one(
                &json!({"id": context, "cluster_id": cluster, "language": language}),
                &[
                    ("context", context.to_string()),
                    ("cluster", cluster.to_string()),
                ],
            )
        }
        Action::Destroy(args) => {
            let cluster = session.cluster(args.cluster.as_deref())?;
            contexts.destroy(&cluster, &args.context).await?;
            session.show.one(
                &json!({"id": args.context, "cluster_id": cluster, "destroyed": true}),
                &[("destroyed", args.context.to_string())],
            )
        }
    }
}
