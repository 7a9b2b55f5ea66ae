//! JSON to Arrow with a known schema: bytes of events a second on one core.
//!
//! `cargo bench --bench decode`. The events are those of `benches/data`, one batch of a mebibyte. Beside each kind stands
//! `arrow_json`, the decoder of the arrow project, with the same columns (without the metadata columns that ours adds)
//! and, for the hostile kind, told to make nulls of what does not fit. `unknown` is the flat kind into a table that has
//! none of its fields and keeps all in `_rescued_data`. The ratios come for the table as it is by default and, on a line
//! of their own, for one without metadata columns: there both make the same columns, but for our `_rescued_data`.

mod data;

use alluvium::schema::{MetadataColumn, base_schema};
use arrow::{
    array::RecordBatch,
    json::{ReaderBuilder, reader::Decoder as ArrowDecoder},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use data::{
    Events, Kind, SEED,
    batch::{decode, decoder, decoder_with, next},
    cpu::{self, CpuTime},
    schema,
};
use std::{hint::black_box, time::Duration};

/// All rows of a batch are one of arrow-json's too.
const ROWS: usize = 1 << 16;

fn arrow_decoder(kind: Kind) -> ArrowDecoder {
    ReaderBuilder::new(schema::columns(kind))
        .with_batch_size(ROWS)
        .with_ignore_type_conflicts(kind == Kind::Hostile)
        .build_decoder()
        .expect("columns that arrow-json knows")
}

fn arrow_decode(decoder: &mut ArrowDecoder, json: &[u8]) -> RecordBatch {
    let read = decoder.decode(json).expect("JSON");
    assert_eq!(read, json.len());
    let rows = decoder.flush().expect("values that fit");
    rows.expect("events")
}

fn benchmarks(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("decode");
    group.measurement_time(Duration::from_secs(5));
    for kind in Kind::ALL {
        let name = kind.name();
        let batch = next(&mut Events::new(kind, SEED));
        let (mut ours, mut theirs) = (decoder(schema::table(kind)), arrow_decoder(kind));
        let counts = decode(&mut ours, &batch).counts;
        assert_eq!(counts.dead_letters, 0, "{name}");
        assert_eq!(counts.rescued > 0, kind == Kind::Hostile, "{name}");
        let rows = arrow_decode(&mut theirs, &batch.raw.slab).num_rows();
        assert_eq!(rows, batch.raw.records.len(), "{name}");

        group.throughput(Throughput::Bytes(batch.raw.slab.len() as u64));
        group.bench_function(name, |b| b.iter(|| black_box(decode(&mut ours, &batch))));
        group.bench_function(BenchmarkId::new("arrow_json", name), |b| {
            b.iter(|| black_box(arrow_decode(&mut theirs, &batch.raw.slab)));
        });
    }
    let batch = next(&mut Events::new(Kind::Flat, SEED));
    let empty = base_schema(&[], &MetadataColumn::DEFAULT, &[]).expect("no columns declared");
    let mut decoder = decoder(empty);
    group.throughput(Throughput::Bytes(batch.raw.slab.len() as u64));
    group.bench_function("unknown", |b| {
        b.iter(|| black_box(decode(&mut decoder, &batch)))
    });
    group.finish();
}

/// What the two above cost in one run, turn by turn.
fn ratios() {
    for kind in Kind::ALL {
        let batch = next(&mut Events::new(kind, SEED));
        let (mut ours, mut theirs) = (decoder(schema::table(kind)), arrow_decoder(kind));
        cpu::ratio(
            &format!("decode/{} to decode/arrow_json/{0}", kind.name()),
            51,
            || drop(black_box(decode(&mut ours, &batch))),
            || drop(black_box(arrow_decode(&mut theirs, &batch.raw.slab))),
        );
        let mut same_columns = decoder_with(schema::base(kind, &[]), &[]);
        cpu::ratio(
            &format!(
                "decode/{} without metadata columns to decode/arrow_json/{0}",
                kind.name()
            ),
            51,
            || drop(black_box(decode(&mut same_columns, &batch))),
            || drop(black_box(arrow_decode(&mut theirs, &batch.raw.slab))),
        );
    }
}

criterion_group! {
    name = benches;
    config = cpu::criterion();
    targets = benchmarks
}
criterion_main!(benches, ratios);
