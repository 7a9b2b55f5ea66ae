//! The dead letters of one table, by reason, as the dead-letter table holds them.

use super::super::{
    files::{self, Added, Current},
    open::{self, Table},
    text,
};
use crate::{config::Config, error::Result, schema, storage::Lake};
use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::DataType,
};
use futures::StreamExt;
use parquet::arrow::ProjectionMask;
use std::{collections::BTreeMap, fmt::Write};

/// The newest files looked into, and the rows of them.
const MAX_FILES: usize = 256;
const MAX_ROWS: u64 = 1_000_000;
/// Reasons shown.
const REASONS: usize = 20;

/// What was counted.
#[derive(Debug, Default)]
struct Counted {
    by_reason: BTreeMap<String, u64>,
    files: usize,
    /// Files or rows were left out.
    is_partial: bool,
    /// Deleted rows are among those counted.
    has_deletions: bool,
}

/// The section on a table's dead letters, where the ledger holds any.
///
/// # Errors
/// Those of reading the dead-letter table.
pub(super) async fn section(
    out: &mut String,
    config: &Config,
    lake: &Lake,
    name: &str,
) -> Result<()> {
    let ledger_name = &config.dead_letters.table;
    let Some(ledger) = open::find(config, lake, ledger_name).await? else {
        return Ok(());
    };
    // In the ledger's own report its letters of all tables are counted.
    let of = (name != ledger_name).then_some(name);
    let commits = ledger.log.history().await?;
    let versions: Vec<u64> = commits.iter().map(|commit| commit.version).collect();
    let current = files::current(&ledger.log, &versions).await?;
    let counted = count(&ledger, &current, of).await?;
    if counted.by_reason.is_empty() && !counted.is_partial {
        return Ok(());
    }
    let _ = match of {
        Some(_) => writeln!(out, "\ndead letters in {ledger_name} by reason"),
        None => writeln!(out, "\ndead letters of all tables by reason"),
    };
    tell(out, &counted, &current);
    Ok(())
}

fn tell(out: &mut String, counted: &Counted, current: &Current) {
    let mut reasons: Vec<(&String, &u64)> = counted.by_reason.iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut rows = vec![text::row(["LETTERS", "REASON"])];
    let shown = reasons.iter().take(REASONS);
    rows.extend(shown.map(|(reason, n)| vec![n.to_string(), (*reason).clone()]));
    match reasons.is_empty() {
        true => out.push_str("  none\n"),
        false => out.push_str(&text::columns(2, &rows)),
    }
    if reasons.len() > REASONS {
        let _ = writeln!(out, "  and {} more reasons", reasons.len() - REASONS);
    }
    if counted.has_deletions {
        out.push_str("  rows deleted in files that are still there are counted\n");
    }
    if counted.is_partial {
        let files = text::count(counted.files as u64, "newest file", "newest files");
        let _ = writeln!(out, "  in the {files} that may hold any; there are more");
    } else if let Some(version) = current.from_version {
        let _ = writeln!(
            out,
            "  in files added since version {version}; older ones are not counted"
        );
    }
}

async fn count(ledger: &Table, current: &Current, of: Option<&str>) -> Result<Counted> {
    let mut counted = Counted::default();
    let column = |name: &str| {
        let field = ledger.state.schema.columns.field_with_name(name).ok()?;
        Some(schema::physical_name(field).to_owned())
    };
    let (Some(table), Some(reason)) = (column("table"), column("reason")) else {
        return Ok(counted);
    };
    let mut rows = 0_u64;
    for file in &current.files {
        if of.is_some_and(|of| !may_hold(file, &table, of)) {
            continue;
        }
        if counted.files == MAX_FILES || rows >= MAX_ROWS {
            counted.is_partial = true;
            break;
        }
        let Some(builder) = files::open(&ledger.log, &file.path).await? else {
            continue;
        };
        counted.files += 1;
        counted.has_deletions |= file.has_deletions;
        let columns = builder.parquet_schema();
        let mask = ProjectionMask::columns(columns, [table.as_str(), reason.as_str()]);
        let mut batches = builder
            .with_projection(mask)
            .with_batch_size(8_192)
            .build()
            .map_err(files::corrupt)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(files::corrupt)?;
            let text = |name: &str| {
                let column = batch.column_by_name(name)?;
                cast(column, &DataType::Utf8).ok()
            };
            let Some((tables, reasons)) = text(&table).zip(text(&reason)) else {
                break;
            };
            let (tables, reasons) = (tables.as_string::<i32>(), reasons.as_string::<i32>());
            rows += batch.num_rows() as u64;
            for row in 0..batch.num_rows() {
                let is_its = |of| tables.is_valid(row) && tables.value(row) == of;
                if !of.is_none_or(is_its) {
                    continue;
                }
                let reason = match reasons.is_valid(row) {
                    true => reasons.value(row),
                    false => "none given",
                };
                match counted.by_reason.get_mut(reason) {
                    Some(n) => *n += 1,
                    None => {
                        counted.by_reason.insert(reason.to_owned(), 1);
                    }
                }
            }
        }
    }
    Ok(counted)
}

/// Whether the statistics leave room for the table: long values are cut at both ends so that the
/// bounds still hold.
fn may_hold(file: &Added, column: &str, table: &str) -> bool {
    let bound = |which: &str| file.stats.get(which)?.get(column)?.as_str();
    bound("minValues").is_none_or(|min| min <= table)
        && bound("maxValues").is_none_or(|max| table <= max)
}
