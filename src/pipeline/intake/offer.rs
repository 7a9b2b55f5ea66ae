//! A batch on its way to its tables: routing, room, and which tables are left behind.

use super::{
    super::{
        retry::stopping,
        tables::Handle,
        tracker::{Feed, Given},
        worker::{Delivery, What, withhold_inbox},
    },
    SourceIntake,
};
use crate::{
    error::{Error, Kind, Result},
    event::{Offer, Offset, Partition, RawBatch, RejectReason, RoutedBatch},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a source waits for the only tables it is seen to feed before it reads on without them, for
/// the sake of tables that may come behind.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// One table's share of a raw batch.
struct Share {
    handle: Handle,
    name: Arc<str>,
    first: Offset,
    records: Records,
}

enum Records {
    Rows(Option<Vec<u32>>),
    Unroutable(Vec<(u32, RejectReason)>),
}

impl SourceIntake {
    /// Which tables get what of the batch.
    fn shares(&self, batch: &RawBatch) -> Result<Vec<Share>> {
        let routed = self.router.lock().route(batch);
        let mut unroutable = routed.unroutable;
        let mut shares = Vec::with_capacity(routed.tables.len() + 1);
        for (name, select) in routed.tables {
            let first = match &select {
                None => batch.records.first(),
                Some(select) => select.first().and_then(|i| batch.records.get(*i as usize)),
            };
            let Some(first) = first.map(|record| record.offset) else {
                continue;
            };
            match self.tables.worker(&name)? {
                Some(handle) => shares.push(Share {
                    handle,
                    name,
                    first,
                    records: Records::Rows(select),
                }),
                None => {
                    let reason = RejectReason {
                        code: "unroutable",
                        detail: format!("more tables than lake.max_tables, table=`{name}`").into(),
                    };
                    let records =
                        select.unwrap_or_else(|| (0..batch.records.len() as u32).collect());
                    unroutable.extend(records.into_iter().map(|i| (i, reason.clone())));
                }
            }
        }
        if !unroutable.is_empty() {
            unroutable.sort_by_key(|(i, _)| *i);
            let name = self.tables.shared().ledger.name.clone();
            let handle = self.tables.worker(&name)?.ok_or_else(|| {
                Error::new(
                    Kind::Config,
                    "no table can be opened for dead letters; raise lake.max_tables",
                )
            })?;
            let first = unroutable
                .first()
                .and_then(|(i, _)| batch.records.get(*i as usize))
                .map_or(batch.start, |record| record.offset);
            shares.push(Share {
                handle,
                name,
                first,
                records: Records::Unroutable(unroutable),
            });
        }
        Ok(shares)
    }

    /// Routes a batch and gives each table its share, without waiting. An error: the pipeline stops, or a
    /// table cannot be opened.
    pub(super) fn try_offer(&self, batch: RawBatch) -> Result<Offer> {
        let shared = self.tables.shared();
        let Some(withheld) = shared.registry.withheld(&batch.partition.id, batch.epoch) else {
            return Ok(Offer::Stale);
        };
        tracing::trace!(
            partition = %batch.partition.id,
            epoch = batch.epoch,
            start = batch.start,
            end = batch.end,
            records = batch.records.len(),
            bytes = batch.slab.len(),
            "offered"
        );
        let shares = self.shares(&batch)?;
        let now = Instant::now();
        let (mut slots, mut blocked) = (Vec::with_capacity(shares.len()), Vec::new());
        for share in &shares {
            let is_withheld = withheld.contains(&share.name);
            let slot = if is_withheld {
                None
            } else {
                share.handle.inbox.try_reserve(now)
            };
            if slot.is_none() && !is_withheld {
                blocked.push(share);
            }
            slots.push(slot);
        }
        let has_blocked = !blocked.is_empty();
        if has_blocked && shared.cancel.is_cancelled() {
            return Err(stopping());
        }
        if (has_blocked || slots.iter().any(Option::is_none))
            && !self.may_leave_behind(&batch.partition, &withheld, &blocked, now)
        {
            return Ok(Offer::Full(batch));
        }
        let feeds: Vec<Feed> = shares
            .iter()
            .zip(&slots)
            .map(|(share, slot)| Feed {
                table: share.name.clone(),
                first: share.first,
                withhold: slot.is_none(),
            })
            .collect();
        let Some(given) = shared.registry.read(&batch, &feeds) else {
            return Ok(Offer::Stale);
        };
        shared
            .rates
            .taken(batch.records.len() as u64, batch.slab.len() as u64);
        for (share, slot) in shares.iter().zip(&slots) {
            if slot.is_some() {
                continue;
            }
            let inbox = &share.handle.inbox;
            let is_withheld = withheld.contains(&share.name);
            // Another partition, or an epoch begun for another table, tells nothing new.
            if (!is_withheld || inbox.shut_since().is_some()) && inbox.is_news() {
                left_behind(&batch, share);
            }
            if !is_withheld {
                withhold_inbox(shared, &share.name, inbox);
            }
        }
        let raw = Arc::new(batch);
        for ((share, slot), given) in shares.into_iter().zip(slots).zip(given) {
            match (slot, given) {
                (Some(slot), Given::Numbered(number)) => slot.send(Delivery {
                    share: number,
                    what: share.records.of(&raw),
                }),
                // Without a slot it is withheld, and with one where it was shed just now.
                _ => {
                    let records = share.records.len(&raw);
                    metrics::counter!("alluvium_pipeline_withheld_records_total")
                        .increment(records as u64);
                }
            }
        }
        Ok(Offer::Accepted)
    }

    /// Whether the partition is read on without the tables that have no room: where it may feed others,
    /// and each of these has had none for so long that it is no matter of moments. What is passed over is
    /// read again when they make progress.
    fn may_leave_behind(
        &self,
        partition: &Partition,
        withheld: &[Arc<str>],
        blocked: &[&Share],
        now: Instant,
    ) -> bool {
        if self.is_bounded || !self.router.lock().is_fan_out() {
            return false;
        }
        if blocked.is_empty() {
            return true;
        }
        let is_behind = |table: &Arc<str>| {
            withheld.contains(table) || blocked.iter().any(|share| share.name == *table)
        };
        let fed = self.tables.shared().registry.fed(&partition.id);
        let feeds_others = fed
            .iter()
            .any(|table| !is_behind(table) && !self.tables.is_shut(table));
        blocked.iter().all(|share| {
            let handle = &share.handle;
            handle.inbox.shut_since().is_some()
                || handle.inbox.refuses_for(now)
                    >= if feeds_others {
                        handle.gauges.patience(now)
                    } else {
                        LONG_PATIENCE
                    }
        })
    }
}

impl Records {
    fn of(self, raw: &Arc<RawBatch>) -> What {
        let raw = raw.clone();
        match self {
            Records::Rows(select) => What::Rows(RoutedBatch { raw, select }),
            Records::Unroutable(letters) => What::Unroutable { raw, letters },
        }
    }

    fn len(&self, raw: &RawBatch) -> usize {
        match self {
            Records::Rows(None) => raw.records.len(),
            Records::Rows(Some(select)) => select.len(),
            Records::Unroutable(letters) => letters.len(),
        }
    }
}

fn left_behind(batch: &RawBatch, share: &Share) {
    tracing::warn!(
        table = &*share.name,
        partition = %batch.partition.id,
        offset = share.first,
        "the table stands still and is left behind, so that others go on; look at its store and at the warnings of its uploads and commits. It catches up by itself, nothing is lost while the source keeps the records"
    );
}
