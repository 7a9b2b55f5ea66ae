//! The pipeline as a source sees it: positions, routing, room and acks of one source.

mod offer;

use super::{
    ledger::marks,
    resume::{self, Known},
    retry::stopping,
    tables::Tables,
    worker::Control,
};
use crate::{
    error::{Error, Kind, Result},
    event::{Acked, Assignment, Intake, Offer, Offset, Partition, RawBatch, SourceEvent},
    route::Router,
    source::kafka::reset_command,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

/// How often a source with refused batches is told to offer again, and a drain asks for flushes.
const POLL: Duration = Duration::from_millis(20);
const DRAIN_POLL: Duration = Duration::from_millis(200);
/// How long a drain that is at its limit may still take to write marks.
const MARKS_LIMIT: Duration = Duration::from_secs(1);
pub(crate) struct SourceIntake {
    tables: Arc<Tables>,
    router: Mutex<Router>,
    /// The source keeps its records until they are below the mark (a spool).
    keeps_records: bool,
    /// The source has an end that somebody waits for: it waits for its tables.
    is_bounded: bool,
    events: mpsc::UnboundedSender<SourceEvent>,
    told: tokio::sync::Mutex<Told>,
    /// Who was answered `Full`, the longest waiting first.
    refused: Mutex<VecDeque<Arc<Partition>>>,
}

/// What the source hears, in turn.
struct Told {
    events: mpsc::UnboundedReceiver<SourceEvent>,
    /// The free places that it was told of, of [`Shared::freed`](super::worker::Shared::freed).
    freed: u64,
}

impl SourceIntake {
    /// Of a source without an end: tables that stand still are left behind, and catch up later.
    pub(crate) fn new(tables: Arc<Tables>, router: Router, keeps_records: bool) -> Arc<Self> {
        tables.let_shed();
        Self::of(tables, router, keeps_records, false)
    }

    /// Of a source that is read to an end and waits for its tables.
    pub(crate) fn bounded(tables: Arc<Tables>, router: Router) -> Arc<Self> {
        Self::of(tables, router, false, true)
    }

    fn of(tables: Arc<Tables>, router: Router, keeps_records: bool, is_bounded: bool) -> Arc<Self> {
        let (events, told) = mpsc::unbounded_channel();
        let told = Told {
            events: told,
            freed: 0,
        };
        Arc::new(Self {
            tables,
            router: Mutex::new(router),
            keeps_records,
            is_bounded,
            events,
            told: tokio::sync::Mutex::new(told),
            refused: Mutex::default(),
        })
    }

    async fn known(
        &self,
        partition: &Partition,
        ledger: super::ledger::LedgerMarks,
    ) -> Result<Known> {
        let (fan_out, fixed): (bool, Option<Arc<str>>) = {
            let router = self.router.lock();
            (router.is_fan_out(), router.fixed_table(&partition.topic))
        };
        let tables = match (&fixed, ledger.low_water) {
            _ if self.keeps_records => Vec::new(),
            (_, Some(_)) => Vec::new(),
            (Some(table), None) if !fan_out => self
                .tables
                .position(table, &partition.id)
                .await?
                .into_iter()
                .collect(),
            (_, None) => {
                let found = self.tables.all_positions(&partition.id).await?;
                found.into_iter().map(|(_, position)| position).collect()
            }
        };
        Ok(Known {
            low_water: ledger.low_water,
            start: ledger.start,
            tables,
            fan_out,
            keeps_records: self.keeps_records,
        })
    }

    /// Refuses a partition that nobody knows while positions of the same topic under another id are
    /// stored: the topic was deleted and made again, and its offsets mean other records
    /// (exactly-once.md, Identity).
    async fn refuse_recreated(&self, partition: &Partition) -> Result<()> {
        let Some((topic, id_and_number)) = partition.id.app_id().rsplit_once('#') else {
            return Ok(());
        };
        let number = id_and_number.rsplit('/').next().unwrap_or_default();
        let is_other = |app_id: &str| {
            app_id
                .strip_prefix(topic)
                .and_then(|rest| rest.strip_prefix('#'))
                .and_then(|rest| rest.split('!').next()?.split_once('/'))
                .is_some_and(|(_, other)| other == number)
        };
        let ledger = &self.tables.shared().ledger;
        let mut logs = vec![ledger.log().clone()];
        let fixed = self.router.lock().fixed_table(&partition.topic);
        if let Some(table) = &fixed {
            logs.push(self.tables.log(table)?);
        }
        for log in logs {
            let positions = log.all_positions().await.map_err(Error::from)?;
            if let Some((other, position)) = positions.iter().find(|(id, _)| is_other(id)) {
                return Err(Error::new(
                    Kind::Config,
                    format!(
                        "the topic was made again under another id, and its offsets mean other records than those that are committed; to read the new topic from its beginning: {}, partition=`{}` committed=`{other}` position=`{position}`",
                        reset_command(&partition.source, &partition.topic, None, "earliest")
                            .replace("TABLE", fixed.as_deref().unwrap_or("TABLE")),
                        partition.id,
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Reads fresh positions and begins an epoch of each partition.
    async fn take_on(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        let shared = self.tables.shared();
        let ids: Vec<_> = partitions.iter().map(|p| p.id.clone()).collect();
        let stored = shared.ledger.marks(&ids).await?;
        let mut found = Vec::with_capacity(partitions.len());
        for (partition, stored) in partitions.into_iter().zip(stored) {
            let known = self.known(&partition, stored).await?;
            let resume = resume::decide(&known);
            if resume.at.is_none() && !self.keeps_records {
                self.refuse_recreated(&partition).await?;
            }
            found.push((partition, resume, known));
        }
        // A fan-out without a mark begins at the lowest position, which may rise before the first mark is
        // written: a table that has no position yet would never get the records below it.
        let due: Vec<_> = found
            .iter()
            .filter_map(|(partition, resume, known)| {
                let mark = resume::first_mark(known, resume)?;
                Some((partition.id.low_water_app_id(), mark))
            })
            .collect();
        if !due.is_empty() {
            shared.ledger.write_marks(marks(due)).await?;
        }
        let mut assignments = Vec::with_capacity(found.len());
        for (partition, resume, known) in found {
            let epoch = shared.registry.next_epoch(&partition, &self.events);
            shared.registry.set_ledgered(
                &partition.id,
                resume.ledgered,
                self.keeps_records,
                known.low_water.or(resume::first_mark(&known, &resume)),
            );
            tracing::debug!(partition = %partition.id, epoch, resume = ?resume.at, "assigned");
            assignments.push(Assignment {
                partition,
                epoch,
                resume: resume.at,
            });
        }
        Ok(assignments)
    }

    /// Of tables and ledger.
    async fn read_highest(&self, partition: &Partition) -> Result<Option<Offset>> {
        let ledger = self
            .tables
            .shared()
            .ledger
            .log()
            .all_positions()
            .await
            .map_err(Error::from)?;
        // The mark and the streams of dead letters: all app ids that begin with the partition's.
        let own = format!("{}!", partition.id);
        let marks = ledger
            .into_iter()
            .filter(|(id, _)| id.starts_with(&own))
            .map(|(_, position)| position);
        let tables = self.tables.all_positions(&partition.id).await?;
        let tables = tables.into_iter().map(|(_, position)| position);
        Ok(tables.chain(marks).max())
    }

    /// An error of a store as the source is to take it.
    fn told(&self, error: Error) -> Error {
        as_source_takes(error, !self.is_bounded)
    }

    /// Forgets a partition here and in all tables; how far it came.
    fn give_up(&self, partition: &Partition) -> Option<Acked> {
        let released = self.tables.shared().registry.release(&partition.id)?;
        self.tables.release(&partition.id, released.epoch);
        released.acked
    }

    /// Writes the marks that are due; a failure leaves them due.
    async fn write_marks(&self) -> Result<()> {
        super::marks::write_due(self.tables.shared()).await
    }
}

/// Rights that are missing at the start are a matter of the configuration; the start has asked for them before there
/// is a source. Later they went away, as with a credential that ended, and are waited for: the source asks again.
/// What is read to an end has somebody beside it and stops.
fn as_source_takes(error: Error, is_waited_for: bool) -> Error {
    if error.kind() != Kind::Unauthorized || !is_waited_for {
        return error;
    }
    metrics::counter!("alluvium_errors_total", "stage" => "positions", "kind" => error.kind().as_str())
        .increment(1);
    let waits = format!("{error}; nothing is lost, it goes on when the rights are back");
    tracing::error!("positions: {waits}");
    Error::new(Kind::Unavailable, waits)
}

#[async_trait]
impl Intake for SourceIntake {
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        let assigned = self.take_on(partitions).await;
        assigned.map_err(|error| self.told(error))
    }

    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()> {
        // A spool's oldest record is where it begins: nothing to remember.
        if self.keeps_records || starts.is_empty() {
            return Ok(());
        }
        let fan_out = self.router.lock().is_fan_out();
        let due = starts.iter().flat_map(|(assignment, offset)| {
            let id = &assignment.partition.id;
            let low_water = fan_out.then(|| (id.low_water_app_id(), *offset));
            low_water.into_iter().chain([(id.start_app_id(), *offset)])
        });
        let written = self.tables.shared().ledger.write_marks(marks(due)).await;
        written.map_err(|error| self.told(error))
    }

    fn offer(&self, batch: RawBatch) -> Offer {
        let shared = self.tables.shared();
        let partition = batch.partition.clone();
        let mut batch = batch;
        let mut again = true;
        loop {
            let freed = shared.freed.count();
            match self.try_offer(batch) {
                Ok(Offer::Full(refused)) => batch = refused,
                Ok(offer) => return offer,
                Err(error) => {
                    shared.fail(error);
                    return Offer::Stale;
                }
            }
            let mut refused = self.refused.lock();
            // A place that became free before it is known who waits for one would be told to nobody.
            if shared.freed.count() == freed || !std::mem::take(&mut again) {
                if !refused.contains(&partition) {
                    refused.push_back(partition);
                }
                return Offer::Full(batch);
            }
        }
    }

    async fn send(&self, batch: RawBatch) -> Result<()> {
        let mut batch = batch;
        loop {
            let room = self.tables.shared().room.notified();
            match self.try_offer(batch)? {
                Offer::Accepted | Offer::Stale => return Ok(()),
                Offer::Full(back) => batch = back,
            }
            tokio::select! {
                _ = timeout(POLL, room) => {}
                () = self.tables.shared().cancel.cancelled() => return Err(stopping()),
            }
        }
    }

    async fn drain(&self, partitions: &[Arc<Partition>], limit: Duration) -> Vec<Acked> {
        let registry = &self.tables.shared().registry;
        let deadline = Instant::now() + limit;
        for partition in partitions {
            registry.drain(&partition.id);
        }
        loop {
            let moved = registry.moved();
            let open: Vec<_> = partitions
                .iter()
                .filter(|partition| !registry.open_tables(&partition.id).is_empty())
                .collect();
            if open.is_empty() || Instant::now() >= deadline {
                break;
            }
            for partition in open {
                for table in registry.open_tables(&partition.id) {
                    self.tables
                        .control(&table, Control::Flush(crate::batch::FlushReason::Asked));
                }
            }
            tokio::select! {
                _ = timeout(DRAIN_POLL, moved) => {}
                () = self.tables.shared().cancel.cancelled() => break,
            }
        }
        let last = deadline.max(Instant::now() + MARKS_LIMIT);
        match timeout_at(last, self.write_marks()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                "the low-water marks were not written, reading begins lower next time: {error}"
            ),
            Err(_) => tracing::warn!(
                "the low-water marks were not written in time, reading begins lower next time"
            ),
        }
        let mut acked = Vec::new();
        for partition in partitions {
            acked.extend(self.give_up(partition));
        }
        acked
    }

    fn release(&self, partitions: &[Arc<Partition>]) {
        for partition in partitions {
            self.give_up(partition);
        }
    }

    async fn event(&self) -> Option<SourceEvent> {
        let shared = self.tables.shared();
        let mut told = self.told.lock().await;
        let told = &mut *told;
        loop {
            tokio::select! {
                biased;
                event = told.events.recv() => return event,
                // Without a free place too: a table may be left behind by now.
                _ = timeout(POLL, shared.freed.beyond(told.freed)) => {}
            }
            let freed = shared.freed.count();
            if let Some(partition) = self.refused.lock().pop_front() {
                told.freed = freed.min(told.freed + 1);
                return Some(SourceEvent::Room(partition));
            }
            told.freed = freed;
            if shared.cancel.is_cancelled() {
                return None;
            }
        }
    }

    async fn highest_position(&self, partition: &Partition) -> Result<Option<Offset>> {
        let found = self.read_highest(partition).await;
        found.map_err(|error| self.told(error))
    }

    async fn committed(&self, table: &str, partition: &Partition, end: Offset) -> Result<u64> {
        let shared = self.tables.shared();
        // Where fields decide, the events may be in any table: then all of them are waited for. What is
        // refused for want of a table goes to the ledger.
        let table = self.router.lock().table_named(table);
        let tables: Vec<Arc<str>> = match &table {
            Some(table) => vec![table.clone(), shared.ledger.name.clone()],
            None => Vec::new(),
        };
        let mut waiting = loop {
            if let Some(waiting) = shared.registry.wait(&partition.id, tables.clone(), end) {
                break waiting;
            }
            // A source takes requests before its partition is assigned; the caller bounds the wait.
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = shared.cancel.cancelled() => return Err(stopping()),
            }
        };
        let version = loop {
            self.tables.urge(table.as_deref(), &partition.id, end);
            tokio::select! {
                version = &mut waiting => break version.map_err(|_| stopping())?,
                () = shared.cancel.cancelled() => return Err(stopping()),
                () = tokio::time::sleep(DRAIN_POLL) => {}
            }
            // A table opened meanwhile was not urged, and one that got nothing of the end never is.
            if shared.registry.has_read(&partition.id, end) {
                let open = shared.registry.open_tables(&partition.id);
                for open in open
                    .iter()
                    .filter(|open| tables.is_empty() || tables.contains(open))
                {
                    self.tables
                        .control(open, Control::Flush(crate::batch::FlushReason::Asked));
                }
            }
        };
        let Some(table) = table.filter(|_| version.is_none()) else {
            return Ok(version.unwrap_or(0));
        };
        // An earlier run committed it, in this version of the table or one before.
        let state = self.tables.log(&table)?.load().await?;
        Ok(state.map_or(0, |state| state.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::{partition, pipeline};

    #[test]
    fn rights_that_went_away_are_asked_for_again_and_those_never_there_are_refused() {
        let refused = || Error::new(Kind::Unauthorized, "no");
        assert_eq!(as_source_takes(refused(), false).kind(), Kind::Unauthorized);
        let waits = as_source_takes(refused(), true);
        assert!(waits.kind().is_retryable(), "sources ask again");
        assert!(
            waits.to_string().starts_with("no; nothing is lost"),
            "{waits}"
        );
        let config = Error::new(Kind::Config, "wrong");
        assert_eq!(as_source_takes(config, true).kind(), Kind::Config);
    }

    #[tokio::test]
    async fn a_place_that_became_free_is_told_at_once_and_to_one() {
        let (pipeline, _config, _lake) = pipeline().await;
        let router = Router::new("s", "t", Vec::new(), 4).unwrap();
        let intake = SourceIntake::new(pipeline.tables().clone(), router, false);
        let freed = &intake.tables.shared().freed;
        tokio::time::pause();
        freed.add();
        freed.add();
        for (waits, waited) in [(1, Duration::ZERO), (2, POLL)] {
            intake.refused.lock().extend([partition(), partition()]);
            for _ in 0..2 {
                let begun = Instant::now();
                let event = intake.event().await;
                assert!(matches!(event, Some(SourceEvent::Room(_))));
                let elapsed = begun.elapsed();
                assert!(elapsed >= waited && elapsed <= waited + POLL / 2, "{waits}");
            }
        }
        assert!(intake.refused.lock().is_empty());
        pipeline.tables().shared().cancel.cancel();
        assert!(intake.event().await.is_none());
    }

    #[tokio::test]
    async fn where_a_fan_out_begins_without_a_mark_is_in_the_ledger_before_it_is_read() {
        let (pipeline, _config, _lake) = pipeline().await;
        let id = partition().id.clone();
        let ledger = &pipeline.shared().ledger;
        let start = marks([(id.start_app_id(), 5)]);
        ledger.write_marks(start).await.unwrap();
        for (template, mark) in [("one", None), ("t_{kind}", Some(5))] {
            let router = Router::new("s", template, Vec::new(), 4).unwrap();
            let intake = SourceIntake::new(pipeline.tables().clone(), router, false);
            let assigned = intake.assign(vec![partition()]).await.unwrap();
            assert_eq!(assigned[0].resume, Some(5));
            let stored = ledger.marks(std::slice::from_ref(&id)).await.unwrap();
            assert_eq!(stored[0].low_water, mark, "{template}");
        }
    }
}
