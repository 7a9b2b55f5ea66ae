//! The whole line: a file of events to a committed Delta table, through decode, write and commit.
//!
//! `cargo bench --bench pipeline`. Throughput is bytes of JSON per CPU second of all threads. Each iteration lands the
//! same file in a new table, start-up of the pipeline and fsyncs included.
#![allow(clippy::unwrap_used, reason = "a bench may stop at the first surprise")]

mod data;

use alluvium::{
    config::{Config, Environment, Flags},
    pipeline::{BackfillFiles, backfill_files},
    telemetry::{self, LogFormat},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use data::{
    Kind, SEED,
    cpu::{self, CpuTime},
};
use std::path::Path;

const BYTES: usize = 32 << 20;

/// The events' columns are declared; hostile events change nothing of the table.
fn config(kind: Kind, lake: &Path) -> Config {
    let flags = Flags {
        lake: Some(lake.display().to_string()),
        ..Flags::default()
    };
    Config::parse(&data::toml(kind), &Environment::fixed([], []), &flags).unwrap()
}

fn pipeline(criterion: &mut Criterion<CpuTime>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let telemetry = telemetry::start(LogFormat::Json, "error", false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(10);
    for kind in Kind::ALL {
        let input = folder.path().join(format!("{}.ndjson", kind.name()));
        let text = data::ndjson(kind, BYTES, SEED);
        std::fs::write(&input, &text).unwrap();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("file_to_table", kind.name()), |bencher| {
            bencher.to_async(&runtime).iter_batched(
                || tempfile::tempdir_in(folder.path()).unwrap(),
                |lake| {
                    let (config, telemetry) = (config(kind, lake.path()), telemetry.clone());
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
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = cpu::criterion();
    targets = pipeline
}
criterion_main!(benches);
