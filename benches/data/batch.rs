//! Events as a source hands them on: a slab of bytes and where the records lie in it.

use super::{Events, schema};
use alluvium::{
    decode::{DecodeOptions, Decoded, Decoder, Verdicts},
    event::{
        ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, RoutedBatch, SourcePartition,
    },
    schema::{Evolution, EvolutionPolicy, MetadataColumn, TableSchema},
};
use std::sync::Arc;

/// About what a source hands on at once.
pub const BATCH_BYTES: usize = 1 << 20;

/// The next mebibyte of events.
pub fn next(events: &mut Events) -> RoutedBatch {
    let (mut slab, mut records) = (String::new(), Vec::new());
    while slab.len() < BATCH_BYTES {
        let start = slab.len() as u32;
        events.push(&mut slab);
        records.push(RecordSpan {
            offset: records.len() as u64,
            value: start..slab.len() as u32,
            key: None,
            headers: None,
            event_time: 1_700_000_000_000_000,
            table: u32::MAX,
            kind: RecordKind::Event,
        });
        slab.push('\n');
    }
    RoutedBatch {
        raw: Arc::new(RawBatch {
            partition: Arc::new(Partition {
                id: SourcePartition::new("bench/kafka/clicks#1/0"),
                source: "kafka".into(),
                label: "kafka/clicks".into(),
                topic: "clicks".into(),
                number: 0,
            }),
            epoch: 1,
            start: 0,
            end: records.len() as u64,
            slab: slab.into(),
            records,
            tables: Vec::new(),
            permit: ByteBudget::new(u64::MAX).charge(0),
        }),
        select: None,
    }
}

/// A decoder of a table whose columns stay as they are, with the default metadata columns.
pub fn decoder(table: TableSchema) -> Decoder {
    decoder_with(table, &MetadataColumn::DEFAULT)
}

/// A decoder of a table whose columns stay as they are, with these metadata columns.
pub fn decoder_with(table: TableSchema, metadata: &[MetadataColumn]) -> Decoder {
    let options = DecodeOptions {
        metadata_columns: metadata.to_vec(),
        policy: EvolutionPolicy {
            evolution: Evolution::None,
            ..EvolutionPolicy::default()
        },
        ..DecodeOptions::default()
    };
    Decoder::new(Arc::new(table), Arc::new(options)).expect("a table of ours")
}

pub fn decode(decoder: &mut Decoder, batch: &RoutedBatch) -> Decoded {
    decoder
        .decode(batch, &Verdicts::default(), 0)
        .expect("events make no error")
}

/// Rows of `batches` mebibytes of events, and the bytes of JSON they came from.
pub fn rows(events: &mut Events, batches: usize) -> (Vec<arrow::array::RecordBatch>, u64) {
    let mut decoder = decoder(schema::table(events.kind));
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for _ in 0..batches {
        let batch = next(events);
        bytes += batch.raw.slab.len() as u64;
        rows.push(decode(&mut decoder, &batch).rows);
    }
    (rows, bytes)
}
