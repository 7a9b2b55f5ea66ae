//! Answers, for people and for programs.

use super::super::output;
use crate::{
    check::text,
    error::{Error, Kind, Result},
};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, IsTerminal};

/// The longest cell of a table; JSON has all of it.
const CELL: usize = 120;

/// How answers are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    json: bool,
}

impl Show {
    /// JSON where it is asked for, and where no person looks.
    pub(super) fn new(json: bool) -> Self {
        Self {
            json: json || !io::stdout().is_terminal(),
        }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// One thing: its JSON, or a line for each of `lines` that says something.
    pub(super) fn one(self, whole: &impl Serialize, lines: &[(&str, String)]) -> Result<()> {
        match self.json {
            true => document(whole),
            false => output::print(&pairs(lines)),
        }
    }

    /// Many: a JSON array, or a table.
    pub(super) fn many<const N: usize>(
        self,
        whole: &impl Serialize,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        none: &str,
    ) -> Result<()> {
        if self.json {
            return document(whole);
        }
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|row| row.iter().map(|text| cell(text)).collect())
            .collect();
        match rows.is_empty() {
            true => output::print(&format!("{none}\n")),
            false => output::print(&table(&head, rows)),
        }
    }
}

/// Prints a value as one JSON document.
pub(super) fn document(whole: &impl Serialize) -> Result<()> {
    let value = serde_json::to_value(whole).map_err(|error| {
        Error::new(Kind::Bug, "the answer does not become JSON").with_source(error)
    })?;
    output::print(&format!("{value:#}\n"))
}

/// A table whose cells are fit to be shown.
pub(super) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![head.iter().map(|text| cell(text)).collect()];
    all.extend(rows);
    text::columns(0, &all)
}

fn pairs(lines: &[(&str, String)]) -> String {
    let said: Vec<Vec<String>> = lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| vec![(*key).to_owned(), cell(value)])
        .collect();
    text::columns(0, &said)
}

/// A text as a cell: on one line, nothing in it that moves a terminal's cursor, not endless.
pub(super) fn cell(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == CELL {
            out.push('…');
            break;
        }
        match c {
            c if c.is_control() || is_bidi(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Marks that turn the direction of what follows.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A field of something's `rest`, as a text.
pub(super) fn field(rest: &serde_json::Map<String, Value>, key: &str) -> String {
    match rest.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_move_no_cursor_and_end() {
        assert_eq!(cell("a\tb\n\u{1b}[2Jc"), "a\\tb\\n\\u{1b}[2Jc");
        assert_eq!(cell("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(cell(&"é".repeat(500)).chars().count(), CELL + 1);
    }

    #[test]
    fn lines_that_say_nothing_are_left_out() {
        let lines = [
            ("id", "1".to_owned()),
            ("name", String::new()),
            ("state", "RUNNING".to_owned()),
        ];
        assert_eq!(pairs(&lines), "id     1\nstate  RUNNING\n");
    }
}
