//! The table's schema as the worker knows it: loaded, adopted, evolved.

use super::{super::retry::Backoff, Worker};
use crate::{
    commit::{Evolved, TableState, spec_of_new_table},
    error::{Error, Kind, Result},
    schema::{self, Seen, TableSchema},
};
use std::sync::Arc;

impl Worker {
    pub(super) async fn ensure_loaded(&mut self) -> Result<()> {
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
                    self.state.ask_store = None;
                    return Ok(());
                }
                // A person may mend the table meanwhile; its events wait in their source.
                Err(error) => self.hearing(backoff.failed(error, &cancel)).await?,
            }
        }
    }

    async fn load(&mut self) -> Result<()> {
        let log = self.log.clone();
        let Some(mut state) = self.hearing(log.load()).await? else {
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
            if let Some(desk) = self.desk.as_ref().filter(|desk| desk.is_authority()) {
                desk.want(&missing, usize::MAX);
                // Without them its rows would not be found again: it is looked at until they are there.
                return Err(Error::new(
                    Kind::Unavailable,
                    "the table lacks columns that its rows need; the warehouse was asked to add them",
                ));
            }
            state = match self.hearing(log.evolve(&state, &missing)).await? {
                Evolved::Applied(state) => {
                    if let Some(desk) = &self.desk {
                        desk.evolved();
                    }
                    state
                }
                Evolved::Moved(state) => state,
            };
        }
        self.adopt(state);
        Ok(())
    }

    /// Takes a newer state of the table as the one to decode and encode for. An older one, told by a
    /// flush that landed before a schema change of ours, is passed over.
    pub(super) fn adopt(&mut self, table: Arc<TableState>) {
        let is_older = self.state.table.as_ref().is_some_and(|known| {
            known.metadata_id == table.metadata_id && known.version > table.version
        });
        if is_older {
            return;
        }
        let is_same = self
            .state
            .schema
            .as_ref()
            .is_some_and(|schema| schema.fingerprint == table.schema.fingerprint)
            && self
                .state
                .spec
                .as_ref()
                .is_some_and(|spec| *spec == table.spec);
        if !is_same {
            self.close_writers();
            self.state.schema = Some(Arc::new(table.schema.with_commented_fields()));
            self.state.spec = Some(table.spec.clone());
        }
        let is_new = self.state.table.is_none();
        if is_new {
            self.settings.warn_of_layout(&table);
        }
        // A schema that changed may be what a person mended by hand. Nothing is asked of a catalog that is well.
        if let Some(desk) = self.desk.as_ref().filter(|_| is_new || !is_same) {
            desk.exists();
        }
        self.state.table = Some(table);
    }

    /// A file holds one schema; the next rows go to new ones, by new decoders.
    fn close_writers(&mut self) {
        self.state.settled_bytes = 0;
        let mut writers = Vec::new();
        for engine in self.state.engines.get_mut() {
            engine.decoder = None;
            writers.extend(engine.writer.take());
        }
        if writers.is_empty() {
            return;
        }
        self.state.earlier.extend(self.state.schema.clone());
        for writer in writers {
            match writer.finish() {
                Ok(files) => self.state.closed.extend(files),
                Err(error) => {
                    tracing::error!("{}", Error::from(error));
                    return self.reset("an open file could not be closed");
                }
            }
        }
    }

    /// The schema of a table that does not exist yet.
    pub(super) fn set_new_schema(&mut self, schema: TableSchema) {
        self.close_writers();
        let schema = Arc::new(schema);
        self.state.spec = Some(Arc::new(spec_of_new_table(&schema, &self.settings.commit)));
        self.state.schema = Some(schema);
    }

    /// Applies what the policy makes of `seen`. True: the schema changed, decode again.
    pub(super) async fn evolve(&mut self, seen: &Seen) -> Result<bool> {
        let decoded_for = self.state.schema.clone();
        let _asking = self.gauges.asking();
        if self.state.table.is_none() {
            // The table may be in the making, by a flush under way or by another daemon.
            self.settle_in_flight().await?;
        }
        let Some(schema) = self.state.schema.clone() else {
            return Ok(false);
        };
        if decoded_for.is_some_and(|before| before.fingerprint != schema.fingerprint) {
            return Ok(true);
        }
        let policy = self.settings.evolution_of(self.state.table.as_deref());
        let evolution = schema::evolve(&schema, seen, &policy);
        self.settings.warn(&evolution.warnings);
        if evolution.changes.is_empty() {
            return Ok(false);
        }
        let Some(table) = self.state.table.clone() else {
            self.set_new_schema(schema.apply(&evolution.changes)?);
            return Ok(true);
        };
        if let Some(desk) = self.desk.as_ref().filter(|desk| desk.is_authority()) {
            // Rows do not wait: until the columns are there, what is new rides in `_rescued_data`.
            let room = policy.max_columns.saturating_sub(schema.column_count());
            for refused in desk.want(&evolution.changes, room) {
                self.settings.evolution_failed(&refused.into());
            }
            return Ok(false);
        }
        let cancel = self.shared.cancel.clone();
        let (name, log) = (self.table.clone(), self.log.clone());
        let mut backoff = Backoff::new("evolve", &name);
        let state = loop {
            match self.hearing(log.evolve(&table, &evolution.changes)).await {
                Ok(Evolved::Applied(state)) => {
                    let changes = evolution.changes.len();
                    tracing::info!(version = state.version, changes, "schema evolved");
                    metrics::counter!("alluvium_schema_changes_total").increment(changes as u64);
                    if let Some(desk) = &self.desk {
                        desk.evolved();
                    }
                    break state;
                }
                Ok(Evolved::Moved(state)) => break state,
                // Rights that are missing now are missing to the data as well.
                Err(error) if error.kind().is_retryable() || error.kind() == Kind::Unauthorized => {
                    self.hearing(backoff.failed(error.into(), &cancel)).await?
                }
                // The fields ride in `_rescued_data`; the data goes on.
                Err(error) => {
                    self.settings.evolution_failed(&error.into());
                    return Ok(false);
                }
            }
        };
        self.adopt(state);
        // Whoever changed the table meanwhile may have taken our columns away.
        let has_all = match &self.state.table {
            Some(table) => self.settings.missing_columns(&table.schema)?.is_empty(),
            None => true,
        };
        if !has_all {
            self.state.loaded = false;
            self.ensure_loaded().await?;
        }
        Ok(true)
    }
}
