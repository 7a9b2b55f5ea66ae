//! The open tables of this process: one worker and one flusher each, made at a table's first event.
//!
//! Past 500 lines: all that opens, finds and closes a table shares one lock.

use super::{
    desk::{self, Catalogs, Desk},
    flusher::Flusher,
    inbox::Inbox,
    retry::Backoff,
    settings::TableSettings,
    worker::{Control, Shared, State, Worker, WorkerGauges, withhold_inbox},
};
use crate::{
    batch::FlushReason,
    commit::TableLog,
    config::Config,
    databricks::Connections,
    error::{Error, Kind, Result},
    event::{Epoch, Offset, SourcePartition},
    storage::{Lake, TableLocation},
    write::MAX_REQUESTS,
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Batches of at most 1 MiB that wait for one table's worker; with more, its partitions pause or leave
/// it behind.
const INBOX: usize = 8;
/// Uploads waiting behind the one at work.
const JOBS: usize = 1;
/// How often it is seen, in memory, whether there is a table of dead letters to be registered.
const LEDGER_POLL: std::time::Duration = std::time::Duration::from_secs(1);
/// A store, by where it lies in memory.
type StoreAddress = usize;
/// Tables loaded at once for their positions.
const LOADS_AT_ONCE: usize = 8;
/// All tables that stand still together keep at most one of so many parts of the budget in rows that no
/// flush holds yet, while others need it.
const STILL_PART: u64 = 4;

pub(crate) struct Tables {
    config: Arc<Config>,
    lake: Lake,
    shared: Arc<Shared>,
    catalogs: Catalogs,
    open: Mutex<HashMap<Arc<str>, Handle>>,
    /// Requests of uploads, so many at once to each store, however many tables flush together. Tables of
    /// another store do not wait for them.
    upload_requests: Mutex<HashMap<StoreAddress, Arc<Semaphore>>>,
    tasks: TaskTracker,
    /// Tables are opened from the threads of sources too, which have no runtime of their own.
    runtime: tokio::runtime::Handle,
    /// What a table gives up is read again: not where a bounded run feeds it.
    may_shed: AtomicBool,
}

#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) inbox: Arc<Inbox>,
    control: mpsc::UnboundedSender<Control>,
    log: Arc<TableLog>,
    pub(crate) gauges: Arc<WorkerGauges>,
}

impl Handle {
    /// A worker that waits for its store puts off all but `Shed`: of what is asked again and again, one waits at
    /// a time.
    fn send(&self, control: Control) {
        let sent = match &control {
            Control::Flush(_) => Some(&self.gauges.flush_sent),
            Control::Shed => Some(&self.gauges.shed_sent),
            Control::Urge(..) | Control::Release(..) | Control::Reload => None,
        };
        if sent.is_none_or(|sent| !sent.swap(true, Ordering::AcqRel)) {
            // A worker that has stopped holds nothing.
            let _ = self.control.send(control);
        }
    }
}

impl Tables {
    /// Within the runtime that the tables' tasks are to run on.
    pub(crate) fn new(
        config: Arc<Config>,
        lake: Lake,
        connections: Connections,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            config,
            lake,
            catalogs: Catalogs::new(connections, shared.clone()),
            shared,
            open: Mutex::new(HashMap::new()),
            upload_requests: Mutex::default(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            may_shed: AtomicBool::new(false),
        }
    }

