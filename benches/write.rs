//! Encoding rows: how many a second, by compression and by number of partitions.
//!
//! The rows are a flat click stream of 15 columns.

use alluvium::{
    event::{PartitionColumn, SchemaFingerprint, WriteSpec},
    write::{Compression, EncodedFile, TableWriter, WriteOptions},
};
use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::SchemaRef,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, sync::Arc};

const ROWS: usize = 8_192;
const BATCHES: usize = 8;

fn rows(batch: usize, partitions: usize) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(batch as u64);
    let mut ints = |range: std::ops::Range<i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            (0..ROWS).map(|_| random.i64(range.clone())),
        ))
    };
    let (user, session, x, y, duration) = (
        ints(0..100_000),
        ints(0..1_000_000),
        ints(0..1_920),
        ints(0..1_080),
        ints(0..60_000),
    );
    let mut texts = |make: &dyn Fn(&mut fastrand::Rng) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            (0..ROWS).map(|_| make(&mut random)),
        ))
    };
    let id = texts(&|r| format!("{:032x}", r.u128(..)));
    let kind = texts(&|r| ["click", "view", "scroll", "submit"][r.usize(..4)].to_owned());
    let url = texts(&|r| format!("https://shop.example/item/{}?from=search", r.u32(..50_000)));
    let referrer = texts(&|r| format!("https://search.example/?q={}", r.u32(..500)));
    let agent = texts(&|r| format!("Mozilla/5.0 (X11; Linux x86_64) Gecko/{}", r.u32(..40)));
    let country = texts(&|r| ["DE", "FR", "US", "JP", "BR"][r.usize(..5)].to_owned());
    let bucket = texts(&|r| format!("p{}", r.usize(..partitions)));
    let start = 1_760_000_000_000_000 + (batch * ROWS) as i64 * 1_000;
    let time =
        TimestampMicrosecondArray::from_iter_values((0..ROWS as i64).map(|i| start + i * 1_000));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", id),
        ("event", kind),
        ("time", Arc::new(time.with_timezone("UTC"))),
        ("user_id", user),
        ("session_id", session),
        ("url", url),
        ("referrer", referrer),
        ("user_agent", agent),
        ("country", country),
        ("x", x),
        ("y", y),
        ("duration_ms", duration),
        (
            "price",
            Arc::new(Float64Array::from_iter_values(
                (0..ROWS).map(|_| random.f64() * 100.0),
            )),
        ),
        (
            "mobile",
            Arc::new(BooleanArray::from_iter((0..ROWS).map(|i| Some(i % 3 == 0)))),
        ),
        (
            "version",
            Arc::new(Int32Array::from_iter_values((0..ROWS).map(|_| 7))),
        ),
        ("bucket", bucket),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .expect("columns of one length")
}

fn spec(logical: &SchemaRef, partitioned: bool) -> Arc<WriteSpec> {
    let last = logical.fields().len() - 1;
    let projection: Vec<usize> = (0..logical.fields().len() - usize::from(partitioned)).collect();
    let name = logical.field(last).name().clone();
    let partition = PartitionColumn {
        index: last,
        logical_name: name.clone(),
        physical_name: name,
    };
    let stats_columns = projection
        .iter()
        .map(|i| vec![logical.field(*i).name().clone()])
        .collect();
    Arc::new(WriteSpec {
        logical: logical.clone(),
        physical: Arc::new(
            logical
                .project(&projection)
                .expect("columns that are there"),
        ),
        projection,
        partition_columns: if partitioned { vec![partition] } else { vec![] },
        stats_columns,
        random_prefix_length: None,
        fingerprint: SchemaFingerprint(0),
    })
}

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

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    group
        .sample_size(10)
        .throughput(Throughput::Elements((ROWS * BATCHES) as u64));

    let batches: Vec<_> = (0..BATCHES).map(|b| rows(b, 1)).collect();
    let whole = spec(&batches[0].schema(), false);
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
            b.iter_batched(
                || (),
                |()| black_box(encode(&whole, &options, &batches)),
                BatchSize::LargeInput,
            );
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
        let batches: Vec<_> = (0..BATCHES).map(|b| rows(b, partitions)).collect();
        let spec = spec(&batches[0].schema(), true);
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

criterion_group!(benches, write);
criterion_main!(benches);
