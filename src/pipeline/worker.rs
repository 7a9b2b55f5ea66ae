//! One table's worker: from routed batches to flush jobs.
//!
//! It owns the table's schema as known, its decoder and its open files; the flusher owns what was
//! handed on. CPU work runs on the blocking pool, at most one piece of it at a time per table, so
//! that the rows of a partition keep their order.

use super::{
    flusher::{Done, Job},
    lane::{Lane, letter_stream},
    ledger::Ledger,
    registry::Registry,
    retry::Backoff,
    settings::TableSettings,
    tally::Tally,
};
use crate::{
    batch::{FlushReason, OpenBatch},
    commit::{Evolved, TableLog, TableState, new_table_spec},
    decode::{Decoded, Decoder, reproject},
    error::{Error, Kind, Result},
    event::{
        ByteBudget, Epoch, Offset, RawBatch, RejectReason, RoutedBatch, SourcePartition, WriteSpec,
    },
    schema::{self, Seen, TableSchema},
    telemetry::Rates,
    write::{EncodedFile, TableWriter},
};
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Decoded bytes that are worth a call of the encoder.
const ENCODE_CHUNK_BYTES: u64 = 8 << 20;
/// A table that does not exist yet is inferred from at most this many raw bytes.
const INFERENCE_BYTES: u64 = 4 << 20;
/// How often a batch is decoded again because it brought new fields, at most.
const EVOLUTION_ROUNDS: usize = 8;

/// What a worker is asked to do beside taking batches.
#[derive(Debug)]
pub(crate) enum Control {
    /// Flush whatever is held, as soon as possible.
    Flush(FlushReason),
    /// Flush once everything of the partition below the offset is taken.
    Urge(SourcePartition, Offset),
    /// The partition is no longer ours: drop what is held of it.
    Release(SourcePartition),
}

/// A batch for a worker.
#[derive(Debug)]
pub(crate) enum Delivery {
    Rows(RoutedBatch),
    /// Records routed nowhere, for the worker that serves the ledger.
    Unroutable {
        raw: Arc<RawBatch>,
        letters: Vec<(u32, RejectReason)>,
    },
}

impl Delivery {
    pub(crate) fn raw(&self) -> &Arc<RawBatch> {
        match self {
            Delivery::Rows(batch) => &batch.raw,
            Delivery::Unroutable { raw, .. } => raw,
        }
    }
}

/// Numbers others may look at.
#[derive(Debug, Default)]
pub(crate) struct WorkerGauges {
    pub(crate) open_bytes: AtomicU64,
}

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: ByteBudget,
    pub(crate) rates: Arc<Rates>,
    /// Permits for CPU work: one a core.
    pub(crate) cores: Arc<Semaphore>,
    pub(crate) cancel: CancellationToken,
    /// Signalled when a worker has taken a delivery, so that sources may offer again.
    pub(crate) room: tokio::sync::Notify,
    pub(crate) tally: Tally,
    /// Why the pipeline stopped by itself.
    pub(crate) failure: std::sync::OnceLock<Error>,
}

impl Shared {
    /// Stops the pipeline; positions tell the next run where to begin.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(kind = error.kind().as_str(), "{error}");
        // The first reason is the one that the process exits with.
        let _ = self.failure.set(error);
        self.cancel.cancel();
    }
}

pub(crate) struct Worker {
    pub(crate) table: Arc<str>,
    pub(crate) settings: Arc<TableSettings>,
    pub(crate) log: Arc<TableLog>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: mpsc::Receiver<Delivery>,
    pub(crate) control: mpsc::UnboundedReceiver<Control>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) gauges: Arc<WorkerGauges>,
    pub(crate) state: State,
}

/// What a worker holds.
pub(crate) struct State {
    lanes: HashMap<SourcePartition, Lane>,
    /// Epochs that were dropped: their batches are not taken any more.
    dropped: HashMap<SourcePartition, Epoch>,
    /// The table as loaded; `None` until it exists.
    table: Option<Arc<TableState>>,
    loaded: bool,
    schema: Option<Arc<TableSchema>>,
    spec: Option<Arc<WriteSpec>>,
    /// Behind a lock only because the encoder is not `Sync`; nobody else holds it.
    engine: Mutex<Engine>,
    /// Batches taken while the table does not exist: its schema is inferred from all of them.
    waiting: Vec<RoutedBatch>,
    waiting_bytes: u64,
    open: OpenBatch,
    closed: Vec<EncodedFile>,
    /// Schemas that files of this flush were encoded for before columns were added.
    earlier: Vec<Arc<TableSchema>>,
    in_flight: usize,
    generation: u64,
    asked: Option<FlushReason>,
    urges: Vec<(SourcePartition, Offset)>,
}

