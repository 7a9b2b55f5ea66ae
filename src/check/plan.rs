//! `alluvium schema plan|apply`: what waits in `_rescued_data`, as statements, and their execution.
//!
//! What is pending is read from the tables alone: no file and no daemon has to tell, several daemons cannot
//! disagree about it, and it is the same whenever and wherever it is asked.

use super::{open, rescued, text};
use crate::{
    commit::{Evolved, TableLog},
    config::Config,
    control::{self, changes::outstanding},
    databricks::Connections,
    error::{Error, Kind, Result},
    pipeline::{
        TableSettings,
        desk::{self, Log},
    },
    schema::{Authority, Evolution, SchemaChange},
};
use std::{fmt::Write, sync::Arc};

/// How often a change of the log is decided anew because others changed the table meanwhile.
const MOVES: usize = 5;

/// What waits of some tables.
pub struct SchemaPlan {
    tables: Vec<TablePlan>,
}

struct TablePlan {
    settings: TableSettings,
    log: Arc<TableLog>,
    changes: Vec<SchemaChange>,
    /// What would be run, in this order.
    statements: Vec<String>,
    /// Where it is read from, and what is to be known of it.
    notes: Vec<String>,
}

/// Looks at one table, or at all whose schema may change.
///
/// # Errors
/// Config for a table that is not there; those of loading tables.
pub(super) async fn plan(config: &Config, table: Option<&str>) -> Result<SchemaPlan> {
    let lake = open::lake(config)?;
    let names = match table {
        Some(name) => vec![name.to_owned()],
        None => open::all_names(config, &lake).await?,
    };
    let mut tables = Vec::new();
    for name in names {
        let found = match table {
            Some(_) => Some(open::named(config, &lake, &name).await?),
            None => open::find(config, &lake, &name).await?,
        };
        let Some(found) = found else { continue };
        let is_fixed = found.settings.evolution.evolution == Evolution::None;
        if is_fixed && table.is_none() {
            continue;
        }
        tables.push(one(config, found).await?);
    }
    Ok(SchemaPlan { tables })
}

async fn one(config: &Config, table: open::Table) -> Result<TablePlan> {
    let open::Table {
        settings,
        log,
        state,
    } = table;
    let commits = log.history().await?;
    let proposed = rescued::propose(&log, &state, &settings, &commits).await?;
    let mut notes = vec![format!(
        "{}: {} in {}",
        settings.name,
        text::count(
            proposed.rows as u64,
            "row with rescued values",
            "rows with rescued values"
        ),
        text::count(proposed.files as u64, "newest file", "newest files")
    )];
    notes.extend(proposed.warnings);
    let log = Arc::new(log);
    let mut plan = TablePlan {
        statements: proposed.statements,
        changes: proposed.changes,
        settings,
        log,
        notes,
    };
    if plan.settings.registration.is_some() {
        plan.ask_catalog(config).await?;
    }
    Ok(plan)
}

impl TablePlan {
    fn target(&self) -> Result<Option<control::Target>> {
        match &self.settings.registration {
            Some(place) => desk::target(place, Log::alone(self.log.clone())).map(Some),
            None => Ok(None),
        }
    }

    /// The statements as the catalog needs them: one that does not know the table yet is told of it.
    async fn ask_catalog(&mut self, config: &Config) -> Result<()> {
        let (Some(place), Some(target)) = (&self.settings.registration, self.target()?) else {
            return Ok(());
        };
        let by_warehouse = self.settings.authority == Authority::Warehouse;
        let changes = match by_warehouse {
            true => self.changes.clone(),
            false => Vec::new(),
        };
        let runner = desk::runner(&Connections::new(&config.connections), &place.connection)?;
        match control::plan(&*runner, &target, changes.clone(), false).await {
            Ok(statements) if by_warehouse => self.statements = statements,
            Ok(registration) => self.statements.splice(0..0, registration).for_each(drop),
            Err(error) => {
                self.notes.push(format!(
                    "the catalog was not asked whether it has the table: {error}"
                ));
                if by_warehouse {
                    let statements = control::sql::alterations(&target.name, &changes)?;
                    let texts: Result<Vec<String>, _> = statements
                        .iter()
                        .map(control::sql::Statement::sql)
                        .collect();
                    self.statements = texts?;
                }
            }
        }
        Ok(())
    }

    async fn apply(&self, config: &Config) -> Result<String> {
        let mut done = String::new();
        let by_warehouse = self.settings.authority == Authority::Warehouse;
        if !by_warehouse && !self.changes.is_empty() {
            let version = self.change_log().await?;
            let _ = writeln!(done, "{}: changed, version {version}", self.settings.name);
        }
        if let (Some(place), Some(target)) = (&self.settings.registration, self.target()?) {
            let runner = desk::runner(&Connections::new(&config.connections), &place.connection)?;
            let changes = match by_warehouse {
                true => self.changes.clone(),
                false => Vec::new(),
            };
            let changed_log = !by_warehouse && !self.changes.is_empty();
            for sql in control::apply(&*runner, &target, changes, changed_log).await? {
                let _ = writeln!(done, "{}: done: {sql}", self.settings.name);
            }
        }
        Ok(done)
    }

    /// Columns by a commit of our own.
    async fn change_log(&self) -> Result<u64> {
        for _ in 0..MOVES {
            let Some(state) = self.log.load().await? else {
                break;
            };
            let left = outstanding(&state.schema, &self.changes);
            if left.is_empty() {
                return Ok(state.version);
            }
            if let Evolved::Applied(state) = self.log.evolve(&state, &left).await? {
                return Ok(state.version);
            }
        }
        Err(Error::new(
            Kind::Conflict,
            format!(
                "others keep changing the table; try again, table=`{}`",
                self.settings.name
            ),
        ))
    }
}

impl SchemaPlan {
    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.statements.is_empty())
    }

    /// SQL, with notes as its comments.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for table in &self.tables {
            for note in &table.notes {
                let _ = writeln!(out, "-- {}", note.replace(['\n', '\r'], " "));
            }
            for statement in &table.statements {
                let _ = writeln!(out, "{statement};");
            }
        }
        if self.is_empty() {
            out.push_str("-- nothing waits\n");
        }
        out
    }

    /// Runs it; returned is what was done. A table that fails does not keep the others from theirs.
    ///
    /// # Errors
    /// The first table's that failed.
    pub(super) async fn apply(&self, config: &Config) -> (String, Result<()>) {
        let (mut done, mut first) = (String::new(), Ok(()));
        for table in self
            .tables
            .iter()
            .filter(|table| !table.statements.is_empty())
        {
            match table.apply(config).await {
                Ok(text) => done += &text,
                Err(error) => {
                    let _ = writeln!(done, "{}: {error}", table.settings.name);
                    if first.is_ok() {
                        first = Err(error);
                    }
                }
            }
        }
        (done, first)
    }
}
