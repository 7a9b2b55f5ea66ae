//! A table's positions as a person sees and sets them (`alluvium table positions`).

use super::{
    account::{CommitAccount, ResetAccount},
    error::{CommitError, Result},
    kernel::commit_info,
    table_log::TableLog,
};
use crate::event::Offset;
use delta_kernel::{
    actions::{LOG_TXN_SCHEMA, visitors::SetTransactionVisitor},
    committer::FileSystemCommitter,
    engine_data::RowVisitor,
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
        let snapshot = state.snapshot.clone();
        self.log
            .blocking(move |table, engine| {
                let kernel = |error| CommitError::kernel(&table.name, "read", error);
                let mut visitor = SetTransactionVisitor::new(None);
                let batches = snapshot
                    .log_segment()
                    .read_actions(engine.as_ref(), LOG_TXN_SCHEMA.clone())
                    .map_err(kernel)?;
                for batch in batches {
                    let actions = batch.map_err(kernel)?.actions;
                    visitor.visit_rows_of(actions.as_ref()).map_err(kernel)?;
                }
                Ok(visitor
                    .set_transactions
                    .into_iter()
                    .filter_map(|(id, txn)| Some((id, Offset::try_from(txn.version).ok()?)))
                    .collect())
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
                        let version = i64::try_from(*offset)
                            .map_err(|error| CommitError::corrupt(&table.name, "write to", error))?;
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
