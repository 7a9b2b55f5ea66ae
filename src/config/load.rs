//! File, environment and flags into a [`Config`].

use super::{
    conform::conform,
    environment::Environment,
    options::Config,
    problems::{ConfigErrors, Origin, Problem},
    references,
    source::SourceOptions,
    tree::{Tree, join},
    validate,
};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use toml::{Table, Value};

/// What the command line says over everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`: the address of the one HTTP source.
    pub listen: Option<String>,
    /// `--lake`: `lake.url`.
    pub lake: Option<String>,
}

/// A configuration with where its values came from.
pub(super) struct Loaded {
    pub(super) config: Config,
    /// All values that were set, references resolved: secrets are in it.
    pub(super) tree: Tree,
    /// Paths of strings that held a reference.
    pub(super) referenced: BTreeSet<String>,
}

impl Config {
    /// Reads `file` (none: the embedded default, an HTTP source `web` on 127.0.0.1:8080), lays
    /// `ALLUVIUM_…` variables and then flags over it, resolves references and validates.
    ///
    /// # Errors
    /// All that is wrong at once, by key path. Nothing but referenced files is read or opened.
    pub fn load(
        file: Option<&Path>,
        environment: &Environment,
        flags: &Flags,
    ) -> Result<Self, ConfigErrors> {
        load(file, environment, flags).map(|loaded| loaded.config)
    }

    /// [`Config::load`] of a text.
    pub fn parse(
        text: &str,
        environment: &Environment,
        flags: &Flags,
    ) -> Result<Self, ConfigErrors> {
        let tree = Tree::parse(text).map_err(|problems| ConfigErrors::new(None, problems))?;
        from_tree(tree, environment, flags)
            .map(|loaded| loaded.config)
            .map_err(|problems| ConfigErrors::new(None, problems))
    }
}

pub(super) fn load(
    file: Option<&Path>,
    environment: &Environment,
    flags: &Flags,
) -> Result<Loaded, ConfigErrors> {
    let tree = match file {
        None => embedded_default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigErrors::new(file, vec![whole(format!("cannot be read: {error}"))])
            })?;
            Tree::parse(&text).map_err(|problems| ConfigErrors::new(file, problems))?
        }
    };
    from_tree(tree, environment, flags).map_err(|problems| ConfigErrors::new(file, problems))
}

/// One HTTP source on loopback; every other key at its default.
fn embedded_default() -> Tree {
    let web = Table::from_iter([("type".to_owned(), Value::String("http".into()))]);
    let sources = Table::from_iter([("web".to_owned(), Value::Table(web))]);
    Tree {
        root: Table::from_iter([("sources".to_owned(), Value::Table(sources))]),
        origins: BTreeMap::new(),
    }
}

fn whole(message: String) -> Problem {
    Problem {
        path: String::new(),
        origin: None,
        message,
    }
}

fn from_tree(
    mut tree: Tree,
    environment: &Environment,
    flags: &Flags,
) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let variables = references::variables(&tree.root);
    environment.overlay(&mut tree, &variables, &mut problems);
    apply_flags(&mut tree, flags, &mut problems);
    let referenced = references::resolve(&mut tree, environment, &mut problems);
    let mut taken_out: BTreeSet<String> = problems
        .iter()
        .map(|problem| problem.path.clone())
        .collect();
    let (wrong, more) = conform(&mut tree);
    problems.extend(wrong.into_iter().filter(|problem| {
        // A required key whose reference failed is told once.
        !taken_out.contains(&problem.path)
    }));
    taken_out.extend(more);

    let config = typed(&tree, &mut problems, &mut taken_out);
    for finding in validate::validate(&config) {
        let judged = [Some(&finding.path), finding.rests_on.as_ref()];
        let follows = judged
            .into_iter()
            .flatten()
            .any(|path| taken_out.iter().any(|wrong| touches(wrong, path)));
        if !follows {
            problems.push(Problem {
                origin: tree.origin(&finding.path),
                path: finding.path,
                message: finding.message,
            });
        }
    }
    if problems.is_empty() {
        Ok(Loaded {
            config,
            tree,
            referenced,
        })
    } else {
        Err(problems)
    }
}

/// Whether a wrong value at `wrong` may be the reason of a finding at `path`: one lies in the other.
/// A wrong entry takes out its whole list, so a list counts as one value.
fn touches(wrong: &str, path: &str) -> bool {
    let wrong = wrong.split('[').next().unwrap_or(wrong);
    let path = path.split('[').next().unwrap_or(path);
    let inside = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    inside(wrong, path) || inside(path, wrong)
}

