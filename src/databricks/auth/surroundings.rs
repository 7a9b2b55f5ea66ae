//! The process's environment as far as it says how workspaces are reached.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Variables and the home directory.
#[derive(Clone, Default)]
pub(in crate::databricks) struct Surroundings {
    pub(in crate::databricks) variables: BTreeMap<String, String>,
    pub(in crate::databricks) home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(in crate::databricks) fn of_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
        }
    }

    /// A variable that says something.
    pub(in crate::databricks) fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A path that may begin with `~/`.
    pub(in crate::databricks) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => text.into(),
        }
    }
}

/// Names only: the values may be secrets.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("variables", &self.variables.keys())
            .finish_non_exhaustive()
    }
}
