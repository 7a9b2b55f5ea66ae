//! `alluvium table audit` and `alluvium audit`: tables' histories into the audit, and its verdict.

mod verdict;

pub(super) use verdict::{highest, lost, prove};

use super::{
    Report,
    app_id::AppId,
    audit::{self, RangeRecord, ResetRecord, Rules, TableHistory, VersionRecord},
    open, reread,
};
use crate::{
    commit::TableLog,
    config::{Config, SourceOptions},
    error::{Error, Kind, Result},
    route::{Binding, Router},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};
use verdict::{plural, verdict};

/// Proves rule 21 of one table.
///
/// # Errors
/// Config for a table that is not there; those of reading its log.
pub(super) async fn audit_table(config: &Config, name: &str) -> Result<Report> {
    let lake = open::lake(config)?;
    let table = open::named(config, &lake, name).await?;
    let is_ledger = name == config.dead_letters.table;
    let history = history(&table.log, is_ledger).await?;
    let report = audit::audit_table(&history);
    let mut text = report.to_string();
    text.push_str("\nverdict\n");
    match report.findings.len() {
        0 if report.partitions.is_empty() => {
            text.push_str(
                "  no commit in the log is one of alluvium's: there is nothing to prove\n",
            );
        }
        0 => {
            text.push_str("  PROVED for this table: its ranges join, no offset is in two of them, and their counts add up");
            text.push_str(match report.unprovable.is_empty() {
                true => "\n",
                false => ", as far back as its log goes\n",
            });
            text.push_str(
                "  not asked here: whether offsets that belong to other tables are there, which takes \
                 `alluvium audit --source NAME`\n",
            );
        }
        n => {
            let _ = writeln!(
                text,
                "  NOT PROVED: {n} {}, told above",
                plural(n, "finding", "findings")
            );
        }
    }
    text.push_str(
        "  never proved by an audit: that rows are still there, since a DELETE is lawful\n",
    );
    Ok(Report {
        text,
        faults: report.findings.len() as u64,
        kind: Kind::InvalidData,
    })
}

/// What a table's log tells, at one version.
pub(super) async fn history(log: &TableLog, is_ledger: bool) -> Result<TableHistory> {
    let positions = log.all_positions().await?;
    // Commits made since are left out: the positions do not know them.
    let newest = log.state().map_or(0, |state| state.version);
    let commits = log.history().await?;
    let versions = commits
        .into_iter()
        .filter(|commit| commit.version <= newest)
        .map(|commit| {
            let foreign = commit.account.is_none();
            let account = commit.account.unwrap_or_default();
            VersionRecord {
                version: commit.version,
                timestamp: commit.timestamp.unwrap_or(0),
                ranges: account
                    .ranges
                    .into_iter()
                    .map(|range| RangeRecord {
                        app_id: range.partition,
                        start: range.start,
                        expected: range.expected,
                        end: range.end,
                        counts: range.counts,
                    })
                    .collect(),
                resets: account
                    .resets
                    .into_iter()
                    .map(|reset| ResetRecord {
                        app_id: reset.app_id,
                        from: reset.from,
                        to: reset.to,
                    })
                    .collect(),
                foreign,
            }
        })
        .collect();
    Ok(TableHistory {
        table: log.name().to_owned(),
        is_ledger,
        versions,
        positions: positions
            .into_iter()
            .filter(|(app_id, _)| AppId::parse(app_id) != AppId::Other)
            .collect(),
    })
}

