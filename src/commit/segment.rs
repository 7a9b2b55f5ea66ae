//! Snapshots made of what is known, without asking the store.
//!
//! A snapshot of the kernel lists every commit since its checkpoint, and each commit of ours copies
//! that list to the next snapshot. Committing needs none of it where the version checksum in memory
//! is complete, so the state that commits build on sheds it now and then; whoever reads the files of
//! a table asks for [`KernelTable::with_readable`].

use super::{
    error::{CommitError, Result},
    kernel::KernelTable,
    state::TableState,
};
use delta_kernel::{
    Engine, FileMeta, KernelError, LogPath,
    crc::{Crc, DomainMetadataState, SetTransactionState},
    snapshot::{PublicationWatermark, Snapshot, SnapshotHint, SnapshotHintFreshness, SnapshotRef},
};
use std::sync::Arc;

/// The versions after which a state sheds its list of commits.
pub(super) const SHED_EVERY: u64 = 64;

/// Whether committing on `snapshot` needs nothing of the log: its version checksum is in memory and
/// tells all positions and domains.
fn needs_no_log(snapshot: &SnapshotRef) -> bool {
    snapshot.crc_at_version().is_some_and(|crc| {
        matches!(crc.set_transaction_state, SetTransactionState::Complete(_))
            && matches!(crc.domain_metadata_state, DomainMetadataState::Complete(_))
    })
}

impl TableState {
    /// Whether `snapshot`, made from this state's, lacks the log as this one does: a checkpoint that
    /// others wrote since, found by listing, makes the list whole again.
    pub(super) fn still_shed(&self, snapshot: &SnapshotRef) -> bool {
        let base = |snapshot: &SnapshotRef| snapshot.log_segment().checkpoint_version;
        self.shed && base(snapshot) == base(&self.snapshot)
    }
}

/// A checkpoint of one file that this process wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckpointFile {
    pub(super) version: u64,
    /// In bytes, as readers of the footer need it.
    pub(super) size: u64,
}

impl KernelTable {
    /// `state`'s snapshot without its list of commits, good for committing and for advancing;
    /// `None` where committing might look into the log.
    pub(super) fn without_commits(
        &self,
        engine: &dyn Engine,
        state: &TableState,
    ) -> Option<SnapshotRef> {
        if !needs_no_log(&state.snapshot) || !state.positions.lock().complete {
            return None;
        }
        let crc = state.snapshot.crc_at_version().cloned();
        // As if a checkpoint stood at this very version: nothing reads it.
        let base = CheckpointFile {
            version: state.version,
            size: 1,
        };
        self.assembled(engine, state, base, crc)
            .inspect_err(|error| {
                tracing::debug!(table = self.name, %error, "the list of commits is kept");
            })
            .ok()
    }

    /// Whether `snapshot`, which was advanced from `before`, is to be listed anew: it lacks the log,
    /// and its checksum does not stand in for it any more, as after very many commits of others.
    ///
    /// Never asked of what a commit of ours left: the checksum carries on over it, and a listing
    /// would show a newer version than the one that we know.
    pub(super) fn lacks_the_log(before: &TableState, snapshot: &SnapshotRef) -> bool {
        before.still_shed(snapshot) && !needs_no_log(snapshot)
    }

    /// Reads the log through a snapshot of the state's version or a newer one. Others clean up the
    /// log and write checkpoints anew: where that undid what a shed state knows of it, `read` is
    /// called once more, on what a listing shows.
    ///
    /// # Errors
    /// Those of listing, and those of `read`.
    pub(super) fn with_readable<T>(
        &self,
        engine: &dyn Engine,
        state: &TableState,
        read: impl Fn(&SnapshotRef) -> Result<T>,
    ) -> Result<T> {
        match read(&self.readable(engine, state)?) {
            Err(error) if state.shed => {
                tracing::debug!(table = self.name, %error, "the log is listed anew");
                *self.last_checkpoint.lock() = None;
                read(&self.listed(engine)?)
            }
            done => done,
        }
    }

    /// A snapshot that should list the log as it is.
    fn readable(&self, engine: &dyn Engine, state: &TableState) -> Result<SnapshotRef> {
        if !state.shed {
            return Ok(state.snapshot.clone());
        }
        let base = *self.last_checkpoint.lock();
        if let Some(base) = base.filter(|base| base.version <= state.version)
            && let Ok(snapshot) = self.assembled(
                engine,
                state,
                base,
                state.snapshot.crc_at_version().cloned(),
            )
        {
            return Ok(snapshot);
        }
        self.listed(engine)
    }

    /// The newest snapshot, by listing the log.
    pub(super) fn listed(&self, engine: &dyn Engine) -> Result<SnapshotRef> {
        self.snapshot(engine, None)
            .map_err(|error| self.load_error(error))?
            .ok_or_else(|| CommitError::Gone {
                table: self.name.clone(),
            })
    }

    /// The snapshot at the state's version that reads `base` and every commit after it.
    fn assembled(
        &self,
        engine: &dyn Engine,
        state: &TableState,
        base: CheckpointFile,
        crc: Option<Arc<Crc>>,
    ) -> Result<SnapshotRef, KernelError> {
        let configuration = state.snapshot.table_configuration();
        let mut paths = vec![self.log_file(
            &format!("{:020}.checkpoint.parquet", base.version),
            base.size,
        )?];
        // The newest commit is looked up for its timestamp even where a checkpoint covers it.
        for version in (base.version + 1).min(state.version)..=state.version {
            paths.push(self.log_file(&format!("{version:020}.json"), 1)?);
        }
        let hint = SnapshotHint::try_new(
            self.root_url.as_str(),
            state.version,
            PublicationWatermark::PublishedThrough(state.version),
            paths,
            configuration.protocol().clone(),
            configuration.metadata().clone(),
            None,
            crc,
            SnapshotHintFreshness::Latest,
        )?;
        Snapshot::builder_for(self.root_url.as_str())
            .with_snapshot_hint(hint)
            .build(engine)
    }

    /// Commits are read whole, so their size only has to be more than nothing.
    fn log_file(&self, name: &str, size: u64) -> Result<LogPath, KernelError> {
        let location = self
            .root_url
            .join("_delta_log/")
            .and_then(|folder| folder.join(name))
            .map_err(KernelError::generic_err)?;
        LogPath::try_new(FileMeta {
            location,
            last_modified: 0,
            size,
        })
    }
}
