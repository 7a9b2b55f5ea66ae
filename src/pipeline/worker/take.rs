//! Batches into lanes, and the beginning of an epoch.

use super::{
    super::{
        lane::{Lane, letter_stream},
        ledger::{Judged, Ledger},
        retry::Backoff,
    },
    Delivery, What, Worker,
    round::event_bytes,
};
use crate::{
    batch::FlushReason,
    commit::TableLog,
    error::Result,
    event::{Counts, DeadLetter, Offset, Partition, RawBatch, RejectReason, RoutedBatch},
};
use std::{collections::HashSet, sync::Arc, time::Instant};

/// A table that does not exist yet is inferred from what came in at most this many raw bytes.
const INFERENCE_BYTES: u64 = 4 << 20;

impl Worker {
    pub(super) async fn take(&mut self, delivery: Delivery) -> Result<()> {
        // First of all: looking at the table may end the epoch of what is held.
        {
            let _asking = self.gauges.asking();
            self.ensure_loaded().await?;
        }
        let raw = delivery.raw().clone();
        let (partition, epoch) = (&raw.partition, raw.epoch);
        let is_over = self
            .state
            .dropped
            .get(&partition.id)
            .is_some_and(|dropped| epoch <= *dropped)
            || !self.shared.registry.is_current(&partition.id, epoch);
        if is_over {
            return Ok(());
        }
        let known = self.state.lanes.get(&partition.id).map(|lane| lane.epoch);
        if known.is_none_or(|known| known < epoch) {
            let _asking = self.gauges.asking();
            self.begin_epoch(&raw).await?;
        }
        if !self.follows(&raw, delivery.share) {
            return Ok(());
        }
        match delivery.what {
            What::Rows(batch) => self.take_rows(batch),
            What::Unroutable { raw, letters } => self.take_unroutable(&raw, letters),
        }
        self.check_urges();
        Ok(())
    }

    /// Whether the table was given every share of the epoch before this one. If not, taking it would pass
    /// over records: the partition is read again.
    fn follows(&mut self, raw: &RawBatch, share: u64) -> bool {
        let id = &raw.partition.id;
        let Some(lane) = self.state.lanes.get_mut(id) else {
            return false;
        };
        if lane.follows(share) {
            return true;
        }
        metrics::counter!("alluvium_errors_total", "stage" => "pipeline", "kind" => "bug")
            .increment(1);
        tracing::error!(
            partition = %id,
            epoch = raw.epoch,
            start = raw.start,
            share,
            "a share of a batch came although one before it was withheld; reading again, please report it"
        );
        self.reset("a share was missing");
        // One that held nothing open is no part of the reset.
        self.state.lanes.remove(id);
        self.state.dropped.insert(id.clone(), raw.epoch);
        self.shared.registry.rewind(id, raw.epoch);
        false
    }

    fn take_rows(&mut self, batch: RoutedBatch) {
        let Some(batch) = self.accept(batch) else {
            return;
        };
        self.state.waiting_bytes += event_bytes(&batch);
        self.state.waiting_slabs += batch.raw.slab.len() as u64;
        self.state.waiting.push(batch);
    }

    /// Takes what else waits, for a round that keeps every core at work, and decodes it. While the table
    /// does not exist, its schema is inferred from more than one round.
    pub(super) async fn gather(&mut self) -> Result<()> {
        while !self.has_round() && self.may_take() {
            let Some(delivery) = self.inbox.try_recv() else {
                break;
            };
            self.shared.taken_from(&self.inbox);
            self.take(delivery).await?;
        }
        if self.state.schema.is_some() || self.state.waiting_slabs >= INFERENCE_BYTES {
            self.absorb_waiting().await?;
        }
        Ok(())
    }

