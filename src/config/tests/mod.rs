mod connections;
mod errors;
mod examples;
mod precedence;
mod secrets;

use super::{Config, ConfigErrors, Environment, Flags};

const CERT: &str = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n";

fn nothing() -> Environment {
    Environment::fixed([], [])
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, &nothing(), &Flags::default())
}

/// The problems of a text as printed, one a line.
fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems.iter().map(ToString::to_string).collect(),
    }
}

/// Asserts that the one problem of a text begins with a path and holds some words.
#[track_caller]
fn one_problem(text: &str, path: &str, words: &str) {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with(&format!("{path}: ")) && found[0].contains(words),
        "{}",
        found[0]
    );
}
