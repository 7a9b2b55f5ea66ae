//! The commits that the log still holds.

use super::{
    account::CommitAccount,
    error::{CommitError, Result},
    positions::Txn,
    table_log::TableLog,
};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use serde::Deserialize;

/// Commits read at once.
const CONCURRENT_READS: usize = 16;

/// One version, as its commit file tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRecord {
    pub version: u64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    pub operation: Option<String>,
    /// `engineInfo`.
    pub engine: Option<String>,
    /// What our own commits state; `None` for those of other writers.
    pub account: Option<CommitAccount>,
    /// The `txn` actions, whoever wrote them.
    pub txns: Vec<(String, i64)>,
    /// How many files the version adds and removes.
    pub added_files: u64,
    pub removed_files: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "commitInfo")]
    info: Option<Info>,
    txn: Option<Txn>,
    #[serde(borrow)]
    add: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    remove: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    timestamp: Option<i64>,
    in_commit_timestamp: Option<i64>,
    operation: Option<String>,
    engine_info: Option<String>,
    user_metadata: Option<String>,
}

impl TableLog {
    /// Every version whose commit file is still in the log, oldest first.
    ///
    /// # Errors
    /// Those of the store; Corrupt for a commit that is not lines of JSON.
    pub async fn history(&self) -> Result<Vec<CommitRecord>> {
        let error = |error| CommitError::store(self.name(), "read", error);
        let store = &self.log.inner.location.store;
        let files: Vec<_> = store
            .list(Some(&self.log.log_path()))
            .try_collect()
            .await
            .map_err(error)?;
        let mut versions: Vec<u64> = files
            .iter()
            .filter_map(|file| {
                let digits = file.location.filename()?.strip_suffix(".json")?;
                (digits.len() == 20).then(|| digits.parse().ok()).flatten()
            })
            .collect();
        versions.sort_unstable();
        let found: Vec<Option<CommitRecord>> = stream::iter(versions)
            .map(|version| async move {
                let path = self.log.inner.commit_path(version);
                let bytes = match store.get(&path).await {
                    Ok(found) => found.bytes().await.map_err(error)?,
                    // Cleaned up since the listing.
                    Err(object_store::Error::NotFound { .. }) => return Ok(None),
                    Err(fault) => return Err(error(fault)),
                };
                parse(version, &bytes)
                    .map(Some)
                    .map_err(|fault| CommitError::corrupt(self.name(), "read", fault))
            })
            .buffered(CONCURRENT_READS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }
}

fn parse(version: u64, bytes: &[u8]) -> Result<CommitRecord, String> {
    let mut record = CommitRecord {
        version,
        timestamp: None,
        operation: None,
        engine: None,
        account: None,
        txns: Vec::new(),
        added_files: 0,
        removed_files: 0,
    };
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: Line<'_> = serde_json::from_slice(line)
            .map_err(|error| format!("a line that is no action: {error}, version=`{version}`"))?;
        record.added_files += u64::from(line.add.is_some());
        record.removed_files += u64::from(line.remove.is_some());
        if let Some(txn) = line.txn {
            record.txns.push((txn.app_id, txn.version));
        }
        if let Some(info) = line.info {
            record.timestamp = info.in_commit_timestamp.or(info.timestamp);
            record.operation = info.operation;
            record.engine = info.engine_info;
            record.account = info.user_metadata.as_deref().and_then(CommitAccount::parse);
        }
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_commit_reads_without_an_account() {
        let lines = br#"{"commitInfo":{"timestamp":5,"operation":"OPTIMIZE","engineInfo":"Spark","userMetadata":"nightly"}}
{"remove":{"path":"a"}}
{"add":{"path":"b"}}

{"txn":{"appId":"x","version":-1}}
"#;
        let record = parse(4, lines).unwrap();
        assert_eq!(record.operation.as_deref(), Some("OPTIMIZE"));
        assert_eq!(record.account, None);
        assert_eq!(record.txns, [("x".to_owned(), -1)]);
        assert_eq!((record.added_files, record.removed_files), (1, 1));
        assert!(parse(4, b"torn {").is_err());
    }
}
