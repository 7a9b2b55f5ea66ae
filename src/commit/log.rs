//! The trait that a table's log is behind, so that the loop of [`land`](super::land) runs on the
//! kernel and on the model of the tests alike.

use super::{
    account::MarkAccount,
    error::{CommitError, Result},
    upload::{Mark, Upload},
};
use crate::{
    event::{CommitRange, DataFile, Offset, SourcePartition},
    schema::TableSchema,
};
use std::{collections::HashSet, future::Future, sync::Arc};

/// A table's log.
pub(super) trait DeltaLog: Send + Sync {
    /// The table at one version: schema, properties and positions, never the file list.
    type Snapshot: Clone + Send + Sync;

    /// The newest version, read now; `None` where there is no table.
    fn latest(&self) -> impl Future<Output = Result<Option<Self::Snapshot>>> + Send;

    /// The positions that exactly this snapshot shows, in the order asked.
    fn positions(
        &self,
        snapshot: &Self::Snapshot,
        app_ids: &[String],
    ) -> impl Future<Output = Result<Vec<Option<Offset>>>> + Send;

    /// One attempt to write the version after `base`, or version 0 where there is none. `marks` are
    /// those of the change that would move.
    fn put(
        &self,
        base: Option<&Self::Snapshot>,
        change: &Arc<Change>,
        marks: &[MarkAccount],
    ) -> impl Future<Output = Put<Self::Snapshot>> + Send;

    /// Waits before the next attempt; `failures` counts the attempts since the last progress.
    fn pause(&self, failures: u32) -> impl Future<Output = ()> + Send;

    /// Milliseconds since the epoch.
    fn now(&self) -> i64;

    /// `metaData.id`.
    fn table_id<'a>(&self, snapshot: &'a Self::Snapshot) -> &'a str;

    /// Whether files encoded for `schema` can be named in the version after this snapshot (rule 4).
    fn fits(&self, snapshot: &Self::Snapshot, schema: &TableSchema) -> bool;

    /// The age in milliseconds at which a file is not named any more (rule 8).
    fn longest_file_age(&self, snapshot: &Self::Snapshot) -> i64;

    /// Named in errors.
    fn name(&self) -> &str;
}

/// The answer to one attempt.
#[derive(Debug)]
pub(super) enum Put<S> {
    Committed(S),
    /// Anything else is unknown (rule 3), a conflict too: it may be our own version that an earlier
    /// attempt wrote. The error is what to report should the reload show that nothing landed and
    /// the error's kind cannot be mended by trying again.
    Unknown(CommitError),
    /// Refused before anything was written: the files lack statistics that the table requires by
    /// now, as after a change of its clustering columns.
    Outdated,
}

/// An [`Upload`] that was checked to be well formed.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) files: Vec<DataFile>,
    pub(super) schema: Arc<TableSchema>,
    pub(super) earlier: Vec<Arc<TableSchema>>,
    pub(super) ranges: Vec<CommitRange>,
    pub(super) marks: Vec<Mark>,
    /// The app ids of `ranges`, then of `marks`.
    pub(super) app_ids: Vec<String>,
    /// The `modification_time` of the oldest file.
    pub(super) oldest: Option<i64>,
}

impl Change {
    pub(super) fn new(table: &str, upload: Upload) -> Result<Self> {
        let Upload {
            files,
            schema,
            earlier,
            ranges,
            marks,
        } = upload;
        let refuse = |message: String| CommitError::Upload {
            table: table.to_owned(),
            message,
        };
        if files.len() > super::options::MAX_FILES_PER_COMMIT {
            return Err(refuse(format!(
                "too many files for one version, files=`{}` max=`{}`",
                files.len(),
                super::options::MAX_FILES_PER_COMMIT
            )));
        }
        if !files.is_empty() && ranges.is_empty() {
            return Err(refuse("files without a range".into()));
        }
        let is_named = |file: &DataFile| {
            std::iter::once(&schema)
                .chain(&earlier)
                .any(|one| one.fingerprint == file.fingerprint)
        };
        if let Some(file) = files.iter().find(|file| !is_named(file)) {
            return Err(refuse(format!(
                "a file of another schema than the upload's, path=`{}`",
                file.path
            )));
        }
        for range in &ranges {
            let (start, end) = (range.range.start, range.range.end);
            if start >= end || range.expected.is_some_and(|at| at != start) {
                return Err(refuse(format!(
                    "a range that is empty or does not start at the table's position, partition=`{}` start=`{start}` end=`{end}` expected=`{:?}`",
                    range.partition.id, range.expected
                )));
            }
            if i64::try_from(end).is_err() {
                return Err(refuse(format!(
                    "an offset beyond what a txn holds, partition=`{}` end=`{end}`",
                    range.partition.id
                )));
            }
        }
        let app_ids: Vec<String> = ranges
            .iter()
            .map(|range| range.partition.id.app_id().to_owned())
            .chain(marks.iter().map(|mark| mark.app_id.clone()))
            .collect();
        let mut seen = HashSet::new();
        if let Some(twice) = app_ids.iter().find(|id| !seen.insert(id.as_str())) {
            return Err(refuse(format!(
                "an app id that stands twice, app_id=`{twice}`"
            )));
        }
        let oldest = files.iter().map(|file| file.modification_time).min();
        Ok(Self {
            files,
            schema,
            earlier,
            ranges,
            marks,
            app_ids,
            oldest,
        })
    }

    /// The same marks without the files and ranges, for marks whose ranges another writer landed.
    pub(super) fn marks_alone(&self) -> Self {
        Self {
            files: Vec::new(),
            schema: self.schema.clone(),
            earlier: Vec::new(),
            ranges: Vec::new(),
            app_ids: self.marks.iter().map(|mark| mark.app_id.clone()).collect(),
            marks: self.marks.clone(),
            oldest: None,
        }
    }

    pub(super) fn partition(&self, index: usize) -> Option<SourcePartition> {
        self.ranges
            .get(index)
            .map(|range| range.partition.id.clone())
    }
}
