//! `alluvium table positions`.

use super::{Report, app_id::AppId, open, text};
use crate::{config::Config, error::Result, event::Offset};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// The positions of a table, and what the ledger says of the same partitions.
///
/// # Errors
/// Config for a table that is not there; those of loading it.
pub(super) async fn table_positions(config: &Config, table: &str) -> Result<Report> {
    let lake = open::lake(config)?;
    let found = open::named(config, &lake, table).await?;
    let positions = found.log.all_positions().await?;
    let version = found.log.state().map_or(found.state.version, |s| s.version);
    let ledger_name = &config.dead_letters.table;
    let ledger = match table == ledger_name {
        true => None,
        false => match open::find(config, &lake, ledger_name).await? {
            Some(ledger) => Some(ledger.log.all_positions().await?),
            None => None,
        },
    };
    let mut out = String::new();
    let _ = writeln!(out, "table {table}, version {version}");
    if table == ledger_name {
        let _ = writeln!(
            out,
            "the dead-letter table, which is the ledger of the marks"
        );
    }
    out.push('\n');
    out.push_str(&describe(&positions, ledger.as_ref(), ledger_name, table));
    Ok(Report::clean(out))
}

/// The sections on a table's own positions, the ledger's marks of them, and other programs' txns.
pub(super) fn describe(
    positions: &BTreeMap<String, Offset>,
    ledger: Option<&BTreeMap<String, Offset>>,
    ledger_name: &str,
    table: &str,
) -> String {
    let mut out = String::new();
    let (ours, others): (Vec<_>, Vec<_>) = positions
        .iter()
        .partition(|(app_id, _)| AppId::parse(app_id) != AppId::Other);
    if ours.is_empty() {
        out.push_str("no positions of alluvium\n");
    } else {
        out.push_str("positions\n");
        out.push_str(&listed(ours.iter().map(|(id, at)| (id.as_str(), **at))));
    }
    if let Some(ledger) = ledger {
        let partitions: BTreeSet<&str> = ours.iter().map(|(id, _)| id.as_str()).collect();
        let marks: Vec<(&str, Offset)> = ledger
            .iter()
            .filter(|(app_id, _)| match AppId::parse(app_id) {
                AppId::LowWater { partition } | AppId::Start { partition } => {
                    partitions.contains(partition)
                }
                AppId::DeadLetters {
                    partition,
                    table: of,
                } => partitions.contains(partition) && (of == table || of.is_empty()),
                _ => false,
            })
            .map(|(app_id, at)| (app_id.as_str(), *at))
            .collect();
        if marks.is_empty() {
            let _ = writeln!(
                out,
                "\nthe ledger {ledger_name} has no marks of these partitions"
            );
        } else {
            let _ = writeln!(out, "\nmarks in the ledger {ledger_name}");
            out.push_str(&listed(marks.into_iter()));
        }
    }
    if !others.is_empty() {
        out.push_str("\ntxns of other programs\n");
        let mut rows = vec![text::row(["  VERSION", "APP ID"])];
        rows.extend(
            others
                .iter()
                .map(|(id, at)| vec![format!("  {at}"), id.to_string()]),
        );
        out.push_str(&text::columns(0, &rows));
    }
    out
}

fn listed<'a>(of: impl Iterator<Item = (&'a str, Offset)>) -> String {
    let mut rows = vec![text::row(["SOURCE PARTITION", "OFFSET", "WHAT"])];
    for (app_id, at) in of {
        let kind = AppId::parse(app_id);
        let partition = app_id
            .split_once('!')
            .map_or(app_id, |(partition, _)| partition);
        rows.push(vec![partition.to_owned(), at.to_string(), kind.words()]);
    }
    text::columns(2, &rows)
}
