//! `alluvium table sweep`: files below a table's folder that no version names.
//!
//! A crash between an upload and its commit leaves such files, and so does a commit that was fenced. What
//! keeps a file safe that a writer is about to commit:
//!
//! - it is younger than [`least_age`]. No commit of ours names a file older than half the retention of removed
//!   files (rule 8), and other writers are bound by the same retention, as VACUUM relies on it too;
//! - an upload that is tried again for long takes a new name (`write/upload.rs`), so a file that is old is not
//!   written again;
//! - right before each batch of deletions the log is read up to its newest version;
//! - ages are by the store's clock, and nothing is deleted where this machine's differs ([`clock`]).
//!
//! The listing is streamed. Held are the hashes of named files, and of the files found at most
//! [`MOST_CANDIDATES`].

mod candidate;
mod clock;
mod report;
#[cfg(test)]
mod tests;

use crate::{
    check::open,
    commit::{NamedFiles, TableLog, TableState},
    config::Config,
    error::{Error, Kind, Result},
    storage::kind_of,
};
use candidate::{Below, Class};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, path::Path};
use std::time::Duration;

/// What is kept for so long at least, whatever a table says: transactions of other writers take hours.
const LEAST: Duration = Duration::from_secs(24 * 3600);
/// The age where none is asked for.
const USUAL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Files deleted between two looks at the log.
const BATCH: usize = 500;
/// Files that one run deletes; the next run takes the rest.
const MOST_CANDIDATES: usize = 200_000;

/// What to sweep.
#[derive(Clone, Copy, Debug, Default)]
pub struct SweepOptions {
    /// Only files older than this; by default 7 days, or longer where the table keeps removed files longer.
    pub older_than: Option<Duration>,
    /// Delete them; else they are only counted.
    pub delete: bool,
}

/// Files, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// When the oldest was written.
    pub(crate) oldest: Option<DateTime<Utc>>,
}

/// What a sweep found and did.
#[derive(Debug)]
pub struct Sweep {
    pub(crate) table: String,
    pub(crate) location: String,
    /// The version up to which the log was read.
    pub(crate) version: u64,
    pub(crate) older_than: Duration,
    pub(crate) delete: bool,
    /// Files of no version that are old enough, and what probes of `alluvium check` left.
    pub(crate) found: Tally,
    /// Files of no version that are younger.
    pub(crate) younger: Tally,
    pub(crate) deleted: Tally,
    /// Found before, and named by a version by now.
    pub(crate) named_since: u64,
    /// Gone already when they were to be deleted.
    pub(crate) gone: u64,
    /// Asked to be deleted, without an answer that says whether they were.
    pub(crate) unknown: u64,
    /// The files found, of which at most [`MOST_CANDIDATES`] are known one by one.
    pub(crate) files: Vec<ObjectMeta>,
    /// Why it ended early.
    pub(crate) fault: Option<(Kind, String)>,
}

impl Tally {
    fn add(&mut self, object: &ObjectMeta) {
        self.files += 1;
        self.bytes += object.size;
        let at = object.last_modified;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
    }
}

/// Sweeps one table.
///
/// # Errors
/// Config for a table that is not there and for an age that is not safe; Unsupported for a folder that holds
/// other tables, and where the clocks of store and machine differ; those of reading the log and of listing. What
/// goes wrong while files are deleted is in the report, with what was deleted until then.
pub async fn sweep_table(config: &Config, name: &str, options: SweepOptions) -> Result<Sweep> {
    let lake = open::lake(config)?;
    let table = open::named(config, &lake, name).await?;
    if options.delete {
        clock::check(table.log.location(), Utc::now).await?;
    }
    sweep(&table.log, Utc::now(), options).await
}

/// The least age of a file that may be deleted.
pub(crate) fn least_age(state: &TableState) -> Duration {
    state.deleted_file_retention().max(LEAST)
}

/// Sweeps by `now`, the time of the store.
async fn sweep(log: &TableLog, now: DateTime<Utc>, options: SweepOptions) -> Result<Sweep> {
    let state = log.load().await?.ok_or_else(|| {
        Error::new(
            Kind::Config,
            format!("no such table, table=`{}`", log.name()),
        )
    })?;
    let least = least_age(&state);
    let older_than = options.older_than.unwrap_or(USUAL.max(least));
    if older_than < least {
        return Err(Error::new(
            Kind::Config,
            format!(
                "a file of that age may be about to be committed: none is deleted that is younger than 24 hours or than the table keeps \
                 removed files (delta.deletedFileRetentionDuration); ask for an age of at least that, least=`{}s` older_than=`{}s` table=`{}`",
                least.as_secs(),
                older_than.as_secs(),
                log.name()
            ),
        ));
    }
    let mut named = log.named_files(&state).await?;
    let mut sweep = Sweep {
        table: log.name().to_owned(),
        location: log.location().url.to_string(),
        version: named.version,
        older_than,
        delete: options.delete,
        found: Tally::default(),
        younger: Tally::default(),
        deleted: Tally::default(),
        named_since: 0,
        gone: 0,
        unknown: 0,
        files: Vec::new(),
        fault: None,
    };
    let before = before(now, older_than)?;
    sweep.list(log, &state, &named, before, now).await?;
    if options.delete {
        sweep.delete(log, &mut named).await;
    }
    Ok(sweep)
}

