//! What the JSON Schema of the options says about a key path.
//!
//! One schema, made from the option types, serves four readers: the check of unknown keys and wrong
//! types, the environment's values, `config show` and the reference in docs/configuration.md.

use super::{connections, credentials, options::Config, table};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The schema as `alluvium config schema` prints it.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut schema = schemars::schema_for!(Config).to_value();
        schema["title"] = "Alluvium's configuration".into();
        credentials::add_defaults(&mut schema);
        connections::add_defaults(&mut schema);
        // Every key of a table is optional, so its defaults are not in the type.
        let defaults = serde_json::to_value(table::built_in()).unwrap_or_default();
        if let Some(properties) = schema
            .pointer_mut("/$defs/TableOptions/properties")
            .and_then(Value::as_object_mut)
        {
            for (key, property) in properties {
                match defaults.get(key) {
                    Some(Value::Null) | None => {}
                    Some(default) => property["default"] = default.clone(),
                }
            }
        }
        schema
    })
}

/// One node of the schema, references and `Option`s followed.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    node: &'static Value,
    /// Holds the description and default, which stand beside a reference.
    outer: &'static Value,
    secret: Option<Secrecy>,
}

#[derive(Clone, Copy)]
enum Secrecy {
    /// Read once.
    Fixed,
    /// Read at every use.
    Live,
}

pub(super) enum Form {
    /// A table of known keys.
    Keys {
        properties: &'static Map<String, Value>,
        required: Vec<&'static str>,
    },
    /// A table whose keys the user names.
    Named(Shape),
    /// A table of one of several kinds, by its `type`.
    Tagged(Vec<(&'static str, Shape)>),
    Array(Shape),
    /// One of these words.
    Words(Vec<&'static str>),
    Secret,
    /// A secret whose `file:PATH` is read at every use, so it stays as it is written.
    LiveSecret,
    Text,
    /// Text, a number or a boolean.
    Scalar,
    Integer,
    Number,
    Boolean,
}

impl Shape {
    pub(super) fn root() -> Self {
        Self::of(document())
    }

    fn of(outer: &'static Value) -> Self {
        let mut node = outer;
        let mut secret = None;
        // References nest two deep at most; the bound guards against a cycle.
        for _ in 0..8 {
            let option = node.get("anyOf").and_then(Value::as_array).and_then(|any| {
                any.iter()
                    .find(|one| one.get("type").and_then(Value::as_str) != Some("null"))
            });
            if let Some(inner) = option {
                node = inner;
            } else if let Some(name) = node
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix("#/$defs/"))
            {
                secret = match name {
                    "Secret" => Some(Secrecy::Fixed),
                    "LiveSecret" => Some(Secrecy::Live),
                    _ => secret,
                };
                node = document_node(outer, name);
            } else {
                break;
            }
        }
        Self {
            node,
            outer,
            secret,
        }
    }

    pub(super) fn form(self) -> Form {
        let node = self.node;
        match self.secret {
            Some(Secrecy::Fixed) => return Form::Secret,
            Some(Secrecy::Live) => return Form::LiveSecret,
            None => {}
        }
        if let Some(kinds) = node.get("oneOf").and_then(Value::as_array) {
            let tagged: Vec<_> = kinds
                .iter()
                .filter_map(|kind| {
                    let tag = kind.pointer("/properties/type/const")?.as_str()?;
                    Some((tag, Self::of(kind)))
                })
                .collect();
            if !tagged.is_empty() {
                return Form::Tagged(tagged);
            }
            return Form::Words(kinds.iter().flat_map(words).collect());
        }
        let listed = words(node);
        if !listed.is_empty() {
            return Form::Words(listed);
        }
        let name = match node.get("type") {
            Some(Value::Array(types)) => {
                let mut names = types
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|t| *t != "null");
                match (names.next(), names.next()) {
                    (Some(_), Some(_)) => return Form::Scalar,
                    (one, _) => one,
                }
            }
            Some(one) => one.as_str(),
            None => None,
        };
        match name {
            Some("object") => match (
                node.get("properties").and_then(Value::as_object),
                node.get("additionalProperties"),
            ) {
                (Some(properties), _) => Form::Keys {
                    properties,
                    required: node
                        .get("required")
                        .and_then(Value::as_array)
                        .map(|keys| keys.iter().filter_map(Value::as_str).collect())
                        .unwrap_or_default(),
                },
                (None, Some(values)) => Form::Named(Self::of(values)),
                (None, None) => Form::Named(self),
            },
            Some("array") => match node.get("items") {
                Some(items) => Form::Array(Self::of(items)),
                None => Form::Text,
            },
            Some("integer") => Form::Integer,
            Some("number") => Form::Number,
            Some("boolean") => Form::Boolean,
            _ => Form::Text,
        }
    }

    /// Whether both are the same node of the schema: credentials hold credentials, without an end.
    pub(super) fn is(self, other: Self) -> bool {
        std::ptr::eq(self.node, other.node)
    }

    /// The key's own shape, in a table of known keys or of named ones.
    pub(super) fn key(self, key: &str) -> Option<Self> {
        match self.form() {
            Form::Keys { properties, .. } => properties.get(key).map(Self::of),
            Form::Named(values) => Some(values),
            _ => None,
        }
    }

    /// The default, if there is one. Of tables only one with a `type` has one.
    pub(super) fn default(self) -> Option<&'static Value> {
        self.outer.get("default").filter(|value| !value.is_null())
    }

