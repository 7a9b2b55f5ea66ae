//! One table's decoder: schema and options in, a row for each event.
//!
//! A little longer than most files: what an event's record goes through, from the verdict to the row, reads best in one place.

use super::{
    DecodeError,
    build::Texts,
    column::{Column, ColumnRules},
    copies::CopyColumn,
    extent::{records, span},
    fast::Event,
    fields::FieldColumns,
    json::{Json, NodeKind, Parser},
    leftovers::NONE,
    metadata::Metadata,
    path::Place,
    row::Row,
    time::TimestampUnit,
};
use crate::{
    event::{
        Counts, DeadLetter, Offset, RawBatch, RecordKind, RecordSpan, RejectReason, RoutedBatch,
    },
    json::{Engine, Kind, Padded},
    schema::{
        ColumnOptions, EvolutionPolicy, MetadataColumn, RESCUED_DATA, Seen, TableSchema, types,
    },
};
use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::DataType,
};
use std::{collections::HashSet, sync::Arc};

/// The most bytes of events in one batch: what can be kept of them stays below Arrow's 2 GiB a column.
pub const MAX_BATCH_BYTES: u64 = 128 << 20;

/// The most bytes of one event: half a batch, so that a source's batch and the one event that
/// overflows it are decoded together.
pub const MAX_EVENT_BYTES: u64 = MAX_BATCH_BYTES / 2;

/// Past so many bytes of `_rescued_data` in one batch, an event is kept there as its text alone.
const MAX_RESCUED_BYTES: usize = 1 << 30;

/// What a table's configuration tells its decoder.
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    /// The table's name, as dead letters give it.
    pub table: Arc<str>,
    /// Declared columns: where their values come from. Those the schema lacks are left out.
    pub columns: Vec<ColumnOptions>,
    pub metadata_columns: Vec<MetadataColumn>,
    pub policy: EvolutionPolicy,
    /// A longer event is a dead letter.
    pub max_event_bytes: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            table: Arc::from(""),
            columns: Vec::new(),
            metadata_columns: MetadataColumn::DEFAULT.to_vec(),
            policy: EvolutionPolicy::default(),
            max_event_bytes: 1 << 20,
        }
    }
}

/// What was decided of a partition's records in an earlier run (rule 11).
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// Records below are not judged again.
    pub until: Offset,
    /// Of those, the dead letters, by offset and index; all others must become rows.
    pub dead: HashSet<(Offset, u32)>,
}

/// One batch decoded.
#[derive(Debug)]
pub struct Decoded {
    /// Exactly the columns of the schema, in its order; rows in offset order.
    pub rows: RecordBatch,
    /// Newly judged dead letters, in offset order.
    pub rejected: Vec<DeadLetter>,
    /// `records`, `rows`, `rescued`, `dead_letters` (earlier verdicts included), `skipped` and
    /// `rescued_fields`; the rest is the caller's to fill.
    pub counts: Counts,
    /// What the events showed beyond the schema. After a change of the schema that makes room for
    /// it, decode the batch again with a decoder of the new schema.
    pub seen: Seen,
}

/// Decodes batches for one schema. Keeps its buffers between batches; a new schema needs a new one.
pub struct Decoder {
    schema: Arc<TableSchema>,
    options: Arc<DecodeOptions>,
    parser: Parser,
    padded: Padded,
    /// What the fast pass runs on; without, every event takes the reference pass.
    engine: Option<Engine>,
    /// How many events the fast pass gave up on.
    given_up: u64,
    fields: FieldColumns,
    copies: Vec<CopyColumn>,
    metadata: Vec<Metadata>,
    pub(super) rescued: Texts,
    outputs: Vec<Output>,
    row: Row,
}

/// How events are read. All ways make the same of them; this is for tests and measurements.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The fast pass with the best instructions that the machine has.
    Fast,
    /// The fast pass with the instructions that every machine has.
    Portable,
    /// By way of a list of nodes, as the fast pass does where it gives up.
    Reference,
}

