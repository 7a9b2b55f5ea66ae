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
        "check --thorough --json",
        "table sweep t",
        "table sweep t --config f.toml --older-than 36h --delete --json",
        "table show t",
        "table positions t --config f.toml",
        "table audit t --lake ./lake",
        "table positions reset t --config f.toml --source k --to earliest --yes",
        "table positions reset t --source k --topic c --partition 0,1 --to 0:5,1:6",
        "audit --config f.toml --source k",
        "config show --config f.toml --lake x",
        "config schema",
        "databricks me --config f.toml --connection prod --json --debug",
        "databricks --profile dev me",
        "databricks warehouses list",
        "databricks warehouses get w1",
        "databricks warehouses start w1 --wait --wait-timeout 10m",
        "databricks warehouses stop",
        "databricks clusters list --json",
        "databricks clusters get c1",
        "databricks clusters start c1 --wait",
        "databricks clusters restart c1",
        "databricks clusters terminate c1 --wait",
        "databricks clusters node-types",
        "databricks contexts create --cluster c1 --language scala --start --wait",
        "databricks commands run --cluster c1 --context x --language r --start --wait code",
        "databricks commands run --context x -f code.py",
        "databricks commands status k --context x --cluster c1",
        "databricks sql --param a=1 --param b:INT=2 --catalog c --schema s --warehouse w --async -f q.sql",
        "databricks sql - --format csv --output o.csv --row-limit 5",
        "databricks statement get s1 --wait",
        "databricks statement cancel s1",
        "databricks request /2.0/x -X PATCH -d {} --query k=v --header K:V --response text --timeout-ms 5",
        "databricks request /2.0/x --form k=v --file f=p --file-name f=n --retry-delay-ms 1 --retry-all-errors \
         --max-retries 2 --exponential-backoff -o out",
        "completions bash",
        "--log debug serve",
        "serve --log info,alluvium::commit=trace",
    ] {
        if let Err(error) = parses(words) {
            panic!("{words}: {error}");
        }
    }
}

/// What a message tells to do is done by copying it.
#[test]
fn the_reset_commands_in_errors_parse() {
    use crate::source::kafka::KafkaSourceError as E;
    let (source_name, topic) = (|| "clicks".to_owned(), || "web.clicks".to_owned());
    for error in [
        E::WentBackwards {
            source_name: source_name(),
            topic: topic(),
            partition: 3,
            position: 9,
            high: 7,
        },
        E::RetentionOverrun {
            source_name: source_name(),
            topic: topic(),
            partition: 3,
            position: 9,
            low: 12,
            lost: 3,
        },
        E::Recreated {
            source_name: source_name(),
            topic: topic(),
            was: "a".into(),
            is: "b".into(),
        },
    ] {
        let text = error.to_string();
        let command = text
            .split('`')
            .find_map(|part| part.strip_prefix("alluvium "))
            .unwrap_or_else(|| panic!("no command: {text}"));
        for word in [
            "--config ",
            "--source clicks",
            "--topic web.clicks",
            "--to ",
        ] {
            assert!(command.contains(word), "{command}");
        }
        if let Err(error) = parses(command) {
            panic!("{command}: {error}");
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
        "databricks",
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

/// Words of a line as a shell would take them: single quotes, no more; a redirection ends it.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" > ").next().unwrap_or(line);
    let mut words = vec![String::new()];
    for (n, part) in line.split('\'').enumerate() {
        // What stands in quotes is one word or a part of one.
        let is_quoted = n % 2 == 1;
        let mut parts = match is_quoted {
            true => vec![part],
            false => part.split(' ').collect(),
        }
        .into_iter();
        words.last_mut().unwrap().push_str(parts.next().unwrap());
        words.extend(parts.map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_example_of_the_help_parses() {
    fn walk(command: &clap::Command, lines: &mut Vec<Vec<String>>) {
        let after = command.get_after_help().map(ToString::to_string);
        lines.extend(
            after
                .unwrap_or_default()
                .lines()
                .filter_map(|line| line.strip_prefix("  alluvium ").map(words)),
        );
        command.get_subcommands().for_each(|sub| walk(sub, lines));
    }
    let mut lines = Vec::new();
    walk(&Cli::command(), &mut lines);
    assert!(lines.len() > 15, "{lines:?}");
    for line in lines {
        if let Err(error) =
            Cli::try_parse_from(std::iter::once("alluvium".into()).chain(line.clone()))
        {
            panic!("{line:?}: {error}");
        }
    }
}

/// The unit we ship agrees with the program and with the configuration beside it.
#[test]
fn the_systemd_unit() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let unit = std::fs::read_to_string(folder.join("alluvium.service")).unwrap();
    let values = |key: &str| -> Vec<String> {
        unit.lines()
            .filter_map(|line| line.strip_prefix(&format!("{key}=")))
            .map(str::to_owned)
            .collect()
    };
    let start = values("ExecStart");
    let line = start[0].strip_prefix("/usr/local/bin/alluvium ").unwrap();
    assert!(parses(line).is_ok(), "{line}");
    let no_restart = format!(
        "{} {}",
        exit_code(Kind::Config),
        exit_code(Kind::Unauthorized)
    );
    assert_eq!(values("RestartPreventExitStatus"), [no_restart]);
    let production = std::fs::read_to_string(folder.join("production.toml")).unwrap();
    let production: toml::Table = toml::from_str(&production).unwrap();
    let stop: i64 = values("TimeoutStopSec")[0].parse().unwrap();
    assert!(stop > production["shutdown_timeout_seconds"].as_integer().unwrap());
    for credential in values("LoadCredential") {
        let (name, _) = credential.split_once(':').unwrap();
        let reference = format!("/{name}\"");
        let text = std::fs::read_to_string(folder.join("production.toml")).unwrap();
        assert!(text.contains(&reference), "{name}");
    }
}
