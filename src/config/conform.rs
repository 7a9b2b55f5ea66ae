//! Unknown keys, wrong types and missing keys, all of them, before any value has its type.

use super::{
    problems::Problem,
    shape::{Form, Shape},
    tree::{Tree, join},
};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// Checks the tree against the schema and takes out what does not conform, so that the rest can be
/// read and checked further. The second value holds the paths taken out.
pub(super) fn conform(tree: &mut Tree) -> (Vec<Problem>, BTreeSet<String>) {
    let mut walk = Walk { found: Vec::new() };
    let root = std::mem::take(&mut tree.root);
    if let Some(Value::Table(root)) = walk.value(Value::Table(root), Shape::root(), "") {
        tree.root = root;
    }
    let taken_out = walk.found.iter().map(|(path, _)| path.clone()).collect();
    let problems = walk
        .found
        .into_iter()
        .map(|(path, message)| Problem {
            origin: tree.origin(&path),
            path,
            message,
        })
        .collect();
    (problems, taken_out)
}

struct Walk {
    found: Vec<(String, String)>,
}

impl Walk {
    fn wrong(&mut self, path: &str, message: String) -> Option<Value> {
        self.found.push((path.to_owned(), message));
        None
    }

    /// The conforming part of a value; `None` when none of it is.
    fn value(&mut self, value: Value, shape: Shape, path: &str) -> Option<Value> {
        let expected = match (shape.form(), value) {
            (
                Form::Keys {
                    properties,
                    required,
                },
                Value::Table(table),
            ) => {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                return self.keys(table, shape, &known, &required, path);
            }
            (Form::Named(values), Value::Table(table)) => {
                let mut out = Table::new();
                for (key, value) in table {
                    if let Some(value) = self.value(value, values, &join(path, &key)) {
                        out.insert(key, value);
                    }
                }
                return Some(Value::Table(out));
            }
            (Form::Tagged(kinds), Value::Table(table)) => return self.tagged(table, kinds, path),
            (Form::Array(items), Value::Array(list)) => return self.array(list, items, path),
            (Form::Words(words), Value::String(text)) => {
                if words.contains(&text.as_str()) {
                    return Some(Value::String(text));
                }
                let hint = near(&text, &words).unwrap_or_default();
                return self.wrong(
                    path,
                    format!("must be one of {}, not `{text}`{hint}", list(&words)),
                );
            }
            (Form::Integer, Value::Integer(number)) if number < 0 => {
                return self.wrong(path, format!("must not be negative, not `{number}`"));
            }
            (Form::Number, Value::Float(number)) if !number.is_finite() => {
                return self.wrong(path, format!("must be a finite number, not `{number}`"));
            }
            (Form::Integer, value @ Value::Integer(_))
            | (Form::Number, value @ (Value::Integer(_) | Value::Float(_)))
            | (Form::Boolean, value @ Value::Boolean(_))
            | (
                Form::Scalar,
                value
                @ (Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_)),
            )
            | (Form::Text | Form::Secret | Form::LiveSecret, value @ Value::String(_)) => {
                return Some(value);
            }
            (form, value) => (name(&form), value.type_str()),
        };
        let (expected, found) = expected;
        self.wrong(path, format!("must be {expected}, not {}", article(found)))
    }

    fn keys(
        &mut self,
        table: Table,
        shape: Shape,
        known: &[&str],
        required: &[&str],
        path: &str,
    ) -> Option<Value> {
        let missing: Vec<&&str> = required
            .iter()
            .filter(|key| !table.contains_key(**key))
            .collect();
        for key in &missing {
            self.wrong(&join(path, key), "is missing".into());
        }
        let mut whole = missing.is_empty();
        let mut out = Table::new();
        for (key, value) in table {
            let at = join(path, &key);
            match shape.key(&key) {
                None => {
                    let hint = near(&key, known)
                        .unwrap_or_else(|| format!("; known here: {}", list(known)));
                    self.wrong(&at, format!("unknown key{hint}"));
                }
                Some(shape) => match self.value(value, shape, &at) {
                    Some(value) => {
                        out.insert(key, value);
                    }
                    None => whole &= !required.contains(&key.as_str()),
                },
            }
        }
        whole.then_some(Value::Table(out))
    }

    fn tagged(
        &mut self,
        table: Table,
        kinds: Vec<(&'static str, Shape)>,
        path: &str,
    ) -> Option<Value> {
        let words: Vec<&str> = kinds.iter().map(|kind| kind.0).collect();
        let at = join(path, "type");
        let tag = match table.get("type") {
            None => {
                return self.wrong(&at, format!("is missing; it is one of {}", list(&words)));
            }
            Some(Value::String(tag)) => tag.clone(),
            Some(other) => {
                let found = article(other.type_str());
                return self.wrong(&at, format!("must be one of {}, not {found}", list(&words)));
            }
        };
        match kinds.iter().find(|kind| kind.0 == tag) {
            Some((_, shape)) => self.value(Value::Table(table), *shape, path),
            None => {
                let hint = near(&tag, &words).unwrap_or_default();
                self.wrong(
                    &at,
                    format!("must be one of {}, not `{tag}`{hint}", list(&words)),
                )
            }
        }
    }

    /// A list with a wrong entry is taken out whole: the others would change their numbers.
    fn array(&mut self, items: Vec<Value>, shape: Shape, path: &str) -> Option<Value> {
        let before = self.found.len();
        let out: Vec<Value> = items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| self.value(item, shape, &format!("{path}[{index}]")))
            .collect();
        (self.found.len() == before).then_some(Value::Array(out))
    }
}

/// `, did you mean …?` for the nearest known name, if one is near.
pub(super) fn near(name: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, best)| format!(", did you mean `{best}`?"))
}

pub(super) fn list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn name(form: &Form) -> &'static str {
    match form {
        Form::Keys { .. } | Form::Named(_) | Form::Tagged(_) => "a table",
        Form::Array(_) => "a list",
        Form::Words(_) | Form::Text | Form::Secret | Form::LiveSecret => "a string",
        Form::Scalar => "a string, a number or a boolean",
        Form::Integer => "an integer",
        Form::Number => "a number",
        Form::Boolean => "true or false",
    }
}

fn article(toml_type: &str) -> &'static str {
    match toml_type {
        "string" => "a string",
        "integer" => "an integer",
        "float" => "a number with a fraction",
        "boolean" => "a boolean",
        "array" => "a list",
        "table" => "a table",
        _ => "a date and time",
    }
}
