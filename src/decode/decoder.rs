//! One table's decoder: schema and options in, a row for each event.

use super::{
    DecodeError,
    column::{Column, ColumnRules},
    fields::FieldColumns,
    json::{Json, NodeKind, Parser},
    metadata::MetadataBuilder,
    path::{Path, Step},
    row::Row,
    time::TimestampUnit,
};
use crate::{
    event::{
        Counts, DeadLetter, Offset, RawBatch, RecordKind, RecordSpan, RejectReason, RoutedBatch,
    },
    schema::{
        ColumnOptions, EvolutionPolicy, MetadataColumn, RESCUED_DATA, Seen, TableSchema, types,
    },
};
use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, StringBuilder},
    compute::filter_record_batch,
    datatypes::DataType,
};
use std::{collections::HashSet, ops::Range, sync::Arc};

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
    fields: FieldColumns,
    copies: Vec<CopyColumn>,
    metadata: Vec<MetadataBuilder>,
    rescued: StringBuilder,
    outputs: Vec<Output>,
    row: Row,
}

/// Where a column of the schema comes from.
enum Output {
    Field(usize),
    Copy(usize),
    Metadata(usize),
    Rescued,
}

/// A declared column with `field`: a copy of what is at a path, which also lands in its own column.
struct CopyColumn {
    name: String,
    path: Vec<String>,
    column: Column,
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
            fields: FieldColumns::new(std::iter::empty()),
            copies: Vec::new(),
            metadata: Vec::new(),
            rescued: StringBuilder::new(),
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
                    .push(MetadataBuilder::new(column, field.data_type()));
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
                    decoder.copies.push(CopyColumn {
                        name: field.name().clone(),
                        path: source.split('.').map(str::to_string).collect(),
                        column: Column::new(field.data_type(), rules),
                    });
                }
                _ => {
                    decoder.outputs.push(Output::Field(from_events.len()));
                    from_events.push((Arc::clone(field), rules));
                }
            }
        }
        decoder.fields = FieldColumns::new(from_events.into_iter());
        Ok(decoder)
    }

    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
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
        let raw = &batch.raw;
        let length = |span: &Option<Range<u32>>| span.as_ref().map_or(0, |span| span.len() as u64);
        let bytes: u64 = batch
            .records()
            .map(|r| r.value.len() as u64 + length(&r.key) + length(&r.headers))
            .sum();
        if bytes > MAX_BATCH_BYTES {
            return Err(DecodeError::BatchTooLarge {
                bytes,
                limit: MAX_BATCH_BYTES,
            });
        }
        let mut out = Pass {
            counts: Counts::default(),
            rejected: Vec::new(),
            keep: Vec::new(),
            dropped: false,
        };
        for record in batch.records() {
            if record.kind == RecordKind::Tombstone {
                out.counts.skipped += 1;
                continue;
            }
            let forced = record.offset < verdicts.until;
            if forced && verdicts.dead.contains(&(record.offset, 0)) {
                out.counts.dead_letters += 1;
                continue;
            }
            match self.record(raw, record, forced, ingested_at_us, &mut out) {
                Ok(()) => out.counts.records += 1,
                Err(reason) => {
                    out.counts.dead_letters += 1;
                    let span = record.value.start as usize..record.value.end as usize;
                    out.rejected.push(DeadLetter {
                        offset: record.offset,
                        index: 0,
                        table: Arc::clone(&self.options.table),
                        reason,
                        value: raw.slab.slice(span),
                        event_time: record.event_time,
                    });
                }
            }
        }
        let rows = self.finish(&out)?;
        Ok(Decoded {
            rows,
            rejected: out.rejected,
            counts: out.counts,
            seen: std::mem::take(&mut self.row.seen),
        })
    }

    /// Appends the row of one record, or says why it is a dead letter.
    fn record(
        &mut self,
        raw: &RawBatch,
        record: &RecordSpan,
        forced: bool,
        ingested_at_us: i64,
        out: &mut Pass,
    ) -> Result<(), RejectReason> {
        let value = raw.value(record);
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
            _ => self
                .parser
                .parse_in(
                    &raw.slab,
                    record.value.start as usize..record.value.end as usize,
                )
                .and_then(an_object),
        };
        let limit = if self.rescued.values_slice().len() > MAX_RESCUED_BYTES {
            0
        } else {
            value.len().saturating_mul(4).saturating_add(1_024)
        };
        self.row.begin(forced, limit);
        let json = match judged {
            Ok(json) => json,
            Err(reason) if !forced => return Err(reason),
            Err(_) => {
                self.whole(value);
                self.end(raw, record, ingested_at_us, out);
                return Ok(());
            }
        };
        self.fields.append(json, 0, None, &mut self.row);
        for copy in &mut self.copies {
            copy.append(json, &mut self.row);
        }
        let rejected = self.row.take_rejected();
        if rejected.is_some() || self.row.overflows() {
            // What was appended is filtered out at the end: builders cannot take a row back.
            self.rescued.append_null();
            for column in &mut self.metadata {
                column.append(raw, record, ingested_at_us);
            }
            out.keep.push(false);
            out.dropped = true;
            if let Some(reason) = rejected {
                return Err(reason);
            }
            self.whole(value);
        }
        self.end(raw, record, ingested_at_us, out);
        Ok(())
    }

    /// A row of nulls that keeps the whole event.
    fn whole(&mut self, value: &[u8]) {
        self.fields.append_null();
        for copy in &mut self.copies {
            copy.column.append_null();
        }
        self.row.keep_whole(value);
    }

    fn end(&mut self, raw: &RawBatch, record: &RecordSpan, ingested_at_us: i64, out: &mut Pass) {
        for column in &mut self.metadata {
            if let Some(key) = column.append(raw, record, ingested_at_us) {
                self.row.keep_record_key(key);
            }
        }
        self.row.finish(&mut self.rescued, &mut out.counts);
        out.keep.push(true);
    }

    fn finish(&mut self, out: &Pass) -> Result<RecordBatch, DecodeError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            arrays.push(match *output {
                Output::Field(i) => self.fields.finish(i)?,
                Output::Copy(i) => self.copies[i].column.finish()?,
                Output::Metadata(i) => self.metadata[i].finish(),
                Output::Rescued => Arc::new(self.rescued.finish()),
            });
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema.columns), arrays)?;
        if out.dropped {
            return Ok(filter_record_batch(
                &rows,
                &BooleanArray::from(out.keep.clone()),
            )?);
        }
        Ok(rows)
    }
}

