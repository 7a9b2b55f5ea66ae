//! `alluvium table show`.

mod commits;
mod letters;
mod siblings;

use super::{Report, app_id::AppId, files, open, open::Table, rescued, text};
use crate::{
    commit::{CommitRecord, TableState},
    config::Config,
    error::Result,
    event::{Counts, Offset},
    schema::{self, Evolution},
};
use arrow::datatypes::Field;
use std::{collections::BTreeMap, fmt::Write};

/// Positions shown; `table positions` shows all.
const POSITIONS: usize = 20;

/// Everything about a table that its log tells.
///
/// # Errors
/// Config for a table that is not there; those of loading it.
pub(super) async fn show_table(config: &Config, name: &str) -> Result<Report> {
    let lake = open::lake(config)?;
    let table = open::named(config, &lake, name).await?;
    let commits = table.log.history().await?;
    let positions = table.log.all_positions().await?;
    let mut counts = Counts::default();
    for range in commits
        .iter()
        .filter_map(|c| c.account.as_ref())
        .flat_map(|a| &a.ranges)
    {
        counts.add(&range.counts);
    }
    let mut out = String::new();
    head(&mut out, name, &table, &commits);
    columns(&mut out, &table.state);
    commits::last(&mut out, &commits);
    commits::totals(&mut out, &commits, &counts);
    commits::fields(&mut out, &counts);
    if name != config.dead_letters.table {
        let versions: Vec<u64> = commits.iter().map(|commit| commit.version).collect();
        let current = files::current(&table.log, &versions).await?;
        siblings::section(&mut out, table.state.schema.columns.fields(), &current);
    }
    letters::section(&mut out, config, &lake, name).await?;
    proposals(&mut out, &table, &commits, &counts).await?;
    stands(&mut out, name, &positions);
    Ok(Report::clean(out))
}

fn head(out: &mut String, name: &str, table: &Table, commits: &[CommitRecord]) {
    let state = &table.state;
    let protocol = &state.protocol;
    let features = match protocol.features.is_empty() {
        true => "no features".to_owned(),
        false => format!("features {}", protocol.features.join(", ")),
    };
    let partitioning = match state.schema.partition_columns.is_empty() {
        true => "none".to_owned(),
        false => state.schema.partition_columns.join(", "),
    };
    let mut writers: BTreeMap<String, u64> = BTreeMap::new();
    for commit in commits {
        let writer = commit
            .engine
            .clone()
            .unwrap_or_else(|| "an unnamed writer".into());
        *writers.entry(writer).or_default() += 1;
    }
    let writers: Vec<String> = writers.iter().map(|(w, n)| format!("{n} by {w}")).collect();
    let first = commits.first().map_or(state.version, |c| c.version);
    let log = match commits.is_empty() {
        true => "none but a checkpoint".to_owned(),
        false => format!(
            "{} ({first} to {}): {}",
            text::count(commits.len() as u64, "version", "versions"),
            state.version,
            writers.join(", ")
        ),
    };
    let properties: Vec<String> = state
        .properties
        .iter()
        .map(|(k, v)| format!("{k} = {v}"))
        .collect();
    let _ = writeln!(out, "table {name}");
    let mut rows = vec![
        vec!["location".into(), table.log.location().url.to_string()],
        vec!["id".into(), state.metadata_id.clone()],
        vec!["version".into(), state.version.to_string()],
        vec!["in the log".into(), log],
        vec![
            "protocol".into(),
            format!(
                "reader {}, writer {}, {features}",
                protocol.min_reader_version, protocol.min_writer_version
            ),
        ],
        vec!["partitioned by".into(), partitioning],
    ];
    for (i, property) in properties.into_iter().enumerate() {
        let key = if i == 0 { "properties" } else { "" };
        rows.push(vec![key.into(), property]);
    }
    out.push_str(&text::columns(2, &rows));
}

fn columns(out: &mut String, state: &TableState) {
    out.push_str("\nschema\n");
    let rows: Vec<Vec<String>> = state
        .schema
        .columns
        .fields()
        .iter()
        .map(|f| column(f))
        .collect();
    out.push_str(&text::columns(2, &rows));
}

fn column(field: &Field) -> Vec<String> {
    let mut sql = schema::types::to_sql(field.data_type())
        .unwrap_or_else(|_| format!("{:?}", field.data_type()));
    if !field.is_nullable() {
        sql += " not null";
    }
    vec![field.name().clone(), sql]
}

async fn proposals(
    out: &mut String,
    table: &Table,
    commits: &[CommitRecord],
    counts: &Counts,
) -> Result<()> {
    if counts.rescued == 0 || table.settings.evolution.evolution != Evolution::Plan {
        return Ok(());
    }
    let proposed = rescued::propose(&table.log, &table.state, &table.settings, commits).await?;
    let _ = writeln!(
        out,
        "\nchanges proposed (evolution = \"plan\"), from {} in {}",
        text::count(
            proposed.rows as u64,
            "row with rescued values",
            "rows with rescued values"
        ),
        text::count(proposed.files as u64, "newest file", "newest files"),
    );
    if proposed.gone > 0 {
        let _ = writeln!(
            out,
            "  {} compacted and swept since, not looked at",
            text::count(proposed.gone as u64, "file was", "files were")
        );
    }
    for statement in &proposed.statements {
        let _ = writeln!(out, "  {statement};");
    }
    if proposed.statements.is_empty() {
        out.push_str("  none: no new column would take these values\n");
    }
    for warning in &proposed.warnings {
        let _ = writeln!(out, "  note: {warning}");
    }
    Ok(())
}

fn stands(out: &mut String, name: &str, positions: &BTreeMap<String, Offset>) {
    let ours: Vec<_> = positions
        .iter()
        .filter(|(app_id, _)| AppId::parse(app_id) != AppId::Other)
        .collect();
    if ours.is_empty() {
        return;
    }
    out.push_str("\npositions\n");
    let rows: Vec<Vec<String>> = ours
        .iter()
        .take(POSITIONS)
        .map(|(app_id, at)| vec![(*app_id).clone(), at.to_string()])
        .collect();
    out.push_str(&text::columns(2, &rows));
    if ours.len() > POSITIONS {
        let _ = writeln!(
            out,
            "  and {} more: alluvium table positions {name}",
            ours.len() - POSITIONS
        );
    }
}
