//! The newest commits, and what all that the log has state together.

use super::super::text;
use crate::{commit::CommitRecord, event::Counts};
use std::fmt::Write;

/// Commits shown.
const LAST: usize = 10;
/// Fields shown of those with rescued values.
const FIELDS: usize = 50;

/// The section on the newest commits.
pub(super) fn last(out: &mut String, commits: &[CommitRecord]) {
    if commits.is_empty() {
        return;
    }
    out.push_str("\nlast commits\n");
    let mut rows = vec![text::row([
        "VERSION",
        "TIME",
        "ROWS",
        "RESCUED",
        "FILES",
        "OPERATION",
        "BY",
    ])];
    for commit in commits.iter().rev().take(LAST) {
        let ours = commit.account.as_ref().map(|account| {
            let mut counts = Counts::default();
            account
                .ranges
                .iter()
                .for_each(|range| counts.add(&range.counts));
            counts
        });
        let number = |of: fn(&Counts) -> u64| {
            ours.as_ref()
                .map_or_else(|| "-".to_owned(), |counts| of(counts).to_string())
        };
        let files = match (commit.added_files, commit.removed_files) {
            (added, 0) => added.to_string(),
            (added, removed) => format!("{added}, {removed} removed"),
        };
        rows.push(vec![
            commit.version.to_string(),
            text::time(commit.timestamp),
            number(|c| c.rows),
            number(|c| c.rescued),
            files,
            commit.operation.clone().unwrap_or_else(|| "-".into()),
            commit.engine.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    out.push_str(&text::columns(2, &rows));
}

/// What our commits state together.
pub(super) fn totals(out: &mut String, commits: &[CommitRecord], counts: &Counts) {
    let ours = commits.iter().filter(|c| c.account.is_some()).count();
    let _ = writeln!(
        out,
        "\nin {} of alluvium that the log still has",
        text::count(ours as u64, "commit", "commits")
    );
    let rows = [
        ("rows", counts.rows),
        ("with rescued values", counts.rescued),
        ("dead letters besides", counts.dead_letters),
        ("skipped (tombstones)", counts.skipped),
    ]
    .map(|(what, n)| vec![what.to_owned(), n.to_string()]);
    out.push_str(&text::columns(2, &rows));
}

/// Rescued values by field, where there are any.
pub(super) fn fields(out: &mut String, counts: &Counts) {
    if counts.rescued_fields.is_empty() {
        return;
    }
    out.push_str("\nrescued values by field\n");
    let mut fields: Vec<(&String, &u64)> = counts.rescued_fields.iter().collect();
    fields.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut rows = vec![text::row(["VALUES", "FIELD"])];
    rows.extend(
        fields
            .iter()
            .take(FIELDS)
            .map(|(field, n)| vec![n.to_string(), (*field).clone()]),
    );
    out.push_str(&text::columns(2, &rows));
    if fields.len() > FIELDS {
        let _ = writeln!(out, "  and {} more fields", fields.len() - FIELDS);
    }
}
