//! What a spool's folder shows to who does not own it: nothing is locked, written or mended.

use super::{
    error::{Result, SpoolError},
    meta::Meta,
    segment,
};
use crate::event::Offset;
use std::{fs, path::Path};

/// A spool as its files tell it, which a running daemon may change at any moment.
#[derive(Clone, Debug)]
pub struct Look {
    pub pipeline: String,
    pub source: String,
    /// Oldest first; the last is current.
    pub identities: Vec<LookIdentity>,
    /// Everything below is committed, as last noted.
    pub low_water: Offset,
    /// No number below is given out again.
    pub sequence_floor: Offset,
    /// The first number of the oldest segment.
    pub oldest: Option<Offset>,
    pub segments: u64,
    pub bytes: u64,
}

/// One source partition of a spool: numbers from `first` on.
#[derive(Clone, Debug)]
pub struct LookIdentity {
    pub app_id: String,
    pub first: Offset,
}

/// Reads `spool.json` and the names and sizes of the segments; `None` where there is no spool.
///
/// # Errors
/// [`SpoolError::Corrupt`] for a `spool.json` that does not read, [`SpoolError::Io`].
pub fn look(folder: &Path) -> Result<Option<Look>> {
    let Some(meta) = Meta::load(folder)? else {
        return Ok(None);
    };
    let io = |error| SpoolError::io("list", folder)(error);
    let (mut oldest, mut segments, mut bytes) = (None, 0, 0);
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let Some(first) = segment::number(&entry.path(), "seg") else {
            continue;
        };
        // It may be let go between the listing and this.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        oldest = Some(oldest.map_or(first, |oldest: Offset| oldest.min(first)));
        segments += 1;
        bytes += metadata.len();
    }
    Ok(Some(Look {
        identities: meta
            .identities
            .iter()
            .map(|identity| LookIdentity {
                app_id: meta.partition(identity).id.app_id().to_owned(),
                first: identity.first,
            })
            .collect(),
        pipeline: meta.pipeline,
        source: meta.source,
        low_water: meta.low_water,
        sequence_floor: meta.sequence_floor,
        oldest,
        segments,
        bytes,
    }))
}
