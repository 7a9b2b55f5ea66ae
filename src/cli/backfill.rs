//! `alluvium backfill`.

use super::{args::ConfigArgs, output};
use crate::{
    config::{Config, SourceOptions, check_table_name},
    error::{Error, Kind, Result},
    pipeline::{self, BackfillFiles, BackfillRange, Bound},
    source::files::RunId,
    telemetry::Telemetry,
};

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["table", "source"]),
    after_help = "\
Examples:
  alluvium backfill --table clicks 'exports/2026-*/*.ndjson.gz'
  alluvium backfill --table orders orders.parquet file:///data/old/orders.csv --dry-run
  alluvium backfill --table clicks 's3://exports/2026/**/*.json.gz' az://landing/clicks/
  alluvium backfill --config alluvium.toml --source clicks --from 2026-01-01 --to 2026-02-01
  alluvium backfill --config alluvium.toml --source clicks --from 0:1200,1:1150 --to latest

Inputs are files, folders and patterns, on this machine or in object stores (s3://, az://, abfss://,
https://ACCOUNT.blob.core.windows.net/), mixed as you like. [stores] says how stores are reached; without
it the environment does. Files are NDJSON, JSON arrays, CSV with a header or Parquet; the first three plain, gzip or zstd.
A run that was killed continues where it stopped; a finished one does nothing. Both are found by
their inputs, or by --run-id. Rows of rejected records are in the dead-letter table, and the exit
code is then 5."
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// The table that the files go to
    #[arg(long, value_name = "NAME", requires = "inputs")]
    table: Option<String>,

    /// Files, folders or patterns, as paths or URLs
    #[arg(value_name = "PATH|GLOB|URL", conflicts_with = "source")]
    inputs: Vec<String>,

    /// The Kafka source to read a range of
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// First offset or time: 1200, 0:100,1:200, 2026-01-31, an RFC 3339 time, earliest
    #[arg(
        long,
        value_name = "BOUND",
        requires = "source",
        conflicts_with = "table"
    )]
    from: Option<Bound>,

    /// End, not read itself, in the same forms or latest; by default the end when the run begins
    #[arg(
        long,
        value_name = "BOUND",
        requires = "source",
        conflicts_with = "table"
    )]
    to: Option<Bound>,

    /// Print the inferred schema, the routes and the counts, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// The run to begin or to continue
    #[arg(long, value_name = "ID", value_parser = run_id)]
    run_id: Option<String>,

    /// How much is read at once; by default one lane a core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    lanes: Option<u16>,
}

/// Refused here as the run itself would refuse it.
fn run_id(text: &str) -> Result<String, String> {
    RunId::new(text)
        .map(String::from)
        .map_err(|error| error.to_string())
}

enum Request {
    Files(BackfillFiles),
    Range(BackfillRange),
}

/// The request, checked against the configuration.
fn request(args: Args, config: &Config) -> Result<Request> {
    let lanes = args.lanes.map(usize::from);
    let wrong = |message: String| Err(Error::new(Kind::Config, message));
    match (args.table, args.source) {
        (Some(table), _) => {
            if let Err(message) = check_table_name(&table) {
                return wrong(format!("--table: {message}"));
            }
            if table == config.dead_letters.table {
                return wrong(format!(
                    "--table: this is the table of dead letters; choose another, table=`{table}`"
                ));
            }
            Ok(Request::Files(BackfillFiles {
                table,
                inputs: args.inputs,
                dry_run: args.dry_run,
                run_id: args.run_id,
                lanes,
            }))
        }
        (None, Some(source)) => match config.sources.get(&source) {
            Some(SourceOptions::Kafka(_)) => Ok(Request::Range(BackfillRange {
                source,
                from: args.from,
                to: args.to,
                dry_run: args.dry_run,
                run_id: args.run_id,
                lanes,
            })),
            Some(other) => wrong(format!(
                "--source: only a Kafka source keeps what it had, source=`{source}` type=`{}`",
                other.kind()
            )),
            None => wrong(format!(
                "--source: the configuration has no such source; name it with --config, source=`{source}`"
            )),
        },
        (None, None) => wrong("name a --table with files, or a --source".into()),
    }
}

pub(super) async fn run(args: Args, telemetry: Telemetry) -> Result<()> {
    let config = args.config.load(None)?;
    let letters = output::DeadLetters::of(&config);
    let dry_run = args.dry_run;
    let found = match request(args, &config)? {
        Request::Files(files) => pipeline::backfill_files(config, telemetry, files).await?,
        Request::Range(range) => pipeline::backfill_range(config, telemetry, range).await?,
    };
    match dry_run {
        // It wrote none.
        true => output::report(found),
        false => output::backfill(found, &letters),
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

    fn asked(words: &str) -> Result<Request, String> {
        let words = std::iter::once("backfill").chain(words.split_whitespace());
        let args = Only::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .args;
        let config = Config::parse(
            "[sources.k]\ntype='kafka'\nbrokers='b'\ntopics=['t']\n[sources.w]\ntype='http'\n",
            &crate::config::Environment::fixed([], []),
            &crate::config::Flags::default(),
        )
        .unwrap();
        request(args, &config).map_err(|error| error.to_string())
    }

    #[test]
    fn files_or_a_range() {
        let Ok(Request::Files(files)) = asked("--table t a.json b/*.csv --lanes 3 --dry-run")
        else {
            panic!("files");
        };
        assert_eq!(files.inputs, ["a.json", "b/*.csv"]);
        assert_eq!((files.lanes, files.dry_run), (Some(3), true));
        let Ok(Request::Range(range)) = asked("--source k --from 0:1,1:2 --to latest") else {
            panic!("a range");
        };
        assert_eq!(range.to, Some(Bound::Latest));
    }

    #[test]
    fn what_does_not_go_together() {
        for words in [
            "",
            "a.json",
            "--table t",
            "--table t a.json --source k",
            "--table t a.json --from 1",
            "--source k a.json",
            "--source w",
            "--source nobody",
            "--source k --from soon",
            "--table _dead_letters a.json",
            "--table a/b a.json",
            "--table t a.json --lanes 0",
            "--table t a.json --run-id a/b",
            "--table t a.json --run-id a.b",
        ] {
            assert!(asked(words).is_err(), "{words}");
        }
    }
}
