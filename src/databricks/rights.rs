//! Whether the workspace still takes our credential: one log line for each change, and a gauge to alert on.

use super::Error;
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// What is refused is remembered by the API, of which there are few; beyond so many it is one.
const MOST: usize = 64;

pub(super) struct Rights {
    connection: String,
    refused: Mutex<BTreeSet<String>>,
}

impl Rights {
    pub(super) fn new(connection: &str) -> Self {
        let rights = Self {
            connection: connection.to_owned(),
            refused: Mutex::default(),
        };
        rights.show(false);
        rights
    }

    /// A refusal for want of a right. `path`: of the request; empty where nobody knows us.
    pub(super) fn lost(&self, path: &str, error: &Error) {
        let mut refused = self.refused.lock();
        let api = api(path);
        let known = refused.contains(&api) || refused.len() >= MOST;
        if !known {
            refused.insert(api);
            tracing::error!(connection = %self.connection, %error, "the workspace refuses us; what needs it waits and goes on when the right is back");
        }
        self.show(true);
    }

    /// A success. It ends a refusal of the credential itself, and one of the same API.
    pub(super) fn held(&self, path: &str) {
        let mut refused = self.refused.lock();
        if refused.is_empty() {
            return;
        }
        let known = refused.remove("");
        if refused.remove(&api(path)) || known {
            tracing::info!(connection = %self.connection, still_refused = refused.len(), "the workspace takes our credential again");
        }
        self.show(!refused.is_empty());
    }

    fn show(&self, refused: bool) {
        let value = if refused { 1.0 } else { 0.0 };
        metrics::gauge!("alluvium_databricks_unauthorized", "connection" => self.connection.clone()).set(value);
    }
}

/// The API of a path: `/api/2.0/sql/statements/01ef` is `sql/statements`. Unity Catalog gives its rights by the thing, so
/// `/api/2.1/unity-catalog/tables/a.b.c` is `unity-catalog/tables/a.b.c`.
fn api(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let mut parts = parts
        .skip_while(|part| *part == "api" || part.starts_with(|c: char| c.is_ascii_digit()))
        .peekable();
    let many = match parts.peek() {
        Some(&"unity-catalog") => 3,
        _ => 2,
    };
    parts.take(many).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_are_few() {
        assert_eq!(
            api("/api/2.1/unity-catalog/tables/a.b.c/x"),
            "unity-catalog/tables/a.b.c"
        );
        assert_eq!(api("/api/2.1/unity-catalog/tables"), "unity-catalog/tables");
        assert_eq!(api("/api/2.0/sql/statements/01ef"), "sql/statements");
        assert_eq!(api("/api/1.2/commands/status"), "commands/status");
        assert_eq!(api(""), "");
    }
}
