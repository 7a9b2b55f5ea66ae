//! What the spool can take: one client that waits for each fsync, and many that share it. Time is the wall clock's, for
//! that is what a client waits; the events are the flat ones of `benches/data`.

mod data;

use alluvium::source::spool::{Append, Options, Spool};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use data::{Events, Kind, SEED};
use futures::future::try_join_all;

/// A request of `n` events, one a line.
fn request(n: usize) -> Append {
    let mut source = Events::new(Kind::Flat, SEED);
    let (mut body, mut events) = (String::new(), Vec::with_capacity(n));
    for _ in 0..n {
        let start = body.len() as u32;
        source.push(&mut body);
        events.push(start..body.len() as u32);
        body.push('\n');
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

/// The same request again: neither its bytes nor its spans are made anew.
fn again(request: &Append) -> Append {
    Append {
        table: request.table.clone(),
        body: request.body.clone(),
        events: request.events.clone(),
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
        let one = request(events);
        group.throughput(Throughput::Bytes((clients * one.body.len()) as u64));
        group.bench_function(
            BenchmarkId::new(format!("{clients}_clients"), format!("{events}_events")),
            |b| {
                b.iter(|| {
                    runtime.block_on(async {
                        let ranges =
                            try_join_all((0..clients).map(|_| spool.append(again(&one)))).await;
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
    let one = request(1_000);
    let appended = runtime.block_on(try_join_all((0..200).map(|_| spool.append(again(&one)))));
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