    /// Tables that stand still may give up what their sources can read again.
    pub(crate) fn let_shed(&self) {
        self.may_shed.store(true, Ordering::Release);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The worker of a table, started if it was not. `Ok(None)`: as many tables as allowed are open.
    pub(crate) fn worker(&self, name: &str) -> Result<Option<Handle>> {
        let mut open = self.open.lock();
        if let Some(handle) = open.get(name) {
            return Ok(Some(handle.clone()));
        }
        // Whatever is refused for want of a table must find the ledger open.
        let ledger = &self.shared.ledger.name;
        let tables = open.len() - usize::from(open.contains_key(ledger));
        if tables >= self.config.lake.max_tables && *name != **ledger {
            return Ok(None);
        }
        let handle = self.start(name)?;
        open.insert(name.into(), handle.clone());
        metrics::gauge!("alluvium_tables_open").set(open.len() as f64);
        Ok(Some(handle))
    }

    fn start(&self, name: &str) -> Result<Handle> {
        let settings = Arc::new(TableSettings::new(&self.config, name)?);
        let location = self.location(name, &settings)?;
        let log = if name == &*self.shared.ledger.name {
            self.shared.ledger.log().clone()
        } else {
            Arc::new(TableLog::new(
                location.clone(),
                name,
                settings.commit.clone(),
            ))
        };
        let table: Arc<str> = name.into();
        let inbox = Inbox::new(INBOX);
        let (control, controls) = mpsc::unbounded_channel();
        let desk = self.desk(&settings, &log, &control)?;
        let (jobs, job_queue) = mpsc::channel(JOBS);
        let (done, dones) = mpsc::unbounded_channel();
        let gauges = Arc::new(WorkerGauges::default());
        let generation = Arc::new(AtomicU64::new(0));
        let flusher = Flusher {
            table: table.clone(),
            requests: self.requests_of(&location),
            location,
            log: log.clone(),
            shared: self.shared.clone(),
            cancel: self.shared.cancel.clone(),
            generation: generation.clone(),
            gauges: gauges.clone(),
            jobs: job_queue,
            done,
        };
        let span = tracing::info_span!("table", %table);
        self.tasks.spawn_on(
            self.guarded(flusher.run().instrument(span.clone())),
            &self.runtime,
        );
        let worker = Worker {
            table,
            settings,
            desk,
            log: log.clone(),
            shared: self.shared.clone(),
            inbox: inbox.clone(),
            control: controls,
            jobs,
            done: dones,
            gauges: gauges.clone(),
            generation,
            state: State::new(&self.shared.budget, self.shared.core_count),
        };
        self.tasks
            .spawn_on(self.guarded(worker.run().instrument(span)), &self.runtime);
        Ok(Handle {
            inbox,
            control,
            log,
            gauges,
        })
    }

    /// The table's desk, where a catalog has it. Dead letters need none: their schema never changes, and they are
    /// registered once (`register_ledger`).
    fn desk(
        &self,
        settings: &TableSettings,
        log: &Arc<TableLog>,
        control: &mpsc::UnboundedSender<Control>,
    ) -> Result<Option<Desk>> {
        let Some(registration) = &settings.registration else {
            return Ok(None);
        };
        if settings.name == *self.shared.ledger.name {
            return Ok(None);
        }
        let agent = self.catalogs.agent(&registration.connection)?;
        let authority = settings.authority;
        Desk::new(agent, registration, authority, log.clone(), control.clone()).map(Some)
    }

    /// Has the table of dead letters registered, where it has a name in a catalog, once its log is there: the
    /// first commits of a source make it, so that it goes along with the tables' own.
    pub(crate) async fn register_ledger(self: Arc<Self>) {
        let ledger = self.shared.ledger.clone();
        if self.config.table(&ledger.name).registration.is_none() {
            return;
        }
        while ledger.log().state().is_none() {
            tokio::select! {
                () = tokio::time::sleep(LEDGER_POLL) => {}
                () = self.shared.cancel.cancelled() => return,
            }
        }
        let mut backoff = Backoff::new("register", &ledger.name);
        while let Err(error) = self.register(&ledger.name).await {
            // What is broken in it is told by whoever writes it.
            if backoff.failed(error, &self.shared.cancel).await.is_err() {
                return;
            }
        }
    }

    /// The tables that are open.
    pub(crate) fn open_names(&self) -> Vec<Arc<str>> {
        self.open.lock().keys().cloned().collect()
    }

    /// Has a table registered whose log is there, opened or not.
    pub(crate) async fn register(&self, name: &str) -> Result<()> {
        let settings = TableSettings::new(&self.config, name)?;
        let Some(registration) = &settings.registration else {
            return Ok(());
        };
        let log = self.log(name)?;
        if log.load().await?.is_some() {
            let agent = self.catalogs.agent(&registration.connection)?;
            agent.register(&desk::target(registration, desk::Log::alone(log))?);
        }
        Ok(())
    }

    pub(crate) fn catalogs(&self) -> &Catalogs {
        &self.catalogs
    }

    fn requests_of(&self, location: &TableLocation) -> Arc<Semaphore> {
        let store = Arc::as_ptr(&location.store).cast::<()>() as StoreAddress;
        let mut all = self.upload_requests.lock();
        let turns = all.entry(store);
        turns
            .or_insert_with(|| Arc::new(Semaphore::new(MAX_REQUESTS)))
            .clone()
    }

    /// A panic must not pass for an idle table.
    fn guarded<F: Future<Output = ()> + Send>(
        &self,
        task: F,
    ) -> impl Future<Output = ()> + Send + use<F> {
        let shared = self.shared.clone();
        async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                shared.fail(Error::new(
                    Kind::Bug,
                    "a table's task panicked; positions tell the next run where to begin",
                ));
            }
        }
    }

    fn location(&self, name: &str, settings: &TableSettings) -> Result<TableLocation> {
        self.lake
            .table(name, settings.url.as_deref())
            .map_err(Error::from)
    }

    /// The log of a table, of its worker where it is open.
    pub(crate) fn log(&self, table: &str) -> Result<Arc<TableLog>> {
        if let Some(handle) = self.open.lock().get(table) {
            return Ok(handle.log.clone());
        }
        let settings = TableSettings::new(&self.config, table)?;
        let location = self.location(table, &settings)?;
        Ok(Arc::new(TableLog::new(location, table, settings.commit)))
    }

    /// Fresh positions of a partition in one table, opened or not. `None`: the table does not know it.
    pub(crate) async fn position(
        &self,
        table: &str,
        partition: &SourcePartition,
    ) -> Result<Option<Offset>> {
        let positions = self
            .log(table)?
            .positions(&[partition.app_id().to_owned()], true)
            .await?;
        Ok(positions.into_iter().next().flatten())
    }

    /// The positions of a partition in every table of the lake and of the configuration that has one.
    pub(crate) async fn all_positions(
        &self,
        partition: &SourcePartition,
    ) -> Result<Vec<(String, Offset)>> {
        let mut names = self.lake.tables().await.map_err(Error::from)?;
        names.extend(self.config.tables.keys().cloned());
        names.sort();
        names.dedup();
        names.retain(|name| *name != *self.shared.ledger.name);
        // Each costs a few requests of its store.
        stream::iter(names)
            .map(|name| async move {
                let position = self.position(&name, partition).await?;
                Ok(position.map(|position| (name, position)))
            })
            .buffered(LOADS_AT_ONCE)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    pub(crate) fn control(&self, table: &str, control: Control) {
        if let Some(handle) = self.open.lock().get(table) {
            handle.send(control);
        }
    }

    /// Asks a table, or all of them, to commit as soon as it has taken the partition below `end`.
    pub(crate) fn urge(&self, table: Option<&str>, partition: &SourcePartition, end: Offset) {
        for (name, handle) in self.open.lock().iter() {
            if table.is_none_or(|table| *table == **name) {
                handle.send(Control::Urge(partition.clone(), end));
            }
        }
    }

    /// Asks every table with something open to commit it.
    pub(crate) fn flush_open(&self) {
        for table in self.shared.registry.all_open_tables() {
            self.control(&table, Control::Flush(FlushReason::Asked));
        }
    }

    /// The partition is given up; `epoch` was the last of the assignment.
    pub(crate) fn release(&self, partition: &SourcePartition, epoch: Epoch) {
        for handle in self.open.lock().values() {
            handle.send(Control::Release(partition.clone(), epoch));
        }
    }

    /// Whether a table is known to stand still: it was shut and has made no progress since.
    pub(crate) fn is_shut(&self, table: &str) -> bool {
        let open = self.open.lock();
        open.get(table)
            .is_some_and(|handle| handle.inbox.shut_since().is_some())
    }

    /// Bytes of rows that wait for a flush, over all tables.
    pub(crate) fn open_bytes(&self) -> u64 {
        self.open
            .lock()
            .values()
            .map(|handle| handle.gauges.open_bytes.load(Ordering::Relaxed))
            .sum()
    }

    /// Flushes the tables that hold most, until `bytes` would come free. Tables that stand still cannot be
    /// flushed: where others need the budget, they keep no more than a part of it.
    pub(crate) fn relieve(&self, bytes: u64) {
        self.relieve_at(Instant::now(), bytes);
    }

    fn relieve_at(&self, now: Instant, bytes: u64) {
        let (mut held, mut still) = (Vec::new(), Vec::new());
        {
            let open = self.open.lock();
            for (name, handle) in open.iter() {
                let gauges = &handle.gauges;
                if gauges.stands_still(now) {
                    still.push((gauges.sheddable_bytes(), name.clone(), handle.clone()));
                } else {
                    let bytes = gauges.open_bytes.load(Ordering::Relaxed);
                    held.push((bytes, name.clone(), handle.clone()));
                }
            }
        }
        let others = held
            .iter()
            .any(|(_, name, _)| *name != self.shared.ledger.name);
        let mut relieved = 0;
        if others && self.may_shed.load(Ordering::Acquire) {
            relieved = self.shed(still, now);
        }
        held.retain(|(bytes, ..)| *bytes > 0);
        held.sort_by_key(|(bytes, ..)| std::cmp::Reverse(*bytes));
        for (open, _, handle) in held {
            if relieved >= bytes {
                break;
            }
            if handle.gauges.will_make_room(now) {
                relieved += open;
            }
            handle.send(Control::Flush(FlushReason::Pressure));
        }
    }

    /// Has tables that stand still give up their inboxes, and of what else they hold so much that the rest
    /// is within their part of the budget. Returns how many bytes come free; of what was asked for long
    /// ago and has not come, none.
    fn shed(&self, mut still: Vec<(u64, Arc<str>, Handle)>, now: Instant) -> u64 {
        still.sort_by_key(|(bytes, ..)| std::cmp::Reverse(*bytes));
        let mut held: u64 = still.iter().map(|(bytes, ..)| *bytes).sum();
        let part = self.shared.budget.limit() / STILL_PART;
        let mut freed = 0;
        for (bytes, name, handle) in still {
            if handle.gauges.waits_for_store() && !handle.inbox.is_empty() {
                withhold_inbox(&self.shared, &name, &handle.inbox);
            }
            if held > part && bytes > 0 {
                held -= bytes;
                if handle.gauges.will_make_room(now) {
                    freed += bytes;
                }
                handle.send(Control::Shed);
            }
        }
        freed
    }

    /// Waits for all workers after the cancellation.
    pub(crate) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.catalogs.stopped().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::pipeline;
    use std::time::Duration;

    /// A table whose worker hears nothing, with so many bytes open.
    fn deaf(tables: &Tables, name: &str, bytes: u64) -> mpsc::UnboundedReceiver<Control> {
        let (control, controls) = mpsc::unbounded_channel();
        let gauges = Arc::new(WorkerGauges::default());
        gauges.open_bytes.store(bytes, Ordering::Relaxed);
        let handle = Handle {
            inbox: Inbox::new(INBOX),
            control,
            log: tables.log(name).unwrap(),
            gauges,
        };
        tables.open.lock().insert(name.into(), handle);
        controls
    }

    #[tokio::test]
    async fn one_that_does_not_make_room_is_asked_once_and_then_others_are() {
        let (pipeline, _config, _lake) = pipeline().await;
        let tables = pipeline.tables();
        let mut big = deaf(tables, "big", 100);
        let mut small = deaf(tables, "small", 10);
        let flushes = |controls: &mut mpsc::UnboundedReceiver<Control>| {
            std::iter::from_fn(|| controls.try_recv().ok())
                .filter(|control| matches!(control, Control::Flush(_)))
                .count()
        };
        let start = Instant::now();
        for tick in 0..20 {
            tables.relieve_at(start + Duration::from_millis(tick * 50), 50);
        }
        assert_eq!(flushes(&mut small), 0, "the big one frees enough");
        for tick in 40..80 {
            tables.relieve_at(start + Duration::from_millis(tick * 50), 50);
        }
        assert_eq!(flushes(&mut small), 1);
        assert_eq!(flushes(&mut big), 1, "it has not heard the first");
    }

    #[tokio::test]
    async fn uploads_that_fail_count_as_what_a_still_table_can_give_up() {
        let (pipeline, _config, _lake) = pipeline().await;
        let tables = pipeline.tables();
        let mut still = deaf(tables, "still", 0);
        let _busy = deaf(tables, "busy", 1);
        let gauges = tables.open.lock()["still"].gauges.clone();
        let _flush = gauges.hand_on(tables.shared.budget.limit());
        let _asking = gauges.asking();
        let later = Instant::now() + Duration::from_secs(60);
        tables.let_shed();
        tables.relieve_at(later, 1);
        assert!(still.try_recv().is_err(), "nothing says that it fails");
        gauges.upload_fails.store(true, Ordering::Release);
        tables.relieve_at(later, 1);
        assert!(matches!(still.try_recv(), Ok(Control::Shed)));
    }
}
