//! A run of a backfill: its files, fixed before the first record is read (exactly-once.md, rule 20).
//!
//! The manifest is `_alluvium/backfill-<run id>.json` below the table's folder, made once by a
//! conditional create and never changed; whoever loses the race to make it reads the winner's. Beside
//! it, `backfill-<run id>.finished.json` is made when every lane is committed to its end.

use super::{
    Compression, CsvType, FilesError, Format,
    inputs::{Found, is_object_url},
};
use crate::event::{Partition, SourcePartition};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt, sync::Arc};
use url::Url;

/// What this version writes and reads. It rises with the layout of the manifest's JSON, and whenever
/// the same bytes would be split into other records: positions count those.
pub const MANIFEST_FORMAT: u32 = 1;

/// Names a run: 1 to 64 letters, digits, `-` or `_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    pub fn new(text: impl Into<String>) -> Result<Self, FilesError> {
        let text = text.into();
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        match fits {
            true => Ok(Self(text)),
            false => Err(FilesError::BadRunId(text)),
        }
    }

    /// The id of these arguments: the same command names the same run.
    pub fn derive(pipeline: &str, table: &str, canonical_inputs: &[String]) -> Self {
        let mut hash = Sha256::new();
        for part in [pipeline, table]
            .into_iter()
            .chain(canonical_inputs.iter().map(String::as_str))
        {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let hex: String = hash
            .finalize()
            .iter()
            .take(8)
            .map(|b| format!("{b:02x}"))
            .collect();
        Self(hex)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RunId {
    type Error = FilesError;

    fn try_from(text: String) -> Result<Self, FilesError> {
        Self::new(text)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// One file or object of a run. Any change of it makes the run's positions meaningless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// `file:///…`, or the URL of an object.
    pub url: String,
    pub size: u64,
    /// Microseconds since the epoch.
    pub modified_us: i64,
    /// Of an object, as its store's answers spell it. It decides where there is one, else `modified_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    pub format: Format,
    #[serde(default)]
    pub compression: Compression,
    pub lane: u32,
}

impl FileEntry {
    /// The path of a file, the URL of an object.
    pub fn name(&self) -> Result<String, FilesError> {
        if is_object_url(&self.url) {
            return Ok(self.url.clone());
        }
        Url::parse(&self.url)
            .ok()
            .and_then(|url| url.to_file_path().ok())
            .ok_or_else(|| FilesError::BadFileUrl(self.url.clone()))
            .and_then(super::error::path_text)
    }
}

/// A run. Offset n of a lane is its n-th record, over the lane's files in the order they have here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`]
    pub format: u32,
    pub run_id: RunId,
    pub pipeline: String,
    pub table: String,
    /// The canonical arguments.
    pub inputs: Vec<String>,
    pub lanes: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub csv_types: BTreeMap<String, CsvType>,
    /// Sorted by name.
    pub files: Vec<FileEntry>,
}

/// How many records each lane of a finished run has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    pub run_id: RunId,
    pub lane_records: Vec<u64>,
}

impl Manifest {
    /// The lane's source partition; `_source` is the run until a file is being read.
    pub fn partition(&self, lane: u32) -> Partition {
        Partition {
            id: SourcePartition::new(format!("{}/backfill-{}/{lane}", self.pipeline, self.run_id)),
            source: "backfill".into(),
            label: format!("backfill-{}", self.run_id).into(),
            topic: "".into(),
            number: i32::try_from(lane).unwrap_or(i32::MAX),
        }
    }

    pub fn lane_files(&self, lane: u32) -> Vec<FileEntry> {
        self.files
            .iter()
            .filter(|f| f.lane == lane)
            .cloned()
            .collect()
    }

    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// Whether the files are still those of the run; the error says what each way on would do.
    pub fn check_unchanged(&self, inputs: &[String], now: &[Found]) -> Result<(), FilesError> {
        if self.inputs != inputs {
            return Err(FilesError::InputsChanged(format!(
                "this run id belongs to other arguments; repeat those, or choose another --run-id for these \
                 run_id=`{}` its_arguments=`{}`",
                self.run_id,
                self.inputs.join(" ")
            )));
        }
        let mut known = BTreeMap::new();
        for file in &self.files {
            known.insert(file.name()?, file);
        }
        let (mut changed, mut added) = (Vec::new(), Vec::new());
        for found in now {
            match known.remove(&found.path) {
                Some(file) if found.is_same(file.size, file.modified_us, file.etag.as_deref()) => {}
                Some(_) => changed.push(found.path.clone()),
                None => added.push(found.path.clone()),
            }
        }
        let missing: Vec<String> = known.into_keys().collect();
        if changed.is_empty() && added.is_empty() && missing.is_empty() {
            return Ok(());
        }
        Err(FilesError::InputsChanged(
            self.ways_on(&changed, &missing, &added),
        ))
    }

    fn ways_on(&self, changed: &[String], missing: &[String], added: &[String]) -> String {
        let mut text =
            String::from("the files are not those this run began with, so nothing was read");
        if !changed.is_empty() {
            text += &format!(
                "; changed in size, time or etag: {} (put the old ones back and the run goes on)",
                some(changed)
            );
        }
        if !missing.is_empty() {
            text += &format!(
                "; missing: {} (put them back and the run goes on; what was not yet read of them is in no table)",
                some(missing)
            );
        }
        if !added.is_empty() {
            text += &format!(
                "; new: {0} (to load only these, doubling nothing: alluvium backfill --table {1} {0})",
                some(added),
                self.table
            );
        }
        if !(changed.is_empty() && missing.is_empty()) {
            text += &format!(
                "; --run-id NEW reads every file as it is now from its start: rows this run has committed \
                 already (alluvium table positions {}) would then stand twice",
                self.table
            );
        }
        format!("{text} run_id=`{}`", self.run_id)
    }
}

/// The first few names, and how many more.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(" ");
    match names.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} (and {more} more)"),
    }
}

