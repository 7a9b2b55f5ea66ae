//! A Databricks workspace as the control plane sees it.

use super::{
    error::{ControlError, Result},
    sql::{Principal, TableName},
    warehouse::{CatalogColumn, Registered, SqlRunner},
};
use crate::{
    databricks::{
        Error as ClientError, Kind as ClientKind, WarehouseId, WarehouseRef, Workspace,
        scim::Scim,
        statements::{Statement, Statements},
        unity::{Column, Table, Unity},
        warehouses::{WarehouseState, Warehouses},
    },
    error::{Error, Kind},
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::{sync::Mutex, time::Instant};

/// A warehouse and a statement are looked at after pauses that grow by the first up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest a warehouse may take to start, and a statement to end.
const START_LIMIT: Duration = Duration::from_secs(20 * 60);
const STATEMENT_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs statements on a connection's warehouse.
pub struct Databricks {
    workspace: Workspace,
    /// Its id; found by its name once, and again when there is none of that id any more.
    id: Mutex<Option<WarehouseId>>,
}

impl Databricks {
    /// Makes no request.
    ///
    /// # Errors
    /// Config for a connection without a warehouse.
    pub fn new(workspace: Workspace) -> Result<Self> {
        if workspace.warehouse().is_none() {
            return Err(ControlError::Service {
                kind: Kind::Config,
                message: format!(
                    "a connection that serves tables needs a SQL warehouse; set `connections.{}.warehouse` to its id or name",
                    workspace.name()
                ),
            });
        }
        Ok(Self {
            workspace,
            id: Mutex::default(),
        })
    }

    async fn warehouse(&self) -> Result<WarehouseId, ClientError> {
        let mut known = self.id.lock().await;
        if let Some(id) = known.as_ref() {
            return Ok(id.clone());
        }
        let id = match self.workspace.warehouse() {
            Some(WarehouseRef::Id(id)) => id.clone(),
            Some(WarehouseRef::Name(name)) => Warehouses::new(&self.workspace).find(name).await?.id,
            None => return Err(ClientError::unsupported("the connection has no warehouse")),
        };
        Ok(known.insert(id).clone())
    }

    /// Looks until it runs, and starts it once where it is stopped.
    async fn running(&self) -> Result<(), ClientError> {
        let id = self.warehouse().await?;
        let warehouses = Warehouses::new(&self.workspace);
        let (began, mut pause, mut is_started) = (Instant::now(), FIRST_PAUSE, false);
        loop {
            let found = warehouses.get(&id).await?;
            let connection = self.workspace.name();
            match found.state {
                WarehouseState::Running => return Ok(()),
                WarehouseState::Stopped if !is_started => {
                    tracing::info!(connection, warehouse = %id, "starting the warehouse for statements");
                    warehouses.start(&id).await?;
                    is_started = true;
                }
                WarehouseState::Stopped | WarehouseState::Deleting | WarehouseState::Deleted => {
                    return Err(ClientError::unexpected(format!(
                        "the SQL warehouse does not start; look at it in the workspace, warehouse=`{id}` state=`{}`",
                        found.state
                    )));
                }
                _ => {}
            }
            if began.elapsed() > START_LIMIT {
                return Err(late("the SQL warehouse to run", START_LIMIT));
            }
            tokio::time::sleep(pause).await;
            pause = (pause + FIRST_PAUSE).min(LONGEST_PAUSE);
        }
    }

    /// Runs a statement to its end; one that takes too long is canceled, and the log tells what became of it.
    async fn ended(&self, sql: &str) -> Result<(), ClientError> {
        let id = self.warehouse().await?;
        let statements = Statements::new(&self.workspace);
        let statement = Statement::new(&id, sql).repeatable();
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        let mut snapshot = statements.submit(&statement).await?;
        while !snapshot.state.is_final() {
            if began.elapsed() > STATEMENT_LIMIT {
                statements.cancel(&snapshot.statement).await?;
                return Err(late("a statement to end", STATEMENT_LIMIT));
            }
            tokio::time::sleep(pause).await;
            pause = (pause + FIRST_PAUSE).min(LONGEST_PAUSE);
            snapshot = statements.get(&snapshot.statement).await?;
        }
        snapshot.into_outcome().map(drop)
    }
}

fn late(what: &str, after: Duration) -> ClientError {
    ClientError::Timeout {
        what: format!("waiting for {what}"),
        after,
    }
}

impl From<Table> for Registered {
    fn from(table: Table) -> Self {
        let column = |column: Column| CatalogColumn {
            name: column.name,
            type_text: column.type_text,
        };
        Self {
            kind: table.table_type,
            format: table.data_source_format,
            location: table.storage_location,
            // A catalog that keeps no columns of a table has none that could be behind its log.
            columns: (!table.columns.is_empty())
                .then(|| table.columns.into_iter().map(column).collect()),
        }
    }
}

#[async_trait]
impl SqlRunner for Databricks {
    async fn find_table(&self, table: &TableName) -> Result<Option<Registered>> {
        let found = Unity::new(&self.workspace)
            .find_table(&table.full_name())
            .await
            .map_err(told)?;
        Ok(found.map(Registered::from))
    }

    async fn ensure_running(&self) -> Result<()> {
        match self.running().await {
            Ok(()) => Ok(()),
            Err(error) => {
                if error.kind() == ClientKind::NotFound {
                    *self.id.lock().await = None;
                }
                Err(told(error))
            }
        }
    }

    async fn run(&self, sql: &str) -> Result<()> {
        self.ended(sql).await.map_err(told)
    }

    async fn principal(&self) -> Result<Principal> {
        let me = Scim::new(&self.workspace).me().await.map_err(told)?;
        Ok(Principal(me.principal().to_owned()))
    }
}

/// The client's error in this room's words.
fn told(error: ClientError) -> ControlError {
    if let ClientError::Statement(failure) = &error {
        let condition = condition(&failure.message);
        return ControlError::Statement {
            kind: failed_kind(
                failure.error_code.as_deref(),
                failure.sql_state.as_deref(),
                condition.as_deref(),
            ),
            condition,
            message: error.to_string(),
        };
    }
    // A statement that takes too long is that statement's affair.
    let is_common = matches!(
        error.kind(),
        ClientKind::Unauthenticated
            | ClientKind::Unavailable
            | ClientKind::Network
            | ClientKind::RateLimited
    );
    let error = Error::from(error);
    let (kind, message) = (error.kind(), error.to_string());
    match is_common {
        true => ControlError::Connection { kind, message },
        false => ControlError::Service { kind, message },
    }
}

/// The name in brackets that a message begins with: `[FIELD_ALREADY_EXISTS] …`, also behind the name of a class.
fn condition(message: &str) -> Option<String> {
    message.match_indices('[').find_map(|(at, _)| {
        let (name, _) = message[at + 1..].split_once(']')?;
        let is_name = name.len() > 3
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '.'));
        is_name.then(|| name.to_owned())
    })
}

