//! Rows by partition values.

use super::{Result, partition_value, project};
use crate::event::WriteSpec;
use arrow::{
    array::{ArrayRef, RecordBatch, UInt32Array},
    row::{RowConverter, SortField},
};
use std::collections::HashMap;

/// One value per partition column, in the table's order.
pub(super) type Key = Vec<Option<String>>;

/// Which rows of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Selection {
    All,
    /// A run of rows: start and length.
    Run(usize, usize),
    Rows(UInt32Array),
}

impl Selection {
    fn of(rows: Vec<u32>, total: usize) -> Self {
        match (rows.first(), rows.last()) {
            _ if rows.len() == total => Selection::All,
            (Some(&first), Some(&last)) if (last - first) as usize + 1 == rows.len() => {
                Selection::Run(first as usize, rows.len())
            }
            _ => Selection::Rows(rows.into()),
        }
    }

    pub(super) fn of_batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        Ok(match self {
            Selection::All => batch.clone(),
            Selection::Run(start, length) => batch.slice(*start, *length),
            Selection::Rows(rows) => arrow::compute::take_record_batch(batch, rows)?,
        })
    }
}

/// Splits batches by the partition columns of one table.
#[derive(Debug)]
pub(super) struct Splitter {
    converter: RowConverter,
}

impl Splitter {
    /// `None` for a table without partition columns.
    pub(super) fn new(spec: &WriteSpec) -> Result<Option<Self>> {
        if spec.partition_columns.is_empty() {
            return Ok(None);
        }
        let fields = spec
            .partition_columns
            .iter()
            .filter_map(|c| spec.logical.fields().get(c.index))
            .map(|f| SortField::new(f.data_type().clone()))
            .collect();
        Ok(Some(Self {
            converter: RowConverter::new(fields)?,
        }))
    }

    /// Every row of a batch that is not empty is in exactly one selection; within one, rows keep their order.
    pub(super) fn split(
        &self,
        spec: &WriteSpec,
        rows: &RecordBatch,
    ) -> Result<Vec<(Key, Selection)>> {
        let total = rows.num_rows();
        let columns: Vec<ArrayRef> = spec
            .partition_columns
            .iter()
            .map(|c| project::column(spec, rows, c.index).cloned())
            .collect::<Result<_>>()?;
        let key_at = |row| -> Result<Key> {
            let value = |(column, array)| {
                let column: &crate::event::PartitionColumn = column;
                partition_value::serialise(&column.logical_name, array, row)
            };
            spec.partition_columns
                .iter()
                .zip(&columns)
                .map(value)
                .collect()
        };
        let encoded = self.converter.convert_columns(&columns)?;
        let first = encoded.row(0);
        if (1..total).all(|row| encoded.row(row) == first) {
            return Ok(vec![(key_at(0)?, Selection::All)]);
        }

        let mut by_bytes: HashMap<&[u8], usize> = HashMap::new();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut previous: Option<(&[u8], usize)> = None;
        for row in 0..total {
            let bytes = encoded.row(row).data();
            let group = match previous {
                Some((same, group)) if same == bytes => group,
                _ => *by_bytes.entry(bytes).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                }),
            };
            previous = Some((bytes, group));
            groups[group].push(row as u32);
        }

        // Values that differ may be spelled alike: null and "", -0.0 and 0.0.
        let mut by_key: HashMap<Key, usize> = HashMap::new();
        let mut merged: Vec<(Key, Vec<u32>)> = Vec::new();
        for rows in groups {
            let Some(&first) = rows.first() else { continue };
            let key = key_at(first as usize)?;
            match by_key.get(&key) {
                Some(&at) => {
                    merged[at].1.extend(rows);
                    merged[at].1.sort_unstable();
                }
                None => {
                    by_key.insert(key.clone(), merged.len());
                    merged.push((key, rows));
                }
            }
        }
        let select = |(key, rows)| (key, Selection::of(rows, total));
        Ok(merged.into_iter().map(select).collect())
    }
}
