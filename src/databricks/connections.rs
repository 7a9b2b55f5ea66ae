//! The workspaces of `[connections]`.

use super::{ConnectionOptions, Error, Result, Workspace};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The workspaces by the names of their connections. Each is made when it is first asked for, and is one for all from then
/// on, with its tokens. Cheap to clone.
#[derive(Clone, Default)]
pub struct Connections(Arc<Inner>);

#[derive(Default)]
struct Inner {
    options: BTreeMap<String, ConnectionOptions>,
    made: Mutex<BTreeMap<String, Workspace>>,
}

impl Connections {
    /// Makes none yet.
    pub fn new(options: &BTreeMap<String, ConnectionOptions>) -> Self {
        Self(Arc::new(Inner {
            options: options.clone(),
            made: Mutex::default(),
        }))
    }

    /// Errors: `Options`, also where there is no such connection.
    pub fn get(&self, name: &str) -> Result<Workspace> {
        let mut made = self.0.made.lock();
        if let Some(workspace) = made.get(name) {
            return Ok(workspace.clone());
        }
        let options = self.0.options.get(name).ok_or_else(|| {
            let there: Vec<&str> = self.0.options.keys().map(String::as_str).collect();
            Error::Options {
                connection: name.to_owned(),
                key: String::new(),
                message: format!(
                    "there is no such section, add it or name another, there_are=`{}`",
                    there.join(", ")
                ),
            }
        })?;
        let workspace = Workspace::new(name, options)?;
        made.insert(name.to_owned(), workspace.clone());
        Ok(workspace)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.options.keys().map(String::as_str)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn a_connection_is_made_once_and_one_that_is_missing_is_told() {
        let options = ConnectionOptions {
            host: Some("https://one.cloud.databricks.com".into()),
            auth: super::super::AuthOptions::Pat(super::super::PatOptions {
                token: crate::secret::LiveSecret::new("planted"),
            }),
            ..ConnectionOptions::default()
        };
        let connections = Connections::new(&BTreeMap::from([("one".to_owned(), options)]));
        let names = [(); 2].map(|()| connections.get("one").unwrap().name().to_owned());
        assert_eq!(names, ["one", "one"]);
        assert_eq!(connections.0.made.lock().len(), 1);
        let error = connections.get("two").unwrap_err();
        assert_eq!(error.kind(), Kind::Options);
        assert!(error.to_string().contains("there_are=`one`"), "{error}");
    }
}