/// What moves to the blocking pool and back.
#[derive(Default)]
struct Engine {
    decoder: Option<Decoder>,
    writer: Option<TableWriter>,
}

impl State {
    pub(crate) fn new(budget: &ByteBudget) -> Self {
        Self {
            lanes: HashMap::new(),
            dropped: HashMap::new(),
            table: None,
            loaded: false,
            schema: None,
            spec: None,
            engine: Mutex::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            open: OpenBatch::new(budget),
            closed: Vec::new(),
            earlier: Vec::new(),
            in_flight: 0,
            generation: 0,
            asked: None,
            urges: Vec::new(),
        }
    }
}

impl Worker {
    /// Runs until the pipeline stops or every sender is gone.
    pub(crate) async fn run(mut self) {
        // While the pipeline runs, an error here must not pass for an idle table.
        if let Err(error) = self.work().await
            && !self.shared.cancel.is_cancelled()
        {
            self.shared.fail(error);
        }
    }

    async fn work(&mut self) -> Result<()> {
        loop {
            let deadline = self.deadline();
            let may_take = self.may_take();
            tokio::select! {
                biased;
                () = self.shared.cancel.cancelled() => return Ok(()),
                Some(done) = self.done.recv() => self.on_done(done),
                Some(control) = self.control.recv() => self.on_control(control),
                delivery = self.inbox.recv(), if may_take => match delivery {
                    Some(delivery) => {
                        self.shared.room.notify_waiters();
                        self.take(delivery).await?;
                    }
                    None => return Ok(()),
                },
                () = until(deadline), if deadline.is_some() => {}
            }
            if let Some(reason) = self.flush_reason() {
                self.flush(reason).await?;
            }
            self.gauges
                .open_bytes
                .store(self.state.open.bytes(), Ordering::Relaxed);
        }
    }

    /// One flush may be at work and one may wait behind it; then the table takes no more, and the
    /// partitions that feed it pause.
    fn may_flush(&self) -> bool {
        self.state.in_flight < 2
    }

    fn may_take(&self) -> bool {
        self.may_flush()
            || self
                .settings
                .policy
                .due(&self.state.open, Instant::now())
                .is_none()
    }

    fn deadline(&self) -> Option<Instant> {
        self.may_flush()
            .then(|| self.settings.policy.deadline(&self.state.open))
            .flatten()
    }

    fn flush_reason(&self) -> Option<FlushReason> {
        if !self.may_flush() || !self.state.open.is_open() {
            return None;
        }
        self.state
            .asked
            .or_else(|| self.settings.policy.due(&self.state.open, Instant::now()))
    }

    fn on_control(&mut self, control: Control) {
        match control {
            Control::Flush(reason) => {
                if self.state.open.is_open() {
                    self.state.asked = Some(reason);
                }
            }
            Control::Urge(partition, end) => {
                self.state.urges.push((partition, end));
                self.check_urges();
            }
            Control::Release(partition) => {
                let Some(lane) = self.state.lanes.get(&partition) else {
                    return;
                };
                self.state.dropped.insert(partition.clone(), lane.epoch);
                if lane.is_open() && self.state.open.is_open() {
                    // Its rows may already be encoded beside others': all of them are read again.
                    self.reset("a partition that was taken away held uncommitted rows");
                }
                self.state.lanes.remove(&partition);
            }
        }
    }

