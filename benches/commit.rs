//! Appends to the Delta log: what one commit of ours costs on an in-memory store, by the number of
//! files the table has. The aim is a cost that does not grow with it.

use alluvium::{
    commit::{CommitOptions, CommitOutcome, TableLog, Upload},
    event::{
        CommitRange, Counts, DataFile, OffsetRange, Partition, SchemaFingerprint, SourcePartition,
    },
    schema::TableSchema,
    storage::TableLocation,
};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use object_store::{memory::InMemory, path::Path};
use std::{collections::BTreeMap, sync::Arc};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A table and the position its one source partition has reached.
struct Table {
    log: TableLog,
    schema: Arc<TableSchema>,
    partition: Arc<Partition>,
    position: Option<u64>,
}

impl Table {
    fn new() -> Self {
        let location = TableLocation {
            url: "memory:///t".parse().expect("a URL"),
            store: Arc::new(InMemory::new()),
            root: Path::from("t"),
        };
        let columns = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
        ]);
        let options = CommitOptions {
            checkpoint_interval_commits: 0,
            checkpoint_interval_bytes: 0,
            ..CommitOptions::default()
        };
        Self {
            log: TableLog::new(location, "t", options),
            schema: Arc::new(TableSchema {
                columns: Arc::new(columns),
                partition_columns: Vec::new(),
                fingerprint: SchemaFingerprint(1),
            }),
            partition: Arc::new(Partition {
                id: SourcePartition::new("default/bench/t#0/0"),
                source: "bench".into(),
                label: "bench".into(),
                topic: "t".into(),
                number: 0,
            }),
            position: None,
        }
    }

    async fn append(&mut self, files: usize) {
        let start = self.position.unwrap_or(0);
        let end = start + files as u64;
        let files = (start..end)
            .map(|number| DataFile {
                path: format!("part-{number:08}.zstd.parquet"),
                size: 1_000_000,
                rows: 1,
                modification_time: chrono::Utc::now().timestamp_millis(),
                partition_values: BTreeMap::new(),
                stats: format!(
                    r#"{{"numRecords":1,"minValues":{{"id":{number}}},"maxValues":{{"id":{number}}},"nullCount":{{"id":0}}}}"#
                ),
                fingerprint: self.schema.fingerprint,
            })
            .collect();
        let upload = Upload {
            earlier: Vec::new(),
            files,
            schema: self.schema.clone(),
            ranges: vec![CommitRange {
                partition: self.partition.clone(),
                expected: self.position,
                range: OffsetRange { start, end },
                counts: Counts::default(),
            }],
            marks: Vec::new(),
        };
        let outcome = self.log.commit(upload, CancellationToken::new()).await;
        assert!(
            matches!(outcome, Ok(CommitOutcome::Committed { .. })),
            "{outcome:?}"
        );
        self.position = Some(end);
    }
}

fn append(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("commit_append");
    for files in [0usize, 1_000, 10_000] {
        let mut table = Table::new();
        runtime.block_on(async {
            table.append(1).await;
            if files > 0 {
                table.append(files).await;
                table.log.checkpoint().await.expect("a checkpoint");
            }
        });
        group.bench_function(BenchmarkId::from_parameter(files), |bench| {
            bench.iter(|| runtime.block_on(table.append(1)));
        });
    }
    group.finish();
}

/// A restart: the newest version and the position of a partition, over a log of many commits.
fn open(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("commit_open");
    group.sample_size(10);
    for commits in [100usize, 2_000] {
        let mut table = Table::new();
        runtime.block_on(async {
            for _ in 0..commits {
                table.append(1).await;
            }
        });
        let location = table.log.location().clone();
        let ids: Vec<String> = (0..8)
            .map(|number| format!("default/bench/t#0/{number}"))
            .collect();
        group.bench_function(BenchmarkId::new("eight_positions", commits), |bench| {
            bench.iter(|| {
                let log = TableLog::new(location.clone(), "t", CommitOptions::default());
                runtime
                    .block_on(log.positions(&ids, true))
                    .expect("positions")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append, open);
criterion_main!(benches);
