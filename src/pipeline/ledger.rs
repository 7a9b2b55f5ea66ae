//! The dead-letter table, which is also the ledger of the low-water marks (rules 9 and 11).

use super::{lane::LetterRange, retry::Backoff};
use crate::{
    commit::{CommitOutcome, GroupCommitter, Mark, TableLog, Upload},
    decode::{Verdicts, dead_letter_batch, reproject},
    error::{Error, Kind, Result},
    event::{ByteBudget, DeadLetter, Offset, SourcePartition, WriteSpec},
    schema::{TableSchema, dead_letter_schema},
    storage::TableLocation,
    write::{TableWriter, UploadOptions, WriteOptions, upload},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Bytes of letters that make one record batch.
const CHUNK_BYTES: usize = 64 << 20;

/// What the ledger says of one source partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LedgerMarks {
    pub(crate) low_water: Option<Offset>,
    pub(crate) start: Option<Offset>,
}

/// What the ledger has judged of one table's records of one partition (rule 11).
#[derive(Clone, Debug, Default)]
pub(crate) struct Judged {
    /// The position of the table's stream of dead letters.
    pub(crate) position: Option<Offset>,
    pub(crate) verdicts: Verdicts,
    /// Offsets that are dead letters of no table: they are no rows, wherever they are routed now.
    pub(crate) unroutable: HashSet<Offset>,
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

    /// What was judged of offsets from `from` on: a dead letter of the stream's table must be one
    /// again, and below the stream's position nothing else may.
    pub(crate) async fn judged(
        &self,
        partition: &SourcePartition,
        stream: &SourcePartition,
        table: &str,
        from: Offset,
    ) -> Result<Judged> {
        let nowhere = format!("{partition}!dead/");
        let ids = [stream.app_id().to_owned(), nowhere];
        let stored = self.log.positions(&ids, true).await?;
        let (position, nowhere) = (stored[0], stored[1]);
        let until = position.max(nowhere).unwrap_or(0);
        let mut judged = Judged {
            position,
            ..Judged::default()
        };
        if until <= from {
            return Ok(judged);
        }
        judged.verdicts.until = position.unwrap_or(0);
        let rows = self
            .log
            .scan_dead_letters(partition.app_id(), from, until)
            .await?;
        for (meant_for, offset, index) in rows {
            if meant_for == table {
                judged.verdicts.dead.insert((offset, index));
            } else if meant_for.is_empty() {
                judged.unroutable.insert(offset);
            }
        }
        Ok(judged)
    }

    /// Commits letters, before the rows they belong with. Several tables' letters share a version.
    pub(crate) async fn commit_letters(&self, letters: &LetterRange) -> Result<CommitOutcome> {
        let (schema, spec) = self.shape().await?;
        let now = chrono::Utc::now().timestamp_micros();
        let mut batches = Vec::new();
        for chunk in chunks(&letters.letters) {
            let rows = dead_letter_batch(&letters.partition, chunk, now)?;
            batches.push(reproject(&rows, &schema)?);
        }
        let bytes: usize = batches
            .iter()
            .map(|rows| rows.get_array_memory_size())
            .sum();
        let _held = self.budget.charge(bytes as u64);
        let options = self.write.clone();
        let encoded = tokio::task::spawn_blocking(move || {
            let mut writer = TableWriter::new(spec, options)?;
            for rows in &batches {
                writer.write(rows)?;
            }
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
        let mut backoff = Backoff::new("ledger", &self.name);
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
                    backoff.failed(error.into(), &self.cancel).await?
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

/// Letters in pieces well below Arrow's 2 GiB a column.
fn chunks(letters: &[DeadLetter]) -> impl Iterator<Item = &[DeadLetter]> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take_while(|letter| {
                let first = bytes == 0;
                bytes += letter.value.len().max(1);
                first || bytes <= CHUNK_BYTES
            })
            .count();
        let (chunk, left) = rest.split_at(count);
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RejectReason;

    #[test]
    fn letters_come_in_pieces_and_none_is_left_out() {
        let letter = |bytes: usize| DeadLetter {
            offset: 0,
            index: 0,
            table: "".into(),
            reason: RejectReason {
                code: "malformed",
                detail: "".into(),
            },
            value: vec![0; bytes].into(),
            event_time: 0,
        };
        let letters = [CHUNK_BYTES / 2, CHUNK_BYTES / 2, 1, CHUNK_BYTES * 2, 0].map(letter);
        let pieces: Vec<usize> = chunks(&letters).map(<[_]>::len).collect();
        assert_eq!(pieces, [2, 1, 1, 1]);
        assert_eq!(chunks(&[]).count(), 0);
    }
}
