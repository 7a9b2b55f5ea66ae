//! The dead-letter table, which is also the ledger of the low-water marks (rules 9 and 11).

use super::{lane::LetterRange, retry::Backoff};
use crate::{
    commit::{CommitOutcome, GroupCommitter, Mark, TableLog, Upload},
    decode::{Verdicts, dead_letter_batch, reproject},
    error::{Error, Kind, Result},
    event::{ByteBudget, Offset, SourcePartition, WriteSpec},
    schema::{TableSchema, dead_letter_schema},
    storage::TableLocation,
    write::{TableWriter, UploadOptions, WriteOptions, upload},
};
use std::{collections::HashMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What the ledger says of one source partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LedgerMarks {
    pub(crate) low_water: Option<Offset>,
    pub(crate) start: Option<Offset>,
}

/// One handle for the whole process.
pub(crate) struct Ledger {
    pub(crate) name: Arc<str>,
    location: TableLocation,
    log: Arc<TableLog>,
    committer: GroupCommitter,
    schema: Arc<TableSchema>,
    write: WriteOptions,
    budget: ByteBudget,
    cancel: CancellationToken,
}

impl Ledger {
    pub(crate) fn new(
        name: &str,
        location: TableLocation,
        log: Arc<TableLog>,
        write: WriteOptions,
        budget: ByteBudget,
        cancel: CancellationToken,
    ) -> Self {
        let committer = GroupCommitter::spawn(log.clone(), cancel.clone());
        Self {
            name: name.into(),
            location,
            log,
            committer,
            schema: Arc::new(dead_letter_schema()),
            write,
            budget,
            cancel,
        }
    }

    pub(crate) fn log(&self) -> &Arc<TableLog> {
        &self.log
    }

    /// The marks of several partitions, read fresh.
    pub(crate) async fn marks(&self, partitions: &[SourcePartition]) -> Result<Vec<LedgerMarks>> {
        let ids: Vec<String> = partitions
            .iter()
            .flat_map(|p| [p.low_water_app_id(), p.start_app_id()])
            .collect();
        let stored = self.log.positions(&ids, true).await?;
        Ok(stored
            .chunks(2)
            .map(|pair| LedgerMarks {
                low_water: pair[0],
                start: pair[1],
            })
            .collect())
    }

    /// The position of a dead-letter stream, and its verdicts on offsets from `from` on: those of
    /// the stream's table that were rejected before and must be again.
    pub(crate) async fn verdicts(
        &self,
        partition: &SourcePartition,
        stream: &SourcePartition,
        table: &str,
        from: Offset,
    ) -> Result<(Option<Offset>, Verdicts)> {
        let position = self
            .log
            .positions(&[stream.app_id().to_owned()], true)
            .await?
            .into_iter()
            .next()
            .flatten();
        let Some(until) = position.filter(|until| *until > from) else {
            return Ok((position, Verdicts::default()));
        };
        let rows = self
            .log
            .scan_dead_letters(partition.app_id(), from, until)
            .await?;
        let dead = rows
            .into_iter()
            .filter(|(meant_for, _, _)| meant_for == table)
            .map(|(_, offset, index)| (offset, index))
            .collect();
        Ok((position, Verdicts { until, dead }))
    }

    /// Commits letters, before the rows they belong with. Several tables' letters share a version.
    pub(crate) async fn commit_letters(&self, letters: &LetterRange) -> Result<CommitOutcome> {
        let (schema, spec) = self.shape().await?;
        let rows = dead_letter_batch(
            &letters.partition,
            &letters.letters,
            chrono::Utc::now().timestamp_micros(),
        )?;
        let rows = reproject(&rows, &schema)?;
        let _held = self.budget.charge(rows.get_array_memory_size() as u64);
        let options = self.write.clone();
        let encoded = tokio::task::spawn_blocking(move || {
            let mut writer = TableWriter::new(spec, options)?;
            writer.write(&rows)?;
            writer.finish()
        })
        .await
        .map_err(|e| {
            Error::new(Kind::Bug, "the encoder of dead letters stopped").with_source(e)
        })??;
        let mut files = Vec::with_capacity(encoded.len());
        let options = UploadOptions {
            cancel: self.cancel.clone(),
            ..UploadOptions::default()
        };
        for file in encoded {
            files.push(upload(&self.location, file, &options).await?);
        }
        let outcome = self
            .committer
            .submit(Upload {
                earlier: Vec::new(),
                files,
                schema,
                ranges: vec![letters.range.clone()],
                marks: Vec::new(),
            })
            .await?;
        Ok(outcome)
    }

    /// Moves marks forward; a mark that the ledger already holds or has passed stays.
    pub(crate) async fn write_marks(&self, marks: Vec<Mark>) -> Result<()> {
        let mut backoff = Backoff::new("alluvium ledger", &self.name);
        loop {
            let upload = Upload {
                earlier: Vec::new(),
                files: Vec::new(),
                schema: self.schema.clone(),
                ranges: Vec::new(),
                marks: marks.clone(),
            };
            match self.committer.submit(upload).await {
                Ok(CommitOutcome::Committed { .. }) => return Ok(()),
                // Nothing in it can be fenced; a schema that moved does not concern marks.
                Ok(_) => backoff.wait(&self.cancel).await?,
                Err(error) if error.kind().is_retryable() => {
                    backoff.failed(&error.into(), &self.cancel).await?
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How the ledger's files are encoded now: others may have added columns to it.
    async fn shape(&self) -> Result<(Arc<TableSchema>, Arc<WriteSpec>)> {
        let state = match self.log.state() {
            Some(state) => Some(state),
            None => self.log.load().await?,
        };
        Ok(match state {
            Some(state) => {
                if !self.schema.fits(&state.schema) {
                    return Err(Error::new(
                        Kind::Unsupported,
                        format!(
                            "the dead-letter table lacks columns it needs or has them in other types; move it away or name another by dead_letters.table, table=`{}`",
                            self.name
                        ),
                    ));
                }
                (state.schema.clone(), state.spec.clone())
            }
            None => (
                self.schema.clone(),
                Arc::new(crate::commit::new_table_spec(&self.schema)),
            ),
        })
    }
}

/// Groups marks by app id for one commit.
pub(crate) fn marks(of: impl IntoIterator<Item = (String, Offset)>) -> Vec<Mark> {
    let mut highest: HashMap<String, Offset> = HashMap::new();
    for (app_id, version) in of {
        let known = highest.entry(app_id).or_insert(version);
        *known = (*known).max(version);
    }
    let mut marks: Vec<Mark> = highest
        .into_iter()
        .map(|(app_id, version)| Mark { app_id, version })
        .collect();
    marks.sort_by(|a, b| a.app_id.cmp(&b.app_id));
    marks
}
