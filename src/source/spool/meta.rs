//! `spool.json`: who the spool is, and what its segments alone cannot say.

use super::{
    disk::{self, Disk},
    error::{Result, SpoolError},
};
use crate::event::{Offset, Partition, SourcePartition};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};
use uuid::Uuid;

const NAME: &str = "spool.json";

/// Replaced whole and fsynced at each change, which is rare: opening, confirming, letting segments go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meta {
    pub(super) format: u32,
    pub(super) pipeline: String,
    pub(super) source: String,
    /// Oldest first; the last is current. Sequences at or above `first`, up to the next identity's,
    /// are offsets of this source partition.
    pub(super) identities: Vec<Identity>,
    /// No number below this is given out again.
    pub(super) sequence_floor: Offset,
    /// Numbers from here on have not been handed on: whether a table stands above them, which would
    /// mean that this disk lost records (rule 17), has not been asked since.
    pub(super) unconfirmed_from: Option<Offset>,
    /// Everything below is committed and may be gone: the end of the last segment let go.
    pub(super) low_water: Offset,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// A random UUID, as text.
    pub(super) uuid: String,
    pub(super) first: Offset,
}

impl Meta {
    pub(super) fn new(pipeline: &str, source: &str) -> Self {
        Self {
            format: 1,
            pipeline: pipeline.into(),
            source: source.into(),
            identities: vec![Identity {
                uuid: Uuid::new_v4().to_string(),
                first: 0,
            }],
            sequence_floor: 0,
            unconfirmed_from: None,
            low_water: 0,
        }
    }

    pub(super) fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SpoolError::io("read", path)(error)),
        };
        let corrupt = |what: String| SpoolError::Corrupt {
            path: path.clone(),
            offset: 0,
            what,
        };
        let meta: Self =
            serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if meta.format != 1 {
            return Err(corrupt(format!(
                "format {} is newer than this program",
                meta.format
            )));
        }
        let ascending = meta
            .identities
            .windows(2)
            .all(|pair| pair[0].first <= pair[1].first);
        if meta.identities.is_empty() || !ascending {
            return Err(corrupt("its identities are empty or out of order".into()));
        }
        Ok(Some(meta))
    }

    pub(super) fn save(&self, folder: &Path, disk: &dyn Disk) -> Result<()> {
        let path = folder.join(NAME);
        let json = serde_json::to_vec_pretty(self).map_err(|error| SpoolError::Corrupt {
            path: path.clone(),
            offset: 0,
            what: error.to_string(),
        })?;
        disk::replace(disk, &path, &json).map_err(SpoolError::io("write", path))
    }

    /// The source partition of an identity (exactly-once.md, Identity).
    pub(super) fn partition(&self, identity: &Identity) -> Arc<Partition> {
        let (pipeline, source, uuid) = (&self.pipeline, &self.source, &identity.uuid);
        Arc::new(Partition {
            id: SourcePartition::new(format!("{pipeline}/{source}/spool-{uuid}")),
            source: source.as_str().into(),
            label: format!("{source}/spool-{uuid}").into(),
            topic: "".into(),
            number: 0,
        })
    }
}