/// Proves rule 21 over all tables of a source, reading again what counts do not decide.
///
/// # Errors
/// Config for a source that is not configured; those of the lake. A table that does not load is told
/// in the report.
pub(super) async fn audit_source(config: &Config, source: &str) -> Result<Report> {
    let Some(options) = config.sources.get(source) else {
        let sources: Vec<&str> = config.sources.keys().map(String::as_str).collect();
        let known = match sources.is_empty() {
            true => "it has none".to_owned(),
            false => format!("sources=`{}`", sources.join(", ")),
        };
        return Err(Error::new(
            Kind::Config,
            format!("the configuration has no such source, {known} source=`{source}`"),
        ));
    };
    let lake = open::lake(config)?;
    let prefix = format!("{}/{source}/", config.pipeline);
    let mut unread: Vec<String> = Vec::new();

    // The marks first, the dead letters last: what a mark covers is in the tables read after it, and
    // the letters of their rows were committed before them.
    let ledger_name = &config.dead_letters.table;
    let ledger = open::find(config, &lake, ledger_name).await?;
    let mut marks = BTreeMap::new();
    if let Some(ledger) = &ledger {
        for (app_id, at) in ledger.log.all_positions().await? {
            if let AppId::LowWater { partition } = AppId::parse(&app_id) {
                marks.insert(partition.to_owned(), at);
            }
        }
    }
    let mut histories = Vec::new();
    for name in open::all_names(config, &lake).await? {
        let read = async {
            match open::find(config, &lake, &name).await? {
                Some(table) => Ok(Some(history(&table.log, false).await?)),
                None => Ok::<_, Error>(None),
            }
        };
        match read.await {
            Ok(found) => histories.extend(found.and_then(|h| of_source(h, &prefix))),
            Err(error) => unread.push(format!("table {name}: {error}")),
        }
    }
    // Where there is none, letters that tables speak of are missing.
    let letters = match &ledger {
        Some(ledger) => of_source(history(&ledger.log, true).await?, &prefix),
        None => None,
    };
    histories.push(letters.unwrap_or_else(|| TableHistory {
        table: ledger_name.clone(),
        is_ledger: true,
        ..TableHistory::default()
    }));
    let partial = !unread.is_empty();
    let rules = Rules {
        partial,
        ..rules(config, source, options, &histories)?
    };
    let mut report = audit::audit_source(&histories, &marks, &rules);
    let notes = match options {
        SourceOptions::Kafka(_) if partial => {
            vec!["not read again: what the unreadable table holds is not known".to_owned()]
        }
        SourceOptions::Kafka(options) => reread::kafka(config, source, options, &mut report).await,
        SourceOptions::Http(_) => reread::spool(config, source, &report).await,
    };
    let faults = report.findings.len()
        + report
            .tables
            .iter()
            .map(|t| t.findings.len())
            .sum::<usize>()
        + unread.len();
    let mut text = report.to_string();
    if !notes.is_empty() {
        text.push_str("\nthe source itself\n");
        for note in &notes {
            let _ = writeln!(text, "  {note}");
        }
    }
    for table in &unread {
        let _ = writeln!(
            text,
            "\nFOUND a table that cannot be read, so nothing it holds counts: {table}"
        );
    }
    text.push_str(&verdict(source, &report.partitions, faults));
    Ok(Report {
        text,
        faults: faults as u64,
        kind: Kind::InvalidData,
    })
}

/// A table's history without the partitions of other sources; `None` where it has none of this one.
fn of_source(mut history: TableHistory, prefix: &str) -> Option<TableHistory> {
    let ours = |app_id: &str| app_id.starts_with(prefix);
    history.positions.retain(|app_id, _| ours(app_id));
    for version in &mut history.versions {
        version.ranges.retain(|range| ours(&range.app_id));
        version.resets.retain(|reset| ours(&reset.app_id));
    }
    let any = history.versions.iter().any(|v| !v.ranges.is_empty());
    (any || !history.positions.is_empty()).then_some(history)
}

/// Which partitions are copied to several tables, and whether tombstones may be in no count.
fn rules(
    config: &Config,
    source: &str,
    options: &SourceOptions,
    histories: &[TableHistory],
) -> Result<Rules> {
    let bound = config
        .tables
        .keys()
        .map(|name| config.table(name))
        .filter(|table| table.source.as_deref() == Some(source))
        .map(|table| Binding {
            table: table.name,
            topics: (!table.topics.is_empty()).then_some(table.topics),
        })
        .collect();
    let (template, unplaced) = match options {
        SourceOptions::Http(options) => (&options.table, false),
        SourceOptions::Kafka(options) => (&options.table, true),
    };
    let router = Router::new(source, template, bound, config.lake.max_tables)?;
    let app_ids: BTreeSet<&str> = histories
        .iter()
        .flat_map(|h| &h.versions)
        .flat_map(|v| &v.ranges)
        .map(|range| range.app_id.as_str())
        .collect();
    let copied = app_ids
        .into_iter()
        .filter(|app_id| router.bound_to(topic(app_id)).len() > 1)
        .map(str::to_owned)
        .collect();
    Ok(Rules {
        copied,
        unplaced,
        partial: false,
    })
}

/// The topic of a Kafka partition's app id; empty for a spool.
fn topic(app_id: &str) -> &str {
    let name = app_id.split('/').nth(2).unwrap_or_default();
    name.split_once('#').map_or("", |(topic, _)| topic)
}
