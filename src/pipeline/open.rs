//! What every process of the pipeline holds: lake, ledger, tables, budget.

use super::{
    catch_up,
    inbox::Freed,
    ledger::Ledger,
    marks,
    registry::Registry,
    retry::{Backoff, stopping},
    settings::TableSettings,
    tables::Tables,
    tally::Tally,
    worker::Shared,
};
use crate::{
    commit::TableLog,
    config::Config,
    databricks::Connections,
    error::{Error, Kind, Result},
    event::ByteBudget,
    storage::{Lake, Stores, TableLocation},
    telemetry::Rates,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Above this share of the budget, the tables that hold most are flushed early.
const PRESSURE: f64 = 0.7;
/// How far a flush under pressure brings the budget down.
const RELIEVED: f64 = 0.5;
const PRESSURE_POLL: Duration = Duration::from_millis(50);

/// An open lake with its tables.
pub struct Pipeline {
    config: Arc<Config>,
    lake: Lake,
    tables: Arc<Tables>,
}

impl Pipeline {
    /// Opens the lake; no table is touched yet.
    ///
    /// # Errors
    /// A lake, or another bucket that holds a configured table, that cannot be written, or where two writers could overwrite each
    /// other's commits (invariant 8).
    pub async fn open(config: Arc<Config>, rates: Arc<Rates>) -> Result<Self> {
        let pipeline = Self::without_probe(config, rates)?;
        for place in pipeline.places()? {
            place.probe().await?;
        }
        Ok(pipeline)
    }

    /// [`Self::open`] for a daemon, which also refuses tables that it could not write: while an object store does not answer, it is
    /// waited for. A disk that fails is refused.
    pub(crate) async fn open_for_service(config: Arc<Config>, rates: Arc<Rates>) -> Result<Self> {
        let pipeline = Self::without_probe(config, rates)?;
        for place in pipeline.places()? {
            let url = place.url().to_string();
            let mut backoff = Backoff::new("open", &url);
            while let Err(error) = place.probe().await {
                let error = Error::from(error);
                if place.local_path().is_some() || !error.kind().is_retryable() {
                    return Err(error);
                }
                backoff.failed(error, &pipeline.shared().cancel).await?;
            }
        }
        for name in pipeline.config.tables.keys() {
            let mut backoff = Backoff::new("load", name);
            let (settings, location) = pipeline.configured(name)?;
            let is_local = location.url.scheme() == "file";
            while let Err(error) = preflight(name, &settings, &location).await {
                if is_local || !error.kind().is_retryable() {
                    return Err(error);
                }
                backoff.failed(error, &pipeline.shared().cancel).await?;
            }
        }
        Ok(pipeline)
    }

    fn without_probe(config: Arc<Config>, rates: Arc<Rates>) -> Result<Self> {
        let connections = Connections::new(&config.connections);
        let stores = Stores::connected(&config.stores, &connections)?;
        let lake = Lake::open(&config.lake.url, &stores)?;
        let budget = ByteBudget::new(config.memory_budget_bytes);
        let cancel = CancellationToken::new();
        let name = config.dead_letters.table.clone();
        let settings = TableSettings::for_ledger(&config)?;
        let location = lake.table(&name, settings.url.as_deref())?;
        let log = Arc::new(TableLog::new(
            location.clone(),
            &name,
            settings.commit.clone(),
        ));
        let ledger = Ledger::new(
            &name,
            location,
            log,
            settings.write.clone(),
            budget.clone(),
            cancel.clone(),
        );
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let shared = Arc::new(Shared {
            registry: Registry::default(),
            ledger: Arc::new(ledger),
            budget,
            rates,
            cores: Arc::new(Semaphore::new(cores)),
            core_count: cores,
            cancel,
            room: Notify::new(),
            freed: Freed::default(),
            tally: Tally::default(),
            failure: OnceLock::new(),
        });
        let tables = Arc::new(Tables::new(
            config.clone(),
            lake.clone(),
            connections,
            shared,
        ));
        // Connections that cannot be are refused before the first event; no request is made.
        let named = config.tables.keys().map(String::as_str).chain([""]);
        for registration in named.filter_map(|name| config.table(name).registration) {
            tables.catalogs().agent(&registration.connection)?;
        }
        Ok(Self {
            config,
            lake,
            tables,
        })
    }

    /// The lake, and a place in each other bucket that holds a configured table, the ledger too.
    fn places(&self) -> Result<Vec<Lake>> {
        let tables = self.config.tables.values();
        let urls = tables.filter_map(|table| table.url.as_deref());
        let mut places = self.lake.others(urls)?;
        places.insert(0, self.lake.clone());
        Ok(places)
    }

    fn configured(&self, name: &str) -> Result<(TableSettings, TableLocation)> {
        let settings = TableSettings::new(&self.config, name)?;
        let location = self.lake.table(name, settings.url.as_deref())?;
        Ok((settings, location))
    }

    /// The tasks beside the data path: marks, pressure, tables that were left behind, gauges.
    pub(crate) fn start_upkeep(&self) -> TaskTracker {
        let upkeep = TaskTracker::new();
        upkeep.spawn(marks::keep(self.shared().clone()));
        upkeep.spawn(relieve(self.tables.clone()));
        upkeep.spawn(catch_up::keep(self.tables.clone()));
        upkeep.spawn(self.tables.clone().register_ledger());
        upkeep
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub(crate) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.tables.shared()
    }

    pub(crate) fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Why the pipeline stopped by itself. Takes the reason: call it once.
    pub(crate) fn failure(&self) -> Error {
        match self.shared().failure.get() {
            Some(error) => Error::new(error.kind(), error.to_string()),
            None => stopping(),
        }
    }

    /// The first failure, if the pipeline has stopped by itself.
    pub(crate) fn failed(&self) -> Result<()> {
        match self.shared().failure.get() {
            Some(error) => Err(Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}

/// Refuses a configured table that cannot be written, before the first event (invariant 8).
async fn preflight(name: &str, settings: &TableSettings, location: &TableLocation) -> Result<()> {
    let log = TableLog::new(location.clone(), name, settings.commit.clone());
    if let Some(state) = log.load().await? {
        let missing = settings.missing_columns(&state.schema)?;
        if !missing.is_empty() && !settings.may_evolve() {
            return Err(settings.refuse_missing(&missing));
        }
    } else {
        settings.base_schema()?;
    }
    Ok(())
}

/// Frees the budget before sources must pause (invariant 6).
async fn relieve(tables: Arc<Tables>) {
    let shared = tables.shared().clone();
    metrics::gauge!("alluvium_memory_budget_bytes").set(shared.budget.limit() as f64);
    let mut tick = tokio::time::interval(PRESSURE_POLL);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shared.cancel.cancelled() => return,
        }
        let open = tables.open_bytes();
        let (used, limit) = (shared.budget.used(), shared.budget.limit());
        metrics::gauge!("alluvium_inflight_bytes", "stage" => "other")
            .set(used.saturating_sub(open) as f64);
        metrics::gauge!("alluvium_inflight_bytes", "stage" => "open").set(open as f64);
        shared.rates.set_inflight(used);
        if used as f64 > limit as f64 * PRESSURE {
            tables.relieve(used.saturating_sub((limit as f64 * RELIEVED) as u64));
        }
    }
}

/// The error of a source that ended although nobody stopped it.
pub(crate) fn ended_early(source: &str) -> Error {
    Error::new(
        Kind::Bug,
        format!("a source ended without an error, source=`{source}`"),
    )
}