/// Gives each file a lane: the largest first, each to the lane with the fewest bytes. The order of
/// `files` stays.
pub(crate) fn assign_lanes(files: &mut [FileEntry], lanes: u32) {
    let mut load = vec![0u64; lanes.max(1) as usize];
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(files[i].size));
    for i in order {
        let lane = (0..load.len()).min_by_key(|&lane| load[lane]).unwrap_or(0);
        // An empty file still costs an open, so that many of them spread too.
        load[lane] = load[lane].saturating_add(files[i].size.max(1));
        files[i].lane = u32::try_from(lane).unwrap_or(0);
    }
}

/// Where objects of runs are kept: below the table's folder.
#[derive(Clone, Debug)]
pub struct RunStore {
    pub store: Arc<dyn ObjectStore>,
    /// The table's folder in `store`.
    pub root: Path,
}

impl RunStore {
    pub(crate) fn object(&self, name: &str) -> Path {
        self.root.clone().join("_alluvium").join(name)
    }

    pub async fn load_manifest(&self, run_id: &RunId) -> Result<Option<Manifest>, FilesError> {
        let path = self.object(&format!("backfill-{run_id}.json"));
        let manifest: Option<Manifest> = self.load(&path).await?;
        if let Some(m) = &manifest {
            let problem = if m.run_id != *run_id {
                Some("it names another run")
            } else if m.lanes == 0 || m.files.iter().any(|f| f.lane >= m.lanes) {
                Some("a file is in no lane")
            } else {
                None
            };
            if let Some(problem) = problem {
                return Err(FilesError::ManifestCorrupt {
                    path: path.to_string(),
                    problem: problem.into(),
                });
            }
        }
        Ok(manifest)
    }

