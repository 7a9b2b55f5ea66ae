//! The dry run: what a run would read, without reading it into a table.

use super::{
    BATCH_BYTES, FilesError, Format, Plan,
    format::open,
    input::{Input, ReadAhead, Reading},
    lane::LaneChunk,
    lane_task::raw_batch,
    parquet::ParquetReader,
    plan::blocking,
    records::Chunk,
    run::ahead_bytes,
    text::BytesRead,
};
use crate::event::{ByteBudget, RawBatch};
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What one file holds.
#[derive(Clone, Debug)]
pub struct FileSample {
    pub path: String,
    pub format: Format,
    pub size: u64,
    /// All of its records, where counting was asked for and the file reads to its end.
    pub records: Option<u64>,
    /// Why it does not read to its end.
    pub problem: Option<String>,
    /// The columns of a Parquet file, which say more than JSON can: widths, decimals, times.
    pub schema: Option<SchemaRef>,
}

#[derive(Debug)]
pub struct Sample {
    /// In the manifest's order.
    pub files: Vec<FileSample>,
    /// The first records of each file, as the run would hand them on, but with epoch 0 and offsets
    /// that count from each file's start.
    pub batches: Vec<RawBatch>,
}

/// Reads the first `records` of each file (at most one batch's bytes of each, and of all files together at
/// most half the budget) and, if `count`, passes the rest to count them.
pub async fn sample(
    plan: &Plan,
    budget: &ByteBudget,
    records: usize,
    count: bool,
) -> Result<Sample, FilesError> {
    let manifest = &plan.manifest;
    let table: Arc<str> = manifest.table.as_str().into();
    let types = Arc::new(manifest.csv_types.clone());
    let lanes = manifest.lanes.max(1) as usize;
    let reading = Reading {
        stores: plan.stores.clone(),
        halt: CancellationToken::new(),
        ahead: ReadAhead::within(ahead_bytes(budget.limit(), lanes)),
        bytes: BytesRead::default(),
    };
    let _ended = reading.halt.clone().drop_guard();
    let jobs: Vec<_> = manifest
        .files
        .iter()
        .cloned()
        .map(|file| {
            let (types, reading) = (types.clone(), reading.clone());
            blocking(move || {
                let lane = file.lane;
                one(file, &types, &reading, records, count).map(|(s, chunk)| (lane, s, chunk))
            })
        })
        .collect();
    let mut results = stream::iter(jobs).buffered(lanes);
    let mut sample = Sample {
        files: Vec::new(),
        batches: Vec::new(),
    };
    let mut held = 0;
    while let Some((lane, file, chunk)) = results.try_next().await? {
        sample.files.push(file);
        let bytes = chunk.chunk.slab.len() as u64;
        if chunk.chunk.records.is_empty() || held + bytes > budget.limit() / 2 {
            continue;
        }
        held += bytes;
        let permit = budget.charge(bytes);
        sample.batches.push(raw_batch(
            &manifest.partition(lane),
            0,
            &table,
            chunk,
            permit,
        ));
    }
    Ok(sample)
}

fn one(
    file: super::FileEntry,
    types: &super::csv_types::CsvTypes,
    reading: &Reading,
    records: usize,
    count: bool,
) -> Result<(FileSample, LaneChunk), FilesError> {
    let input = Input::of(&file, &*reading.stores)?;
    let schema = match file.format {
        Format::Parquet => Some(ParquetReader::open(&input, reading)?.schema()),
        _ => None,
    };
    let mut chunk = Chunk::default();
    let mut reader = open(&input, file.format, file.compression, types, reading)?;
    let mut read = || -> Result<u64, FilesError> {
        let mut more = true;
        while more && chunk.records.len() < records && chunk.slab.len() < BATCH_BYTES {
            // A target just past what is there: one record at a time.
            let target = chunk.slab.len() + 1;
            more = reader.read(&mut chunk, target)?;
        }
        let rest = match more && count {
            true => reader.skip(u64::MAX)?,
            false => 0,
        };
        Ok(chunk.records.len() as u64 + rest)
    };
    let counted = read();
    let (total, problem) = match counted {
        Ok(n) => (count.then_some(n), None),
        Err(e) => (None, Some(e.to_string())),
    };
    chunk
        .slab
        .truncate(chunk.records.last().map_or(0, |r| r.0.end as usize));
    let sample = FileSample {
        path: input.name().to_string(),
        format: file.format,
        size: file.size,
        records: total,
        problem,
        schema,
    };
    let chunk = LaneChunk {
        path: input.name().clone(),
        event_time: file.modified_us,
        start: 0,
        chunk,
    };
    Ok((sample, chunk))
}
