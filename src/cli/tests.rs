use super::*;
use crate::error::Kind;
use clap::{CommandFactory, error::ErrorKind};
use std::collections::BTreeMap;

fn parses(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("alluvium").chain(words.split_whitespace()))
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

/// The binding command lines.
#[test]
fn every_command_line() {
    for words in [
        "serve",
        "serve --config f.toml --listen 127.0.0.1:1 --lake ./lake --log-format json",
        "backfill --table t a.json b/*.gz file:///c.csv --config f.toml --lake /l",
        "backfill --config f.toml --source k --from 0:1,1:2 --to 2026-01-01",
        "backfill --config f.toml --source k --dry-run --run-id r --lanes 4",
        "check --config f.toml",
        "table show t",
        "table positions t --config f.toml",
        "table audit t --lake ./lake",
        "table positions reset t --config f.toml --source k --to earliest --yes",
        "table positions reset t --source k --topic c --partition 0,1 --to 0:5,1:6",
        "audit --config f.toml --source k",
        "config show --config f.toml --lake x",
        "config schema",
        "completions bash",
        "--log debug serve",
        "serve --log info,alluvium::commit=trace",
    ] {
        if let Err(error) = parses(words) {
            panic!("{words}: {error}");
        }
    }
}

#[test]
fn usage_errors() {
    for words in [
        "serv",
        "table",
        "table positions",
        "table positions reset t",
        "audit",
        "completions tcl",
        "serve --log-format xml",
    ] {
        let error = parses(words).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{words}");
        assert_ne!(error.kind(), ErrorKind::DisplayHelp, "{words}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let mut command = Cli::command();
    let help = command.render_long_help().to_string();
    assert!(help.contains("Exit codes:") && help.contains("alluvium serve"));
    for name in [
        "serve",
        "backfill",
        "check",
        "table",
        "audit",
        "config",
        "completions",
    ] {
        let sub = command.find_subcommand_mut(name).unwrap();
        let help = sub.render_long_help().to_string();
        assert!(help.contains("Examples:"), "{name}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let kinds = [
        (Kind::Config, 2),
        (Kind::Unauthorized, 3),
        (Kind::Unavailable, 4),
        (Kind::InvalidData, 5),
        (Kind::Fenced, 6),
        (Kind::Bug, 1),
        (Kind::Corrupt, 1),
        (Kind::Unsupported, 1),
        (Kind::Conflict, 1),
    ];
    let told: BTreeMap<u8, &str> = AFTER_HELP
        .lines()
        .filter_map(|line| {
            let (code, words) = line.trim().split_once("  ")?;
            Some((code.parse().ok()?, words))
        })
        .collect();
    for (kind, code) in kinds {
        assert_eq!(exit_code(kind), code, "{kind:?}");
        assert!(told.contains_key(&code), "{code}");
    }
}
