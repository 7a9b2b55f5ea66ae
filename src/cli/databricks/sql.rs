//! `alluvium databricks sql`.

use super::{
    rows::{self, Form, Sink},
    session::{Session, usage},
    text,
    wait::{LimitArgs, Line, interrupted},
};
use crate::{
    databricks::{
        Kind as Told,
        statements::{
            Disposition, Format, OnWaitTimeout, Parameter, Snapshot, Statement, Statements,
        },
        wait::Waiting,
    },
    error::{Error, Kind, Result},
};
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// Statements are asked after sooner than machines.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["statement", "file"]),
    after_help = "\
Examples:
  alluvium databricks sql 'select current_user()'
  alluvium databricks sql 'select * from clicks where day = :day limit 10' --param day:DATE=2026-02-01 --catalog main --schema web
  alluvium databricks sql --params '[{\"name\": \"my_name\", \"value\": \"the name\"}]' 'select :my_name'
  alluvium databricks sql -f report.sql --warehouse reporting --format csv --output report.csv
  alluvium databricks sql --async 'optimize main.web.clicks'

A stopped warehouse is started by the service. A statement that fails ends with exit code 5. Ctrl-C and a wait
that ends in vain cancel the statement; with --async it goes on, and `alluvium databricks statement` finds it."
)]
pub(super) struct Args {
    /// The statement; - reads it from stdin
    #[arg(value_name = "STATEMENT")]
    statement: Option<String>,

    /// The statement's file; - is stdin
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The SQL warehouse, by id or name; by default the connection's
    #[arg(long, value_name = "WAREHOUSE")]
    warehouse: Option<String>,

    /// The catalog of names that have none
    #[arg(long, value_name = "NAME")]
    catalog: Option<String>,

    /// The schema of names that have none
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,

    /// The value of a marker :NAME, a STRING unless a type is told; NAME:TYPE alone is NULL
    #[arg(long, value_name = "NAME[:TYPE]=VALUE")]
    param: Vec<String>,

    /// Values of markers as a JSON array, [{"name": …, "value": …, "type": …}]
    #[arg(long, value_name = "JSON")]
    params: Option<String>,

    /// Submit it, print its id and do not wait
    #[arg(long = "async", conflicts_with_all = ["wait_timeout", "output"])]
    is_async: bool,

    /// The form of the result; by default a table on a terminal, JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    format: Option<Form>,

    /// Fetch the result by links into the cloud's storage, for more than 25 MiB; csv and arrow always come so
    #[arg(long)]
    external_links: bool,

    /// Where the result goes
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// At most so many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    row_limit: Option<u64>,

    /// At most so many bytes of result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    byte_limit: Option<u64>,

