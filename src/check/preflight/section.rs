//! What probes found, and how it is told: for people, and as JSON.

use super::super::{Preflight, Report, text};
use crate::error::{Error, Kind};
use serde_json::{Value, json};
use std::fmt::Write;

/// What one probe found.
#[derive(Debug)]
pub(in crate::check) struct Section {
    pub(in crate::check) title: String,
    pub(in crate::check) lines: Vec<Line>,
}

#[derive(Debug)]
pub(in crate::check) enum Line {
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
    pub(in crate::check) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            lines: Vec::new(),
        }
    }

    pub(in crate::check) fn fine(&mut self, what: impl Into<String>) {
        self.lines.push(Line::Fine(what.into()));
    }

    pub(in crate::check) fn note(&mut self, what: impl Into<String>) {
        self.lines.push(Line::Note(what.into()));
    }

    pub(in crate::check) fn warn(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.lines.push(Line::Warning {
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    pub(in crate::check) fn fault(
        &mut self,
        kind: Kind,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.lines.push(Line::Fault {
            kind,
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// An error whose message says what to do itself.
    pub(in crate::check) fn error(&mut self, error: &Error) {
        self.fault(error.kind(), error.to_string(), "");
    }
}

impl Line {
    /// Its level in the JSON, its mark in the text, what it says, its remedy, its kind.
    fn parts(&self) -> (&'static str, &'static str, &str, &str, Option<Kind>) {
        match self {
            Line::Fine(what) => ("ok", "ok     ", what, "", None),
            Line::Note(what) => ("note", "note   ", what, "", None),
            Line::Warning { what, remedy } => ("warning", "WARNING", what, remedy, None),
            Line::Fault { kind, what, remedy } => ("fault", "FAULT  ", what, remedy, Some(*kind)),
        }
    }
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

pub(in crate::check) fn report(sections: &[Section]) -> Preflight {
    let mut out = String::new();
    let (mut faults, mut warnings) = (0, 0);
    let mut gravest = Kind::Unavailable;
    let mut documents = Vec::new();
    for section in sections {
        let _ = writeln!(out, "{}", section.title);
        let mut findings = Vec::new();
        for line in &section.lines {
            let (level, mark, what, remedy, kind) = line.parts();
            let (what, remedy) = (redacted(what), redacted(remedy));
            let _ = writeln!(out, "  {mark}  {what}");
            if !remedy.is_empty() {
                let _ = writeln!(out, "           {remedy}");
            }
            warnings += u64::from(level == "warning");
            if let Some(kind) = kind {
                if faults == 0 || gravity(kind) > gravity(gravest) {
                    gravest = kind;
                }
                faults += 1;
            }
            findings.push(json!({
                "level": level,
                "message": what,
                "remedy": (!remedy.is_empty()).then_some(remedy),
                "kind": kind.map(Kind::as_str),
            }));
        }
        documents.push(json!({"title": section.title, "findings": findings}));
    }
    out.push('\n');
    if warnings > 0 {
        let _ = writeln!(out, "{}", text::count(warnings, "warning", "warnings"));
    }
    if faults == 0 {
        out.push_str("Success!\n");
    }
    let document: Value = json!({"success": faults == 0, "sections": documents});
    Preflight {
        report: Report {
            text: out,
            faults,
            kind: gravest,
        },
        document,
    }
}

/// The parameters of signed URLs that let whoever has them in. Errors of stores are made without them; this is the
/// last door.
const SIGNED: [&str; 4] = [
    "sig=",
    "X-Amz-Signature=",
    "X-Amz-Security-Token=",
    "X-Amz-Credential=",
];

fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for name in SIGNED {
        let mut from = 0;
        while let Some(at) = text[from..].find(name) {
            let start = from + at + name.len();
            let rest = &text[start..];
            let end = rest
                .find(|c: char| c.is_whitespace() || "&\"'`<>,;)".contains(c))
                .unwrap_or(rest.len());
            text.replace_range(start..start + end, "[redacted]");
            from = start;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_fault_names_the_kind_and_success_needs_none() {
        let mut section = Section::new("x");
        section.warn("small", "do");
        let found = report(&[section]);
        assert!(found.report.text.ends_with("1 warning\nSuccess!\n"));
        assert_eq!(found.document["success"], true);
        let mut section = Section::new("x");
        section.fault(Kind::Unauthorized, "a", "b");
        section.fault(Kind::Unavailable, "c", "");
        let found = report(&[section]);
        assert_eq!(
            (found.report.faults, found.report.kind),
            (2, Kind::Unauthorized)
        );
        assert!(!found.report.text.contains("Success"));
        assert_eq!(found.document["success"], false);
    }

    #[test]
    fn the_document_says_what_the_text_says() {
        let mut first = Section::new("lake s3://b");
        first.fine("objects can be created");
        first.note("nothing to see");
        let mut second = Section::new("admin address");
        second.warn("it is open", "close it");
        second.fault(Kind::Unauthorized, "it is shut", "open it");
        second.fault(Kind::Config, "it is wrong", "");
        let found = report(&[first, second]);
        assert_eq!(
            found.document,
            json!({"success": false, "sections": [
                {"title": "lake s3://b", "findings": [
                    {"level": "ok", "message": "objects can be created", "remedy": null, "kind": null},
                    {"level": "note", "message": "nothing to see", "remedy": null, "kind": null},
                ]},
                {"title": "admin address", "findings": [
                    {"level": "warning", "message": "it is open", "remedy": "close it", "kind": null},
                    {"level": "fault", "message": "it is shut", "remedy": "open it", "kind": "unauthorized"},
                    {"level": "fault", "message": "it is wrong", "remedy": null, "kind": "config"},
                ]},
            ]})
        );
        let text = &found.report.text;
        for section in found.document["sections"].as_array().unwrap() {
            assert!(text.contains(section["title"].as_str().unwrap()));
            for finding in section["findings"].as_array().unwrap() {
                assert!(text.contains(finding["message"].as_str().unwrap()));
                assert!(text.contains(finding["remedy"].as_str().unwrap_or_default()));
            }
        }
    }

    #[test]
    fn signatures_reach_neither() {
        let mut section = Section::new("x");
        let url =
            "https://a.blob.core.windows.net/c?sv=1&sig=pl%2Banted&se=2, `X-Amz-Signature=planted`";
        section.fault(
            Kind::Unauthorized,
            format!("error performing PUT {url}"),
            "sig=planted",
        );
        section.note("sig=planted sig=");
        let found = report(&[section]);
        for told in [found.report.text, found.document.to_string()] {
            assert!(
                !told.contains("planted") && !told.contains("anted"),
                "{told}"
            );
            assert!(told.contains("sv=1&sig=[redacted]&se=2"), "{told}");
        }
    }
}
