//! JSON to Arrow with a known schema: bytes of events a second on one core.
//!
//! `cargo bench --bench decode`. The events are generated from a fixed seed: `flat` is a click of
//! 15 fields, `nested` a track call with a context, a map, a list of structs and a list of text;
//! `unknown` is `flat` into a table that has none of its fields and keeps all in `_rescued_data`.

use alluvium::{
    decode::{DecodeOptions, Decoded, Decoder, Verdicts},
    event::{
        ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, RoutedBatch, SourcePartition,
    },
    schema::{Evolution, EvolutionPolicy, MetadataColumn, TableSchema, base_schema, evolve},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{fmt::Write, hint::black_box, sync::Arc, time::Duration};

const BATCH_BYTES: usize = 1 << 20;

fn time(random: &mut fastrand::Rng) -> String {
    format!(
        "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        random.u32(1..=12),
        random.u32(1..=28),
        random.u32(0..24),
        random.u32(0..60),
        random.u32(0..60),
        random.u32(0..1_000)
    )
}

fn flat(random: &mut fastrand::Rng) -> String {
    format!(
        concat!(
            r#"{{"event_id":"{:032x}","timestamp":"{}","user_id":{},"session_id":"{:016x}","event":"{}","#,
            r#""url":"https://shop.example.com/p/{}","referrer":{},"country":"{}","device":"{}","#,
            r#""duration_ms":{},"scroll":{:.3},"price":{:.2},"quantity":{},"is_new":{},"ab":"{}"}}"#
        ),
        random.u128(..),
        time(random),
        random.u64(1..10_000_000),
        random.u64(..),
        random
            .choice(["click", "view", "add_to_cart", "purchase"])
            .unwrap_or("view"),
        random.u32(..100_000),
        if random.bool() {
            "null"
        } else {
            r#""https://www.example.org/""#
        },
        random.choice(["DE", "FR", "US", "JP"]).unwrap_or("DE"),
        random
            .choice(["phone", "tablet", "desktop"])
            .unwrap_or("phone"),
        random.u32(..60_000),
        random.f64(),
        random.f64() * 500.0,
        random.u32(1..5),
        random.bool(),
        random.alphanumeric(),
    )
}

fn nested(random: &mut fastrand::Rng) -> String {
    let mut items = String::new();
    for i in 0..random.u32(4..8) {
        let separator = if i == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(
            items,
            r#"{separator}{{"sku":"SKU-{}","name":"Grüner Tee \"Sencha\" {}","price":{:.2},"quantity":{},"tags":["tea","green"]}}"#,
            random.u32(..99_999),
            random.u32(..100),
            random.f64() * 100.0,
            random.u32(1..9),
        );
    }
    format!(
        concat!(
            r#"{{"type":"track","messageId":"{:032x}","anonymousId":"{:032x}","userId":"u{}","event":"Order Completed","#,
            r#""originalTimestamp":"{}","sentAt":"{}","channel":"web","context":{{"ip":"10.{}.{}.{}","locale":"de-DE","#,
            r#""userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36","#,
            r#""library":{{"name":"analytics.js","version":"4.1.{}"}},"page":{{"path":"/checkout","title":"Kasse","url":"https://shop.example.com/checkout"}},"#,
            r#""screen":{{"width":{},"height":{},"density":2.0}},"campaign":{{"source":"newsletter","medium":"email"}}}},"#,
            r#""integrations":{{"All":true,"Mixpanel":false}},"properties":{{"order_id":"O-{}","total":{:.2},"currency":"EUR","coupon":null,"products":[{}]}}}}"#
        ),
        random.u128(..),
        random.u128(..),
        random.u32(..),
        time(random),
        time(random),
        random.u8(..),
        random.u8(..),
        random.u8(..),
        random.u8(..),
        random.u32(300..4_000),
        random.u32(300..4_000),
        random.u32(..),
        random.f64() * 1_000.0,
        items,
    )
}

fn batch(event: fn(&mut fastrand::Rng) -> String) -> RoutedBatch {
    let mut random = fastrand::Rng::with_seed(7);
    let mut slab = String::new();
    let mut records = Vec::new();
    while slab.len() < BATCH_BYTES {
        let start = slab.len() as u32;
        slab.push_str(&event(&mut random));
        records.push(RecordSpan {
            offset: records.len() as u64,
            value: start..slab.len() as u32,
            key: None,
            headers: None,
            event_time: 1_700_000_000_000_000,
            table: u32::MAX,
            kind: RecordKind::Event,
        });
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

fn decoder(schema: TableSchema, policy: &EvolutionPolicy) -> Decoder {
    let options = DecodeOptions {
        policy: policy.clone(),
        ..DecodeOptions::default()
    };
    Decoder::new(Arc::new(schema), Arc::new(options)).expect("a table of ours")
}

fn run(decoder: &mut Decoder, batch: &RoutedBatch) -> Decoded {
    decoder
        .decode(batch, &Verdicts::default(), 0)
        .expect("events make no error")
}

fn benchmarks(criterion: &mut Criterion) {
    let empty = base_schema(&[], &MetadataColumn::DEFAULT, &[]).expect("no columns declared");
    let fixed = EvolutionPolicy {
        evolution: Evolution::None,
        ..EvolutionPolicy::default()
    };
    let inferred = |batch: &RoutedBatch| {
        let policy = EvolutionPolicy {
            infer_timestamps: true,
            ..EvolutionPolicy::default()
        };
        let seen = run(&mut decoder(empty.clone(), &policy), batch).seen;
        let changes = evolve(&empty, &seen, &policy).changes;
        empty.apply(&changes).expect("what is decided applies")
    };
    let mut group = criterion.benchmark_group("decode");
    group.measurement_time(Duration::from_secs(5));
    for (name, event) in [("flat", flat as fn(&mut _) -> _), ("nested", nested)] {
        let batch = batch(event);
        let mut decoder = decoder(inferred(&batch), &fixed);
        let counts = run(&mut decoder, &batch).counts;
        assert_eq!((counts.rescued, counts.dead_letters), (0, 0), "{name}");
        group.throughput(Throughput::Bytes(batch.raw.slab.len() as u64));
        group.bench_function(name, |b| b.iter(|| black_box(run(&mut decoder, &batch))));
    }
    let batch = batch(flat);
    let mut decoder = decoder(empty.clone(), &fixed);
    group.throughput(Throughput::Bytes(batch.raw.slab.len() as u64));
    group.bench_function("unknown", |b| {
        b.iter(|| black_box(run(&mut decoder, &batch)))
    });
    group.finish();
}

criterion_group!(benches, benchmarks);
criterion_main!(benches);
