//! The configuration before it has types: TOML values by key path, each with where it came from.

use super::problems::{Origin, Problem};
use std::collections::BTreeMap;
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

/// Values of the file, the environment and the flags, laid over each other.
#[derive(Clone, Default)]
pub(super) struct Tree {
    pub(super) root: Table,
    /// By key path. A value set by a flag or a variable has its own entry; others ask their parents.
    pub(super) origins: BTreeMap<String, Origin>,
}

/// Values may be secrets, and here none has its type yet.
impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

/// `parent.key`, the key quoted where TOML would want it.
pub(super) fn join(parent: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if parent.is_empty() {
        key
    } else {
        format!("{parent}.{key}")
    }
}

impl Tree {
    /// Reads a document. Every syntax error is reported, with its line.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let lines = Lines::new(text);
        if !errors.is_empty() {
            return Err(errors
                .iter()
                .map(|error| Problem {
                    path: String::new(),
                    origin: error.span().map(|span| Origin::File(lines.of(span.start))),
                    message: format!("not TOML: {}", error.message().replace('\n', ", ")),
                })
                .collect());
        }
        let mut tree = Self::default();
        let mut problems = Vec::new();
        tree.root = tree.table(document.get_ref(), "", &lines, &mut problems);
        if problems.is_empty() {
            Ok(tree)
        } else {
            Err(problems)
        }
    }

    fn table(
        &mut self,
        table: &DeTable<'_>,
        path: &str,
        lines: &Lines,
        problems: &mut Vec<Problem>,
    ) -> Table {
        let mut out = Table::new();
        for (key, value) in table {
            let at = join(path, key.get_ref());
            let line = lines.of(key.span().start);
            self.origins.insert(at.clone(), Origin::File(line));
            if let Some(value) = self.value(value.get_ref(), &at, line, lines, problems) {
                out.insert(key.get_ref().to_string(), value);
            }
        }
        out
    }

    fn value(
        &mut self,
        value: &DeValue<'_>,
        path: &str,
        line: usize,
        lines: &Lines,
        problems: &mut Vec<Problem>,
    ) -> Option<Value> {
        let mut out_of_range = |what: &str| {
            problems.push(Problem {
                path: path.to_owned(),
                origin: Some(Origin::File(line)),
                message: format!("{what} is out of range"),
            });
            None
        };
        Some(match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(value) => Value::Boolean(*value),
            // No key wants a date and time as such; where a time is wanted (`start`), it is text.
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => return out_of_range("the number"),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Value::Float(number),
                Err(_) => return out_of_range("the number"),
            },
            DeValue::Array(items) => {
                let mut out = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let at = format!("{path}[{index}]");
                    let line = lines.of(item.span().start);
                    self.origins.insert(at.clone(), Origin::File(line));
                    out.extend(self.value(item.get_ref(), &at, line, lines, problems));
                }
                Value::Array(out)
            }
            DeValue::Table(table) => Value::Table(self.table(table, path, lines, problems)),
        })
    }

    /// Sets a value over what is there, making the tables on the way. `false` when a value that is
    /// not a table is in the way.
    pub(super) fn set(&mut self, keys: &[String], value: Value, origin: Origin) -> bool {
        let Some((last, parents)) = keys.split_last() else {
            return false;
        };
        let mut path = String::new();
        let mut at = &mut self.root;
        for key in parents {
            path = join(&path, key);
            self.origins
                .entry(path.clone())
                .or_insert_with(|| origin.clone());
            let next = at
                .entry(key.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(next) = next else {
                return false;
            };
            at = next;
        }
        path = join(&path, last);
        let below = [format!("{path}."), format!("{path}[")];
        self.origins
            .retain(|known, _| !below.iter().any(|prefix| known.starts_with(prefix)));
        self.origins.insert(path, origin);
        at.insert(last.clone(), value);
        true
    }

    /// Where a value came from: its own origin or its nearest parent's.
    pub(super) fn origin(&self, path: &str) -> Option<Origin> {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return Some(origin.clone());
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }
}

/// Byte offsets to line numbers, from 1.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|&newline| newline < offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines() {
        let tree = Tree::parse(
            "pipeline = 'a'\n[lake]\nurl = './x'\n[tables.t]\ncolumns = [\n {name='a'},\n]\n",
        )
        .unwrap();
        assert_eq!(tree.origin("pipeline"), Some(Origin::File(1)));
        assert_eq!(tree.origin("lake.url"), Some(Origin::File(3)));
        assert_eq!(
            tree.origin("tables.t.columns[0].name"),
            Some(Origin::File(6))
        );
        assert_eq!(tree.origin("tables.t.absent"), Some(Origin::File(4)));
        assert_eq!(tree.origin("nowhere"), None);
    }

    #[test]
    fn every_syntax_error_is_told() {
        let problems = Tree::parse("a = \nb = 1\nc = [1, \nd = 'x\n").unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.origin.is_some()));
    }

    #[test]
    fn a_set_value_replaces_what_was_below() {
        let mut tree = Tree::parse("[a]\nb = {c = 1}\n").unwrap();
        let keys = ["a".to_owned(), "b".to_owned()];
        assert!(tree.set(&keys, Value::Integer(2), Origin::Flag("--b")));
        assert_eq!(tree.root["a"]["b"], Value::Integer(2));
        assert_eq!(tree.origin("a.b.c"), Some(Origin::Flag("--b")));
        let deeper = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert!(!tree.set(&deeper, Value::Integer(2), Origin::Flag("--b")));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z\\[\\]{}=.\"'\n 0-9#\\\\é]{0,60}") {
            let _ = Tree::parse(&text);
        }
    }
}
