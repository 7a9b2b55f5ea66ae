//! What a process has committed, for the summary at its end.

use crate::event::CommitRange;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counted as commits land.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: AtomicU64,
    rescued: AtomicU64,
    skipped: AtomicU64,
    dead_letters: AtomicU64,
    files: AtomicU64,
    versions: AtomicU64,
}

/// The numbers of a finished run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Committed {
    pub rows: u64,
    /// Rows with at least one value in `_rescued_data`.
    pub rescued_rows: u64,
    /// Tombstones and empty values.
    pub skipped: u64,
    pub dead_letters: u64,
    pub files: u64,
    pub versions: u64,
}

impl Tally {
    pub(crate) fn version(&self, files: usize, ranges: &[CommitRange]) {
        for range in ranges {
            self.rows.fetch_add(range.counts.rows, Relaxed);
            self.rescued.fetch_add(range.counts.rescued, Relaxed);
            self.skipped.fetch_add(range.counts.skipped, Relaxed);
        }
        self.files.fetch_add(files as u64, Relaxed);
        self.versions.fetch_add(1, Relaxed);
    }

    pub(crate) fn dead_letters(&self, letters: usize) {
        self.dead_letters.fetch_add(letters as u64, Relaxed);
    }

    pub(crate) fn committed(&self) -> Committed {
        Committed {
            rows: self.rows.load(Relaxed),
            rescued_rows: self.rescued.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            dead_letters: self.dead_letters.load(Relaxed),
            files: self.files.load(Relaxed),
            versions: self.versions.load(Relaxed),
        }
    }
}