    /// Turns the urges that are met into a flush.
    fn check_urges(&mut self) {
        let lanes = &self.state.lanes;
        let met = |(partition, end): &(SourcePartition, Offset)| {
            lanes
                .get(partition)
                .is_some_and(|lane| lane.accepted() >= *end)
        };
        if self.state.urges.iter().any(met) {
            self.state.urges.retain(|urge| !met(urge));
            if self.state.open.is_open() {
                self.state.asked = Some(FlushReason::Asked);
            }
        }
        // An urge about offsets that went to other tables is over when they are settled.
        let registry = &self.shared.registry;
        self.state.urges.retain(|(partition, end)| {
            registry.low_water(partition).is_none_or(|mark| mark < *end)
        });
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Settled {
                ends,
                version,
                state,
            } => {
                self.state.in_flight = self.state.in_flight.saturating_sub(1);
                if let Some(state) = state {
                    self.adopt(state);
                }
                for (partition, epoch, end) in ends {
                    if let Some(lane) = self.state.lanes.get_mut(&partition)
                        && lane.epoch == epoch
                    {
                        lane.settle(end);
                    }
                    self.shared
                        .registry
                        .settled(&partition, epoch, &self.table, end, version);
                }
            }
            Done::Dropped {
                generation,
                why,
                state,
            } => {
                if generation != self.state.generation {
                    return;
                }
                if let Some(state) = state {
                    self.adopt(state);
                }
                self.reset(&why);
            }
        }
    }

    /// Drops everything not committed and asks the sources to read it again (rules 4 and 5).
    fn reset(&mut self, why: &str) {
        let state = &mut self.state;
        state.generation += 1;
        state.in_flight = 0;
        state.asked = None;
        state.waiting.clear();
        state.waiting_bytes = 0;
        state.closed.clear();
        state.earlier.clear();
        state.engine.get_mut().writer = None;
        drop(state.open.reset(&self.shared.budget));
        let open: Vec<SourcePartition> = state
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_open())
            .map(|(partition, _)| partition.clone())
            .collect();
        tracing::info!(table = %self.table, partitions = open.len(), "reading again what was not committed: {why}");
        metrics::counter!("alluvium_pipeline_rewinds_total").increment(open.len() as u64);
        for partition in open {
            if let Some(lane) = state.lanes.remove(&partition) {
                state.dropped.insert(partition.clone(), lane.epoch);
                self.shared.registry.rewind(&partition, lane.epoch);
            }
        }
    }

    async fn take(&mut self, delivery: Delivery) -> Result<()> {
        let raw = delivery.raw();
        let (partition, epoch) = (raw.partition.clone(), raw.epoch);
        let is_over = self
            .state
            .dropped
            .get(&partition.id)
            .is_some_and(|dropped| epoch <= *dropped)
            || !self.shared.registry.is_current(&partition.id, epoch);
        if is_over {
            return Ok(());
        }
        self.ensure_loaded().await?;
        let known = self.state.lanes.get(&partition.id).map(|lane| lane.epoch);
        if known.is_none_or(|known| known < epoch) {
            self.begin_epoch(delivery.raw()).await?;
        }
        self.state.open.touch(Instant::now());
        match delivery {
            Delivery::Rows(batch) => self.take_rows(batch).await?,
            Delivery::Unroutable { raw, letters } => self.take_unroutable(raw, letters),
        }
        self.check_urges();
        Ok(())
    }

    async fn take_rows(&mut self, batch: RoutedBatch) -> Result<()> {
        let Some(lane) = self.state.lanes.get_mut(&batch.raw.partition.id) else {
            return Ok(());
        };
        let (end, epoch) = (batch.raw.end, batch.raw.epoch);
        let partition = batch.raw.partition.id.clone();
        let Some(batch) = lane.accept(batch) else {
            // The table had all of it: nothing will be committed that could settle it later.
            self.shared
                .registry
                .settled(&partition, epoch, &self.table, end, None);
            return Ok(());
        };
        if self.state.table.is_none() && self.state.schema.is_none() {
            self.state.waiting_bytes += batch.raw.slab.len() as u64;
            self.state.waiting.push(batch);
            if self.state.waiting_bytes >= INFERENCE_BYTES {
                self.absorb_waiting().await?;
            }
            return Ok(());
        }
        self.absorb(vec![batch]).await
    }

    fn take_unroutable(&mut self, raw: Arc<RawBatch>, letters: Vec<(u32, RejectReason)>) {
        let select = letters.iter().map(|(i, _)| *i).collect();
        let batch = RoutedBatch {
            raw: raw.clone(),
            select: Some(select),
        };
        let Some(lane) = self.state.lanes.get_mut(&raw.partition.id) else {
            return;
        };
        let Some(batch) = lane.accept(batch) else {
            self.shared
                .registry
                .settled(&raw.partition.id, raw.epoch, &self.table, raw.end, None);
            return;
        };
        let fresh: std::collections::HashSet<u32> = batch.select.into_iter().flatten().collect();
        let letters: Vec<_> = letters
            .into_iter()
            .filter(|(i, _)| fresh.contains(i))
            .map(|(i, reason)| {
                let record = &raw.records[i as usize];
                crate::event::DeadLetter {
                    offset: record.offset,
                    index: 0,
                    table: "".into(),
                    reason,
                    value: raw
                        .slab
                        .slice(record.value.start as usize..record.value.end as usize),
                    event_time: record.event_time,
                }
            })
            .collect();
        let counts = crate::event::Counts {
            dead_letters: letters.len() as u64,
            ..Default::default()
        };
        lane.add(&counts, letters);
    }

    /// A new epoch reads fresh positions; what an older one still has in flight must land first.
    async fn begin_epoch(&mut self, raw: &Arc<RawBatch>) -> Result<()> {
        let partition = raw.partition.clone();
        while self.state.in_flight > 0 {
            tokio::select! {
                () = self.shared.cancel.cancelled() => return Err(super::retry::stopping()),
                done = self.done.recv() => match done {
                    Some(done) => self.on_done(done),
                    None => return Err(super::retry::stopping()),
                },
            }
        }
        if self
            .state
            .lanes
            .get(&partition.id)
            .is_some_and(Lane::is_open)
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
        let table = self.table.clone();
        let mut backoff = Backoff::new("positions", &table);
        let (position, stream_position, verdicts) = loop {
            match self.positions(&partition, resume).await {
                Ok(found) => break found,
                Err(error) => backoff.failed(&error, &cancel).await?,
            }
        };
        let lane = Lane::new(
            partition.clone(),
            raw.epoch,
            self.stream_name(),
            resume,
            position,
            stream_position,
            verdicts,
        );
        self.state.lanes.insert(partition.id.clone(), lane);
        Ok(())
    }

    /// The unroutable stream of the ledger's own worker has no table.
    fn stream_name(&self) -> &str {
        if self.serves_ledger() {
            ""
        } else {
            &self.table
        }
    }

    fn serves_ledger(&self) -> bool {
        self.table == self.shared.ledger.name
    }

    async fn positions(
        &self,
        partition: &crate::event::Partition,
        resume: Offset,
    ) -> Result<(Option<Offset>, Option<Offset>, crate::decode::Verdicts)> {
        let position = if self.serves_ledger() {
            None
        } else {
            self.log
                .positions(&[partition.id.app_id().to_owned()], true)
                .await?
                .into_iter()
                .next()
                .flatten()
        };
        let name = self.stream_name();
        let stream = letter_stream(partition, name);
        let from = position.unwrap_or(resume);
        let (stream_position, verdicts) = self
            .shared
            .ledger
            .verdicts(&partition.id, &stream.id, name, from)
            .await?;
        Ok((position, stream_position, verdicts))
    }

    async fn ensure_loaded(&mut self) -> Result<()> {
        if self.state.loaded || self.serves_ledger() {
            return Ok(());
        }
        let cancel = self.shared.cancel.clone();
        let table = self.table.clone();
        let mut backoff = Backoff::new("load", &table);
        loop {
            match self.load().await {
                Ok(()) => {
                    self.state.loaded = true;
                    return Ok(());
                }
                // A person may mend the table meanwhile; its events wait in their source.
                Err(error) => backoff.failed(&error, &cancel).await?,
            }
        }
    }

    async fn load(&mut self) -> Result<()> {
        let Some(mut state) = self.log.load().await? else {
            return Ok(());
        };
        // A table made by others gets our columns before its first row (rule 7).
        loop {
            let missing = self.settings.missing_columns(&state.schema)?;
            if missing.is_empty() {
                break;
            }
            if !self.settings.may_evolve() {
                return Err(self.settings.refuse_missing(&missing));
            }
            state = match self.log.evolve(&state, &missing).await? {
                Evolved::Applied(state) | Evolved::Moved(state) => state,
            };
        }
        self.adopt(state);
        Ok(())
    }

    /// Takes a newer snapshot of the table as the one to decode and encode for.
    fn adopt(&mut self, table: Arc<TableState>) {
        let changed = self
            .state
            .schema
            .as_ref()
            .is_none_or(|schema| schema.fingerprint != table.schema.fingerprint);
        if changed {
            self.close_writer();
            self.state.schema = Some(table.schema.clone());
            self.state.spec = Some(table.spec.clone());
            self.state.engine.get_mut().decoder = None;
        }
        self.state.table = Some(table);
    }

    /// A file holds one schema; the next rows go to a new one.
    fn close_writer(&mut self) {
        if let Some(writer) = self.state.engine.get_mut().writer.take() {
            match writer.finish() {
                Ok(files) => {
                    self.state.closed.extend(files);
                    self.state.earlier.extend(self.state.schema.clone());
                }
                Err(error) => {
                    let error = Error::from(error);
                    tracing::error!(table = %self.table, "{error}");
                    self.reset("an open file could not be closed");
                }
            }
        }
    }

    async fn absorb_waiting(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.state.waiting);
        self.state.waiting_bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        if self.state.schema.is_none() {
            self.set_new_schema(self.settings.base_schema()?);
        }
        self.absorb(waiting).await
    }

    fn set_new_schema(&mut self, schema: TableSchema) {
        self.close_writer();
        let schema = Arc::new(schema);
        self.state.spec = Some(Arc::new(new_table_spec(&schema)));
        self.state.schema = Some(schema);
        self.state.engine.get_mut().decoder = None;
    }

    /// Decodes batches, evolving the schema until they bring nothing new.
    async fn absorb(&mut self, batches: Vec<RoutedBatch>) -> Result<()> {
        let batches = Arc::new(batches);
        let mut decoded = self.decode(&batches).await?;
        for _ in 0..EVOLUTION_ROUNDS {
            let mut seen = Seen::default();
            for one in &mut decoded {
                seen.merge(std::mem::take(&mut one.seen));
            }
            if seen.is_empty() || !self.evolve(&seen).await? {
                break;
            }
            decoded = self.decode(&batches).await?;
        }
        for (batch, one) in batches.iter().zip(decoded) {
            self.note(&one);
            if let Some(lane) = self.state.lanes.get_mut(&batch.raw.partition.id) {
                lane.add(&one.counts, one.rejected);
            }
            self.state.open.push(one.rows);
        }
        if self.state.open.piece_bytes() >= ENCODE_CHUNK_BYTES {
            self.encode().await?;
        }
        Ok(())
    }

    fn note(&self, decoded: &Decoded) {
        let counts = &decoded.counts;
        metrics::counter!("alluvium_decode_records_total").increment(counts.records);
        metrics::counter!("alluvium_decode_rows_total").increment(counts.rows);
        metrics::counter!("alluvium_decode_rescued_rows_total").increment(counts.rescued);
        for letter in &decoded.rejected {
            metrics::counter!("alluvium_decode_dead_letters_total", "reason" => letter.reason.code)
                .increment(1);
        }
    }

    /// Applies what the policy makes of `seen`. True: the schema changed, decode again.
    async fn evolve(&mut self, seen: &Seen) -> Result<bool> {
        let Some(schema) = self.state.schema.clone() else {
            return Ok(false);
        };
        let evolution = schema::evolve(&schema, seen, &self.settings.evolution);
        self.settings.warn(&evolution.warnings);
        if evolution.changes.is_empty() || !self.settings.may_evolve() {
            return Ok(false);
        }
        let Some(table) = self.state.table.clone() else {
            self.set_new_schema(schema.apply(&evolution.changes)?);
            return Ok(true);
        };
        let cancel = self.shared.cancel.clone();
        let name = self.table.clone();
        let mut backoff = Backoff::new("evolve", &name);
        let state = loop {
            match self.log.evolve(&table, &evolution.changes).await {
                Ok(Evolved::Applied(state)) => {
                    tracing::info!(table = %self.table, version = state.version, changes = evolution.changes.len(), "schema evolved");
                    metrics::counter!("alluvium_schema_changes_total")
                        .increment(evolution.changes.len() as u64);
                    break state;
                }
                Ok(Evolved::Moved(state)) => break state,
                Err(error) if error.kind().is_retryable() => {
                    backoff.failed(&error.into(), &cancel).await?
                }
                // The fields ride in `_rescued_data`; the data goes on.
                Err(error) => {
                    self.settings.evolution_failed(&error.into());
                    return Ok(false);
                }
            }
        };
        self.adopt(state);
        Ok(true)
    }

    async fn decode(&mut self, batches: &Arc<Vec<RoutedBatch>>) -> Result<Vec<Decoded>> {
        let Some(schema) = self.state.schema.clone() else {
            return Err(Error::new(Kind::Bug, "decoding without a schema"));
        };
        let verdicts: Vec<_> = batches
            .iter()
            .map(|batch| {
                self.state
                    .lanes
                    .get(&batch.raw.partition.id)
                    .map(|lane| lane.verdicts().clone())
                    .unwrap_or_default()
            })
            .collect();
        let options = self.settings.decode.clone();
        let batches = batches.clone();
        let now = chrono::Utc::now().timestamp_micros();
        self.blocking(move |engine| {
            let decoder = match &mut engine.decoder {
                Some(decoder) => decoder,
                none => none.insert(Decoder::new(schema, options)?),
            };
            let mut decoded = Vec::with_capacity(batches.len());
            for (batch, verdicts) in batches.iter().zip(&verdicts) {
                decoded.push(decoder.decode(batch, verdicts, now)?);
            }
            Ok(decoded)
        })
        .await
    }

    /// Encodes what is decoded, re-projecting rows that were decoded for an older schema.
    async fn encode(&mut self) -> Result<()> {
        let pieces = self.state.open.take_pieces();
        let (Some(schema), Some(spec)) = (self.state.schema.clone(), self.state.spec.clone())
        else {
            return Ok(());
        };
        if pieces.is_empty() {
            return Ok(());
        }
        let options = self.settings.write.clone();
        let (full, bytes) = self
            .blocking(move |engine| {
                let writer = match &mut engine.writer {
                    Some(writer) => writer,
                    none => none.insert(TableWriter::new(spec, options)?),
                };
                for piece in &pieces {
                    writer.write(&current(piece, &schema)?)?;
                }
                Ok((writer.take_full(), writer.memory_bytes()))
            })
            .await?;
        self.state.closed.extend(full);
        let closed: u64 = self.state.closed.iter().map(|file| file.size).sum();
        self.state.open.set_encoded_bytes(bytes + closed);
        Ok(())
    }

    /// Hands everything held to the flusher.
    async fn flush(&mut self, reason: FlushReason) -> Result<()> {
        self.state.asked = None;
        self.absorb_waiting().await?;
        self.encode().await?;
        let mut files = std::mem::take(&mut self.state.closed);
        if let Some(writer) = self.state.engine.get_mut().writer.take() {
            let rest = self
                .blocking(move |_| writer.finish().map_err(Error::from))
                .await?;
            files.extend(rest);
        }
        let rows = self.state.open.rows();
        let opened = self.state.open.opened().unwrap_or_else(Instant::now);
        let held: u64 = files.iter().map(|file| file.size).sum();
        let mut permit = self.state.open.reset(&self.shared.budget);
        permit.resize(held);
        let registry = &self.shared.registry;
        let (mut ranges, mut letters, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for lane in self.state.lanes.values_mut() {
            if !lane.is_open() {
                continue;
            }
            ends.push((lane.partition.id.clone(), lane.epoch, lane.accepted()));
            letters.extend(lane.take_letters());
            if rows > 0 {
                let (id, epoch) = (lane.partition.id.clone(), lane.epoch);
                ranges.extend(lane.take_range(|range| registry.gaps(&id, epoch, range)));
            }
        }
        let Some(schema) = self.flush_schema() else {
            return Ok(());
        };
        metrics::counter!("alluvium_batch_flushes_total", "reason" => reason.as_str()).increment(1);
        self.state.in_flight += 1;
        let job = Job {
            generation: self.state.generation,
            files,
            schema,
            earlier: std::mem::take(&mut self.state.earlier),
            ranges,
            letters,
            ends,
            permit,
            opened,
            rows,
        };
        self.jobs
            .send(job)
            .await
            .map_err(|_| super::retry::stopping())
    }

    fn flush_schema(&self) -> Option<Arc<TableSchema>> {
        match &self.state.schema {
            Some(schema) => Some(schema.clone()),
            // Unroutable records alone: no table of its own, the ledger's schema is as good as any.
            None => Some(Arc::new(schema::dead_letter_schema())),
        }
    }

    /// Runs CPU work on the blocking pool with the worker's decoder and writer.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut engine = std::mem::take(self.state.engine.get_mut());
        let permit = self
            .shared
            .cores
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| super::retry::stopping())?;
        let (engine, result) = tokio::task::spawn_blocking(move || {
            let result = work(&mut engine);
            drop(permit);
            (engine, result)
        })
        .await
        .map_err(|error| {
            Error::new(Kind::Bug, "decoding or encoding panicked").with_source(error)
        })?;
        *self.state.engine.get_mut() = engine;
        result
    }
}

fn current(piece: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch> {
    if piece.schema_ref() == &schema.columns {
        Ok(piece.clone())
    } else {
        Ok(reproject(piece, schema)?)
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
