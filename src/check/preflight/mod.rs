//! `alluvium check`: everything a daemon with this configuration would need, tried.
//!
//! Probes run at once, each within [`PATIENCE`]; the lake's runs first, because others lie in it. A
//! probe never ends another: every finding is told, each with its remedy.

mod disk;
mod http;
mod kafka;
mod lake;
mod spool;
mod tables;

use super::Report;
use crate::{
    config::{Config, SourceOptions},
    error::{Error, Kind, Result},
};
use futures::future::{BoxFuture, FutureExt, join_all};
use std::{fmt::Write, time::Duration};

/// How long one probe may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one probe found.
#[derive(Debug)]
pub(super) struct Section {
    title: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Fine(String),
    Note(String),
    Warning {
        what: String,
        remedy: String,
    },
    Fault {
        kind: Kind,
        what: String,
        remedy: String,
    },
}

impl Section {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            lines: Vec::new(),
        }
    }

    fn fine(&mut self, what: impl Into<String>) {
        self.lines.push(Line::Fine(what.into()));
    }

    fn note(&mut self, what: impl Into<String>) {
        self.lines.push(Line::Note(what.into()));
    }

    fn warn(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.lines.push(Line::Warning {
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    fn fault(&mut self, kind: Kind, what: impl Into<String>, remedy: impl Into<String>) {
        self.lines.push(Line::Fault {
            kind,
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// An error whose message says what to do itself.
    fn error(&mut self, error: &Error) {
        self.fault(error.kind(), error.to_string(), "");
    }
}

/// Runs every probe.
pub(super) async fn preflight(config: &Config) -> Result<Report> {
    let mut sections = vec![summary(config)];
    sections.push(within("lake", lake::probe(config)).await);
    let mut probes: Vec<BoxFuture<'_, Section>> = vec![
        within("dead letters", tables::dead_letters(config)).boxed(),
        within("tables", tables::probe(config)).boxed(),
    ];
    for (name, source) in &config.sources {
        let title = format!("source {name}");
        probes.push(match source {
            SourceOptions::Http(options) => {
                within(title, http::probe(config, name, options)).boxed()
            }
            SourceOptions::Kafka(options) => {
                within(title, kafka::probe(config, name, options)).boxed()
            }
        });
        if let SourceOptions::Http(_) = source {
            let title = format!("spool {name}");
            probes.push(within(title, spool::probe(config, name)).boxed());
        }
    }
    probes.push(within("admin address", http::admin(config)).boxed());
    sections.extend(join_all(probes).await);
    Ok(report(&sections))
}

/// A probe that does not end in time is a fault.
async fn within(title: impl Into<String>, probe: impl Future<Output = Section>) -> Section {
    in_time(title.into(), PATIENCE, probe).await
}

async fn in_time(
    title: String,
    patience: Duration,
    probe: impl Future<Output = Section>,
) -> Section {
    match tokio::time::timeout(patience, probe).await {
        Ok(section) => section,
        Err(_) => {
            let mut section = Section::new(title);
            section.fault(
                Kind::Unavailable,
                format!("no answer within {} seconds", patience.as_secs()),
                "look whether the disk or service hangs, and check again",
            );
            section
        }
    }
}

fn summary(config: &Config) -> Section {
    let mut section = Section::new("configuration");
    let sources: Vec<String> = config
        .sources
        .iter()
        .map(|(name, source)| format!("{name} ({})", source.kind()))
        .collect();
    section.fine(format!("pipeline {}", config.pipeline));
    match sources.is_empty() {
        true => section.warn(
            "no source is configured, so a daemon has nothing to read",
            "add a [sources.NAME] with type = \"http\" or \"kafka\"",
        ),
        false => section.fine(format!("sources {}", sources.join(", "))),
    }
    let tables: Vec<&str> = config.tables.keys().map(String::as_str).collect();
    match tables.is_empty() {
        true => section.fine("no table has options of its own"),
        false => section.fine(format!("tables with options {}", tables.join(", "))),
    }
    section
}

/// How much a kind outweighs others, for the exit code.
fn gravity(kind: Kind) -> u8 {
    match kind {
        Kind::Unavailable | Kind::Conflict => 0,
        Kind::Config => 1,
        Kind::Unauthorized => 2,
        Kind::InvalidData | Kind::Fenced => 3,
        Kind::Unsupported => 4,
        Kind::Corrupt => 5,
        Kind::Bug => 6,
    }
}

fn report(sections: &[Section]) -> Report {
    let mut text = String::new();
    let (mut faults, mut warnings) = (0, 0);
    let mut gravest = Kind::Unavailable;
    for section in sections {
        let _ = writeln!(text, "{}", section.title);
        for line in &section.lines {
            let (mark, what, remedy) = match line {
                Line::Fine(what) => ("ok     ", what, ""),
                Line::Note(what) => ("note   ", what, ""),
                Line::Warning { what, remedy } => {
                    warnings += 1;
                    ("WARNING", what, remedy.as_str())
                }
                Line::Fault { kind, what, remedy } => {
                    if faults == 0 || gravity(*kind) > gravity(gravest) {
                        gravest = *kind;
                    }
                    faults += 1;
                    ("FAULT  ", what, remedy.as_str())
                }
            };
            let _ = writeln!(text, "  {mark}  {what}");
            if !remedy.is_empty() {
                let _ = writeln!(text, "           {remedy}");
            }
        }
    }
    text.push('\n');
    if warnings > 0 {
        let _ = writeln!(
            text,
            "{}",
            super::text::count(warnings, "warning", "warnings")
        );
    }
    if faults == 0 {
        text.push_str("Success!\n");
    }
    Report {
        text,
        faults,
        kind: gravest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_fault_names_the_kind_and_success_needs_none() {
        let mut section = Section::new("x");
        section.warn("small", "do");
        assert!(report(&[section]).text.ends_with("1 warning\nSuccess!\n"));
        let mut section = Section::new("x");
        section.fault(Kind::Unauthorized, "a", "b");
        section.fault(Kind::Unavailable, "c", "");
        let found = report(&[section]);
        assert_eq!((found.faults, found.kind), (2, Kind::Unauthorized));
        assert!(!found.text.contains("Success"));
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_a_fault() {
        let section = in_time("slow".into(), Duration::ZERO, std::future::pending()).await;
        assert_eq!(section.title, "slow");
        assert!(matches!(
            section.lines[0],
            Line::Fault {
                kind: Kind::Unavailable,
                ..
            }
        ));
    }
}