fn failed_kind(code: Option<&str>, state: Option<&str>, condition: Option<&str>) -> Kind {
    let condition = condition.unwrap_or_default();
    // 42501: insufficient privilege (SQL standard, class 42).
    if state == Some("42501")
        || condition.contains("PERMISSION")
        || condition.starts_with("UNAUTHORIZED")
    {
        return Kind::Unauthorized;
    }
    // 2D521: a concurrent change of a Delta table's metadata or protocol; 2D5xx: other transactions that met.
    if state.is_some_and(|state| state.starts_with("2D5")) {
        return Kind::Conflict;
    }
    match code {
        // Another transaction was first.
        Some("ABORTED") => Kind::Conflict,
        Some(
            "DEADLINE_EXCEEDED"
            | "INTERNAL_ERROR"
            | "IO_ERROR"
            | "RESOURCE_EXHAUSTED"
            | "SERVICE_UNDER_MAINTENANCE"
            | "TEMPORARILY_UNAVAILABLE"
            | "WORKSPACE_TEMPORARILY_UNAVAILABLE",
        ) => Kind::Unavailable,
        Some("ALREADY_EXISTS") => Kind::Conflict,
        Some("UNAUTHENTICATED") => Kind::Unauthorized,
        _ => Kind::InvalidData,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::{StatementFailure, StatementId};

    fn failed(code: &str, state: Option<&str>, message: &str) -> ControlError {
        told(ClientError::Statement(Box::new(StatementFailure {
            statement: StatementId::new("01ef"),
            error_code: Some(code.into()),
            sql_state: state.map(str::to_owned),
            message: message.into(),
        })))
    }

    #[test]
    fn a_failed_statement_says_what_to_do() {
        for (code, state, message, kind, condition) in [
            (
                "BAD_REQUEST",
                Some("42710"),
                "[FIELD_ALREADY_EXISTS] Cannot add column, because `a` already exists",
                Kind::InvalidData,
                Some("FIELD_ALREADY_EXISTS"),
            ),
            (
                "BAD_REQUEST",
                Some("42501"),
                "[INSUFFICIENT_PERMISSIONS] User does not have MODIFY",
                Kind::Unauthorized,
                Some("INSUFFICIENT_PERMISSIONS"),
            ),
            (
                "BAD_REQUEST",
                None,
                "PERMISSION_DENIED: [UNAUTHORIZED_ACCESS.X1] no",
                Kind::Unauthorized,
                Some("UNAUTHORIZED_ACCESS.X1"),
            ),
            (
                "BAD_REQUEST",
                Some("2D521"),
                "com.x.MetadataChangedException: [DELTA_METADATA_CHANGED] …",
                Kind::Conflict,
                Some("DELTA_METADATA_CHANGED"),
            ),
            (
                "INTERNAL_ERROR",
                None,
                "[a] oops [x",
                Kind::Unavailable,
                None,
            ),
            ("ABORTED", None, "", Kind::Conflict, None),
            ("BAD_REQUEST", None, "", Kind::InvalidData, None),
        ] {
            let error = failed(code, state, message);
            assert_eq!(error.kind(), kind, "{error}");
            let ControlError::Statement {
                condition: found, ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!(found.as_deref(), condition, "{message}");
        }
        assert!(failed("BAD_REQUEST", None, "[FIELD_ALREADY_EXISTS] x").is_race());
        assert!(failed("BAD_REQUEST", Some("2D521"), "x").is_race());
        assert!(failed("ABORTED", None, "another commit was first").is_race());
        assert!(!failed("BAD_REQUEST", Some("42501"), "x").is_race());
    }
}
