//! Decoding, encoding, and the flush that hands both to the flusher.

use super::{super::flusher::Job, Worker, state::Engine};
use crate::{
    batch::FlushReason,
    decode::{Decoded, Decoder, reproject},
    error::{Error, Kind, Result},
    event::RoutedBatch,
    schema::{self, Seen, TableSchema},
    write::TableWriter,
};
use arrow::record_batch::RecordBatch;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Decoded bytes that are worth a call of the encoder.
const ENCODE_CHUNK_BYTES: u64 = 8 << 20;
/// How often a batch is decoded again because it brought new fields, at most.
const EVOLUTION_ROUNDS: usize = 8;

impl Worker {
    pub(super) async fn absorb_waiting(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.state.waiting);
        self.state.waiting_bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        if self.state.schema.is_none() {
            self.set_new_schema(self.settings.base_schema()?);
        }
        self.absorb(waiting).await
    }

    /// Decodes batches, evolving the schema until they bring nothing new. After a reset on the way
    /// nothing of them is kept: they will be read again.
    pub(super) async fn absorb(&mut self, batches: Vec<RoutedBatch>) -> Result<()> {
        let generation = self.generation.load(Ordering::Acquire);
        let batches = Arc::new(batches);
        let mut decoded = self.decode(&batches).await?;
        for _ in 0..EVOLUTION_ROUNDS {
            let mut seen = Seen::default();
            for one in &mut decoded {
                seen.merge(std::mem::take(&mut one.seen));
            }
            if seen.is_empty() || !self.evolve(&seen).await? {
                break;
            }
            decoded = self.decode(&batches).await?;
        }
        if generation != self.generation.load(Ordering::Acquire) {
            return Ok(());
        }
        for (batch, one) in batches.iter().zip(decoded) {
            note(&one);
            if let Some(lane) = self.state.lanes.get_mut(&batch.raw.partition.id) {
                let letter_bytes = lane.add(&one.counts, one.rejected);
                self.state.open.add_letters(letter_bytes);
                self.state.open.push(one.rows);
            }
        }
        if self.state.open.piece_bytes() >= ENCODE_CHUNK_BYTES {
            self.encode().await?;
        }
        Ok(())
    }

    async fn decode(&mut self, batches: &Arc<Vec<RoutedBatch>>) -> Result<Vec<Decoded>> {
        let Some(schema) = self.state.schema.clone() else {
            return Err(Error::new(Kind::Bug, "decoding without a schema"));
        };
        let verdicts: Vec<_> = batches
            .iter()
            .map(|batch| {
                self.state
                    .lanes
                    .get(&batch.raw.partition.id)
                    .map(|lane| lane.verdicts().clone())
                    .unwrap_or_default()
            })
            .collect();
        let options = self.settings.decode.clone();
        let batches = batches.clone();
        let now = chrono::Utc::now().timestamp_micros();
        let span = tracing::debug_span!("decode", batches = batches.len());
        self.blocking(move |engine| {
            let _entered = span.enter();
            let decoder = match &mut engine.decoder {
                Some(decoder) => decoder,
                none => none.insert(Decoder::new(schema, options)?),
            };
            let mut decoded = Vec::with_capacity(batches.len());
            for (batch, verdicts) in batches.iter().zip(&verdicts) {
                decoded.push(decoder.decode(batch, verdicts, now)?);
            }
            Ok(decoded)
        })
        .await
    }

    /// Encodes what is decoded, re-projecting rows that were decoded for an older schema. Rows that no
    /// longer fit, because others took a column away, are read again.
    async fn encode(&mut self) -> Result<()> {
        let pieces = self.state.open.take_pieces();
        let (Some(schema), Some(spec)) = (self.state.schema.clone(), self.state.spec.clone())
        else {
            return Ok(());
        };
        if pieces.is_empty() {
            return Ok(());
        }
        let pieces: Result<Vec<RecordBatch>> =
            pieces.iter().map(|piece| current(piece, &schema)).collect();
        let pieces = match pieces {
            Ok(pieces) => pieces,
            Err(error) => {
                self.reset(&format!(
                    "rows that were held no longer fit the table: {error}"
                ));
                return Ok(());
            }
        };
        let options = self.settings.write.clone();
        let span = tracing::debug_span!("encode", pieces = pieces.len());
        let (full, bytes) = self
            .blocking(move |engine| {
                let _entered = span.enter();
                let writer = match &mut engine.writer {
                    Some(writer) => writer,
                    none => none.insert(TableWriter::new(spec, options)?),
                };
                for piece in &pieces {
                    writer.write(piece)?;
                }
                Ok((writer.take_full(), writer.memory_bytes()))
            })
            .await?;
        self.state.closed.extend(full);
        let closed: u64 = self.state.closed.iter().map(|file| file.size).sum();
        self.state.open.set_encoded_bytes(bytes + closed);
        Ok(())
    }

    /// Hands everything held to the flusher.
    pub(super) async fn flush(&mut self, reason: FlushReason) -> Result<()> {
        self.state.asked = None;
        let generation = self.generation.load(Ordering::Acquire);
        self.absorb_waiting().await?;
        self.encode().await?;
        let mut files = std::mem::take(&mut self.state.closed);
        if let Some(writer) = self.state.engine.get_mut().writer.take() {
            let rest = self
                .blocking(move |_| writer.finish().map_err(Error::from))
                .await?;
            files.extend(rest);
        }
        if generation != self.generation.load(Ordering::Acquire) {
            return Ok(());
        }
        let rows = self.state.open.rows();
        let letter_bytes = self.state.open.letter_bytes();
        let opened = self.state.open.opened().unwrap_or_else(Instant::now);
        let held: u64 = files.iter().map(|file| file.size).sum();
        let mut permit = self.state.open.reset(&self.shared.budget);
        permit.resize(held + letter_bytes);
        let registry = &self.shared.registry;
        let (mut ranges, mut letters, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for lane in self.state.lanes.values_mut() {
            if !lane.is_open() {
                continue;
            }
            ends.push((lane.partition.id.clone(), lane.epoch, lane.hand_on()));
            letters.extend(lane.take_letters());
            if rows > 0 {
                let (id, epoch) = (lane.partition.id.clone(), lane.epoch);
                ranges.extend(lane.take_range(|range| registry.gaps(&id, epoch, range)));
            }
        }
        // Unroutable records alone have no table of their own; the ledger's schema is as good as any.
        let schema = match &self.state.schema {
            Some(schema) => schema.clone(),
            None => Arc::new(schema::dead_letter_schema()),
        };
        metrics::counter!("alluvium_batch_flushes_total", "reason" => reason.as_str()).increment(1);
        self.state.in_flight += 1;
        let job = Job {
            generation,
            files,
            schema,
            earlier: std::mem::take(&mut self.state.earlier),
            ranges,
            letters,
            ends,
            permit,
            opened,
            oldest_event: self.state.oldest_event.take(),
            rows,
        };
        self.jobs
            .send(job)
            .await
            .map_err(|_| super::super::retry::stopping())
    }

    /// Runs CPU work on the blocking pool with the worker's decoder and writer.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut engine = std::mem::take(self.state.engine.get_mut());
        let permit = self
            .shared
            .cores
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| super::super::retry::stopping())?;
        let span = tracing::Span::current();
        let (engine, result) = tokio::task::spawn_blocking(move || {
            let result = span.in_scope(|| work(&mut engine));
            drop(permit);
            (engine, result)
        })
        .await
        .map_err(|error| {
            Error::new(Kind::Bug, "decoding or encoding panicked").with_source(error)
        })?;
        *self.state.engine.get_mut() = engine;
        result
    }
}

fn current(piece: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch> {
    if piece.schema_ref() == &schema.columns {
        Ok(piece.clone())
    } else {
        Ok(reproject(piece, schema)?)
    }
}

fn note(decoded: &Decoded) {
    let counts = &decoded.counts;
    metrics::counter!("alluvium_decode_records_total").increment(counts.records);
    metrics::counter!("alluvium_decode_rows_total").increment(counts.rows);
    metrics::counter!("alluvium_decode_rescued_rows_total").increment(counts.rescued);
    for letter in &decoded.rejected {
        metrics::counter!("alluvium_decode_dead_letters_total", "reason" => letter.reason.code)
            .increment(1);
    }
}