/// Where a column of the schema comes from.
enum Output {
    Field(usize),
    Copy(usize),
    Metadata(usize),
    Rescued,
}

impl Decoder {
    /// Errors where the table cannot take every event: no `_rescued_data`, a metadata column missing
    /// or of another type, a column that must not be null; and on a bad `timestamp_unit`.
    pub fn new(
        schema: Arc<TableSchema>,
        options: Arc<DecodeOptions>,
    ) -> Result<Decoder, DecodeError> {
        let mut decoder = Decoder {
            parser: Parser::default(),
            padded: Padded::default(),
            engine: Some(Engine::best()),
            given_up: 0,
            fields: FieldColumns::new(std::iter::empty(), &Place::default()),
            copies: Vec::new(),
            metadata: Vec::new(),
            rescued: Texts::default(),
            outputs: Vec::new(),
            row: Row::new(options.policy.clone(), schema.column_count()),
            schema: Arc::clone(&schema),
            options: Arc::clone(&options),
        };
        for &column in &options.metadata_columns {
            match schema.columns.field_with_name(column.name()) {
                Ok(field) if column.fits(field.data_type()) => {}
                _ => {
                    return Err(DecodeError::MetadataColumn {
                        column: column.name().into(),
                        needed: types::to_sql(&column.data_type()).unwrap_or_default(),
                    });
                }
            }
        }
        match schema.columns.field_with_name(RESCUED_DATA) {
            Ok(field) if *field.data_type() == DataType::Utf8 && field.is_nullable() => {}
            _ => return Err(DecodeError::NoRescuedData),
        }
        let mut from_events = Vec::new();
        for field in schema.columns.fields() {
            let metadata = options
                .metadata_columns
                .iter()
                .find(|column| column.name() == field.name());
            if let Some(&column) = metadata {
                let optional = matches!(column, MetadataColumn::Key | MetadataColumn::Headers);
                if optional && !field.is_nullable() {
                    return Err(DecodeError::NotNull(field.name().clone()));
                }
                decoder
                    .outputs
                    .push(Output::Metadata(decoder.metadata.len()));
                decoder
                    .metadata
                    .push(Metadata::new(column, field.data_type()));
                continue;
            }
            if field.name() == RESCUED_DATA {
                decoder.outputs.push(Output::Rescued);
                continue;
            }
            if !field.is_nullable() {
                return Err(DecodeError::NotNull(field.name().clone()));
            }
            let declared = options.columns.iter().find(|c| c.name == *field.name());
            let mut rules = ColumnRules::default();
            if let Some(column) = declared {
                rules.json = column.data_type.is_json();
                rules.unit = TimestampUnit::parse(&column.name, column.timestamp_unit.as_deref())?;
            }
            match declared.and_then(|column| column.field.as_ref()) {
                Some(source) if source != field.name() => {
                    rules.date_of_time = true;
                    decoder.outputs.push(Output::Copy(decoder.copies.len()));
                    let place = Place::default().field(field.name(), field.name());
                    let path: Vec<String> = source.split('.').map(str::to_string).collect();
                    decoder.copies.push(CopyColumn {
                        name: field.name().clone(),
                        column: Column::new(field.data_type(), rules, &place),
                        watch: NONE,
                        depth: path.len() as u32,
                        path,
                    });
                }
                _ => {
                    decoder.outputs.push(Output::Field(from_events.len()));
                    from_events.push((Arc::clone(field), rules));
                }
            }
        }
        decoder.fields = FieldColumns::new(from_events.into_iter(), &Place::default());
        for copy in &mut decoder.copies {
            if let Some(first) = copy.path.first() {
                copy.watch = decoder.fields.watch(first);
            }
        }
        decoder.row.left.watched = vec![None; decoder.fields.watches.len()];
        Ok(decoder)
    }

    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Reads events another way from here on.
    #[doc(hidden)]
    pub fn by(&mut self, way: Way) {
        self.engine = match way {
            Way::Fast => Some(Engine::best()),
            Way::Portable => Some(Engine::Portable),
            Way::Reference => None,
        };
    }

