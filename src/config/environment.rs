//! The environment: variables that set keys, and what references may read.

use super::{
    conform::near,
    problems::{Origin, Problem},
    shape::{Form, Shape},
    tree::Tree,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

const PREFIX: &str = "ALLUVIUM_";
/// Read by the command line, not by the configuration.
const OF_THE_COMMAND_LINE: [&str; 3] = ["ALLUVIUM_CONFIG", "ALLUVIUM_LOG", "ALLUVIUM_LOG_FORMAT"];
/// A file that a reference names is a password, a key or a certificate; more than this is a mistake.
const MAX_REFERENCED_BYTES: u64 = 1 << 20;

/// Environment variables, and the files that `file:` references read.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    files: Option<BTreeMap<PathBuf, String>>,
}

/// Names only: the values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// The process's own variables and the disk. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            files: None,
        }
    }

    /// Just these variables, and these files in place of the disk.
    pub fn fixed<'a>(
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            files: Some(
                files
                    .into_iter()
                    .map(|(path, text)| (path.into(), text.to_owned()))
                    .collect(),
            ),
        }
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The text of a referenced file without the line ends at its end.
    pub(super) fn file(&self, path: &Path) -> io::Result<String> {
        let text = match &self.files {
            Some(files) => files
                .get(path)
                .cloned()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?,
            None => {
                if std::fs::metadata(path)?.len() > MAX_REFERENCED_BYTES {
                    return Err(io::Error::other("larger than 1 MiB"));
                }
                std::fs::read_to_string(path)?
            }
        };
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    /// Lays `ALLUVIUM_…` variables over the tree. `referenced`: variables that `${…}` names, which
    /// are the user's own and may have any name.
    pub(super) fn overlay(
        &self,
        tree: &mut Tree,
        referenced: &BTreeSet<String>,
        problems: &mut Vec<Problem>,
    ) {
        let mut ours: Vec<(&String, &String)> = self
            .variables
            .iter()
            .filter(|(name, _)| {
                name.starts_with(PREFIX)
                    && !OF_THE_COMMAND_LINE.contains(&name.as_str())
                    && !is_kubernetes_service(name)
                    && !referenced.contains(*name)
            })
            .collect();
        // The type of a source first: it decides which keys the source has.
        ours.sort_by_key(|(name, _)| !name.ends_with("__TYPE"));
        for (name, text) in ours {
            let outcome = key_path(name, tree)
                .and_then(|(keys, shape)| Ok((keys, typed(text, shape)?)))
                .and_then(|(keys, value)| {
                    if tree.set(&keys, value, Origin::Env(name.clone())) {
                        Ok(())
                    } else {
                        Err("a key on its way is not a table".to_owned())
                    }
                });
            if let Err(message) = outcome {
                problems.push(Problem {
                    path: name.clone(),
                    origin: None,
                    message,
                });
            }
        }
    }
}

/// Kubernetes sets these in every pod beside a Service named `alluvium`.
fn is_kubernetes_service(name: &str) -> bool {
    name == "ALLUVIUM_PORT"
        || name.starts_with("ALLUVIUM_PORT_")
        || name.starts_with("ALLUVIUM_SERVICE_")
}

/// The keys that a variable's name stands for, and their shape: upper case, `__` for each dot. After
/// the name of a fixed section one `_` will do (`ALLUVIUM_LAKE_URL`).
fn key_path(name: &str, tree: &Tree) -> Result<(Vec<String>, Shape), String> {
    let rest = name
        .strip_prefix(PREFIX)
        .unwrap_or(name)
        .to_ascii_lowercase();
    let mut words: Vec<String> = rest.split("__").map(str::to_owned).collect();
    if let [only] = words.as_slice()
        && Shape::root().key(only).is_none()
    {
        for section in ["lake", "spool", "dead_letters", "admin", "table_defaults"] {
            if let Some(key) = only.strip_prefix(&format!("{section}_")) {
                words = vec![section.to_owned(), key.to_owned()];
                break;
            }
        }
    }
    let mut keys: Vec<String> = Vec::new();
    let mut shape = Shape::root();
    let mut at = Some(&tree.root);
    for word in words {
        if let Form::Tagged(kinds) = shape.form() {
            let kind = at
                .and_then(|table| table.get("type"))
                .and_then(Value::as_str);
            shape = kinds
                .iter()
                .find(|(tag, candidate)| match kind {
                    Some(kind) => kind == *tag,
                    None => candidate.key(&word).is_some(),
                })
                .map(|(_, shape)| *shape)
                .ok_or("names no key of any kind of this table")?;
        }
        let key = match shape.form() {
            Form::Keys { properties, .. } => {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                if !known.contains(&word.as_str()) {
                    let hint = near(&word, &known).unwrap_or_default();
                    let inside = match keys.join(".") {
                        none if none.is_empty() => String::new(),
                        path => format!(" of `{path}`"),
                    };
                    return Err(format!(
                        "this variable names no key: `{word}` is unknown as a key{inside}{hint}"
                    ));
                }
                word
            }
            Form::Named(_) => named(&word, keys.last().map(String::as_str), at),
            _ => {
                return Err(format!(
                    "this variable names no key: `{}` has no keys below it",
                    keys.join(".")
                ));
            }
        };
        shape = shape.key(&key).ok_or("names no key")?;
        at = at
            .and_then(|table| table.get(&key))
            .and_then(Value::as_table);
        keys.push(key);
    }
    Ok((keys, shape))
}

/// The user's own name that a word of a variable stands for: one already there that is the same but
/// for case and punctuation, else the word in lower case; of a librdkafka property with dots.
fn named(word: &str, section: Option<&str>, at: Option<&Table>) -> String {
    let plain = |name: &str| -> String {
        name.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .collect()
    };
    let known = at.and_then(|table| table.keys().find(|key| plain(key) == plain(word)));
    match (known, section) {
        (Some(known), _) => known.clone(),
        (None, Some("properties")) => word.replace('_', "."),
        (None, Some("headers")) => word.replace('_', "-"),
        (None, _) => word.to_owned(),
    }
}

/// A variable's text as the type its key wants: strings as they are, everything else as TOML.
fn typed(text: &str, shape: Shape) -> Result<Value, String> {
    match shape.form() {
        Form::Text | Form::Secret | Form::LiveSecret | Form::Scalar | Form::Words(_) => {
            Ok(Value::String(text.to_owned()))
        }
        form => {
            let value = toml::from_str::<Table>(&format!("value = {text}"))
                .ok()
                .filter(|table| table.len() == 1)
                .and_then(|mut table| table.remove("value"));
            let example = match form {
                Form::Integer => "an integer, as in 100",
                Form::Number => "a number, as in 2.5",
                Form::Boolean => "true or false",
                Form::Array(_) => "a list in TOML, as in [\"a\", \"b\"]",
                _ => "a table in TOML, as in { key = \"value\" }",
            };
            value.ok_or_else(|| format!("the variable must hold {example}"))
        }
    }
}
