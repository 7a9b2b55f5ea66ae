//! Encoding rows: how many a second, by compression, encoding, number of partitions and size of batches; beside it what
//! the parquet crate's `ArrowWriter` needs for the same rows.
//!
//! The rows are a flat click stream of 15 columns, and nested track events.

// Sizes of files and memory held are results too, which criterion has no place for.
#![allow(clippy::print_stderr)]

use alluvium::{
    event::{PartitionColumn, SchemaFingerprint, WriteSpec},
    write::{Compression, EncodedFile, TableWriter, ValueEncoding, WriteOptions},
};
use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression as Codec, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};
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

/// What the parquet crate's own writer makes of the same rows: the baseline. It gathers no statistics of Delta's.
fn arrow_writer(codec: Codec, batches: &[RecordBatch]) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_coerce_types(true)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties))
        .expect("a schema that Parquet has");
    for batch in batches {
        writer.write(batch).expect("rows of the schema");
    }
    writer.into_inner().expect("a file")
}

/// Track events: a context of two levels, a list of products, a map of traits, metadata that is constant over a batch.
fn nested(batch: usize) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(batch as u64);
    let lines: Vec<String> = (0..ROWS)
        .map(|i| {
            let products: Vec<String> = (0..random.usize(..4))
                .map(|_| {
                    format!(
                        r#"{{"id":"sku-{}","name":"Product {}","price":{}.99,"quantity":{}}}"#,
                        random.u32(..5_000),
                        random.u32(..5_000),
                        random.u32(..200),
                        random.u32(1..5)
                    )
                })
                .collect();
            let campaign = match random.u32(..3) {
                0 => r#"{"name":"spring","source":"mail"}"#,
                _ => "null",
            };
            format!(
                r#"{{"messageId":"{:032x}","event":"{}","userId":{},"timestamp":{},"context":{{"ip":"10.{}.{}.{}","locale":"{}","page":{{"path":"/item/{}","referrer":{}}},"campaign":{campaign},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) Gecko/{}"}},"products":[{}],"traits":{{"plan":"{}","team":"t{}"}},"tags":["a","t{}"],"_source":"kafka/events","_partition":3,"_offset":{},"_rescued_data":null}}"#,
                random.u128(..),
                ["Order Completed", "Product Viewed", "Cart Viewed"][random.usize(..3)],
                random.u32(..100_000),
                1_760_000_000_000_000_u64 + random.u64(..10_000_000_000),
                random.u8(..4), random.u8(..), random.u8(..),
                ["de-DE", "en-US", "fr-FR"][random.usize(..3)],
                random.u32(..50_000),
                if random.bool() { "null".to_owned() } else { format!("\"https://search.example/?q={}\"", random.u32(..500)) },
                random.u32(..40),
                products.join(","),
                ["free", "pro"][random.usize(..2)],
                random.u32(..300),
                random.u32(..20),
                batch * ROWS + i,
            )
        })
        .collect();
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let page = DataType::Struct(vec![text("path"), text("referrer")].into());
    let campaign = DataType::Struct(vec![text("name"), text("source")].into());
    let context = vec![
        text("ip"),
        text("locale"),
        Field::new("page", page, true),
        Field::new("campaign", campaign, true),
        text("userAgent"),
    ];
    let product = vec![
        text("id"),
        text("name"),
        Field::new("price", DataType::Float64, true),
        Field::new("quantity", DataType::Int64, true),
    ];
    let product = Field::new("element", DataType::Struct(product.into()), true);
    let entries = vec![Field::new("key", DataType::Utf8, false), text("value")];
    let entries = Field::new("key_value", DataType::Struct(entries.into()), false);
    let schema = Schema::new(vec![
        text("messageId"),
        text("event"),
        Field::new("userId", DataType::Int64, true),
        Field::new("timestamp", DataType::Int64, true),
        Field::new("context", DataType::Struct(context.into()), true),
        Field::new("products", DataType::List(Arc::new(product)), true),
        Field::new("traits", DataType::Map(Arc::new(entries), false), true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        text("_source"),
        Field::new("_partition", DataType::Int32, true),
        Field::new("_offset", DataType::Int64, true),
        text("_rescued_data"),
    ]);
    let mut decoder = arrow::json::ReaderBuilder::new(Arc::new(schema))
        .with_batch_size(ROWS)
        .build_decoder()
        .expect("a schema that JSON has");
    decoder.decode(lines.concat().as_bytes()).expect("JSON");
    decoder.flush().expect("rows").expect("a batch")
}