fn apply_flags(tree: &mut Tree, flags: &Flags, problems: &mut Vec<Problem>) {
    let set = |tree: &mut Tree, keys: &[&str], value: &str, flag: &'static str| {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        tree.set(&keys, Value::String(value.to_owned()), Origin::Flag(flag))
    };
    if let Some(lake) = &flags.lake {
        set(tree, &["lake", "url"], lake, "--lake");
    }
    if let Some(listen) = &flags.listen {
        let http: Vec<String> = tree
            .root
            .get("sources")
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
            .filter(|(_, source)| source.get("type").and_then(Value::as_str) == Some("http"))
            .map(|(name, _)| name.clone())
            .collect();
        match http.as_slice() {
            [one] => {
                set(tree, &["sources", one, "listen"], listen, "--listen");
            }
            none_or_many => problems.push(Problem {
                path: "--listen".into(),
                origin: None,
                message: format!(
                    "sets the address of the one HTTP source, and the configuration has {}; set `listen` in its `[sources.NAME]` instead",
                    none_or_many.len()
                ),
            }),
        }
    }
}

/// Section by section, so that an error in one hides none in another. What conforms to the schema
/// may still be refused by a type of its own, as a `start` that is no time.
fn typed(tree: &Tree, problems: &mut Vec<Problem>, taken_out: &mut BTreeSet<String>) -> Config {
    let mut config = Config::default();
    let mut reader = Reader {
        tree,
        problems,
        taken_out,
    };
    for (key, value) in &tree.root {
        match key.as_str() {
            "pipeline" => reader.fill(&mut config.pipeline, key, value),
            "memory_budget_bytes" => reader.fill(&mut config.memory_budget_bytes, key, value),
            "shutdown_timeout_seconds" => {
                reader.fill(&mut config.shutdown_timeout_seconds, key, value);
            }
            "lake" => reader.fill(&mut config.lake, key, value),
            "spool" => reader.fill(&mut config.spool, key, value),
            "dead_letters" => reader.fill(&mut config.dead_letters, key, value),
            "admin" => reader.fill(&mut config.admin, key, value),
            "table_defaults" => reader.fill(&mut config.table_defaults, key, value),
            "stores" => {
                for (name, value) in value.as_table().into_iter().flatten() {
                    if let Some(store) = reader.read(&join(key, name), value.clone()) {
                        config.stores.insert(name.clone(), store);
                    }
                }
            }
            "connections" => {
                for (name, value) in value.as_table().into_iter().flatten() {
                    if let Some(connection) = reader.read(&join(key, name), value.clone()) {
                        config.connections.insert(name.clone(), connection);
                    }
                }
            }
            "tables" => {
                for (name, value) in value.as_table().into_iter().flatten() {
                    if let Some(table) = reader.read(&join(key, name), value.clone()) {
                        config.tables.insert(name.clone(), table);
                    }
                }
            }
            "sources" => {
                for (name, value) in value.as_table().into_iter().flatten() {
                    if let Some(source) = reader.source(&join(key, name), value) {
                        config.sources.insert(name.clone(), source);
                    }
                }
            }
            unread => {
                // A key the schema knows and this match does not: caught by the test below.
                reader.problem(unread, "is not read by this version".into());
            }
        }
    }
    config
}

struct Reader<'a> {
    tree: &'a Tree,
    problems: &'a mut Vec<Problem>,
    taken_out: &'a mut BTreeSet<String>,
}

impl Reader<'_> {
    fn problem(&mut self, path: &str, message: String) {
        self.taken_out.insert(path.to_owned());
        self.problems.push(Problem {
            path: path.to_owned(),
            origin: self.tree.origin(path),
            message,
        });
    }

    fn read<T: DeserializeOwned>(&mut self, path: &str, value: Value) -> Option<T> {
        match serde_path_to_error::deserialize(value) {
            Ok(value) => Some(value),
            Err(error) => {
                let below = error.path().to_string();
                let at = match below.as_str() {
                    "." => path.to_owned(),
                    index if index.starts_with('[') => format!("{path}{index}"),
                    key => format!("{path}.{key}"),
                };
                let message = error.into_inner().message().trim_end().replace('\n', ", ");
                self.problem(&at, message);
                None
            }
        }
    }

    fn fill<T: DeserializeOwned>(&mut self, into: &mut T, path: &str, value: &Value) {
        if let Some(value) = self.read(path, value.clone()) {
            *into = value;
        }
    }

    /// The kind's own type is read, because a tagged enum forgets the path of an error.
    fn source(&mut self, path: &str, value: &Value) -> Option<SourceOptions> {
        let mut keys = value.as_table()?.clone();
        let kind = keys.remove("type")?;
        match kind.as_str()? {
            "http" => self.read(path, Value::Table(keys)).map(SourceOptions::Http),
            "kafka" => self
                .read(path, Value::Table(keys))
                .map(SourceOptions::Kafka),
            _ => None,
        }
    }
}
