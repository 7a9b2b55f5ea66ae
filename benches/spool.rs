//! What the spool can take: one client that waits for each fsync, and many that share it.

use alluvium::source::spool::{Append, Options, Spool};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::future::try_join_all;

const EVENT: &[u8] = br#"{"user_id":"u-1234567","event":"page_view","url":"https://example.com/a/b?c=d","duration_ms":1234,"ok":true}"#;

/// A request of `n` events, one a line.
fn request(n: usize) -> Append {
    let mut body = Vec::with_capacity(n * (EVENT.len() + 1));
    let mut events = Vec::with_capacity(n);
    for _ in 0..n {
        let start = body.len() as u32;
        body.extend_from_slice(EVENT);
        events.push(start..body.len() as u32);
        body.push(b'\n');
    }
    Append {
        table: "clicks".into(),
        body: Bytes::from(body),
        events,
        rejected: Vec::new(),
        received_at: 0,
        claim: None,
        permit: None,
    }
}

fn append(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a run time");
    let mut group = c.benchmark_group("spool_append");
    group.sample_size(20);
    for (clients, events) in [(1, 1), (1, 1_000), (100, 1), (100, 100)] {
        let folder = tempfile::tempdir().expect("a folder");
        let spool =
            Spool::open(folder.path(), "bench", "web", Options::default()).expect("a spool");
        group.throughput(Throughput::Bytes(
            (clients * events * (EVENT.len() + 1)) as u64,
        ));
        group.bench_function(
            BenchmarkId::new(format!("{clients}_clients"), format!("{events}_events")),
            |b| {
                b.iter(|| {
                    runtime.block_on(async {
                        let ranges =
                            try_join_all((0..clients).map(|_| spool.append(request(events)))).await;
                        let end = ranges
                            .expect("room on the disk")
                            .iter()
                            .map(|range| range.end)
                            .max();
                        // As if all of it were committed, so that the bench does not fill the disk.
                        spool.truncate_below(end.unwrap_or(0));
                    })
                });
            },
        );
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a run time");
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), "bench", "web", Options::default()).expect("a spool");
    let appended = runtime.block_on(try_join_all((0..200).map(|_| spool.append(request(1_000)))));
    let end = appended
        .expect("room on the disk")
        .iter()
        .map(|range| range.end)
        .max()
        .unwrap_or(0);
    let mut group = c.benchmark_group("spool_read");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(spool.disk_bytes()));
    group.bench_function("1_mib_batches", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let mut reader = spool.reader(0, None).expect("nothing was let go");
                while reader.position() < end {
                    let chunk = reader.next(1 << 20).await.expect("whole records");
                    std::hint::black_box(chunk);
                }
            })
        });
    });
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
