//! What a sweep tells: for people, and as JSON.

use super::{MOST_CANDIDATES, Sweep, Tally};
use crate::check::{Report, text};
use serde_json::{Value, json};
use std::fmt::Write;

/// Files named to people, and in the JSON.
const SHOWN: usize = 20;
const IN_JSON: usize = 1_000;

impl Sweep {
    /// For people. A sweep that ended early is a fault.
    pub fn report(&self) -> Report {
        let mut out = String::new();
        let _ = writeln!(out, "table {}, {}", self.table, self.location);
        let _ = writeln!(
            out,
            "  {} of no version up to {}, older than {}",
            tally(&self.found),
            self.version,
            age(self.older_than)
        );
        for file in self.files.iter().take(SHOWN) {
            let _ = writeln!(
                out,
                "    {}  {}  {}",
                text::time(Some(file.last_modified.timestamp_millis())),
                text::bytes(file.size),
                file.location
            );
        }
        if self.found.files > SHOWN as u64 {
            let _ = writeln!(out, "    and {} more", self.found.files - SHOWN as u64);
        }
        if self.younger.files > 0 {
            let _ = writeln!(
                out,
                "  {} of no version that may still be committed, left alone",
                tally(&self.younger)
            );
        }
        if self.delete {
            self.deletions(&mut out);
        } else if self.found.files > 0 {
            out.push_str("nothing was deleted; --delete does it\n");
        }
        let (faults, kind) = match &self.fault {
            Some((kind, message)) => {
                let _ = writeln!(out, "FAULT  ended early: {message}");
                (1, *kind)
            }
            None => (0, crate::error::Kind::InvalidData),
        };
        Report {
            text: out,
            faults,
            kind,
        }
    }

    fn deletions(&self, out: &mut String) {
        let _ = writeln!(out, "  {} deleted", tally(&self.deleted));
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                let _ = writeln!(out, "  {} {what}", text::count(count, "file", "files"));
            }
        };
        say(self.named_since, "committed meanwhile, kept");
        say(self.gone, "gone already");
        say(
            self.unknown,
            "asked to be deleted without an answer: there or not",
        );
        say(self.untried(), "not tried; sweep again");
    }

    /// Files found that this run did not come to.
    fn untried(&self) -> u64 {
        let tried = self.deleted.files + self.named_since + self.gone + self.unknown;
        match self.delete {
            true => self.found.files.saturating_sub(tried),
            false => 0,
        }
    }

    /// The same for programs; of the files at most a thousand.
    pub fn to_json(&self) -> Value {
        let files: Vec<Value> = self
            .files
            .iter()
            .take(IN_JSON)
            .map(|file| {
                json!({
                    "path": file.location.to_string(),
                    "bytes": file.size,
                    "modified": file.last_modified.to_rfc3339(),
                })
            })
            .collect();
        json!({
            "success": self.fault.is_none(),
            "table": self.table,
            "location": self.location,
            "version": self.version,
            "older_than_seconds": self.older_than.as_secs(),
            "delete": self.delete,
            "found": counted(&self.found),
            "younger": counted(&self.younger),
            "deleted": counted(&self.deleted),
            "named_since": self.named_since,
            "gone": self.gone,
            "unknown": self.unknown,
            "untried": self.untried(),
            "files_omitted": self.found.files - files.len() as u64,
            "files": files,
            "fault": self.fault.as_ref().map(|(kind, message)| json!({
                "kind": kind.as_str(),
                "message": message,
            })),
        })
    }
}

const _: () = assert!(IN_JSON <= MOST_CANDIDATES);

fn tally(of: &Tally) -> String {
    let files = text::count(of.files, "file", "files");
    match of.oldest {
        None => files,
        Some(oldest) => format!(
            "{files}, {}, the oldest of {},",
            text::bytes(of.bytes),
            text::time(Some(oldest.timestamp_millis()))
        ),
    }
}

fn counted(of: &Tally) -> Value {
    json!({
        "files": of.files,
        "bytes": of.bytes,
        "oldest": of.oldest.map(|oldest| oldest.to_rfc3339()),
    })
}

fn age(of: std::time::Duration) -> String {
    match of.as_secs() {
        seconds if seconds % 86_400 == 0 => text::count(seconds / 86_400, "day", "days"),
        seconds if seconds % 3_600 == 0 => text::count(seconds / 3_600, "hour", "hours"),
        seconds => text::count(seconds, "second", "seconds"),
    }
}
