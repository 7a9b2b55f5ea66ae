//! One table, as the other rooms see it.

use super::{
    checkpoint::Checkpoints,
    error::{CommitError, Result},
    kernel::KernelLog,
    land::{Landed, land},
    log::{Change, DeltaLog},
    options::CommitOptions,
    state::TableState,
    upload::{CommitOutcome, Upload},
};
use crate::{event::Offset, storage::TableLocation};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// The log of one table. Several may be open on one table, in one process or in many: they agree
/// through the store's conditional PUT alone.
pub struct TableLog {
    pub(super) log: KernelLog,
    pub(super) checkpoints: Arc<Checkpoints>,
    /// The `metaData.id` that positions were first read under (rule 6).
    pub(super) table_id: Arc<Mutex<Option<String>>>,
    /// Set when the newest state known is worth reading anew, as after a checkpoint.
    pub(super) refresh: Arc<AtomicBool>,
}

impl TableLog {
    /// Does no I/O. `name` is the table's name in errors, metrics and SQL.
    pub fn new(location: TableLocation, name: &str, options: CommitOptions) -> Self {
        Self {
            log: KernelLog::new(location, name, options),
            checkpoints: Arc::default(),
            table_id: Arc::default(),
            refresh: Arc::default(),
        }
    }

    pub fn name(&self) -> &str {
        self.log.name()
    }

    pub fn location(&self) -> &TableLocation {
        &self.log.inner.location
    }

    /// Reads the newest version; `None` where there is no table.
    ///
    /// # Errors
    /// Unsupported for a table that we do not write correctly (invariant 8), naming the feature,
    /// property or column and the statement that mends it; Corrupt for a log that does not load,
    /// and where the table is another one than before (rule 6).
    pub async fn load(&self) -> Result<Option<Arc<TableState>>> {
        let state = self.log.latest().await?;
        match &state {
            Some(state) => self.know(state)?,
            None => {
                if self.table_id.lock().is_some() {
                    return Err(CommitError::Gone {
                        table: self.name().to_owned(),
                    });
                }
            }
        }
        Ok(state)
    }

    /// The newest state known, without reading.
    pub fn state(&self) -> Option<Arc<TableState>> {
        self.log.state()
    }

    /// The position of each app id: of the newest version if `fresh`, else of the newest known.
    /// All absent where there is no table.
    ///
    /// # Errors
    /// As [`TableLog::load`].
    pub async fn positions(&self, app_ids: &[String], fresh: bool) -> Result<Vec<Option<Offset>>> {
        let known = if fresh { None } else { self.log.state() };
        let state = match known {
            Some(state) => Some(state),
            None => self.load().await?,
        };
        match state {
            Some(state) => self.log.positions(&state, app_ids).await,
            None => Ok(vec![None; app_ids.len()]),
        }
    }

    /// Lands an upload, trying until its fate is known or `cancel`; an absent table is made with it
    /// in version 0 (rule 6).
    ///
    /// # Errors
    /// What trying again does not mend, such as Unauthorized, once a reload has shown that the
    /// upload did not land; Unavailable when cancelled, with its fate unknown. The same upload may
    /// be handed in again after either.
    pub async fn commit(&self, upload: Upload, cancel: CancellationToken) -> Result<CommitOutcome> {
        let started = Instant::now();
        let change = Arc::new(Change::new(self.name(), upload)?);
        let bytes: u64 = change
            .files
            .iter()
            .map(|file| (file.path.len() + file.stats.len() + 200) as u64)
            .sum();
        let cached = if self.refresh.swap(false, Ordering::Relaxed) {
            None
        } else {
            self.log.state()
        };
        let table_id = self.table_id.lock().clone();
        let landed = land(&self.log, cached, table_id.as_deref(), change, &cancel).await;
        let outcome = match &landed {
            Ok(Landed::Committed { .. }) => "committed",
            Ok(Landed::Stale { .. }) => "stale",
            Ok(Landed::Fenced { .. }) => "fenced",
            Err(_) => "error",
        };
        metrics::histogram!("alluvium_commit_duration_seconds", "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
        match landed? {
            Landed::Committed { snapshot } => {
                self.know(&snapshot)?;
                // One whose answer was lost counts as well.
                self.after_commit(bytes);
                Ok(CommitOutcome::Committed {
                    version: snapshot.version,
                    state: snapshot,
                })
            }
            Landed::Stale { snapshot } => {
                self.know(&snapshot)?;
                Ok(CommitOutcome::Stale { state: snapshot })
            }
            Landed::Fenced {
                snapshot,
                partition,
                stored,
            } => {
                self.know(&snapshot)?;
                Ok(CommitOutcome::Fenced {
                    partition,
                    stored,
                    state: snapshot,
                })
            }
        }
    }

    /// Remembers which table this is.
    pub(super) fn know(&self, state: &TableState) -> Result<()> {
        let mut id = self.table_id.lock();
        match id.as_deref() {
            Some(id) if id != state.metadata_id => Err(CommitError::Replaced {
                table: self.name().to_owned(),
                expected: id.to_owned(),
                found: state.metadata_id.clone(),
            }),
            Some(_) => Ok(()),
            None => {
                *id = Some(state.metadata_id.clone());
                Ok(())
            }
        }
    }
}
