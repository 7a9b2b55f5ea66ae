//! `alluvium config show` and `alluvium config schema`.

use super::{
    environment::Environment,
    load::{Flags, Loaded, load},
    options::Config,
    problems::{ConfigErrors, Origin},
    references::is_property,
    secrets::{REDACTED, is_secret_property, mask_url},
    shape::{self, Form, Shape},
    tree::join,
};
use std::{fmt::Write, path::Path};
use toml::{Table, Value};

/// The JSON Schema of the configuration file, for editors and for checks before a deployment.
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(shape::document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The effective configuration as TOML: every key with its value and where that came from. Secrets
/// are `[redacted]`; what else is there reads back as the same configuration.
///
/// # Errors
/// Those of [`Config::load`].
pub fn show(
    file: Option<&Path>,
    environment: &Environment,
    flags: &Flags,
) -> Result<String, ConfigErrors> {
    let loaded = load(file, environment, flags)?;
    let mut out = String::from("# The effective configuration: ");
    match file {
        Some(file) => out.push_str(&file.display().to_string()),
        None => out.push_str("no file"),
    }
    out.push_str(", environment, flags.\n");
    Printer {
        loaded: &loaded,
        out: &mut out,
    }
    .section("", Shape::root(), Some(&loaded.tree.root));
    Ok(out)
}

struct Printer<'a> {
    loaded: &'a Loaded,
    out: &'a mut String,
}

impl Printer<'_> {
    /// Values first, then tables, as TOML wants it.
    fn section(&mut self, path: &str, shape: Shape, set: Option<&Table>) {
        let keys: Vec<(String, Shape)> = match shape.form() {
            Form::Keys { properties, .. } => properties
                .keys()
                .filter_map(|key| Some((key.clone(), shape.key(key)?)))
                .collect(),
            Form::Named(values) => set
                .into_iter()
                .flat_map(Table::keys)
                .map(|key| (key.clone(), values))
                .collect(),
            Form::Tagged(kinds) => {
                let default = || shape.default()?.get("type")?.as_str();
                let kind = match set {
                    Some(set) => set.get("type").and_then(Value::as_str),
                    None => default(),
                };
                let Some((tag, shape)) = kinds.iter().find(|(tag, _)| Some(*tag) == kind) else {
                    return;
                };
                if set.is_none() {
                    let _ = writeln!(self.out, "type = {tag:?}  # default");
                }
                return self.section(path, *shape, set);
            }
            _ => return,
        };
        let is_table = |shape: Shape| {
            matches!(
                shape.form(),
                Form::Keys { .. } | Form::Named(_) | Form::Tagged(_)
            )
        };
        for (key, shape) in keys.iter().filter(|(_, shape)| !is_table(*shape)) {
            let at = join(path, key);
            if let Some((value, origin)) = self.value(&at, key, *shape, set) {
                let key = join("", key);
                let _ = writeln!(self.out, "{key} = {value}  # {origin}");
            }
        }
        for (key, shape) in keys.into_iter().filter(|(_, shape)| is_table(*shape)) {
            let below = set.and_then(|set| set.get(&key)).and_then(Value::as_table);
            if below.is_none() && shape.is_optional() {
                continue;
            }
            let at = join(path, &key);
            // A table of named tables needs no header of its own.
            let named = matches!(shape.form(), Form::Named(values) if is_table(values));
            if !named {
                let _ = writeln!(self.out, "\n[{at}]");
            }
            self.section(&at, shape, below);
        }
    }

    /// The value of a key as TOML, and where it came from.
    fn value(
        &self,
        path: &str,
        key: &str,
        shape: Shape,
        set: Option<&Table>,
    ) -> Option<(String, String)> {
        let tree = &self.loaded.tree;
        if let Some(value) = set.and_then(|set| set.get(key)) {
            let origin = match tree.origin(path) {
                Some(Origin::File(line)) => format!("line {line}"),
                Some(other) => other.to_string(),
                None => "default".into(),
            };
            return Some((self.masked(path, value, shape).to_string(), origin));
        }
        if path.starts_with("tables.")
            && let Some(value) = tree
                .root
                .get("table_defaults")
                .and_then(|table| table.get(key))
        {
            let value = self.masked(path, value, shape);
            return Some((value.to_string(), "table_defaults".into()));
        }
        let value = match self.derived(path, key) {
            Some(value) => Value::String(value),
            None => to_toml(shape.default()?)?,
        };
        Some((value.to_string(), "default".into()))
    }

    /// Defaults that follow from other keys.
    fn derived(&self, path: &str, key: &str) -> Option<String> {
        let config: &Config = &self.loaded.config;
        if path == "spool.path" {
            return Some(config.spool_path().display().to_string());
        }
        let table = config
            .tables
            .keys()
            .find(|name| path == join(&join("tables", name), "url"));
        match table {
            Some(name) if key == "url" => Some(mask_url(&config.table(name).url)),
            _ => None,
        }
    }

    fn masked(&self, path: &str, value: &Value, shape: Shape) -> Value {
        match (shape.form(), value) {
            (Form::LiveSecret, Value::String(text)) if text.starts_with("file:") => value.clone(),
            (Form::Secret | Form::LiveSecret, _) => Value::String(REDACTED.into()),
            (Form::Array(items), Value::Array(list)) => Value::Array(
                list.iter()
                    .enumerate()
                    .map(|(index, item)| self.masked(&format!("{path}[{index}]"), item, items))
                    .collect(),
            ),
            (Form::Keys { .. }, Value::Table(table)) => Value::Table(
                table
                    .iter()
                    .filter_map(|(key, value)| {
                        let below = shape.key(key)?;
                        Some((key.clone(), self.masked(&join(path, key), value, below)))
                    })
                    .collect(),
            ),
            (_, value) if self.is_secret_property(path) => {
                let _ = value;
                Value::String(REDACTED.into())
            }
            (_, Value::String(text)) => Value::String(mask_url(text)),
            (_, other) => other.clone(),
        }
    }

    /// A librdkafka property is secret by its name, or because it was kept out of the file.
    fn is_secret_property(&self, path: &str) -> bool {
        self.loaded.config.sources.keys().any(|source| {
            let parent = join(&join("sources", source), "properties");
            is_property(&parent)
                && path.strip_prefix(&parent).is_some_and(|name| {
                    is_secret_property(name.trim_matches(['.', '"']))
                        || self.loaded.referenced.contains(path)
                })
        })
    }
}

fn to_toml(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(value) => Value::Boolean(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Float(number.as_f64()?),
        },
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().filter_map(to_toml).collect()),
        serde_json::Value::Object(_) => return None,
    })
}
