//! Decoding, encoding, and the flush that hands both to the flusher.

use super::{
    super::{flusher::Job, retry::stopping},
    Worker,
    engine::{DecodedBatch, Engine, Shape, Yield},
    round::{INLINE_BYTES, portions, weight},
};
use crate::{
    batch::FlushReason,
    decode::{DecodeOptions, Verdicts, reproject},
    error::{Error, Kind, Result},
    event::RoutedBatch,
    schema::{self, Seen, TableSchema},
    write::TableWriter,
};
use arrow::record_batch::RecordBatch;
use futures::future::try_join_all;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// How often a batch is decoded again because it brought new fields, at most.
const EVOLUTION_ROUNDS: usize = 8;

impl Worker {
    pub(super) async fn absorb_waiting(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.state.waiting);
        let bytes = std::mem::take(&mut self.state.waiting_bytes);
        self.state.waiting_slabs = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        if self.state.schema.is_none() {
            self.set_new_schema(self.settings.base_schema()?);
        }
        self.absorb(waiting, bytes).await
    }

    /// Decodes batches, evolving the schema until they bring nothing new, and encodes the rows where
    /// that is worth it. Where what is held is dropped on the way nothing of them is kept: they will be read again.
    async fn absorb(&mut self, batches: Vec<RoutedBatch>, bytes: u64) -> Result<()> {
        let cleared = self.state.cleared;
        let lanes = &self.state.lanes;
        let mut fresh: Vec<(RoutedBatch, Arc<Verdicts>)> = batches
            .into_iter()
            .map(|batch| {
                let lane = lanes.get(&batch.raw.partition.id);
                let verdicts = lane.map(|lane| lane.verdicts().clone()).unwrap_or_default();
                (batch, verdicts)
            })
            .collect();
        self.state.decoded_bytes += bytes;
        let mut brought_nothing = true;
        for round in 0..=EVOLUTION_ROUNDS {
            let mut seen = Seen::default();
            let mut held = Vec::new();
            let encode = self.is_worth_encoding(bytes);
            for mut one in self.round(std::mem::take(&mut fresh), encode).await? {
                seen.merge(std::mem::take(&mut one.seen));
                match one.rows {
                    None => self.keep(one),
                    Some(_) => held.push(one),
                }
            }
            brought_nothing &= seen.is_empty();
            let evolved =
                round < EVOLUTION_ROUNDS && !seen.is_empty() && self.evolve(&seen).await?;
            // Then nothing of the batches is ours any more: a row kept now would be there twice.
            if cleared != self.state.cleared {
                return Ok(());
            }
            if !evolved {
                held.into_iter().for_each(|one| self.keep(one));
                break;
            }
            fresh = held
                .into_iter()
                .map(|one| (one.batch, one.verdicts))
                .collect();
        }
        if brought_nothing {
            self.state.settled_bytes += bytes;
        }
        if self.is_worth_encoding(0) {
            self.encode_pieces().await?;
        }
        Ok(())
    }

    /// Takes what became of a batch into the account of its partition.
    fn keep(&mut self, one: DecodedBatch) {
        note(&one);
        let Some(lane) = self.state.lanes.get_mut(&one.batch.raw.partition.id) else {
            return;
        };
        let letter_bytes = lane.add(&one.counts, one.rejected);
        self.state.open.add_letters(letter_bytes);
        match one.rows {
            Some(rows) => self.state.open.push(rows),
            None => self.state.open.add_rows(one.counts.rows),
        }
    }

    async fn encode_pieces(&mut self) -> Result<()> {
        if self.state.open.piece_bytes() > 0 {
            self.round(Vec::new(), true).await?;
        }
        Ok(())
    }

    /// One round over the engines. Pieces that no longer fit the table, because others took a column
    /// away, are read again.
    async fn round(
        &mut self,
        batches: Vec<(RoutedBatch, Arc<Verdicts>)>,
        encode: bool,
    ) -> Result<Vec<DecodedBatch>> {
        let Some(schema) = self.state.schema.clone() else {
            return Err(Error::new(Kind::Bug, "decoding without a schema"));
        };
        let spec = self.state.spec.clone().filter(|_| encode);
        let pieces = match spec {
            None => Vec::new(),
            Some(_) => {
                let pieces = self.state.open.take_pieces();
                match pieces.iter().map(|piece| current(piece, &schema)).collect() {
                    Ok::<Vec<_>, Error>(pieces) => pieces,
                    Err(error) => {
                        self.reset(&format!(
                            "rows that were held no longer fit the table: {error}"
                        ));
                        return Ok(Vec::new());
                    }
                }
            }
        };
        // What a warehouse will widen is rescued until then, and not rejected.
        let policy = self.settings.evolution_of(self.state.table.as_deref());
        let decode = match policy.widening {
            true => Arc::new(DecodeOptions {
                policy,
                ..(*self.settings.decode).clone()
            }),
            false => self.settings.decode.clone(),
        };
        let shape = Arc::new(Shape {
            schema,
            spec,
            decode,
            write: self.settings.write.clone(),
            ingested_at: chrono::Utc::now().timestamp_micros(),
        });
        let portions = portions(pieces, batches, self.width());
        let made: Vec<Yield> = if portions.len() == 1 && weight(&portions[0]) < INLINE_BYTES {
            let engines = self.state.engines.get_mut();
            let runs = portions.into_iter().zip(engines.iter_mut());
            runs.map(|(portion, engine)| engine.run(portion, &shape))
                .collect::<Result<_>>()?
        } else {
            self.on_cores(portions, move |engine, portion| engine.run(portion, &shape))
                .await?
        };
        let mut decoded = Vec::new();
        for one in made {
            self.state.closed.extend(one.full);
            decoded.extend(one.decoded);
        }
        self.count_encoded();
        Ok(decoded)
    }

    fn count_encoded(&mut self) {
        let engines = self.state.engines.get_mut().iter();
        let open: u64 = engines
            .filter_map(|engine| engine.writer.as_ref())
            .map(TableWriter::memory_bytes)
            .sum();
        let closed: u64 = self.state.closed.iter().map(|file| file.size).sum();
        self.state.open.set_encoded_bytes(open + closed);
    }

    /// Closes all open files.
    async fn finish_files(&mut self) -> Result<()> {
        let engines = self.state.engines.get_mut().iter_mut();
        let writers: Vec<TableWriter> = engines.filter_map(|engine| engine.writer.take()).collect();
        let made = if self.state.decoded_bytes < INLINE_BYTES {
            let finish = |writer: TableWriter| writer.finish().map_err(Error::from);
            writers
                .into_iter()
                .map(finish)
                .collect::<Result<Vec<_>>>()?
        } else {
            self.on_cores(writers, |_, writer| writer.finish().map_err(Error::from))
                .await?
        };
        self.state.closed.extend(made.into_iter().flatten());
        Ok(())
    }

    /// Hands everything held to the flusher.
    pub(super) async fn flush(&mut self, reason: FlushReason) -> Result<()> {
        self.state.asked = None;
        let cleared = self.state.cleared;
        self.absorb_waiting().await?;
        self.encode_pieces().await?;
        self.finish_files().await?;
        if cleared != self.state.cleared {
            return Ok(());
        }
        let generation = self.generation.load(Ordering::Acquire);
        let files = std::mem::take(&mut self.state.closed);
        self.state.decoded_bytes = 0;
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
            counted: self.gauges.hand_on(held + letter_bytes),
            opened,
            oldest_event: self.state.oldest_event.take(),
            rows,
        };
        self.jobs.send(job).await.map_err(|_| stopping())
    }

    /// Runs CPU work on the blocking pool, a piece of it an engine, side by side.
    async fn on_cores<A: Send + 'static, T: Send + 'static>(
        &mut self,
        pieces: Vec<A>,
        work: impl Fn(&mut Engine, A) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let work = Arc::new(work);
        let engines = self.state.engines.get_mut().iter_mut();
        let tasks = pieces.into_iter().zip(engines.map(std::mem::take));
        let tasks = tasks.map(|(piece, mut engine)| {
            let (work, cores) = (work.clone(), self.shared.cores.clone());
            async move {
                let permit = cores.acquire_owned().await.map_err(|_| stopping())?;
                let span = tracing::Span::current();
                tokio::task::spawn_blocking(move || {
                    let result = span.in_scope(|| work(&mut engine, piece));
                    drop(permit);
                    result.map(|made| (engine, made))
                })
                .await
                .map_err(|error| {
                    Error::new(Kind::Bug, "decoding or encoding panicked").with_source(error)
                })?
            }
        });
        let done = try_join_all(tasks).await?;
        let engines = self.state.engines.get_mut();
        let mut made = Vec::with_capacity(done.len());
        for (home, (engine, one)) in engines.iter_mut().zip(done) {
            *home = engine;
            made.push(one);
        }
        Ok(made)
    }
}

fn current(piece: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch> {
    if piece.schema_ref() == &schema.columns {
        Ok(piece.clone())
    } else {
        Ok(reproject(piece, schema)?)
    }
}

fn note(one: &DecodedBatch) {
    let counts = &one.counts;
    metrics::counter!("alluvium_decode_records_total").increment(counts.records);
    metrics::counter!("alluvium_decode_rows_total").increment(counts.rows);
    metrics::counter!("alluvium_decode_rescued_rows_total").increment(counts.rescued);
    for letter in &one.rejected {
        metrics::counter!("alluvium_decode_dead_letters_total", "reason" => letter.reason.code)
            .increment(1);
    }
}
