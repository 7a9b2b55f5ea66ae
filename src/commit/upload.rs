//! What is handed to the log and what comes back.

use super::state::TableState;
use crate::{
    event::{CommitRange, DataFile, Offset, SourcePartition},
    schema::TableSchema,
};
use std::sync::Arc;

/// Files and the offset ranges they account for; lands in one version or not at all.
#[derive(Clone, Debug)]
pub struct Upload {
    /// May be empty: then only positions move.
    pub files: Vec<DataFile>,
    /// What the files were encoded for. An absent table is created with it.
    pub schema: Arc<TableSchema>,
    /// Further schemas that files of this upload were encoded for: columns were added meanwhile.
    pub earlier: Vec<Arc<TableSchema>>,
    /// At most one range per source partition, none empty. Files without a range are refused:
    /// whether they landed could not be told.
    pub ranges: Vec<CommitRange>,
    pub marks: Vec<Mark>,
}

/// A position of the ledger that only moves forward: a low-water mark, a start. Never fenced; the
/// greater one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub app_id: String,
    pub version: Offset,
}

/// What became of an [`Upload`].
#[derive(Clone, Debug)]
pub enum CommitOutcome {
    /// Every range is in the table, in `version` or (where the answer of a PUT was lost) before it.
    Committed {
        version: u64,
        state: Arc<TableState>,
    },
    /// The files fit the table no longer, or are too old to be named: encode the ranges again for
    /// `state` (rules 4 and 8). Nothing landed.
    Stale { state: Arc<TableState> },
    /// Another writer has moved `partition` to `stored`: drop the files, rewind what is still owned
    /// (rule 5). Nothing of this upload landed.
    Fenced {
        partition: SourcePartition,
        stored: Option<Offset>,
        state: Arc<TableState>,
    },
}

/// What became of a schema change.
#[derive(Clone, Debug)]
pub enum Evolved {
    /// The table has the columns.
    Applied(Arc<TableState>),
    /// Somebody else changed the table's metadata first: decide anew from this state.
    Moved(Arc<TableState>),
}

impl Evolved {
    pub fn state(&self) -> &Arc<TableState> {
        match self {
            Evolved::Applied(state) | Evolved::Moved(state) => state,
        }
    }
}
