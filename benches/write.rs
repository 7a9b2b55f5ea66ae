//! Rows to Parquet in memory: bytes of the JSON that the rows came from a second on one core.
//!
//! `cargo bench --bench write`. The rows are those of `benches/data` with their metadata columns. Beside each kind stands
//! `arrow_writer`, parquet's own writer as it comes, with the same compression.

// Sizes of files and memory held are results too, which criterion has no place for.
#![allow(clippy::print_stderr)]

mod data;

use alluvium::{
    commit::new_table_spec,
    event::WriteSpec,
    schema::TableSchema,
    write::{Compression, EncodedFile, TableWriter, WriteOptions},
};
use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use data::{
    Events, Kind, SEED, batch,
    cpu::{self, CpuTime},
    schema,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{self, ZstdLevel},
    file::properties::WriterProperties,
};
use std::{hint::black_box, sync::Arc};

/// Mebibytes of JSON in one file.
const BATCHES: usize = 16;
const COMPARED: [Kind; 3] = [Kind::Flat, Kind::Nested, Kind::Mixed];

fn encode(
    spec: &Arc<WriteSpec>,
    options: &WriteOptions,
    batches: &[RecordBatch],
) -> Vec<EncodedFile> {
    let mut writer = TableWriter::new(spec.clone(), options.clone()).expect("a writer");
    for batch in batches {
        writer.write(batch).expect("rows of the schema");
    }
    writer.finish().expect("files")
}

fn arrow_encode(batches: &[RecordBatch]) -> Vec<u8> {
    let level = ZstdLevel::try_new(1).expect("a level");
    let properties = WriterProperties::builder()
        .set_compression(basic::Compression::ZSTD(level))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties))
        .expect("columns that Parquet has");
    for batch in batches {
        writer.write(batch).expect("rows of the schema");
    }
    writer.into_inner().expect("a file")
}

/// The same rows with a last column `bucket` of so many values, by which the table is partitioned.
fn partitioned(batches: &[RecordBatch], partitions: usize) -> (Arc<WriteSpec>, Vec<RecordBatch>) {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut fields = batches[0].schema().fields().to_vec();
    fields.push(Arc::new(Field::new("bucket", DataType::Utf8, true)));
    let columns = Arc::new(Schema::new(fields));
    let batches = batches
        .iter()
        .map(|batch| {
            let buckets = (0..batch.num_rows()).map(|_| format!("p{}", random.usize(..partitions)));
            let bucket: ArrayRef = Arc::new(StringArray::from_iter_values(buckets));
            let arrays = batch.columns().iter().cloned().chain([bucket]).collect();
            RecordBatch::try_new(columns.clone(), arrays).expect("columns of one length")
        })
        .collect();
    let table = TableSchema::new(columns, vec!["bucket".into()]);
    (Arc::new(new_table_spec(&table)), batches)
}

fn write(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("write");
    group.sample_size(20);
    for kind in COMPARED {
        let (batches, bytes) = batch::rows(&mut Events::new(kind, SEED), BATCHES);
        let spec = Arc::new(new_table_spec(&schema::table(kind)));
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(kind.name(), |b| {
            b.iter(|| black_box(encode(&spec, &WriteOptions::default(), &batches)));
        });
        group.bench_function(BenchmarkId::new("arrow_writer", kind.name()), |b| {
            b.iter(|| black_box(arrow_encode(&batches)));
        });
    }

    let (batches, bytes) = batch::rows(&mut Events::new(Kind::Flat, SEED), BATCHES);
    let whole = Arc::new(new_table_spec(&schema::table(Kind::Flat)));
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    for (name, compression) in [
        ("zstd", Compression::Zstd { level: 1 }),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("none", Compression::None),
    ] {
        let options = WriteOptions {
            compression,
            ..WriteOptions::default()
        };
        group.bench_function(BenchmarkId::new("compression", name), |b| {
            b.iter(|| black_box(encode(&whole, &options, &batches)));
        });
    }
    let blind = Arc::new(WriteSpec {
        stats_columns: vec![],
        ..(*whole).clone()
    });
    group.bench_function("without_statistics", |b| {
        b.iter(|| black_box(encode(&blind, &WriteOptions::default(), &batches)));
    });
    for partitions in [1, 16, 256] {
        let (spec, batches) = partitioned(&batches, partitions);
        let options = WriteOptions {
            max_open_partitions: 512,
            ..WriteOptions::default()
        };
        group.bench_function(BenchmarkId::new("partitions", partitions), |b| {
            b.iter(|| black_box(encode(&spec, &options, &batches)));
        });
    }
    group.finish();
}

/// What the two above cost in one run, turn by turn.
fn ratios() {
    for kind in COMPARED {
        let (batches, _) = batch::rows(&mut Events::new(kind, SEED), BATCHES);
        let spec = Arc::new(new_table_spec(&schema::table(kind)));
        cpu::ratio(
            &format!("write/{} to write/arrow_writer/{0}", kind.name()),
            7,
            || drop(black_box(encode(&spec, &WriteOptions::default(), &batches))),
            || drop(black_box(arrow_encode(&batches))),
        );
    }
}

criterion_group! {
    name = benches;
    config = cpu::criterion();
    targets = write
}
criterion_main!(benches, ratios);