    /// Whether the key may be absent and then has no value.
    pub(super) fn is_optional(self) -> bool {
        let null = |node: &Value| node.get("type").and_then(Value::as_str) == Some("null");
        let any = self.outer.get("anyOf").and_then(Value::as_array);
        let types = self.outer.get("type").and_then(Value::as_array);
        any.is_some_and(|any| any.iter().any(null))
            || types.is_some_and(|types| types.iter().any(|one| one == "null"))
    }

    /// The words of a choice that have a meaning of their own.
    pub(super) fn word_meanings(self) -> Vec<(&'static str, &'static str)> {
        let kinds = self.node.get("oneOf").and_then(Value::as_array);
        kinds
            .into_iter()
            .flatten()
            .filter_map(|kind| {
                let word = kind.get("const")?.as_str()?;
                Some((word, kind.get("description")?.as_str()?))
            })
            .collect()
    }

    /// What the key means; a reference's own words where the key has none.
    pub(super) fn description(self) -> &'static str {
        self.outer
            .get("description")
            .or_else(|| self.node.get("description"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

fn document_node(fallback: &'static Value, name: &str) -> &'static Value {
    // The document is complete before a Shape can exist.
    document()
        .get("$defs")
        .and_then(|defs| defs.get(name))
        .unwrap_or(fallback)
}

fn words(node: &'static Value) -> Vec<&'static str> {
    if let Some(word) = node.get("const").and_then(Value::as_str) {
        return vec![word];
    }
    node.get("enum")
        .and_then(Value::as_array)
        .map(|words| words.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_read_as_it_is_meant() {
        let root = Shape::root();
        assert!(matches!(root.key("pipeline").unwrap().form(), Form::Text));
        assert!(matches!(
            root.key("memory_budget_bytes").unwrap().form(),
            Form::Integer
        ));
        let Form::Named(source) = root.key("sources").unwrap().form() else {
            panic!("sources are named");
        };
        let Form::Tagged(kinds) = source.form() else {
            panic!("sources are tagged");
        };
        assert_eq!(
            kinds.iter().map(|k| k.0).collect::<Vec<_>>(),
            ["http", "kafka"]
        );
        let http = kinds[0].1;
        let Form::Array(key) = http.key("keys").unwrap().form() else {
            panic!("keys are a list");
        };
        assert!(matches!(key.key("key").unwrap().form(), Form::Secret));
        assert!(
            matches!(http.key("ack").unwrap().form(), Form::Words(w) if w == ["spool", "commit"])
        );
        let Form::Named(store) = root.key("stores").unwrap().form() else {
            panic!("stores are named");
        };
        let credentials = store.key("credentials").unwrap();
        assert_eq!(credentials.default().unwrap()["type"], "environment");
        let Form::Tagged(kinds) = credentials.form() else {
            panic!("credentials are tagged");
        };
        let of = |kind: &str| kinds.iter().find(|(tag, _)| *tag == kind).unwrap().1;
        assert_eq!(kinds.len(), 11);
        assert!(matches!(
            of("sas").key("token").unwrap().form(),
            Form::LiveSecret
        ));
        let headers = of("landing_zone").key("headers").unwrap();
        assert!(
            matches!(headers.form(), Form::Named(value) if matches!(value.form(), Form::LiveSecret))
        );
        let source = of("assume_role").key("source").unwrap();
        assert!(source.is(credentials));
        let table = root.key("table_defaults").unwrap();
        assert!(matches!(table.key("evolution").unwrap().form(), Form::Words(w) if w.len() == 3));
        assert!(matches!(
            table.key("flush_interval_seconds").unwrap().form(),
            Form::Number
        ));
        assert_eq!(
            table.key("flush_interval_seconds").unwrap().default(),
            Some(&serde_json::json!(10.0))
        );
    }

    #[test]
    fn every_key_says_what_it_means() {
        fn walk(shape: Shape, path: &str, above: &[Shape], silent: &mut Vec<String>) {
            if above.iter().any(|one| one.is(shape)) {
                return;
            }
            let above = &[above, &[shape]].concat();
            match shape.form() {
                Form::Keys { properties, .. } => {
                    for key in properties.keys() {
                        let below = shape.key(key).unwrap();
                        let at = format!("{path}.{key}");
                        if below.description().is_empty() {
                            silent.push(at.clone());
                        }
                        walk(below, &at, above, silent);
                    }
                }
                Form::Named(values) => walk(values, &format!("{path}.*"), above, silent),
                Form::Array(items) => walk(items, &format!("{path}[]"), above, silent),
                Form::Tagged(kinds) => {
                    for (kind, shape) in kinds {
                        walk(shape, &format!("{path}<{kind}>"), above, silent);
                    }
                }
                _ => {}
            }
        }
        let mut silent = Vec::new();
        walk(Shape::root(), "", &[], &mut silent);
        assert_eq!(silent, Vec::<String>::new(), "keys without a doc comment");
    }
}