    /// How many events the fast pass gave up on so far; dead letters mostly do.
    #[doc(hidden)]
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Decodes the selected records of one batch. `ingested_at_us`: microseconds since the epoch.
    ///
    /// Errors only where the batch is past [`MAX_BATCH_BYTES`] or by a mistake of ours; no event
    /// makes one.
    pub fn decode(
        &mut self,
        batch: &RoutedBatch,
        verdicts: &Verdicts,
        ingested_at_us: i64,
    ) -> Result<Decoded, DecodeError> {
        let raw = &*batch.raw;
        let records = records(batch)?;
        let mut out = Out {
            counts: Counts::default(),
            rejected: Vec::new(),
            rows: Vec::with_capacity(records),
        };
        let all = 0..raw.records.len() as u32;
        match &batch.select {
            None => all.for_each(|i| self.judge(raw, i, verdicts, &mut out)),
            Some(select) => select
                .iter()
                .for_each(|&i| self.judge(raw, i, verdicts, &mut out)),
        }
        let rows = self.finish(raw, &out.rows, ingested_at_us);
        if rows.is_err() {
            // Some columns are finished, others are not.
            self.truncate(0);
            self.rescued.truncate(0);
        }
        self.row.end_batch();
        if self.row.left.is_full() {
            self.fields.forget_spots();
            for copy in &mut self.copies {
                copy.column.forget_spots();
            }
            self.row.left.forget();
        }
        out.counts.rescued_fields = self.row.counted.take();
        let seen = std::mem::take(&mut self.row.seen);
        Ok(Decoded {
            rows: rows?,
            rejected: out.rejected,
            counts: out.counts,
            seen,
        })
    }

    /// Makes record `i` a row, a dead letter or a skip.
    fn judge(&mut self, raw: &RawBatch, i: u32, verdicts: &Verdicts, out: &mut Out) {
        let record = &raw.records[i as usize];
        if record.kind == RecordKind::Tombstone {
            out.counts.skipped += 1;
            return;
        }
        let forced = record.offset < verdicts.until;
        if forced && verdicts.dead.contains(&(record.offset, 0)) {
            out.counts.dead_letters += 1;
            return;
        }
        match self.record(raw, record, forced, &mut out.counts) {
            Ok(()) => {
                out.counts.records += 1;
                out.rows.push(i);
            }
            Err(reason) => {
                out.counts.dead_letters += 1;
                out.rejected.push(DeadLetter {
                    offset: record.offset,
                    index: 0,
                    table: Arc::clone(&self.options.table),
                    reason,
                    value: raw.slab.slice(span(record)),
                    event_time: record.event_time,
                });
            }
        }
    }

    /// Appends the row of one record, or says why it is a dead letter.
    fn record(
        &mut self,
        raw: &RawBatch,
        record: &RecordSpan,
        forced: bool,
        counts: &mut Counts,
    ) -> Result<(), RejectReason> {
        let value = raw.value(record);
        let limit = if self.rescued.bytes() > MAX_RESCUED_BYTES {
            0
        } else {
            value.len().saturating_mul(4).saturating_add(1_024)
        };
        self.row.begin(forced, limit);
        let judged = match &record.kind {
            RecordKind::Rejected(reason) => Err(reason.clone()),
            _ if !forced && value.len() as u64 > self.options.max_event_bytes => {
                Err(RejectReason {
                    code: "too_large",
                    detail: Arc::from(format!(
                        "the event is longer than the table takes; raise max_event_bytes: bytes=`{}` limit=`{}`",
                        value.len(),
                        self.options.max_event_bytes
                    )),
                })
            }
            _ if self.fast(raw, record, value, counts) => return Ok(()),
            _ => self
                .parser
                .parse_in(&raw.slab, span(record))
                .and_then(an_object),
        };
        let json = match judged {
            Ok(json) => json,
            Err(reason) if !forced => return Err(reason),
            Err(_) => {
                self.row.keep_whole(value);
                self.end(raw, record, counts);
                return Ok(());
            }
        };
        let at_row = counts.rows as usize;
        self.fields.append(json, 0, None, &mut self.row, at_row);
        for copy in &mut self.copies {
            copy.append(json, &mut self.row, at_row);
        }
        let rejected = self.row.take_rejected();
        if rejected.is_some() || self.row.overflows() {
            self.truncate(at_row);
            if let Some(reason) = rejected {
                return Err(reason);
            }
            self.row.keep_whole(value);
        }
        self.end(raw, record, counts);
        Ok(())
    }