fn write(criterion: &mut Criterion) {
    for (kind, batches) in [
        ("flat", (0..BATCHES).map(|b| rows(b, 1)).collect::<Vec<_>>()),
        ("nested", (0..BATCHES).map(nested).collect()),
    ] {
        let mut group = criterion.benchmark_group(format!("write/{kind}"));
        group
            .sample_size(10)
            .throughput(Throughput::Elements((ROWS * BATCHES) as u64));
        let whole = spec(&batches[0].schema(), false);
        for (name, compression, codec) in [
            (
                "zstd",
                Compression::Zstd { level: 1 },
                Codec::ZSTD(ZstdLevel::default()),
            ),
            ("snappy", Compression::Snappy, Codec::SNAPPY),
            ("lz4", Compression::Lz4, Codec::LZ4_RAW),
            ("none", Compression::None, Codec::UNCOMPRESSED),
        ] {
            let options = WriteOptions {
                compression,
                ..WriteOptions::default()
            };
            let delta = WriteOptions {
                encoding: ValueEncoding::Delta,
                ..options.clone()
            };
            let size = |options| {
                encode(&whole, options, &batches)
                    .iter()
                    .map(|f| f.size)
                    .sum::<u64>()
            };
            eprintln!(
                "{kind} {name}: bytes of plain {}, delta {}, arrow writer {}",
                size(&options),
                size(&delta),
                arrow_writer(codec, &batches).len()
            );
            group.bench_function(BenchmarkId::new("plain", name), |b| {
                b.iter(|| black_box(encode(&whole, &options, &batches)));
            });
            group.bench_function(BenchmarkId::new("arrow_writer", name), |b| {
                b.iter(|| black_box(arrow_writer(codec, &batches)));
            });
            group.bench_function(BenchmarkId::new("delta", name), |b| {
                b.iter(|| black_box(encode(&whole, &delta, &batches)));
            });
        }
        group.finish();
    }
    partitions(criterion);
    small(criterion);
}

fn partitions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    group
        .sample_size(10)
        .throughput(Throughput::Elements((ROWS * BATCHES) as u64));
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

/// Batches of fifteen rows to two hundred tables in turn, then all files are closed.
fn small(criterion: &mut Criterion) {
    const TABLES: usize = 200;
    const AT_ONCE: usize = 15;
    let whole = rows(0, 1);
    let spec = spec(&whole.schema(), false);
    let mut group = criterion.benchmark_group("write");
    group.sample_size(10).throughput(Throughput::Elements(
        (TABLES * ROWS / AT_ONCE * AT_ONCE / 8) as u64,
    ));
    let open = || -> Vec<TableWriter> {
        let writer = |_| TableWriter::new(spec.clone(), WriteOptions::default()).expect("a writer");
        (0..TABLES).map(writer).collect()
    };
    let batches = ROWS / AT_ONCE / 8;
    let fill = |mut writers: Vec<TableWriter>| {
        for batch in 0..batches {
            for writer in &mut writers {
                writer
                    .write(&whole.slice(batch * AT_ONCE, AT_ONCE))
                    .expect("rows of the schema");
            }
        }
        writers
    };
    let one = fill(open());
    let memory = one.iter().map(TableWriter::memory_bytes).sum::<u64>();
    eprintln!(
        "{TABLES} tables of {} rows: {memory} bytes held",
        batches * AT_ONCE
    );
    group.bench_function("small/written", |b| {
        b.iter_batched(open, &fill, BatchSize::LargeInput);
    });
    group.bench_function("small/written_and_closed", |b| {
        b.iter_batched(
            open,
            |writers| {
                let files = fill(writers)
                    .into_iter()
                    .map(|w| w.finish().expect("files"));
                files.collect::<Vec<_>>()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, write);
criterion_main!(benches);
