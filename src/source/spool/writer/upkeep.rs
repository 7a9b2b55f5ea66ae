//! What the writer does between groups: lets committed segments go and settles the identity.

use super::{
    super::{
        error::{Result, SpoolError},
        meta::{Identity, Meta},
    },
    State, Writer, now_micros,
};
use crate::event::Offset;
use std::fs;
use uuid::Uuid;

impl Writer {
    pub(super) fn truncate(&mut self, low_water: Offset) {
        self.let_go(low_water);
        self.report_room();
    }

    pub(super) fn let_go(&mut self, low_water: Offset) {
        if let Err(error) = self.remove_below(low_water) {
            metrics::counter!("alluvium_errors_total", "stage" => "spool", "kind" => error.kind().as_str()).increment(1);
            tracing::warn!(%error, "committed segments of the spool stay for now");
        }
    }

    /// Removes segments of which every event is below `low_water`, the one being written apart.
    fn remove_below(&mut self, low_water: Offset) -> Result<()> {
        let current = match &self.state {
            State::Idle => None,
            State::Open(segment) | State::Failed(segment) => Some(segment.first),
        };
        let gone: Vec<_> = {
            let log = self.shared.log.lock();
            log.segments
                .iter()
                .take_while(|segment| segment.end <= low_water && Some(segment.first) != current)
                .cloned()
                .collect()
        };
        let Some(end) = gone.last().map(|segment| segment.end) else {
            return Ok(());
        };
        {
            // Below this mark events may be missing from now on. It is the end of what goes, not the
            // tables' mark, which may lie amid a segment that stays and is read again after a kill.
            let mut meta = self.shared.meta.lock().clone();
            meta.low_water = meta.low_water.max(end);
            meta.sequence_floor = meta.sequence_floor.max(self.next);
            while meta
                .identities
                .get(1)
                .is_some_and(|next| next.first <= low_water)
            {
                meta.identities.remove(0);
            }
            self.save(meta)?;
        }
        for segment in gone {
            let saved = self.shared.keys.save(
                &self.shared.folder,
                &*self.disk,
                segment.first,
                segment.end,
            )?;
            if let Some(newest) = saved {
                let path = self
                    .shared
                    .folder
                    .join(format!("{:020}.keys", segment.first));
                self.key_files.push((path, newest));
            }
            fs::remove_file(&segment.path).map_err(SpoolError::io("remove", &segment.path))?;
            self.shared
                .log
                .lock()
                .segments
                .retain(|other| other.first != segment.first);
        }
        let oldest = now_micros().saturating_sub(self.shared.keys.window_micros());
        self.key_files
            .retain(|(path, newest)| *newest >= oldest || fs::remove_file(path).is_err());
        Ok(())
    }

    pub(super) fn confirm(&mut self) -> Result<()> {
        let mut meta = self.shared.meta.lock().clone();
        if meta.unconfirmed_from.take().is_none() {
            return Ok(());
        }
        self.save(meta)
    }

    pub(super) fn adopt(&mut self) -> Result<()> {
        let mut meta = self.shared.meta.lock().clone();
        let first = meta.unconfirmed_from.take().unwrap_or(self.next);
        meta.identities.push(Identity {
            uuid: Uuid::new_v4().to_string(),
            first,
        });
        self.save(meta)
    }

    fn save(&self, meta: Meta) -> Result<()> {
        meta.save(&self.shared.folder, &*self.disk)?;
        *self.shared.meta.lock() = meta;
        Ok(())
    }
}
