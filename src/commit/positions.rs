//! Positions: the `txn` versions of exactly one snapshot, read as cheaply as can be.
//!
//! The kernel answers from a version checksum where there is one and else replays the log for each
//! app id. So they are carried from snapshot to snapshot: our own commits move what they move, and
//! those of others are read one by one.

use super::{
    error::{CommitError, Result},
    kernel::{KernelLog, KernelTable},
    state::{Positions, TableState},
};
use crate::event::Offset;
use delta_kernel::Engine;
use object_store::ObjectStoreExt;

/// The versions whose commits are read one by one to bring positions up to date; past it the
/// kernel is asked.
pub(super) const MAX_TAIL: u64 = 200;

/// Unknown positions that are worth making a checksum file for, as each is a replay of the log.
const CHECKSUM_FROM_UNKNOWN: usize = 2;

impl KernelTable {
    /// The positions of `unknown` at exactly this state.
    pub(super) fn read_positions(
        &self,
        engine: &dyn Engine,
        state: &TableState,
        unknown: Vec<String>,
    ) -> Result<Vec<(String, Option<Offset>)>> {
        if unknown.len() >= CHECKSUM_FROM_UNKNOWN {
            // One replay for all of them, and none at the next start. Where the log cannot be
            // summed up (ANALYZE and the like), each is looked for.
            match state.snapshot.write_checksum(engine) {
                Ok((_, snapshot)) => {
                    let positions = Positions::of(&snapshot);
                    if positions.complete {
                        *state.positions.lock() = positions.clone();
                        return Ok(unknown
                            .into_iter()
                            .map(|id| {
                                let stored = positions.known.get(&id).copied().flatten();
                                (id, stored)
                            })
                            .collect());
                    }
                }
                Err(error) => {
                    tracing::debug!(table = self.name, %error, "no checksum was written");
                }
            }
        }
        unknown
            .into_iter()
            .map(|id| {
                let stored = state
                    .snapshot
                    .get_app_id_version(&id, engine)
                    .map_err(|error| self.kernel_error("read", error))?;
                let stored = stored
                    .map(|version| {
                        Offset::try_from(version).map_err(|_| {
                            CommitError::corrupt(
                                &self.name,
                                "read",
                                format!("a position below zero, app_id=`{id}` version=`{version}`"),
                            )
                        })
                    })
                    .transpose()?;
                Ok((id, stored))
            })
            .collect()
    }
}

impl KernelLog {
    /// Carries the positions of `before` over to `state` by reading the commits between. Where one
    /// is missing or there are too many, the kernel is asked when a position is needed.
    pub(super) async fn advance_positions(
        &self,
        before: &TableState,
        state: &TableState,
    ) -> Result<()> {
        if state.positions.lock().complete || before.metadata_id != state.metadata_id {
            return Ok(());
        }
        if state.version - before.version > MAX_TAIL
            || state
                .snapshot
                .table_properties()
                .set_transaction_retention_duration
                .is_some()
        {
            return Ok(());
        }
        let mut positions = before.positions.lock().clone();
        for version in before.version + 1..=state.version {
            let path = self.inner.commit_path(version);
            let bytes = match self.inner.location.store.get(&path).await {
                Ok(found) => found.bytes().await,
                Err(error) => Err(error),
            };
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(CommitError::store(&self.inner.name, "read", error)),
            };
            for line in bytes.split(|byte| *byte == b'\n') {
                // Cheap first: most lines are files.
                if memchr::memmem::find(line, b"\"txn\"").is_none() {
                    continue;
                }
                let Ok(action) = serde_json::from_slice::<TxnLine>(line) else {
                    return Ok(());
                };
                if let Some(txn) = action.txn {
                    let Ok(version) = Offset::try_from(txn.version) else {
                        positions.known.remove(&txn.app_id);
                        positions.complete = false;
                        continue;
                    };
                    positions.known.insert(txn.app_id, Some(version));
                }
            }
        }
        *state.positions.lock() = positions;
        Ok(())
    }
}

/// A line of a commit, as far as it is a `txn`.
#[derive(serde::Deserialize)]
pub(super) struct TxnLine {
    pub(super) txn: Option<Txn>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Txn {
    pub(super) app_id: String,
    pub(super) version: i64,
}
