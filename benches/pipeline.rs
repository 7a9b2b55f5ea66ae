//! The whole line: a file of events to a committed Delta table, through decode, write and commit.
//!
//! Throughput is bytes of JSON. Each iteration lands the same file in a new table, start-up of the
//! pipeline and fsyncs included.
#![allow(clippy::unwrap_used, reason = "a bench may stop at the first surprise")]

use alluvium::{
    config::{Config, Environment, Flags},
    pipeline::{BackfillFiles, backfill_files},
    telemetry::{self, LogFormat},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{fmt::Write, path::Path};

/// Flat clickstream events of about 300 bytes, the same for every run.
fn events(n: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::new();
    for i in 0..n {
        writeln!(
            text,
            r#"{{"event_id":"{:032x}","user_id":{},"session":"s-{:08x}","event":"{}","timestamp":"2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z","url":"https://example.com/p/{}","country":"{}","width":{},"height":{},"price":{}.{:02},"is_new":{},"sequence":{i}}}"#,
            random.u128(..),
            random.u32(..1_000_000),
            random.u32(..),
            random.choice(["page_view", "click", "scroll", "purchase"]).unwrap(),
            random.u8(1..29),
            random.u8(..24),
            random.u8(..60),
            random.u8(..60),
            random.u16(..1000),
            random.u16(..5000),
            random.choice(["de", "fr", "nz", "us"]).unwrap(),
            random.u16(300..3000),
            random.u16(300..3000),
            random.u16(..1000),
            random.u8(..100),
            random.bool(),
        )
        .unwrap();
    }
    text
}

fn config(lake: &Path) -> Config {
    let flags = Flags {
        lake: Some(lake.display().to_string()),
        ..Flags::default()
    };
    Config::parse("", &Environment::fixed([], []), &flags).unwrap()
}

fn pipeline(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let telemetry = telemetry::start(LogFormat::Json, "error").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("events.ndjson");
    let text = events(100_000);
    std::fs::write(&input, &text).unwrap();
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.sample_size(10);
    group.bench_function("file_to_table", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || tempfile::tempdir_in(folder.path()).unwrap(),
            |lake| {
                let (config, telemetry) = (config(lake.path()), telemetry.clone());
                let request = BackfillFiles {
                    table: "events".into(),
                    inputs: vec![input.display().to_string()],
                    dry_run: false,
                    run_id: None,
                    lanes: None,
                };
                async move {
                    let report = backfill_files(config, telemetry, request).await.unwrap();
                    assert_eq!(report.faults, 0, "{}", report.text);
                    drop(lake);
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