    fn take_unroutable(&mut self, raw: &Arc<RawBatch>, letters: Vec<(u32, RejectReason)>) {
        let Some(batch) = self.accept(RoutedBatch {
            raw: raw.clone(),
            select: Some(letters.iter().map(|(i, _)| *i).collect()),
        }) else {
            return;
        };
        let fresh: HashSet<u32> = batch.select.into_iter().flatten().collect();
        let letters: Vec<DeadLetter> = letters
            .into_iter()
            .filter(|(i, _)| fresh.contains(i))
            .map(|(i, reason)| {
                let record = &raw.records[i as usize];
                DeadLetter {
                    offset: record.offset,
                    index: 0,
                    table: "".into(),
                    reason,
                    value: bytes::Bytes::copy_from_slice(raw.value(record)),
                    event_time: record.event_time,
                }
            })
            .collect();
        let counts = Counts {
            dead_letters: letters.len() as u64,
            ..Counts::default()
        };
        if let Some(lane) = self.state.lanes.get_mut(&raw.partition.id) {
            let bytes = lane.add(&counts, letters);
            self.state.open.add_letters(bytes);
        }
    }

    /// The part of a batch that the table does not have yet, taken into its lane's account.
    fn accept(&mut self, batch: RoutedBatch) -> Option<RoutedBatch> {
        let (end, epoch) = (batch.raw.end, batch.raw.epoch);
        let partition = batch.raw.partition.id.clone();
        let lane = self.state.lanes.get_mut(&partition)?;
        let accepted = lane.accept(batch);
        if accepted.is_none() && !lane.is_open() {
            // The table had all of it: nothing will be committed that could settle it later.
            self.shared
                .registry
                .settled(&partition, epoch, &self.table, end, None);
        }
        let batch = accepted?;
        self.state.open.touch(Instant::now());
        let oldest = batch.records().map(|record| record.event_time).min();
        self.state.oldest_event = match (self.state.oldest_event, oldest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Some(batch)
    }

    /// A new epoch goes on where the last one stopped, if it continues it: it was begun for the sake of
    /// other tables. Else it reads fresh positions. What is held of other partitions is committed first,
    /// and what is in flight must be known: positions read before it landed would fence the next commit.
    async fn begin_epoch(&mut self, raw: &Arc<RawBatch>) -> Result<()> {
        let partition = raw.partition.clone();
        let registry = &self.shared.registry;
        if let Some(lane) = self.state.lanes.get_mut(&partition.id)
            && registry.is_continued(&partition.id, lane.epoch, raw.epoch)
        {
            lane.continue_in(raw.epoch);
            return Ok(());
        }
        if self.state.lanes.contains_key(&partition.id) {
            self.settle_in_flight().await?;
            if self.state.open.is_open() {
                self.flush(FlushReason::Asked).await?;
            }
        }
        self.settle_in_flight().await?;
        if let Some(lane) = self.state.lanes.get(&partition.id)
            && lane.is_open()
        {
            self.reset("a partition came back while rows of its last assignment were held");
        }
        self.state.lanes.remove(&partition.id);
        let resume = self
            .shared
            .registry
            .resume(&partition.id, raw.epoch)
            .unwrap_or(raw.start);
        let cancel = self.shared.cancel.clone();
        let (table, log) = (self.table.clone(), self.log.clone());
        let ledger = self.shared.ledger.clone();
        let mut backoff = Backoff::new("positions", &table);
        let (position, judged) = loop {
            let positions = positions(&log, &ledger, &table, &partition, resume);
            match self.hearing(positions).await {
                Ok(found) => break found,
                Err(error) => self.hearing(backoff.failed(error, &cancel)).await?,
            }
        };
        self.state.ask_store = None;
        let name = if self.serves_ledger() {
            ""
        } else {
            &*self.table
        };
        let lane = Lane::new(partition.clone(), raw.epoch, name, resume, position, judged);
        self.state.lanes.insert(partition.id.clone(), lane);
        Ok(())
    }
}

/// The table's position, and what the ledger has judged of its records above it.
async fn positions(
    log: &TableLog,
    ledger: &Ledger,
    table: &Arc<str>,
    partition: &Partition,
    resume: Offset,
) -> Result<(Option<Offset>, Judged)> {
    if *table == ledger.name {
        let stream = letter_stream(partition, "");
        let judged = ledger.judged(&partition.id, &stream.id, "", resume).await?;
        return Ok((None, judged));
    }
    let id = partition.id.app_id().to_owned();
    let position = log.positions(&[id], true).await?;
    let position = position.into_iter().next().flatten();
    let stream = letter_stream(partition, table);
    let from = position.unwrap_or(resume);
    let judged = ledger
        .judged(&partition.id, &stream.id, table, from)
        .await?;
    Ok((position, judged))
}
