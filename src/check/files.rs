//! Data files as commits name them, and columns of them.

use crate::{
    commit::TableLog,
    error::{Error, Kind, Result},
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, arrow_reader::ArrowReaderOptions,
        async_reader::AsyncFileReader,
    },
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use serde::Deserialize;
use std::{collections::HashSet, ops::Range, sync::Arc};

/// Versions of a log replayed for the current files.
const MAX_VERSIONS: usize = 1_000;

/// A file that a version added.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) path: Path,
    /// As the log has it: an object, or null.
    pub(super) stats: serde_json::Value,
    /// Some of its rows are deleted.
    pub(super) has_deletions: bool,
}

/// The files of a table that its newest versions added and none removed.
#[derive(Debug, Default)]
pub(super) struct Current {
    /// The newest first.
    pub(super) files: Vec<Added>,
    /// What lies below this version was not looked at; `None` where nothing does.
    pub(super) from_version: Option<u64>,
}

/// Replays the newest of `versions` (ascending), at most a thousand.
///
/// # Errors
/// Those of the store.
pub(super) async fn current(log: &TableLog, versions: &[u64]) -> Result<Current> {
    let mut current = Current::default();
    // A file is named with its deletion vector: other rows of it deleted, it is added anew.
    let mut seen: HashSet<(String, Option<String>)> = HashSet::new();
    let mut looked_at = None;
    for version in versions.iter().rev().take(MAX_VERSIONS) {
        looked_at = Some(*version);
        let lines = lines(log, *version).await?;
        let key = |file: &File| {
            let vector = file.deletion_vector.as_ref();
            (file.path.clone(), vector.map(ToString::to_string))
        };
        seen.extend(lines.iter().filter_map(|l| l.remove.as_ref()).map(key));
        for add in lines.iter().filter_map(|line| line.add.as_ref()) {
            if seen.insert(key(add)) {
                current.files.extend(add.added(log));
            }
        }
    }
    current.from_version = looked_at.filter(|version| *version > 0);
    Ok(current)
}

/// The files that a version added; none where its commit was cleaned up.
///
/// # Errors
/// Those of the store.
pub(super) async fn added(log: &TableLog, version: u64) -> Result<Vec<Added>> {
    let lines = lines(log, version).await?;
    let adds = lines.iter().filter_map(|line| line.add.as_ref());
    Ok(adds.filter_map(|add| add.added(log)).collect())
}

#[derive(Deserialize)]
struct Line {
    add: Option<File>,
    remove: Option<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    path: String,
    stats: Option<String>,
    deletion_vector: Option<serde_json::Value>,
}

impl File {
    fn added(&self, log: &TableLog) -> Option<Added> {
        // The log encodes paths as URLs do, relative to the table's.
        let url = log.location().url.join(&self.path).ok()?;
        let stats = self.stats.as_deref().unwrap_or("null");
        Some(Added {
            path: Path::from_url_path(url.path()).ok()?,
            stats: serde_json::from_str(stats).unwrap_or_default(),
            has_deletions: self.deletion_vector.is_some(),
        })
    }
}

async fn lines(log: &TableLog, version: u64) -> Result<Vec<Line>> {
    let location = log.location();
    let commit = location.object_path(&format!("_delta_log/{version:020}.json"))?;
    let bytes = match location.store.get(&commit).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        // Cleaned up since it was listed.
        Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(store_error("read a commit", error)),
    };
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// A data file to be read; `None` where it is gone.
///
/// # Errors
/// Those of the store; Corrupt for a file that is no Parquet.
pub(super) async fn open(
    log: &TableLog,
    path: &Path,
) -> Result<Option<ParquetRecordBatchStreamBuilder<DataObject>>> {
    let store = log.location().store.clone();
    let size = match store.head(path).await {
        Ok(object) => object.size,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(store_error("look at a data file", error)),
    };
    let path = path.clone();
    let object = DataObject { store, path, size };
    let builder = ParquetRecordBatchStreamBuilder::new(object).await;
    Ok(Some(builder.map_err(corrupt)?))
}

pub(super) fn corrupt(error: ParquetError) -> Error {
    Error::new(Kind::Corrupt, "a data file does not read").with_source(error)
}

fn store_error(action: &str, error: object_store::Error) -> Error {
    Error::new(crate::storage::kind_of(&error), format!("cannot {action}")).with_source(error)
}

/// A data file in its store, read by ranges.
pub(super) struct DataObject {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl AsyncFileReader for DataObject {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let read = self.store.get_range(&self.path, range);
        read.map(|bytes| bytes.map_err(|error| ParquetError::External(Box::new(error))))
            .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let metadata = ParquetMetaDataReader::new()
                .load_and_finish(self, size)
                .await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}
