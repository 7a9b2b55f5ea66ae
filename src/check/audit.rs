//! Proves from tables alone that offsets were accounted for once (exactly-once.md, rule 21).
//!
//! In: what the commits of a table say in their metadata, as far back as its log goes. Out: for each
//! source partition the window in which its ranges join and its counts add up, and findings where they
//! do not. Everything here is a pure function; reading logs is the caller's.
//!
//! A jump that a reset's own commit announces is told, not counted as a fault.
//!
//! What is not proved: that rows are still there (a DELETE is lawful, so commit metadata is what
//! counts), and that a range's counts are true. What a cleaned log no longer tells is said, not
//! guessed.

mod fan_out;
mod finding;
mod history;
mod joins;
mod letters;
mod proof;
mod report;
#[cfg(test)]
mod tests;
mod view;

pub use fan_out::audit_source;
pub use finding::{Finding, Problem};
pub use history::{
    PartitionProof, RangeRecord, ResetRecord, TableHistory, TableReport, VersionRecord,
};
pub use proof::{FanOutProof, Rules, SourceReport, Undecided, Why};

use joins::Audit;
use std::collections::BTreeMap;

/// Audits one table.
pub fn audit_table(history: &TableHistory) -> TableReport {
    let mut audit = Audit {
        table: &history.table,
        states: BTreeMap::new(),
        resets: Vec::new(),
        reset_first: BTreeMap::new(),
        findings: Vec::new(),
    };
    audit.versions(&history.versions);
    let first = history.versions.first().map(|v| v.version);
    let from_the_beginning = first == Some(0);

    let mut unprovable = Vec::new();
    if let Some(first) = first.filter(|&v| v > 0) {
        unprovable.push(format!(
            "versions below {first} are cleaned from the log; what they committed cannot be proved any more"
        ));
    }
    for (app_id, state) in &audit.states {
        if !state.proof.complete && !from_the_beginning {
            unprovable.push(format!(
                "{app_id}: proved from offset {} (version {}) on; of the offsets below only the position is known",
                state.proof.window.start, state.proof.from_version
            ));
        }
    }
    audit.last_positions(&history.positions);
    for (app_id, position) in &history.positions {
        // The ledger keeps low-water marks and starts beside positions: `SourcePartition`.
        let is_mark = app_id.ends_with("!low-water") || app_id.ends_with("!start");
        let is_set = audit.reset_first.contains_key(app_id);
        if !audit.states.contains_key(app_id) && !is_mark && !is_set {
            unprovable.push(format!(
                "{app_id}: stands at {position}, but no range in the log names it; it was committed before \
                 version {} or by another writer",
                first.unwrap_or(0)
            ));
        }
    }
    if from_the_beginning {
        audit.first_ranges();
    }
    TableReport {
        table: history.table.clone(),
        versions: first.zip(history.versions.last().map(|v| v.version)),
        foreign_versions: history.versions.iter().filter(|v| v.foreign).count(),
        partitions: audit.states.into_values().map(|s| s.proof).collect(),
        resets: audit.resets,
        findings: audit.findings,
        unprovable,
    }
}
