//! What no stage can go below on this machine: moving, scanning and compressing the same bytes of JSON.
//!
//! `cargo bench --bench floor`. `zstd_1` compresses the JSON as it is; the encoder's pages are a fraction of it.

mod data;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use data::{
    Kind, SEED,
    cpu::{self, CpuTime},
};
use std::hint::black_box;

/// More than a core's own caches hold.
const BYTES: usize = 16 << 20;

fn floor(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("floor");
    group.sample_size(20);
    for kind in [Kind::Flat, Kind::Nested, Kind::Mixed] {
        let (json, name) = (data::ndjson(kind, BYTES, SEED).into_bytes(), kind.name());
        let mut copy = vec![0; json.len()];
        let mut compressor = zstd::bulk::Compressor::new(1).expect("a level");
        let mut compressed = vec![0; zstd::zstd_safe::compress_bound(json.len())];
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(BenchmarkId::new("memcpy", name), |b| {
            b.iter(|| copy.copy_from_slice(black_box(&json)));
        });
        group.bench_function(BenchmarkId::new("line_ends", name), |b| {
            b.iter(|| memchr::memchr_iter(b'\n', black_box(&json)).count());
        });
        group.bench_function(BenchmarkId::new("utf8", name), |b| {
            b.iter(|| std::str::from_utf8(black_box(&json)).is_ok());
        });
        group.bench_function(BenchmarkId::new("zstd_1", name), |b| {
            b.iter(|| compressor.compress_to_buffer(black_box(&json), &mut compressed));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = cpu::criterion();
    targets = floor
}
criterion_main!(benches);
