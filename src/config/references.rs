//! `${VARIABLE}`, `${VARIABLE:-default}` and `file:PATH` in the strings of a configuration.

use super::{
    environment::Environment,
    problems::{Origin, Problem},
    shape::{Form, Shape},
    tree::{Tree, join},
};
use std::{collections::BTreeSet, path::Path};
use toml::{Table, Value};

/// Variables that the file's strings name.
pub(super) fn variables(root: &Table) -> BTreeSet<String> {
    fn walk(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::String(text) => {
                for part in parts(text).into_iter().flatten() {
                    if let Part::Variable { name, .. } = part {
                        names.insert(name.to_owned());
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, names)),
            Value::Table(table) => table.values().for_each(|value| walk(value, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    root.values().for_each(|value| walk(value, &mut names));
    names
}

/// Puts values in the place of references. A string whose reference fails is taken out.
///
/// `${…}` works in every string of the file, `$${` is a plain `${`; variables that set keys and flags
/// are taken as they are. `file:` works where a secret is wanted and in librdkafka properties, whoever
/// set it; of a secret that is read at every use it stays as it is. Returns the paths of strings that held a
/// reference.
pub(super) fn resolve(
    tree: &mut Tree,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> BTreeSet<String> {
    let mut root = std::mem::take(&mut tree.root);
    let mut walk = Walk {
        tree,
        environment,
        problems,
        referenced: BTreeSet::new(),
    };
    walk.table(&mut root, Some(Shape::root()), "");
    let referenced = walk.referenced;
    tree.root = root;
    referenced
}

struct Walk<'a> {
    tree: &'a Tree,
    environment: &'a Environment,
    problems: &'a mut Vec<Problem>,
    referenced: BTreeSet<String>,
}

impl Walk<'_> {
    fn table(&mut self, table: &mut Table, shape: Option<Shape>, path: &str) {
        let shape = match shape.map(Shape::form) {
            Some(Form::Tagged(kinds)) => {
                let kind = table.get("type").and_then(Value::as_str);
                kinds
                    .iter()
                    .find(|(tag, _)| Some(*tag) == kind)
                    .map(|(_, shape)| *shape)
            }
            _ => shape,
        };
        let keys: Vec<String> = table.keys().cloned().collect();
        for key in keys {
            let at = join(path, &key);
            let below = shape.and_then(|shape| shape.key(&key));
            let files = match is_property(path) {
                true => Files::Content,
                false => Files::of(below),
            };
            let keep = match table.get_mut(&key) {
                Some(value) => self.value(value, below, &at, files),
                None => true,
            };
            if !keep {
                table.remove(&key);
            }
        }
    }

    fn value(&mut self, value: &mut Value, shape: Option<Shape>, path: &str, files: Files) -> bool {
        match value {
            Value::String(text) => match self.string(text, path, files) {
                Ok(Some(resolved)) => {
                    *text = resolved;
                    self.referenced.insert(path.to_owned());
                    true
                }
                Ok(None) => true,
                Err(message) => {
                    self.problems.push(Problem {
                        path: path.to_owned(),
                        origin: self.tree.origin(path),
                        message,
                    });
                    false
                }
            },
            Value::Array(items) => {
                let shape = match shape.map(Shape::form) {
                    Some(Form::Array(items)) => Some(items),
                    _ => None,
                };
                let mut keep = true;
                for (index, item) in items.iter_mut().enumerate() {
                    let at = format!("{path}[{index}]");
                    keep &= self.value(item, shape, &at, Files::of(shape));
                }
                keep
            }
            Value::Table(table) => {
                let before = self.problems.len();
                self.table(table, shape, path);
                // Inside a list a table that lost a key goes with it; its neighbours keep their numbers.
                !path.ends_with(']') || self.problems.len() == before
            }
            _ => true,
        }
    }

    /// The text with its references resolved; `None` when it has none.
    fn string(&self, text: &str, path: &str, files: Files) -> Result<Option<String>, String> {
        let of_file = matches!(self.tree.origin(path), Some(Origin::File(_)));
        let mut resolved = None;
        if of_file && text.contains("${") {
            resolved = Some(self.interpolate(text)?);
        }
        // Judged by what was written, so that a variable's value cannot turn into a file to read.
        let written = resolved.as_deref().unwrap_or(text);
        match (files, text.starts_with("file:")) {
            (Files::No, _) | (Files::Content, false) => {}
            (Files::Content, true) => resolved = Some(self.file(written)?),
            (Files::Later, false) if written.starts_with("file:") => {
                return Err(
                    "the variable's value begins with `file:`; write file:${…} if it names a file"
                        .into(),
                );
            }
            (Files::Later, false) => {}
            // It may be put there later, as secrets of a pod are; it is read whenever it is needed.
            (Files::Later, true) => match self.file(written) {
                Ok(_) => {}
                Err(error) if written == "file:" => return Err(error),
                Err(error) => {
                    tracing::warn!("{path}: {error}; it is tried again when the secret is needed")
                }
            },
        }
        Ok(resolved)
    }

    /// The text of the file that a `file:` reference names.
    fn file(&self, reference: &str) -> Result<String, String> {
        let name = reference.strip_prefix("file:").unwrap_or(reference);
        let name = name.strip_prefix("//").unwrap_or(name);
        if name.is_empty() {
            return Err("`file:` names no file; write file:PATH".into());
        }
        let content = self.environment.file(Path::new(name)).map_err(|error| {
            format!("cannot read the file it refers to: {error}; path=`{name}`")
        })?;
        match content.is_empty() {
            true => Err(format!("the file it refers to is empty; path=`{name}`")),
            false => Ok(content),
        }
    }

    fn interpolate(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        for part in parts(text)? {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable { name, default } => {
                    match (self.environment.variable(name), default) {
                        // As in a shell, `:-` also covers a variable that is set but empty.
                        (Some(""), Some(default)) | (None, Some(default)) => out.push_str(default),
                        (Some(value), _) => out.push_str(value),
                        (None, None) => {
                            return Err(format!(
                                "the environment variable it refers to is not set; set it, or write ${{{name}:-default}}; variable=`{name}`"
                            ));
                        }
                    }
                }
            }
        }
        Ok(out)
    }
}

/// What `file:PATH` means in a string.
#[derive(Clone, Copy)]
enum Files {
    /// Nothing.
    No,
    /// The file's content.
    Content,
    /// The file's content whenever it is used.
    Later,
}

impl Files {
    fn of(shape: Option<Shape>) -> Self {
        match shape.map(Shape::form) {
            Some(Form::Secret) => Self::Content,
            Some(Form::LiveSecret) => Self::Later,
            _ => Self::No,
        }
    }
}

/// Whether a path is the `properties` of a source.
pub(super) fn is_property(parent: &str) -> bool {
    parent.starts_with("sources.") && parent.ends_with(".properties")
}

enum Part<'a> {
    Text(&'a str),
    Variable {
        name: &'a str,
        default: Option<&'a str>,
    },
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push(Part::Text(before));
            out.push(Part::Text("${"));
            rest = after;
            continue;
        }
        out.push(Part::Text(before));
        let Some((inside, after)) = after.split_once('}') else {
            return Err(
                "`${` is not closed; write ${VARIABLE}, or $${ for the characters themselves"
                    .into(),
            );
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty();
        if !named {
            return Err("`${…}` does not hold the name of a variable: letters, digits and `_`; write $${ for the characters themselves".into());
        }
        out.push(Part::Variable { name, default });
        rest = after;
    }
    out.push(Part::Text(rest));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> (Tree, Vec<Problem>) {
        let environment = Environment::fixed(
            [("A", "one"), ("EMPTY", ""), ("SLY", "file:/etc/passwd")],
            [("/run/pw", "hunter2\n"), ("/etc/passwd", "root")],
        );
        let mut tree = Tree::parse(text).unwrap();
        let mut problems = Vec::new();
        resolve(&mut tree, &environment, &mut problems);
        (tree, problems)
    }

    #[test]
    fn variables_and_defaults() {
        let (tree, problems) = resolved(
            "pipeline = 'x-${A}-${B:-two}-${EMPTY:-three}-$${A}'\n[lake]\nurl = '${EMPTY}'\n",
        );
        assert_eq!(problems, []);
        assert_eq!(tree.root["pipeline"].as_str(), Some("x-one-two-three-${A}"));
        assert_eq!(tree.root["lake"]["url"].as_str(), Some(""));
    }

    #[test]
    fn a_missing_variable_names_key_line_and_variable() {
        let (tree, problems) = resolved("\n[lake]\nurl = '${NOT_SET}'\n");
        assert_eq!(problems.len(), 1);
        let told = problems[0].to_string();
        assert!(told.starts_with("lake.url: "), "{told}");
        assert!(
            told.contains("variable=`NOT_SET`") && told.ends_with("(line 3)"),
            "{told}"
        );
        assert!(tree.root["lake"].get("url").is_none());
    }

    #[test]
    fn files_only_where_a_secret_is_wanted() {
        let (tree, problems) = resolved(
            "pipeline = 'file:/run/pw'\n[sources.k]\ntype='kafka'\n[sources.k.properties]\n'sasl.password' = 'file:/run/pw'\n'x' = '${SLY}'\n\
             [sources.h]\ntype='http'\nkeys = [{key='file:///run/pw', tables=['*']}]\n",
        );
        assert_eq!(problems, []);
        assert_eq!(tree.root["pipeline"].as_str(), Some("file:/run/pw"));
        let properties = &tree.root["sources"]["k"]["properties"];
        assert_eq!(properties["sasl.password"].as_str(), Some("hunter2"));
        assert_eq!(properties["x"].as_str(), Some("file:/etc/passwd"));
        assert_eq!(
            tree.root["sources"]["h"]["keys"][0]["key"].as_str(),
            Some("hunter2")
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let (_, problems) =
            resolved("[sources.h]\ntype='http'\nkeys=[{key='file:/nope', tables=[]}]\n");
        assert_eq!(problems[0].path, "sources.h.keys[0].key");
        assert!(problems[0].message.contains("path=`/nope`"));
    }

    #[test]
    fn a_live_secret_keeps_the_name_of_its_file() {
        let (tree, problems) = resolved(
            "[stores.a]\n[stores.a.credentials]\ntype='sas'\ntoken='file:/run/pw'\n\
             [stores.b]\n[stores.b.credentials]\ntype='sas'\ntoken='file:/not/yet/${A}'\n\
             [stores.c]\n[stores.c.credentials]\ntype='sas'\ntoken='${A}'\n\
             [stores.d]\n[stores.d.credentials]\ntype='assume_role'\nrole_arn='file:/run/pw'\n\
             source={type='static', access_key_id='${A}', secret_access_key='file:/run/pw'}\n",
        );
        assert_eq!(problems, []);
        let credentials = |store: &str| &tree.root["stores"][store]["credentials"];
        assert_eq!(credentials("a")["token"].as_str(), Some("file:/run/pw"));
        assert_eq!(
            credentials("b")["token"].as_str(),
            Some("file:/not/yet/one")
        );
        assert_eq!(credentials("c")["token"].as_str(), Some("one"));
        assert_eq!(credentials("d")["role_arn"].as_str(), Some("file:/run/pw"));
        let source = &credentials("d")["source"];
        assert_eq!(source["access_key_id"].as_str(), Some("one"));
        assert_eq!(source["secret_access_key"].as_str(), Some("file:/run/pw"));
        for token in ["${SLY}", "file:"] {
            let (_, problems) = resolved(&format!(
                "[stores.a.credentials]\ntype='sas'\ntoken='{token}'\n"
            ));
            assert_eq!(problems[0].path, "stores.a.credentials.token", "{token}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[$}{:a-c_-]{0,24}") {
            let _ = parts(&text);
        }
    }
}
