//! The files that a table's log names, for whoever removes those that it does not.
//!
//! A name is held as a hash of 128 bits, so a table of a million files takes some tens of megabytes.
//! Where a path in the log can mean several objects (encoded or not, an absolute URL in one of the
//! spellings of a store), all of them count as named: a mistake keeps a file, and never removes one.

use super::{
    error::{CommitError, Result},
    kernel::KernelTable,
    state::TableState,
    table_log::TableLog,
};
use crate::storage::TableLocation;
use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::DataType,
};
use delta_kernel::{
    Engine, KernelError,
    engine::arrow_data::EngineDataArrowExt,
    snapshot::{Snapshot, SnapshotRef},
};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, path::Path};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{collections::HashSet, sync::Arc, time::Duration};
use url::Url;

/// Commits read at once; each is held whole.
const CONCURRENT_READS: usize = 16;

/// What a log named when it was read up to [`NamedFiles::version`].
#[derive(Debug)]
pub struct NamedFiles {
    /// Every version up to this one was looked at.
    pub version: u64,
    location: TableLocation,
    hashes: HashSet<u128>,
}

impl NamedFiles {
    /// Whether a version names the object.
    pub fn contains(&self, object: &Path) -> bool {
        self.hashes.contains(&hash(object.as_ref()))
    }

    fn new(location: TableLocation) -> Self {
        Self {
            version: 0,
            location,
            hashes: HashSet::new(),
        }
    }

    /// Takes the `path` of an action: relative to the table's folder or absolute, percent-encoded as URLs are.
    fn name(&mut self, path: &str) {
        let root = self.location.root.as_ref();
        let below = |rest: &str| match root {
            "" => rest.to_owned(),
            root => format!("{root}/{rest}"),
        };
        let mut meant = vec![below(path)];
        if let Ok(decoded) = Path::from_url_path(path) {
            meant.push(below(decoded.as_ref()));
        }
        if let Ok(url) = self.location.url.join(path)
            && let Ok(object) = Path::from_url_path(url.path())
        {
            meant.push(object.to_string());
        }
        if let Ok(url) = Url::parse(path)
            && let Ok(object) = Path::from_url_path(url.path())
        {
            // An account's URL begins with the container; other spellings of one place differ before the root.
            let object = object.as_ref();
            meant.extend(object.split_once('/').map(|(_, rest)| rest.to_owned()));
            meant.extend(object.find(root).map(|at| object[at..].to_owned()));
        }
        self.hashes.extend(meant.iter().map(|object| hash(object)));
    }

    /// The `add` and `remove` actions of a batch of a log replay.
    fn name_actions(&mut self, batch: &RecordBatch) -> Result<(), arrow::error::ArrowError> {
        for action in ["add", "remove"] {
            let Some(action) = batch.column_by_name(action).and_then(|c| c.as_struct_opt()) else {
                continue;
            };
            let Some(paths) = action.column_by_name("path") else {
                continue;
            };
            let paths = cast(paths, &DataType::Utf8)?;
            for path in paths.as_string::<i32>().iter().flatten() {
                self.name(path);
            }
        }
        Ok(())
    }

