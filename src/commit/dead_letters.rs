//! The verdicts that the dead-letter table holds (rule 11).

use super::{
    error::{CommitError, Result},
    table_log::TableLog,
};
use crate::event::Offset;
use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use delta_kernel::{
    Engine, KernelError,
    engine::arrow_data::EngineDataArrowExt,
    expressions::{Expression, Predicate},
    snapshot::SnapshotRef,
};
use std::sync::Arc;

const SOURCE_PARTITION: &str = "source_partition";
const OFFSET: &str = "_offset";
const INDEX: &str = "_index";
const TABLE: &str = "table";

impl TableLog {
    /// The records of `source_partition` with offsets in `[from, until)` that this table, a
    /// dead-letter table, holds: the table each was meant for, its offset and its index, in order.
    /// Empty where there is no table.
    ///
    /// Files are skipped by their statistics; memory is that of the window's own rows.
    ///
    /// # Errors
    /// Those of reading the table; Corrupt where it lacks the columns of a dead-letter table.
    pub async fn scan_dead_letters(
        &self,
        source_partition: &str,
        from: Offset,
        until: Offset,
    ) -> Result<Vec<(String, Offset, u32)>> {
        let Some(state) = self.load().await? else {
            return Ok(Vec::new());
        };
        if from >= until {
            return Ok(Vec::new());
        }
        let window = Window {
            source_partition: source_partition.to_owned(),
            from: i64::try_from(from).unwrap_or(i64::MAX),
            until: i64::try_from(until).unwrap_or(i64::MAX),
        };
        let mut found = self
            .log
            .blocking(move |table, engine| {
                table.with_readable(engine.as_ref(), &state, |snapshot| {
                    window.scan(snapshot, engine.clone()).map_err(|error| {
                        CommitError::kernel(&table.name, "read dead letters through", error)
                    })
                })
            })
            .await?;
        found.sort_unstable_by(|a, b| (a.1, a.2, &a.0).cmp(&(b.1, b.2, &b.0)));
        Ok(found)
    }
}

struct Window {
    source_partition: String,
    from: i64,
    until: i64,
}

impl Window {
    fn scan(
        &self,
        snapshot: &SnapshotRef,
        engine: Arc<dyn Engine>,
    ) -> Result<Vec<(String, Offset, u32)>, KernelError> {
        let schema = snapshot
            .schema()
            .project(&[SOURCE_PARTITION, OFFSET, INDEX, TABLE])?;
        let column = |name: &str| Expression::column([name]);
        let predicate = Predicate::and_from([
            Predicate::eq(
                column(SOURCE_PARTITION),
                Expression::literal(self.source_partition.as_str()),
            ),
            Predicate::ge(column(OFFSET), Expression::literal(self.from)),
            Predicate::lt(column(OFFSET), Expression::literal(self.until)),
        ]);
        let scan = snapshot
            .clone()
            .scan_builder()
            .with_schema(schema)
            .with_predicate(Arc::new(predicate))
            .build()?;
        let mut found = Vec::new();
        for batch in scan.execute(engine)? {
            // The predicate only skips files and row groups: rows are judged here.
            self.keep(&batch?.try_into_record_batch()?, &mut found)?;
        }
        Ok(found)
    }

    fn keep(
        &self,
        batch: &RecordBatch,
        found: &mut Vec<(String, Offset, u32)>,
    ) -> Result<(), KernelError> {
        let column = |index: usize, data_type: &DataType| cast(batch.column(index), data_type);
        let partitions = column(0, &DataType::Utf8)?;
        let offsets = column(1, &DataType::Int64)?;
        let indexes = column(2, &DataType::Int64)?;
        let tables = column(3, &DataType::Utf8)?;
        let (partitions, tables) = (partitions.as_string::<i32>(), tables.as_string::<i32>());
        let offsets = offsets.as_primitive::<Int64Type>();
        let indexes = indexes.as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            if partitions.is_null(row)
                || offsets.is_null(row)
                || partitions.value(row) != self.source_partition
                || !(self.from..self.until).contains(&offsets.value(row))
            {
                continue;
            }
            let table = if tables.is_null(row) {
                ""
            } else {
                tables.value(row)
            };
            let index = if indexes.is_null(row) {
                0
            } else {
                indexes.value(row)
            };
            let (Ok(offset), Ok(index)) =
                (Offset::try_from(offsets.value(row)), u32::try_from(index))
            else {
                continue;
            };
            found.push((table.to_owned(), offset, index));
        }
        Ok(())
    }
}
