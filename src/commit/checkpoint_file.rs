//! The file of a checkpoint, written as it is read: memory holds one row group of actions and the
//! names of the table's files.
//!
//! The kernel writes checkpoints too, but with all of a table's actions in one row group, and what
//! is written in one row group is held in memory, here and by every reader.

use super::{
    error::{CommitError, Result},
    kernel::KernelTable,
    parts::PartWriter,
    segment::CheckpointFile,
};
use arrow::array::RecordBatch;
use delta_kernel::{
    Engine, KernelError, checkpoint::LastCheckpointHintStats,
    engine::arrow_data::EngineDataArrowExt, snapshot::SnapshotRef,
};
use parquet::{
    arrow::{AsyncArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::Compression,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Actions of one row group.
const ROW_GROUP_ACTIONS: usize = 16 * 1024;

/// Bytes of one part of the upload, the least that S3 takes; one part is under way at a time.
const PART_BYTES: usize = 5 << 20;

/// Columns whose values are all different: a dictionary of them is work for nothing, and so is the
/// greatest of a thousand texts.
const DISTINCT: [&[&str]; 3] = [&["add", "path"], &["add", "stats"], &["remove", "path"]];

/// Writes the checkpoint of `snapshot` and points `_last_checkpoint` to it. To be called where
/// blocking is allowed, within a runtime.
///
/// # Errors
/// Those of reading the log and of writing; a checkpoint that is not finished harms nobody.
pub(super) fn write(
    table: &KernelTable,
    engine: &dyn Engine,
    snapshot: &SnapshotRef,
) -> Result<CheckpointFile> {
    let kernel = |error: KernelError| CommitError::kernel(&table.name, "checkpoint", error);
    let parquet = |error: parquet::errors::ParquetError| {
        CommitError::kernel(&table.name, "checkpoint", KernelError::from(error))
    };
    let runtime = Handle::current();
    let version = snapshot.version();
    let path = table
        .log_path()
        .join(format!("{version:020}.checkpoint.parquet"));
    let writer = snapshot
        .clone()
        .create_checkpoint_writer(engine)
        .map_err(kernel)?;
    let mut actions = writer.checkpoint_data(engine).map_err(kernel)?;
    let counts = actions.state();
    let mut next = || -> Result<Option<RecordBatch>> {
        let Some(batch) = actions.next() else {
            return Ok(None);
        };
        batch
            .and_then(|batch| batch.apply_selection_vector())
            .and_then(|rows| rows.try_into_record_batch())
            .map(Some)
            .map_err(kernel)
    };
    let first = next()?.ok_or_else(|| {
        CommitError::corrupt(&table.name, "checkpoint", "the log holds no actions")
    })?;
    let sink = PartWriter::new(table.location.store.clone(), path, PART_BYTES);
    let options = ArrowWriterOptions::new()
        .with_properties(properties())
        .with_skip_arrow_metadata(true);
    let mut file =
        AsyncArrowWriter::try_new_with_options(sink, first.schema(), options).map_err(parquet)?;
    let fill = || -> Result<()> {
        let mut batch = Some(first);
        while let Some(rows) = batch {
            runtime.block_on(file.write(&rows)).map_err(parquet)?;
            batch = next()?;
        }
        runtime.block_on(file.finish()).map_err(parquet)?;
        Ok(())
    };
    if let Err(error) = fill() {
        runtime.block_on(file.into_inner().abort());
        return Err(error);
    }
    let size = file.bytes_written() as u64;
    drop(actions);
    let counts = Arc::into_inner(counts).ok_or_else(|| {
        CommitError::corrupt(
            &table.name,
            "checkpoint",
            "its actions are still being read",
        )
    })?;
    let stats =
        LastCheckpointHintStats::from_reconciliation_state(counts, size, 0).map_err(kernel)?;
    writer.finalize(engine, &stats).map_err(kernel)?;
    Ok(CheckpointFile { version, size })
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        // What every reader of checkpoints knows.
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ACTIONS))
        // Null counts let readers skip the row groups without metadata, protocol or positions.
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in DISTINCT {
        let column = ColumnPath::from(
            column
                .iter()
                .map(|part| (*part).to_owned())
                .collect::<Vec<_>>(),
        );
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_statistics_enabled(column, EnabledStatistics::None);
    }
    properties.build()
}