    #[command(flatten)]
    limit: LimitArgs,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<()> {
    // What can be refused is, before anything is asked of the workspace.
    let parameters = parameters(&args)?;
    let text = text::given(args.statement.as_deref(), args.file.as_ref())?;
    let warehouse = session.warehouse_id(args.warehouse.as_deref()).await?;
    let mut statement = Statement::new(&warehouse, text);
    (statement.catalog, statement.schema) = (args.catalog, args.schema);
    statement.parameters = parameters;
    (statement.row_limit, statement.byte_limit) = (args.row_limit, args.byte_limit);
    (statement.disposition, statement.format) = shape(args.format, args.external_links);
    let statements = Statements::new(&session.workspace);
    if args.is_async {
        statement.wait_seconds = 0;
        statement.on_wait_timeout = OnWaitTimeout::Continue;
        return submitted(
            session,
            &statements.submit(&statement).await.map_err(usage)?,
        );
    }
    // A result that nothing can take is not asked for.
    let sink = Sink::open(args.output.as_deref(), args.format == Some(Form::Arrow))?;
    let waiting = waiting(&args.limit, session).stop(interrupted());
    let outcome = {
        let _line = Line(&session.telemetry);
        statements
            .execute_with(&statement, &waiting)
            .await
            .map_err(canceled)?
    };
    rows::print(session, outcome, args.format, sink).await
}

/// Pauses that suit statements; without a limit of the user's a day.
pub(super) fn waiting(limit: &LimitArgs, session: &Session) -> Waiting {
    let waiting = limit.waiting(session).pauses(FIRST, LONGEST);
    match limit.is_given() {
        true => waiting,
        false => waiting.limit(A_DAY),
    }
}

fn parameters(args: &Args) -> Result<Vec<Parameter>> {
    let wrong = |option: &str, error: crate::databricks::Error| {
        Error::new(Kind::Config, format!("{option}: {error}"))
    };
    let mut all = match &args.params {
        Some(json) => Parameter::parse_list(json).map_err(|error| wrong("--params", error))?,
        None => Vec::new(),
    };
    for text in &args.param {
        let one = Parameter::parse(text).map_err(|error| wrong("--param", error))?;
        if all.iter().any(|other| other.name == one.name) {
            return Err(Error::new(
                Kind::Config,
                format!("--param: a parameter is given twice, name=`{}`", one.name),
            ));
        }
        all.push(one);
    }
    Ok(all)
}

/// How the service is to bring the result, so that it can be told in a form.
fn shape(form: Option<Form>, external_links: bool) -> (Disposition, Format) {
    match (form, external_links) {
        (Some(Form::Csv), _) => (Disposition::ExternalLinks, Format::Csv),
        (Some(Form::Arrow), _) => (Disposition::ExternalLinks, Format::ArrowStream),
        (_, true) => (Disposition::ExternalLinks, Format::JsonArray),
        (_, false) => (Disposition::Inline, Format::JsonArray),
    }
}

/// What was handed over and may still run.
pub(super) fn submitted(session: &Session, snapshot: &Snapshot) -> Result<()> {
    session.show.one(
        &json!({"statement_id": snapshot.statement, "state": snapshot.state}),
        &[
            ("statement", snapshot.statement.to_string()),
            ("state", snapshot.state.to_string()),
        ],
    )
}

/// A wait of ours that ended tells that the statement did, too; a lost answer tells nothing of it.
fn canceled(error: crate::databricks::Error) -> Error {
    use crate::databricks::Error as Failed;
    let waited = matches!(error, Failed::Told { .. } | Failed::Canceled { .. })
        && matches!(error.kind(), Told::Timeout | Told::Canceled);
    let lost = match &error {
        Failed::Timeout { .. } | Failed::Network { .. } => true,
        // Of the submission, or of the cancelling.
        Failed::Api(told) => told.kind.is_retryable(),
        _ => false,
    };
    let error = usage(error);
    match (waited, lost) {
        (true, _) => Error::new(error.kind(), format!("the statement was canceled: {error}")),
        (_, true) => Error::new(
            error.kind(),
            format!("{error}; the statement may run on, look at the query history"),
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(words: &[&str]) -> Result<Args, String> {
        let words = std::iter::once("sql").chain(words.iter().copied());
        Only::try_parse_from(words)
            .map(|only| only.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_of_parameters_go_together_and_no_name_stands_twice() {
        let args = parsed(&[
            "select 1",
            "--params",
            r#"[{"name": "a", "value": "x"}]"#,
            "--param",
            "n:INT=7",
            "--param",
            "none:DATE",
        ])
        .unwrap();
        let names: Vec<String> = parameters(&args)
            .unwrap()
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["a", "n", "none"]);
        let args = parsed(&[
            "select 1",
            "--params",
            r#"[{"name": "a", "value": "x"}]"#,
            "--param",
            "a=y",
        ])
        .unwrap();
        assert!(parameters(&args).unwrap_err().to_string().contains("twice"));
    }

    /// The sample of the connector's page has lost its bracket.
    #[test]
    fn the_unbalanced_sample_is_refused_with_its_position() {
        let args = parsed(&[
            "select 1",
            "--params",
            r#"[{ "name": "my_name", "value": "the name" }"#,
        ])
        .unwrap();
        let error = parameters(&args).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let told = error.to_string();
        assert!(
            told.starts_with("--params: ") && told.contains("line=`1` column=`43`"),
            "{told}"
        );
        let args = parsed(&[
            "select 1",
            "--params",
            r#"[{ "name": "my_name", "value": "the name" }]"#,
        ])
        .unwrap();
        assert_eq!(
            parameters(&args).unwrap(),
            [Parameter::text("my_name", "the name")]
        );
    }

    #[test]
    fn only_a_wait_of_ours_tells_that_the_statement_was_canceled() {
        use crate::databricks::{ApiError, Error as Failed};
        let refused = |status, kind| {
            Failed::Api(Box::new(ApiError {
                kind,
                status,
                error_code: None,
                message: "x".into(),
                details: Vec::new(),
                request_id: None,
                request: "POST /x".into(),
                remedy: String::new(),
            }))
        };
        for (error, waited, lost) in [
            (Failed::told(Told::Timeout, "x"), true, false),
            (Failed::told(Told::NotFound, "x"), false, false),
            (Failed::Canceled { what: "x".into() }, true, false),
            (
                Failed::Timeout {
                    what: "x".into(),
                    after: A_DAY,
                },
                false,
                true,
            ),
            (
                Failed::Network {
                    request: "x".into(),
                    reason: "y".into(),
                },
                false,
                true,
            ),
            (refused(503, Told::Unavailable), false, true),
            (refused(429, Told::RateLimited), false, true),
            (refused(400, Told::InvalidParameter), false, false),
        ] {
            let told = canceled(error).to_string();
            assert_eq!(told.contains("was canceled"), waited, "{told}");
            assert_eq!(told.contains("may run on"), lost, "{told}");
        }
    }

    #[test]
    fn what_does_not_go_together() {
        for words in [
            &[][..],
            &["select 1", "-f", "q.sql"],
            &["select 1", "--async", "--wait-timeout", "5m"],
            &["select 1", "--row-limit", "0"],
            &["select 1", "--format", "xml"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn forms_that_the_service_writes_come_by_links() {
        assert_eq!(
            shape(Some(Form::Csv), false),
            (Disposition::ExternalLinks, Format::Csv)
        );
        assert_eq!(
            shape(Some(Form::Arrow), true),
            (Disposition::ExternalLinks, Format::ArrowStream)
        );
        assert_eq!(
            shape(Some(Form::Json), true),
            (Disposition::ExternalLinks, Format::JsonArray)
        );
        assert_eq!(shape(None, false), (Disposition::Inline, Format::JsonArray));
    }
}
