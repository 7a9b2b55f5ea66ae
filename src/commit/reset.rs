//! Positions as a person sees and sets them (`alluvium table positions`).

use super::{
    account::{CommitAccount, ResetAccount},
    append::commit_info,
    error::{CommitError, Result},
    table_log::TableLog,
};
use crate::event::Offset;
use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int64Type,
};
use delta_kernel::{
    Engine, KernelError,
    actions::LOG_TXN_SCHEMA,
    committer::FileSystemCommitter,
    engine::arrow_data::EngineDataArrowExt,
    snapshot::SnapshotRef,
    transaction::{CommitResult, UpdateTableOperation},
};
use std::collections::BTreeMap;

/// How often a reset is tried against other writers.
const ATTEMPTS: usize = 20;

impl TableLog {
    /// Every `txn` of the newest version: app id to next offset. Those of other programs are among
    /// them; versions below zero are left out, for they are no offsets.
    ///
    /// # Errors
    /// As [`TableLog::load`].
    pub async fn all_positions(&self) -> Result<BTreeMap<String, Offset>> {
        let Some(state) = self.load().await? else {
            return Ok(BTreeMap::new());
        };
        self.log
            .blocking(move |table, engine| {
                let engine = engine.as_ref();
                table.with_readable(engine, &state, |snapshot| {
                    all_txns(snapshot, engine)
                        .map_err(|error| CommitError::kernel(&table.name, "read", error))
                })
            })
            .await
    }

    /// Sets positions as told, forwards or back, in a commit of its own that says what they were.
    /// Returns its version.
    ///
    /// # Errors
    /// As [`TableLog::load`]; InvalidData where there is no table; Conflict when others commit
    /// faster than we do.
    pub async fn reset_positions(&self, to: &[(String, Offset)]) -> Result<u64> {
        for _ in 0..ATTEMPTS {
            let Some(state) = self.load().await? else {
                return Err(CommitError::Gone {
                    table: self.name().to_owned(),
                });
            };
            let ids: Vec<String> = to.iter().map(|(id, _)| id.clone()).collect();
            let before = self.positions(&ids, false).await?;
            let resets = to.iter().zip(before).map(|((id, to), from)| ResetAccount {
                app_id: id.clone(),
                from,
                to: *to,
            });
            let account = CommitAccount::of_resets(resets.collect());
            let snapshot = state.snapshot.clone();
            let to = to.to_vec();
            let landed = self
                .log
                .blocking(move |table, engine| {
                    let kernel = |error| CommitError::kernel(&table.name, "write to", error);
                    let text = serde_json::to_string(&account)
                        .map_err(|error| CommitError::corrupt(&table.name, "write to", error))?;
                    let (info, info_schema) = commit_info(&table.name, text)?;
                    let mut transaction = snapshot
                        .update_table(
                            UpdateTableOperation::StreamingUpdate,
                            concat!("alluvium/", env!("CARGO_PKG_VERSION")),
                            false,
                        )
                        .with_commit_info(info, info_schema)
                        .build(engine.as_ref(), Box::new(FileSystemCommitter::new()))
                        .map_err(kernel)?;
                    for (id, offset) in &to {
                        let version = i64::try_from(*offset).map_err(|error| {
                            CommitError::corrupt(&table.name, "write to", error)
                        })?;
                        transaction = transaction.with_transaction_id(id.clone(), version);
                    }
                    match transaction.commit(engine.as_ref()).map_err(kernel)? {
                        CommitResult::Committed(done) => Ok(Some(done.commit_version())),
                        CommitResult::Conflicted(_) => Ok(None),
                        CommitResult::Retryable(retryable) => Err(kernel(retryable.error)),
                    }
                })
                .await?;
            if let Some(version) = landed {
                // The state in memory does not know what was set.
                self.load().await?;
                return Ok(version);
            }
        }
        Err(CommitError::Busy {
            table: self.name().to_owned(),
        })
    }
}

/// Every app id with an offset, by replaying the log.
fn all_txns(
    snapshot: &SnapshotRef,
    engine: &dyn Engine,
) -> Result<BTreeMap<String, Offset>, KernelError> {
    let mut positions = BTreeMap::new();
    let batches = snapshot
        .log_segment()
        .read_actions(engine, LOG_TXN_SCHEMA.clone())?;
    for batch in batches {
        let rows = batch?.actions.try_into_record_batch()?;
        // Newest first: what is known already is newer.
        for (id, version) in txns_of(&rows) {
            positions.entry(id).or_insert(version);
        }
    }
    Ok(positions
        .into_iter()
        .filter_map(|(id, version)| Some((id, Offset::try_from(version).ok()?)))
        .collect())
}

/// App id and version of the rows that hold a `txn`.
fn txns_of(rows: &RecordBatch) -> Vec<(String, i64)> {
    let Some(txn) = rows.column_by_name("txn").and_then(|c| c.as_struct_opt()) else {
        return Vec::new();
    };
    let (Some(ids), Some(versions)) = (
        txn.column_by_name("appId")
            .and_then(|c| c.as_string_opt::<i32>()),
        txn.column_by_name("version")
            .and_then(|c| c.as_primitive_opt::<Int64Type>()),
    ) else {
        return Vec::new();
    };
    (0..txn.len())
        .filter(|row| txn.is_valid(*row) && ids.is_valid(*row) && versions.is_valid(*row))
        .map(|row| (ids.value(row).to_owned(), versions.value(row)))
        .collect()
}
