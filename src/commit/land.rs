//! The loop that repeats a commit until its fate is known.

use super::{
    account::MarkAccount,
    decide::{Claim, Decision, Evidence, MarkClaim, decide},
    error::{CommitError, Result},
    log::{Change, DeltaLog, Put},
};
use crate::{
    error::Kind,
    event::{Offset, SourcePartition},
    telemetry::Seldom,
};
use std::{sync::Arc, time::Instant};
use tokio_util::sync::CancellationToken;

/// How old files may be for a table that is not there yet: half of Delta's usual retention of seven days.
const NEW_TABLE_FILE_AGE_MS: i64 = 7 * 24 * 3_600_000 / 2;

/// One that lost against other writers so often may never get its turn.
const MANY_CONFLICTS: u32 = 8;

/// The fate of a [`Change`], and the snapshot that tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Landed<S> {
    /// The PUT was answered, or the ranges were found standing in `snapshot`.
    Committed {
        snapshot: S,
    },
    Stale {
        snapshot: S,
    },
    Fenced {
        snapshot: S,
        partition: SourcePartition,
        stored: Option<Offset>,
    },
}

/// Lands `change`, or says why it cannot.
///
/// `cached` is the newest snapshot known, which the first attempt may build on: its positions are
/// checked like any other's (rule 2), and the PUT conflicts where it is not the newest. An answer
/// other than Commit is never given from it, but from a reload. `table_id` is the table that positions were read
/// under, if one was ever seen.
///
/// # Errors
/// Unauthorized, unsupported and the like, once a reload has shown that nothing landed; what may
/// pass by itself is tried again until `cancel`.
pub(super) async fn land<L: DeltaLog>(
    log: &L,
    cached: Option<L::Snapshot>,
    table_id: Option<&str>,
    change: Arc<Change>,
    cancel: &CancellationToken,
) -> Result<Landed<L::Snapshot>> {
    let mut change = change;
    let mut cached = cached;
    let mut failures = 0;
    let mut warnings = Seldom::default();
    // What to report should the commit turn out not to have landed.
    let mut fault: Option<CommitError> = None;
    // The id found at the first sight of a table that was absent or unknown before.
    let mut seen_id: Option<String> = table_id.map(str::to_owned);
    loop {
        if failures > 0 {
            tokio::select! {
                () = log.pause(failures) => {}
                () = cancel.cancelled() => {}
            }
        }
        if cancel.is_cancelled() {
            return Err(CommitError::Cancelled {
                table: log.name().to_owned(),
            });
        }
        let first_look = cached.take();
        let from_cache = first_look.is_some();
        let snapshot = match first_look {
            Some(snapshot) => Some(snapshot),
            None => match log.latest().await {
                Ok(snapshot) => snapshot,
                Err(error) if error.kind().is_retryable() => {
                    failures += 1;
                    note(log, &error, failures, &mut warnings);
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        let Some(snapshot) = snapshot else {
            // No table. One that was there has gone; one that positions were expected of as well.
            if seen_id.is_some() || change.ranges.iter().any(|range| range.expected.is_some()) {
                return Err(CommitError::Gone {
                    table: log.name().to_owned(),
                });
            }
            if let Some(error) = fault.take_if(|error| !error.kind().is_retryable()) {
                return Err(error);
            }
            // Files that may have been cleaned up meanwhile are not named in a new table either (rule 8).
            if change
                .oldest
                .is_some_and(|oldest| log.now().saturating_sub(oldest) > NEW_TABLE_FILE_AGE_MS)
            {
                return Err(CommitError::Aged {
                    table: log.name().to_owned(),
                });
            }
            let marks = moving(&change, &vec![None; change.app_ids.len()]);
            match log.put(None, &change, &marks).await {
                Put::Committed(snapshot) => {
                    return Ok(Landed::Committed { snapshot });
                }
                // A table that is not there requires nothing.
                Put::Outdated => failures += 1,
                Put::Unknown(error) => {
                    failures += 1;
                    note(log, &error, failures, &mut warnings);
                    fault = Some(error);
                }
            }
            continue;
        };
        let stored = match log.positions(&snapshot, &change.app_ids).await {
            Ok(stored) => stored,
            Err(error) if error.kind().is_retryable() => {
                failures += 1;
                note(log, &error, failures, &mut warnings);
                continue;
            }
            Err(error) => return Err(error),
        };
        let found = log.table_id(&snapshot);
        let same_table = seen_id.as_deref().is_none_or(|id| id == found);
        let claims: Vec<Claim> = change
            .ranges
            .iter()
            .zip(&stored)
            .map(|(range, stored)| Claim {
                expected: range.expected,
                end: range.range.end,
                stored: *stored,
            })
            .collect();
        let marks: Vec<MarkClaim> = change
            .marks
            .iter()
            .zip(stored.iter().skip(claims.len()))
            .map(|(mark, stored)| MarkClaim {
                version: mark.version,
                stored: *stored,
            })
            .collect();
        let fresh = change.oldest.is_none_or(|oldest| {
            log.now().saturating_sub(oldest) <= log.longest_file_age(&snapshot)
        });
        let decision = decide(&Evidence {
            claims: &claims,
            marks: &marks,
            same_table,
            fits: change.files.is_empty()
                || std::iter::once(&change.schema)
                    .chain(&change.earlier)
                    .all(|schema| log.fits(&snapshot, schema)),
            fresh,
        });
        if from_cache && decision != Decision::Commit {
            continue;
        }
        match decision {
            Decision::Replaced => {
                return Err(CommitError::Replaced {
                    table: log.name().to_owned(),
                    expected: seen_id.unwrap_or_default(),
                    found: found.to_owned(),
                });
            }
            Decision::Landed => {
                let marks_stand = marks.iter().all(|mark| mark.stored >= Some(mark.version));
                if marks_stand {
                    return Ok(Landed::Committed { snapshot });
                }
                // Another writer landed the same ranges without our marks.
                change = Arc::new(change.marks_alone());
                fault = None;
                continue;
            }
            Decision::Fenced { index } => {
                let partition = change
                    .partition(index)
                    .unwrap_or_else(|| SourcePartition::new(""));
                return Ok(Landed::Fenced {
                    partition,
                    stored: stored.get(index).copied().flatten(),
                    snapshot,
                });
            }
            Decision::Stale => return Ok(Landed::Stale { snapshot }),
            Decision::Commit => {}
        }
        if let Some(error) = fault.take_if(|error| !error.kind().is_retryable()) {
            return Err(error);
        }
        seen_id.get_or_insert_with(|| found.to_owned());
        let marks = moving(&change, &stored);
        match log.put(Some(&snapshot), &change, &marks).await {
            Put::Committed(snapshot) => {
                return Ok(Landed::Committed { snapshot });
            }
            Put::Outdated => return Ok(Landed::Stale { snapshot }),
            Put::Unknown(error) => {
                failures += 1;
                note(log, &error, failures, &mut warnings);
                fault = Some(error);
            }
        }
    }
}

/// The marks that would move; the greater version stays.
fn moving(change: &Change, stored: &[Option<Offset>]) -> Vec<MarkAccount> {
    change
        .marks
        .iter()
        .zip(stored.iter().skip(change.ranges.len()))
        .filter(|(mark, stored)| **stored < Some(mark.version))
        .map(|(mark, _)| MarkAccount {
            app_id: mark.app_id.clone(),
            version: mark.version,
        })
        .collect()
}

/// Counts what went wrong, and warns of what is tried again without end where it is no ordinary conflict: nobody else
/// tells of it.
fn note<L: DeltaLog>(log: &L, error: &CommitError, failures: u32, warnings: &mut Seldom) {
    let (table, kind) = (log.name(), error.kind().as_str());
    metrics::counter!("alluvium_errors_total", "stage" => "commit", "kind" => kind).increment(1);
    let is_conflict = error.kind() == Kind::Conflict;
    if is_conflict {
        metrics::counter!("alluvium_commit_conflicts_total").increment(1);
    }
    let lasts = error.kind().is_retryable() && (!is_conflict || failures >= MANY_CONFLICTS);
    if lasts && warnings.is_due(Instant::now()) {
        tracing::warn!(table, kind, failures, "commit: {error}; trying again");
    } else {
        tracing::debug!(table, kind, %error, "the answer of the log is unknown, reloading");
    }
}