/// What one call gathers.
struct Pass {
    counts: Counts,
    rejected: Vec<DeadLetter>,
    /// For each row appended, whether it stays.
    keep: Vec<bool>,
    dropped: bool,
}

fn an_object(json: Json<'_>) -> Result<Json<'_>, RejectReason> {
    let found = match json.kind(0) {
        NodeKind::Object => return Ok(json),
        NodeKind::Array => "an array",
        NodeKind::Null => "null",
        NodeKind::True | NodeKind::False => "a boolean",
        NodeKind::Integer | NodeKind::Float => "a number",
        NodeKind::Plain | NodeKind::Escaped => "a string",
    };
    Err(RejectReason {
        code: "not_an_object",
        detail: Arc::from(format!("an event must be a JSON object: found=`{found}`")),
    })
}

impl CopyColumn {
    fn append(&mut self, json: Json<'_>, row: &mut Row) {
        let mut at = Some(0);
        for name in &self.path {
            at = at.and_then(|at| json.get(at, name));
        }
        let Some(at) = at else {
            return self.column.append_null();
        };
        let here = Path {
            parent: None,
            step: Step::Field {
                event: &self.name,
                column: &self.name,
            },
        };
        if !self.column.append(json, at, Some(&here), row) {
            self.column.append_null();
            row.keep_as(&self.name, json.text(at));
        }
    }
}