    /// Makes the manifest unless there is one; then that one, and false.
    pub async fn record_manifest(
        &self,
        manifest: Manifest,
    ) -> Result<(Manifest, bool), FilesError> {
        let path = self.object(&format!("backfill-{}.json", manifest.run_id));
        if self.create(&path, &manifest).await? {
            return Ok((manifest, true));
        }
        match self.load_manifest(&manifest.run_id).await? {
            Some(winner) => Ok((winner, false)),
            None => Err(FilesError::ManifestCorrupt {
                path: path.to_string(),
                problem: "it was there and then was not".into(),
            }),
        }
    }

    pub async fn load_finished(&self, run_id: &RunId) -> Result<Option<Finished>, FilesError> {
        self.load(&self.object(&format!("backfill-{run_id}.finished.json")))
            .await
    }

    pub async fn record_finished(&self, finished: &Finished) -> Result<(), FilesError> {
        let path = self.object(&format!("backfill-{}.finished.json", finished.run_id));
        self.create(&path, finished).await.map(|_| ())
    }

    pub(crate) async fn load<T: DeserializeOwned>(
        &self,
        path: &Path,
    ) -> Result<Option<T>, FilesError> {
        let failed = |source| FilesError::Store {
            path: path.to_string(),
            source,
        };
        let bytes = match self.store.get(path).await {
            Ok(found) => found.bytes().await.map_err(failed)?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        #[derive(Deserialize)]
        struct Head {
            format: Option<u32>,
        }
        let corrupt = |e: serde_json::Error| FilesError::ManifestCorrupt {
            path: path.to_string(),
            problem: e.to_string(),
        };
        let head: Head = serde_json::from_slice(&bytes).map_err(corrupt)?;
        match head.format {
            Some(format) if format != MANIFEST_FORMAT => Err(FilesError::ManifestFormat {
                path: path.to_string(),
                format,
            }),
            _ => serde_json::from_slice(&bytes).map(Some).map_err(corrupt),
        }
    }

    /// Makes the object unless it exists; whether this call made it.
    pub(crate) async fn create(
        &self,
        path: &Path,
        value: &impl Serialize,
    ) -> Result<bool, FilesError> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|e| FilesError::Task(format!("a manifest does not serialise: {e}")))?;
        let options = PutOptions::from(PutMode::Create);
        match self
            .store
            .put_opts(path, PutPayload::from(bytes), options)
            .await
        {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(FilesError::Store {
                path: path.to_string(),
                source,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_command_names_the_same_run_in_every_version() {
        let id = |table: &str, inputs: &[&str]| {
            let inputs: Vec<String> = inputs.iter().map(|i| i.to_string()).collect();
            RunId::derive("default", table, &inputs)
        };
        assert_eq!(id("events", &["/a", "/b"]).as_str(), "6e1b4a307febb29e");
        assert_ne!(id("events", &["/a", "/b"]), id("events", &["/a/b"]));
        assert_ne!(id("event", &["s/a"]), id("events", &["/a"]));
        for bad in ["", "a/b", "a b", &"x".repeat(65), "!"] {
            assert!(RunId::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Every file has a lane, no lane is idle while another has two files, and the longest lane is
        /// at most a file longer than the shortest.
        #[test]
        fn lanes_share_the_work(sizes in prop::collection::vec(0u64..1000, 1..40), lanes in 1u32..9) {
            let lanes = lanes.min(sizes.len() as u32);
            let mut files: Vec<FileEntry> = sizes.iter().map(|&size| FileEntry {
                url: format!("file:///{size}"),
                size,
                modified_us: 0,
                etag: None,
                format: Format::Ndjson,
                compression: Compression::None,
                lane: u32::MAX,
            }).collect();
            let before = files.clone();
            assign_lanes(&mut files, lanes);
            let mut load = vec![0u64; lanes as usize];
            for (file, old) in files.iter().zip(&before) {
                prop_assert_eq!(&file.url, &old.url);
                load[file.lane as usize] += file.size.max(1);
            }
            let (most, least) = (load.iter().max().unwrap(), load.iter().min().unwrap());
            prop_assert!(*least > 0 && most - least <= *sizes.iter().max().unwrap().max(&1));
        }
    }
}