/// The time that is so long ago.
fn before(now: DateTime<Utc>, age: Duration) -> Result<DateTime<Utc>> {
    let age = TimeDelta::from_std(age).ok();
    age.and_then(|age| now.checked_sub_signed(age))
        .ok_or_else(|| Error::new(Kind::Config, "an age before the beginning of time"))
}

impl Sweep {
    async fn list(
        &mut self,
        log: &TableLog,
        state: &TableState,
        named: &NamedFiles,
        before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let location = log.location();
        let below = Below::new(location, state);
        let probes_before = now - clock::A_DAY;
        let failed = |error: object_store::Error| {
            let message = format!("cannot list the table's folder, url=`{}`", location.url);
            Error::new(kind_of(&error), message).with_source(error)
        };
        let mut objects = location.store.list(Some(&location.root));
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            let before = match below.class(&object.location) {
                Class::Data if named.contains(&object.location) => continue,
                Class::Data => before,
                Class::Probe => probes_before,
                Class::Other => continue,
                // Its files are named by its own log alone.
                Class::OtherTable => {
                    return Err(Error::new(
                        Kind::Unsupported,
                        format!(
                            "another table lies in this table's folder, and its files would be taken for orphans; move one of them, \
                             found=`{}` table=`{}`",
                            object.location, self.table
                        ),
                    ));
                }
            };
            if object.last_modified >= before {
                self.younger.add(&object);
                continue;
            }
            self.found.add(&object);
            if self.files.len() < MOST_CANDIDATES {
                self.files.push(object);
            }
        }
        self.files.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(())
    }

    async fn delete(&mut self, log: &TableLog, named: &mut NamedFiles) {
        for batch in self.files.clone().chunks(BATCH) {
            if let Err(error) = self.delete_batch(log, named, batch).await {
                self.fault = Some((error.kind(), error.to_string()));
                return;
            }
        }
    }

    async fn delete_batch(
        &mut self,
        log: &TableLog,
        named: &mut NamedFiles,
        batch: &[ObjectMeta],
    ) -> Result<()> {
        let gone = || Error::new(Kind::Corrupt, "the table has gone while it was swept");
        let state = log.load().await?.ok_or_else(gone)?;
        if least_age(&state) > self.older_than {
            return Err(Error::new(
                Kind::Conflict,
                "the table was changed meanwhile and keeps removed files longer now; sweep again with a greater age",
            ));
        }
        log.name_newer(named, &state).await?;
        self.version = named.version;
        let (kept, batch): (Vec<&ObjectMeta>, Vec<&ObjectMeta>) = batch
            .iter()
            .partition(|object| named.contains(&object.location));
        self.named_since += kept.len() as u64;
        let paths: Vec<object_store::Result<Path>> = batch
            .iter()
            .map(|object| Ok(object.location.clone()))
            .collect();
        let mut answers = log
            .location()
            .store
            .delete_stream(stream::iter(paths).boxed());
        let (mut answered, mut fault) = (0, None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(path) => {
                    answered += 1;
                    if let Some(object) = batch.iter().find(|object| object.location == path) {
                        self.deleted.add(object);
                    }
                }
                Err(object_store::Error::NotFound { .. }) => {
                    answered += 1;
                    self.gone += 1;
                }
                Err(error) => fault = Some(error),
            }
        }
        self.unknown += batch.len() as u64 - answered;
        match fault {
            None => Ok(()),
            Some(error) => Err(refusal(&error)),
        }
    }
}

/// Why files were not deleted, and what to do about it.
fn refusal(error: &object_store::Error) -> Error {
    let text = error.to_string();
    let is_denied = kind_of(error) == Kind::Unauthorized || text.contains("AccessDenied");
    let message = match is_denied {
        true => format!(
            "the right to delete is missing (s3:DeleteObject; SAS `sp` letter d; role Storage Blob Data Contributor); grant it and sweep again: {text}"
        ),
        false => format!("the store does not delete; sweep again when it does: {text}"),
    };
    let kind = if is_denied {
        Kind::Unauthorized
    } else {
        kind_of(error)
    };
    Error::new(kind, message)
}
