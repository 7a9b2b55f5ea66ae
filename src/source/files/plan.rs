//! From arguments to a run: list, tell formats, fix the manifest or find the one that is there.

use super::{
    FilesError, MAX_LANES,
    csv::guess_types,
    csv_types::{CsvType, Guess},
    format::detect,
    input::{Input, ReadAhead, Reading},
    inputs::{self, Found},
    manifest::{FileEntry, Finished, MANIFEST_FORMAT, Manifest, RunId, RunStore, assign_lanes},
    object::InputStores,
    text::BytesRead,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;
use url::Url;

/// What a backfill is asked to do.
#[derive(Clone, Debug)]
pub struct PlanArgs {
    pub pipeline: String,
    pub table: String,
    /// As given: paths and URLs of files, folders and patterns.
    pub inputs: Vec<String>,
    /// What serves the URLs among them.
    pub stores: Arc<dyn InputStores>,
    /// Cancelled: no store is waited for any longer.
    pub stop: CancellationToken,
    /// By default derived from the three above.
    pub run_id: Option<RunId>,
    /// Lanes of a new run, at most [`MAX_LANES`]; by default one a core.
    pub lanes: Option<usize>,
    pub store: RunStore,
    /// CSV columns whose types the table knows; others are found by reading the CSV files once.
    pub csv_types: BTreeMap<String, CsvType>,
    /// False for a dry run: nothing is written.
    pub record: bool,
}

/// A run that may begin or go on.
#[derive(Clone, Debug)]
pub struct Plan {
    pub manifest: Manifest,
    /// The manifest was made by this call: no position of the run may exist yet.
    pub fresh: bool,
    /// False for a dry run of a run that does not exist: it may be sampled, not run.
    pub recorded: bool,
    /// The run was committed to its end before.
    pub finished: Option<Finished>,
    pub store: RunStore,
    /// What serves the inputs that are URLs.
    pub stores: Arc<dyn InputStores>,
}

/// Bytes a lane may hold while it tells the types of CSV columns.
const PLAN_BYTES: u64 = 5 << 20;

/// Finds or makes the run. Changed inputs of a run that exists are refused.
pub async fn plan(args: PlanArgs) -> Result<Plan, FilesError> {
    let inputs = inputs::canonical(&args.inputs, &*args.stores)?;
    let run_id = match args.run_id.clone() {
        Some(id) => id,
        None => RunId::derive(&args.pipeline, &args.table, &inputs),
    };
    let existing = args.store.load_manifest(&run_id).await?;
    let listed = tokio::select! {
        listed = inputs::list(&inputs, &*args.stores) => listed,
        () = args.stop.cancelled() => return Err(FilesError::Halted),
    };
    let found = match listed {
        // All files of a known run may be gone: that is a change, not a typing mistake.
        Err(FilesError::NoMatch(_)) if existing.is_some() => Vec::new(),
        listed => listed?,
    };
    let recorded = existing.is_some() || args.record;
    let (manifest, fresh) = match existing {
        Some(manifest) => (manifest, false),
        None => {
            let manifest = new_manifest(&args, run_id, inputs.clone(), found.clone()).await?;
            match args.record {
                true => args.store.record_manifest(manifest).await?,
                false => (manifest, true),
            }
        }
    };
    if manifest.pipeline != args.pipeline || manifest.table != args.table {
        return Err(FilesError::InputsChanged(format!(
            "this run id belongs to another pipeline or table; choose another --run-id \
             run_id=`{}` its_pipeline=`{}` its_table=`{}`",
            manifest.run_id, manifest.pipeline, manifest.table
        )));
    }
    manifest.check_unchanged(&inputs, &found)?;
    let finished = args.store.load_finished(&manifest.run_id).await?;
    Ok(Plan {
        manifest,
        fresh,
        recorded,
        finished,
        store: args.store,
        stores: args.stores,
    })
}

async fn new_manifest(
    args: &PlanArgs,
    run_id: RunId,
    inputs: Vec<String>,
    found: Vec<Found>,
) -> Result<Manifest, FilesError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes = args
        .lanes
        .unwrap_or(cores)
        .clamp(1, MAX_LANES)
        .min(found.len().max(1));
    let reading = Reading {
        stores: args.stores.clone(),
        halt: args.stop.clone(),
        ahead: ReadAhead::within(PLAN_BYTES),
        bytes: BytesRead::default(),
    };
    let mut files: Vec<FileEntry> = stream::iter(found)
        .map(|found| {
            let reading = reading.clone();
            blocking(move || entry(found, &reading))
        })
        .buffered(lanes)
        .try_collect()
        .await?;
    let lanes = u32::try_from(lanes).unwrap_or(1);
    assign_lanes(&mut files, lanes);
    Ok(Manifest {
        format: MANIFEST_FORMAT,
        run_id,
        pipeline: args.pipeline.clone(),
        table: args.table.clone(),
        inputs,
        lanes,
        csv_types: csv_types(&files, &args.csv_types, &reading, lanes as usize).await?,
        files,
    })
}

fn entry(found: Found, reading: &Reading) -> Result<FileEntry, FilesError> {
    let input = Input::found(&found, &*reading.stores)?;
    let (format, compression) = detect(&input, reading)?;
    let (url, etag) = match &input {
        Input::Object(object) => (
            found.path,
            // As answers spell it, so that it can be asked for.
            object.seen_etag().map(str::to_owned).or(found.etag),
        ),
        Input::File(_) => match Url::from_file_path(&found.path) {
            Ok(url) => (url.into(), None),
            Err(()) => return Err(FilesError::PathNotUtf8(found.path)),
        },
    };
    Ok(FileEntry {
        url,
        size: found.size,
        modified_us: found.modified_us,
        etag,
        format,
        compression,
        lane: 0,
    })
}

/// The types of all CSV columns of the run: `known` first, else what every file's values share.
async fn csv_types(
    files: &[FileEntry],
    known: &BTreeMap<String, CsvType>,
    reading: &Reading,
    parallel: usize,
) -> Result<BTreeMap<String, CsvType>, FilesError> {
    let mut jobs = Vec::new();
    for file in files {
        if let Some(separator) = file.format.separator() {
            let input = Input::of(file, &*reading.stores)?;
            let (reading, compression) = (reading.clone(), file.compression);
            jobs.push(blocking(move || {
                guess_types(&input, compression, separator, &reading)
            }));
        }
    }
    let guesses: Vec<BTreeMap<String, Guess>> =
        stream::iter(jobs).buffered(parallel).try_collect().await?;
    let mut joined: BTreeMap<String, Guess> = BTreeMap::new();
    for (name, guess) in guesses.into_iter().flatten() {
        let slot = joined.entry(name).or_default();
        *slot = slot.join(guess);
    }
    Ok(joined
        .into_iter()
        .map(|(name, guess)| {
            let kind = known.get(&name).copied().unwrap_or_else(|| guess.decide());
            (name, kind)
        })
        .collect())
}

/// Runs file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| FilesError::Task(e.to_string()))?
}
