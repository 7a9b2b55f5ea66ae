//! One version after a snapshot, through the kernel: a blind append, or positions alone.

use super::{
    account::{CommitAccount, MarkAccount},
    adds,
    create::metrics,
    error::{CommitError, Result},
    kernel::{KernelTable, engine_info},
    log::Change,
    segment::SHED_EVERY,
    state::TableState,
};
use crate::event::Offset;
use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use delta_kernel::{
    Engine,
    committer::FileSystemCommitter,
    engine::arrow_data::ArrowEngineData,
    schema::{DataType as KernelType, StructField, StructType},
    transaction::{CommitResult, UpdateTableOperation},
};
use std::sync::Arc;

impl KernelTable {
    /// One attempt. Any error but those of building the transaction leaves its fate unknown.
    pub(super) fn append(
        &self,
        engine: &dyn Engine,
        base: &TableState,
        change: &Change,
        marks: &[MarkAccount],
    ) -> Result<Arc<TableState>> {
        let kernel = |error| self.kernel_error("write to", error);
        let account = serde_json::to_string(&CommitAccount::new(&change.ranges, marks))
            .map_err(|error| CommitError::corrupt(&self.name, "write to", error))?;
        let (info, info_schema) = commit_info(&self.name, account)?;
        let with_files = !change.files.is_empty();
        let mut builder = base.snapshot.clone().update_table(
            UpdateTableOperation::StreamingUpdate,
            engine_info(),
            with_files,
        );
        if with_files {
            builder = builder.with_blind_append();
        }
        let mut transaction = builder
            .with_commit_info(info, info_schema)
            .with_operation_metrics(
                metrics(change)
                    .into_iter()
                    .map(|(name, value)| (name, Some(value))),
            )
            .build(engine, Box::new(FileSystemCommitter::new()))
            .map_err(kernel)?;
        let txns = txns(change, marks);
        for (app_id, version) in &txns {
            let version = i64::try_from(*version)
                .map_err(|error| CommitError::corrupt(&self.name, "write to", error))?;
            transaction = transaction.with_transaction_id(app_id.clone(), version);
        }
        if with_files {
            let batch = adds::batch(&self.name, &change.files, &base.layout.stats)?;
            transaction.add_files(Box::new(ArrowEngineData::new(batch)));
        }
        let snapshot = match transaction.commit(engine).map_err(kernel)? {
            CommitResult::Committed(committed) => committed.post_commit_snapshot().cloned(),
            CommitResult::Conflicted(conflict) => {
                return Err(self.conflict(conflict.conflict_version()));
            }
            CommitResult::Retryable(retryable) => return Err(kernel(retryable.error)),
        };
        // What is carried over from the base holds for the version after it alone. Without that
        // snapshot, though the answer was Committed, what follows is told by a reload.
        let Some(snapshot) = snapshot.filter(|found| found.version() == base.version + 1) else {
            return Err(self.conflict(base.version + 1));
        };
        let mut state = base.at(snapshot);
        // The base showed its positions, and this version moved these alone.
        {
            let mut positions = state.positions.lock();
            if !positions.complete {
                positions.clone_from(&base.positions.lock());
            }
            for (app_id, version) in txns {
                positions.known.insert(app_id, Some(version));
            }
        }
        if state.version.is_multiple_of(SHED_EVERY)
            && let Some(snapshot) = self.without_commits(engine, &state)
        {
            state.snapshot = snapshot;
            state.shed = true;
        }
        Ok(Arc::new(state))
    }
}

/// The `txn` actions of a change.
pub(super) fn txns(change: &Change, marks: &[MarkAccount]) -> Vec<(String, Offset)> {
    change
        .ranges
        .iter()
        .map(|range| (range.partition.id.app_id().to_owned(), range.range.end))
        .chain(marks.iter().map(|mark| (mark.app_id.clone(), mark.version)))
        .collect()
}

/// A `commitInfo` row that adds `userMetadata` to what the kernel writes.
pub(super) fn commit_info(
    table: &str,
    user_metadata: String,
) -> Result<(Box<ArrowEngineData>, Arc<StructType>)> {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "userMetadata",
        DataType::Utf8,
        true,
    )]));
    let batch = RecordBatch::try_new(
        schema,
        vec![Arc::new(StringArray::from(vec![user_metadata]))],
    )
    .map_err(|error| CommitError::corrupt(table, "write to", error))?;
    let schema = StructType::try_new([StructField::nullable("userMetadata", KernelType::STRING)])
        .map_err(|error| CommitError::kernel(table, "write to", error))?;
    Ok((Box::new(ArrowEngineData::new(batch)), Arc::new(schema)))
}