    /// The actions of a commit, a line each.
    fn name_commit(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line)?;
            for file in [line.add, line.remove, line.cdc].into_iter().flatten() {
                self.name(&file.path);
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Line {
    add: Option<File>,
    remove: Option<File>,
    cdc: Option<File>,
}

#[derive(Deserialize)]
struct File {
    path: String,
}

fn hash(object: &str) -> u128 {
    let digest = Sha256::digest(object.as_bytes());
    digest[..16]
        .iter()
        .fold(0, |hash, byte| (hash << 8) | u128::from(*byte))
}

impl TableState {
    /// How long the table keeps files that a version removed (`delta.deletedFileRetentionDuration`).
    pub fn deleted_file_retention(&self) -> Duration {
        self.layout.deleted_file_retention
    }

    /// The age at which no commit of ours names a file any more (rule 8): half of the time after which
    /// whoever cleans up may remove it.
    pub fn longest_file_age(&self) -> Duration {
        self.deleted_file_retention() / 2
    }
}

impl TableLog {
    /// Every file that a version still in the log names: the files of `state` and the removed ones it
    /// still keeps as tombstones, whatever the commits in the log add or remove, and the files of
    /// checkpoints from which those commits do not lead to `state`.
    ///
    /// # Errors
    /// Those of the store; Corrupt for a commit that is not lines of JSON.
    pub async fn named_files(&self, state: &Arc<TableState>) -> Result<NamedFiles> {
        let listed = self.listed_log().await?;
        let newest = listed.commits.last().copied().unwrap_or(state.version);
        let mut named = NamedFiles::new(self.location().clone());
        named.version = newest.max(state.version);
        self.name_commits(&mut named, listed.commits.clone())
            .await?;
        let (state, apart) = (state.clone(), listed.checkpoints_apart());
        self.log
            .blocking(move |table, engine| {
                let engine = engine.as_ref();
                let found = table.with_readable(engine, &state, |snapshot| {
                    let mut found = NamedFiles::new(table.location.clone());
                    table.name_snapshot(engine, snapshot, &mut found)?;
                    Ok(found)
                })?;
                named.hashes.extend(found.hashes);
                for version in apart {
                    let snapshot = Snapshot::builder_for(table.root_url.as_str())
                        .at_version(version)
                        .build(engine)
                        .map_err(|error| table.load_error(error))?;
                    table.name_snapshot(engine, &snapshot, &mut named)?;
                }
                Ok(named)
            })
            .await
    }

    /// Reads on to the version of `state`.
    ///
    /// # Errors
    /// As [`TableLog::named_files`]; Corrupt where a commit since has been cleaned up already.
    pub async fn name_newer(&self, named: &mut NamedFiles, state: &TableState) -> Result<()> {
        let newer: Vec<u64> = (named.version + 1..=state.version).collect();
        let asked = newer.len();
        if self.name_commits(named, newer).await? < asked {
            return Err(CommitError::corrupt(
                self.name(),
                "read",
                "a commit was cleaned up before it was read; try again",
            ));
        }
        named.version = named.version.max(state.version);
        Ok(())
    }

    /// Takes what these commits name. Returns how many were there.
    async fn name_commits(&self, named: &mut NamedFiles, versions: Vec<u64>) -> Result<usize> {
        let store = &self.log.inner.location.store;
        let error = |error| CommitError::store(self.name(), "read", error);
        let mut commits = stream::iter(versions)
            .map(|version| async move {
                let found = match store.get(&self.log.inner.commit_path(version)).await {
                    Ok(found) => found.bytes().await,
                    Err(fault) => Err(fault),
                };
                match found {
                    Ok(bytes) => Ok(Some((version, bytes))),
                    // Cleaned up since it was listed.
                    Err(object_store::Error::NotFound { .. }) => Ok(None),
                    Err(fault) => Err(error(fault)),
                }
            })
            .buffer_unordered(CONCURRENT_READS);
        let mut count = 0;
        while let Some(commit) = commits.try_next().await? {
            let Some((version, bytes)) = commit else {
                continue;
            };
            named.name_commit(&bytes).map_err(|fault| {
                let message = format!("a line that is no action: {fault}, version=`{version}`");
                CommitError::corrupt(self.name(), "read", message)
            })?;
            count += 1;
        }
        Ok(count)
    }

    async fn listed_log(&self) -> Result<ListedLog> {
        let error = |error| CommitError::store(self.name(), "list", error);
        let log = self.log.log_path();
        let mut files = self.location().store.list(Some(&log));
        let mut listed = ListedLog::default();
        while let Some(file) = files.try_next().await.map_err(error)? {
            // Sidecars of checkpoints and staged commits lie in folders of their own.
            if file.location.prefix_matches(&log)
                && file.location.parts_count() == log.parts_count() + 1
            {
                listed.take(file.location.filename().unwrap_or_default());
            }
        }
        listed.commits.sort_unstable();
        listed.checkpoints.sort_unstable();
        listed.checkpoints.dedup();
        Ok(listed)
    }
}

impl KernelTable {
    /// The files of a snapshot, and its tombstones that are not older than the table keeps them.
    fn name_snapshot(
        &self,
        engine: &dyn Engine,
        snapshot: &SnapshotRef,
        named: &mut NamedFiles,
    ) -> Result<()> {
        let kernel = |error: KernelError| CommitError::kernel(&self.name, "read", error);
        let writer = snapshot
            .clone()
            .create_checkpoint_writer(engine)
            .map_err(kernel)?;
        for batch in writer.checkpoint_data(engine).map_err(kernel)? {
            let rows = batch
                .and_then(|batch| batch.apply_selection_vector())
                .and_then(|rows| rows.try_into_record_batch())
                .map_err(kernel)?;
            named
                .name_actions(&rows)
                .map_err(|error| CommitError::corrupt(&self.name, "read", error))?;
        }
        Ok(())
    }
}

/// The versions that have a commit, and those that have a checkpoint.
#[derive(Debug, Default)]
struct ListedLog {
    commits: Vec<u64>,
    checkpoints: Vec<u64>,
}

impl ListedLog {
    fn take(&mut self, name: &str) {
        let Some((version, rest)) = name.split_once('.') else {
            return;
        };
        if version.len() != 20 {
            return;
        }
        let Ok(version) = version.parse() else {
            return;
        };
        match rest {
            "json" => self.commits.push(version),
            rest if rest.starts_with("checkpoint.") => self.checkpoints.push(version),
            _ => {}
        }
    }

    /// The checkpoints whose files may be named nowhere else: a file of any other is in the newest version,
    /// or a commit after the checkpoint removes it.
    fn checkpoints_apart(&self) -> Vec<u64> {
        let mut first = match self.commits.last() {
            Some(newest) => *newest,
            None => return self.checkpoints.clone(),
        };
        for version in self.commits.iter().rev().skip(1) {
            if version + 1 != first {
                break;
            }
            first = *version;
        }
        let apart = self.checkpoints.iter().copied();
        apart.filter(|version| version + 1 < first).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn named(url: &str, root: &str, paths: &[&str]) -> NamedFiles {
        let mut named = NamedFiles::new(TableLocation {
            url: url.parse().unwrap(),
            store: Arc::new(InMemory::new()),
            root: Path::parse(root).unwrap(),
        });
        for path in paths {
            named.name(path);
        }
        named
    }

    fn has(named: &NamedFiles, object: &str) -> bool {
        named.contains(&Path::parse(object).unwrap())
    }

    #[test]
    fn a_path_is_decoded_once_and_protects_whatever_it_could_mean() {
        let paths = ["a=x%252Fy/part.parquet", "b c/é.parquet", "p:q/r.parquet"];
        let named = named("s3://b/lake/t/", "lake/t", &paths);
        assert!(has(&named, "lake/t/a=x%2Fy/part.parquet"));
        assert!(has(&named, "lake/t/b c/é.parquet"));
        assert!(has(&named, "lake/t/p:q/r.parquet"));
        // As a writer means that forgets to encode.
        assert!(has(&named, "lake/t/a=x%252Fy/part.parquet"));
        assert!(!has(&named, "lake/t/a=x/y/part.parquet"));
        assert!(!has(&named, "lake/t/part.parquet"));
    }

    #[test]
    fn absolute_paths_mean_this_place_in_any_spelling_of_it() {
        let paths = [
            "s3a://b/lake/t/one.parquet",
            "https://acc.blob.core.windows.net/b/lake/t/two.parquet",
            "s3://other/elsewhere/three.parquet",
        ];
        let named = named("s3://b/lake/t/", "lake/t", &paths);
        assert!(has(&named, "lake/t/one.parquet"));
        assert!(has(&named, "lake/t/two.parquet"));
        assert!(has(&named, "elsewhere/three.parquet"));
        assert!(!has(&named, "lake/t/three.parquet"));
    }

    #[test]
    fn a_table_at_the_root_of_its_store() {
        let named = named(
            "az://c/",
            "",
            &["x/one.parquet", "abfss://c@a/y/two.parquet"],
        );
        assert!(has(&named, "x/one.parquet") && has(&named, "y/two.parquet"));
        assert!(!has(&named, "three.parquet"));
    }

    #[test]
    fn every_action_with_a_path_counts_and_a_torn_line_is_an_error() {
        let mut named = named("s3://b/t/", "t", &[]);
        let lines = br#"{"commitInfo":{"operation":"MERGE"}}
{"add":{"path":"a.parquet","stats":"{}"}}

{"remove":{"path":"b.parquet"}}
{"cdc":{"path":"_change_data/c.parquet"}}
"#;
        named.name_commit(lines).unwrap();
        for object in ["t/a.parquet", "t/b.parquet", "t/_change_data/c.parquet"] {
            assert!(has(&named, object), "{object}");
        }
        assert!(named.name_commit(b"{\"add\":{\"pa").is_err());
        assert!(named.name_commit(b"{\"add\":{}}").is_err());
    }

    fn apart(commits: &[u64], checkpoints: &[u64]) -> Vec<u64> {
        let mut log = ListedLog::default();
        for version in commits {
            log.take(&format!("{version:020}.json"));
        }
        for version in checkpoints {
            log.take(&format!("{version:020}.checkpoint.parquet"));
        }
        log.checkpoints_apart()
    }

    #[test]
    fn a_checkpoint_counts_by_itself_where_commits_do_not_lead_on_from_it() {
        assert!(apart(&[0, 1, 2, 3], &[2]).is_empty());
        assert!(apart(&[3, 4, 5], &[2, 4]).is_empty());
        assert_eq!(apart(&[4, 5], &[2, 4]), [2]);
        assert_eq!(apart(&[0, 1, 2, 7, 8], &[1, 6]), [1]);
        assert_eq!(apart(&[], &[3]), [3]);
        let mut log = ListedLog::default();
        for name in ["_last_checkpoint", "1.json", "00000000000000000001.crc", ""] {
            log.take(name);
        }
        assert!(log.commits.is_empty() && log.checkpoints.is_empty());
    }
}
