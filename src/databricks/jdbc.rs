//! JDBC URLs of Databricks, in both forms, as connection dialogs show them.

use super::{ClusterId, Host, WarehouseId};

/// What a JDBC URL says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JdbcUrl {
    pub host: Host,
    pub compute: Option<Compute>,
    /// The workspace's id, which the path to a cluster holds.
    pub workspace_id: Option<String>,
    /// The schema behind the host, as `default`.
    pub schema: Option<String>,
    /// Whether it held a password or token. That was dropped: the credential belongs into `auth`.
    pub dropped_secret: bool,
}

/// What runs statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compute {
    Warehouse(WarehouseId),
    Cluster(ClusterId),
}

impl JdbcUrl {
    /// Whether a text means to be one.
    pub fn is_one(text: &str) -> bool {
        text.trim_start()
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("jdbc:"))
    }
}