    /// Makes the row of one record in a single pass over its text; `false`, and nothing done, where
    /// only the reference pass can.
    fn fast(
        &mut self,
        raw: &RawBatch,
        record: &RecordSpan,
        value: &[u8],
        counts: &mut Counts,
    ) -> bool {
        let Some(engine) = self.engine else {
            return false;
        };
        if record.key.is_some() && self.key_misfit(raw, record).is_some() {
            return false;
        }
        let Some(cursor) = self.padded.cursor(&raw.slab, span(record)) else {
            return false;
        };
        let at_row = counts.rows as usize;
        let made = engine.run(Event {
            cursor,
            fields: &mut self.fields,
            copies: &mut self.copies,
            row: &mut self.row,
            at_row,
        });
        if made.is_ok() && self.row.settle(value, &mut self.rescued, counts) {
            return true;
        }
        self.truncate(at_row);
        self.given_up += 1;
        false
    }

    /// Takes back the rows from this one on.
    fn truncate(&mut self, rows: usize) {
        self.fields.truncate(rows);
        for copy in &mut self.copies {
            copy.column.truncate(rows);
        }
    }

    /// The record's key, if a column would hold it as text and it is none.
    fn key_misfit<'a>(&self, raw: &'a RawBatch, record: &RecordSpan) -> Option<&'a [u8]> {
        self.metadata
            .iter()
            .find_map(|column| column.misfit(raw, record))
    }

    /// Ends a row of the reference pass.
    fn end(&mut self, raw: &RawBatch, record: &RecordSpan, counts: &mut Counts) {
        if let Some(key) = self.key_misfit(raw, record) {
            self.row.keep_record_key(key);
        }
        self.row.finish(&mut self.rescued, counts);
    }

    /// The columns of the rows made from these records of the batch.
    fn finish(
        &mut self,
        raw: &RawBatch,
        records: &[u32],
        ingested_at_us: i64,
    ) -> Result<RecordBatch, DecodeError> {
        let rows = records.len();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            arrays.push(match *output {
                Output::Field(i) => self.fields.finish(i, rows)?,
                Output::Copy(i) => self.copies[i].column.finish(rows)?,
                Output::Metadata(i) => self.metadata[i].array(raw, records, ingested_at_us),
                Output::Rescued => {
                    if self.rescued.len() < rows {
                        self.rescued.pad(rows);
                    }
                    Arc::new(self.rescued.finish()?)
                }
            });
        }
        Ok(RecordBatch::try_new(
            Arc::clone(&self.schema.columns),
            arrays,
        )?)
    }
}

/// What one call gathers.
struct Out {
    counts: Counts,
    rejected: Vec<DeadLetter>,
    /// The records that became rows, by their index in the batch.
    rows: Vec<u32>,
}

fn an_object(json: Json<'_>) -> Result<Json<'_>, RejectReason> {
    match json.kind(0) {
        NodeKind::Object => Ok(json),
        kind => Err(RejectReason {
            code: "not_an_object",
            detail: Arc::from(format!(
                "an event must be a JSON object: found=`{}`",
                Kind::from(kind)
            )),
        }),
    }
}
