//! What waits in `_rescued_data`, typed by looking at the newest rows.
//!
//! Rescued values are put back into events and decoded once more for the table's schema of now, so
//! that what is proposed is what `evolution = "auto"` would have done with them.

mod event;

use super::files;
use crate::{
    commit::{CommitRecord, TableLog, TableState},
    decode::{Decoder, Verdicts},
    error::Result,
    event::{
        ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, RoutedBatch, SourcePartition,
    },
    pipeline::TableSettings,
    schema::{self, Evolution, EvolutionPolicy, RESCUED_DATA, SchemaChange, Seen},
};
use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::DataType,
};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use std::sync::Arc;

/// The newest files looked into, the rows and bytes of `_rescued_data` taken of them.
const MAX_FILES: usize = 8;
const MAX_ROWS: usize = 10_000;
const MAX_BYTES: usize = 32 << 20;

/// What the newest rows hold beyond the schema.
#[derive(Debug, Default)]
pub(super) struct Proposed {
    /// Statements that would make room, in the order they would be run.
    pub(super) statements: Vec<String>,
    /// The same, not yet as text.
    pub(super) changes: Vec<SchemaChange>,
    pub(super) warnings: Vec<String>,
    pub(super) files: usize,
    pub(super) rows: usize,
    /// Files named by the log that are not there any more: compacted and swept.
    pub(super) gone: usize,
}

/// Looks into the newest files that our commits added with rescued rows.
///
/// # Errors
/// Those of the store; Corrupt for a file that is no Parquet.
pub(super) async fn propose(
    log: &TableLog,
    state: &TableState,
    settings: &TableSettings,
    commits: &[CommitRecord],
) -> Result<Proposed> {
    let mut proposed = Proposed::default();
    let Ok(field) = state.schema.columns.field_with_name(RESCUED_DATA) else {
        return Ok(proposed);
    };
    let column = schema::physical_name(field).to_owned();
    let mut texts: Vec<String> = Vec::new();
    let mut bytes = 0;
    'commits: for commit in commits.iter().rev() {
        let rescued = commit.account.iter().flat_map(|account| &account.ranges);
        if rescued.map(|range| range.counts.rescued).sum::<u64>() == 0 {
            continue;
        }
        for file in files::added(log, commit.version).await? {
            if proposed.files == MAX_FILES || texts.len() >= MAX_ROWS || bytes >= MAX_BYTES {
                break 'commits;
            }
            match values(log, &file.path, &column).await? {
                None => proposed.gone += 1,
                Some(found) => {
                    proposed.files += 1;
                    for text in found {
                        if texts.len() < MAX_ROWS && bytes < MAX_BYTES {
                            bytes += text.len();
                            texts.push(text);
                        }
                    }
                }
            }
        }
    }
    proposed.rows = texts.len();
    let events: Vec<String> = texts.iter().filter_map(|text| event::event(text)).collect();
    if events.is_empty() {
        return Ok(proposed);
    }
    let policy = EvolutionPolicy {
        evolution: Evolution::Plan,
        ..settings.evolution_of(Some(state))
    };
    let seen = seen(state, settings, &events)?;
    let evolved = schema::evolve(&state.schema, &seen, &policy);
    proposed.statements = statements(&settings.name, &evolved.proposals);
    proposed.warnings = evolved.warnings;
    proposed.changes = evolved.proposals;
    Ok(proposed)
}

/// The values of the column that are not null; `None` where the file is gone.
async fn values(log: &TableLog, path: &Path, column: &str) -> Result<Option<Vec<String>>> {
    let Some(builder) = files::open(log, path).await? else {
        return Ok(None);
    };
    let Some(index) = builder.schema().index_of(column).ok() else {
        return Ok(Some(Vec::new()));
    };
    let mask = ProjectionMask::roots(builder.parquet_schema(), [index]);
    let mut batches = builder
        .with_projection(mask)
        .with_batch_size(1_024)
        .build()
        .map_err(files::corrupt)?;
    let mut found = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(files::corrupt)?;
        let Ok(texts) = cast(batch.column(0), &DataType::Utf8) else {
            continue;
        };
        let texts = texts.as_string::<i32>();
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            bytes += texts.value(row).len();
            found.push(texts.value(row).to_owned());
        }
        if found.len() >= MAX_ROWS || bytes >= MAX_BYTES {
            break;
        }
    }
    Ok(Some(found))
}

/// What the events show beyond the table's schema.
fn seen(state: &TableState, settings: &TableSettings, events: &[String]) -> Result<Seen> {
    let mut slab = String::new();
    let mut records = Vec::with_capacity(events.len());
    for (offset, event) in (0..).zip(events) {
        let (Ok(start), Ok(end)) = (
            u32::try_from(slab.len()),
            u32::try_from(slab.len() + event.len()),
        ) else {
            break;
        };
        slab.push_str(event);
        records.push(RecordSpan {
            offset,
            value: start..end,
            key: None,
            headers: None,
            event_time: 0,
            table: u32::MAX,
            kind: RecordKind::Event,
        });
    }
    let raw = RawBatch {
        partition: Arc::new(Partition {
            id: SourcePartition::new("rescued"),
            source: "".into(),
            label: "".into(),
            topic: "".into(),
            number: 0,
        }),
        epoch: 0,
        start: 0,
        end: records.len() as u64,
        slab: Bytes::from(slab),
        records,
        tables: Vec::new(),
        permit: ByteBudget::new(MAX_BYTES as u64).charge(0),
    };
    let batch = RoutedBatch {
        raw: Arc::new(raw),
        select: None,
    };
    let mut decoder = Decoder::new(state.schema.clone(), settings.decode.clone())?;
    Ok(decoder.decode(&batch, &Verdicts::default(), 0)?.seen)
}

/// The changes in SQL, new columns of the whole table in one statement.
pub(super) fn statements(table: &str, changes: &[SchemaChange]) -> Vec<String> {
    let quoted = |path: &[&str]| {
        let parts: Vec<String> = path
            .iter()
            .map(|part| format!("`{}`", part.replace('`', "``")))
            .collect();
        parts.join(".")
    };
    let mut columns = Vec::new();
    let mut widened = Vec::new();
    for change in changes {
        match change {
            SchemaChange::AddColumn { parent, field } => {
                let mut path: Vec<&str> = parent.iter().map(String::as_str).collect();
                path.push(field.name());
                if let Ok(sql) = schema::types::to_sql(field.data_type()) {
                    columns.push(format!("{} {sql}", quoted(&path)));
                }
            }
            SchemaChange::Widen { path, to } => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                if let Ok(sql) = schema::types::to_sql(to) {
                    let table = quoted(&[table]);
                    widened.push(format!(
                        "alter table {table} alter column {} type {sql}",
                        quoted(&path)
                    ));
                }
            }
        }
    }
    if !columns.is_empty() {
        let add = format!(
            "alter table {} add columns ({})",
            quoted(&[table]),
            columns.join(", ")
        );
        widened.insert(0, add);
    }
    widened
}
