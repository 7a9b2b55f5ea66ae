//! The CPU work of one table: batches to rows, rows to open files. Blocking; no I/O.
//!
//! An engine runs to completion: it encodes a batch's rows while they are still in the core's cache, and no
//! other thread sees them. A table has an engine a core, each with files of its own; they share a commit.

use crate::{
    decode::{DecodeOptions, Decoder, Verdicts},
    error::Result,
    event::{Counts, DeadLetter, RoutedBatch, WriteSpec},
    schema::{Seen, TableSchema},
    write::{EncodedFile, TableWriter, WriteOptions},
};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// A decoder, and the files that its rows go to. Both belong to one schema.
#[derive(Default)]
pub(super) struct Engine {
    pub(super) decoder: Option<Decoder>,
    pub(super) writer: Option<TableWriter>,
}

/// What a round needs to know of the table.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) schema: Arc<TableSchema>,
    /// Where rows are to be encoded at once: how.
    pub(super) spec: Option<Arc<WriteSpec>>,
    pub(super) decode: Arc<DecodeOptions>,
    pub(super) write: WriteOptions,
    /// Microseconds since the epoch.
    pub(super) ingested_at: i64,
}

/// One engine's share of a round.
#[derive(Default)]
pub(super) struct Portion {
    /// Rows decoded before and not encoded yet, with the columns of the schema.
    pub(super) pieces: Vec<RecordBatch>,
    pub(super) batches: Vec<(RoutedBatch, Arc<Verdicts>)>,
}

/// What a portion became.
#[derive(Default)]
pub(super) struct Yield {
    /// One for each batch, in order.
    pub(super) decoded: Vec<DecodedBatch>,
    /// Files that reached their limits.
    pub(super) full: Vec<EncodedFile>,
}

pub(super) struct DecodedBatch {
    pub(super) batch: RoutedBatch,
    pub(super) verdicts: Arc<Verdicts>,
    pub(super) counts: Counts,
    pub(super) rejected: Vec<DeadLetter>,
    pub(super) seen: Seen,
    /// `None` once encoded. Rows of a batch that showed more than the schema has are not encoded yet: the
    /// schema may change, and the batch be decoded again.
    pub(super) rows: Option<RecordBatch>,
}

impl Engine {
    pub(super) fn run(&mut self, portion: Portion, shape: &Shape) -> Result<Yield> {
        let mut made = Yield::default();
        let mut writer = match &shape.spec {
            Some(spec) => Some(match &mut self.writer {
                Some(writer) => writer,
                none => none.insert(TableWriter::new(spec.clone(), shape.write.clone())?),
            }),
            None => None,
        };
        if let Some(writer) = &mut writer {
            for piece in &portion.pieces {
                writer.write(piece)?;
            }
        }
        if !portion.batches.is_empty() {
            let decoder = match &mut self.decoder {
                Some(decoder) => decoder,
                none => none.insert(Decoder::new(shape.schema.clone(), shape.decode.clone())?),
            };
            for (batch, verdicts) in portion.batches {
                let one = decoder.decode(&batch, &verdicts, shape.ingested_at)?;
                let rows = match &mut writer {
                    Some(writer) if one.seen.is_empty() => {
                        writer.write(&one.rows)?;
                        None
                    }
                    _ => Some(one.rows),
                };
                made.decoded.push(DecodedBatch {
                    batch,
                    verdicts,
                    counts: one.counts,
                    rejected: one.rejected,
                    seen: one.seen,
                    rows,
                });
            }
        }
        if let Some(writer) = writer {
            made.full = writer.take_full();
        }
        Ok(made)
    }
}
