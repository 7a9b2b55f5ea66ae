//! A store that refuses for a while, as with a credential that ended before the next one came.

use super::*;
use crate::{
    commit::{CommitOptions, new_table_spec},
    event::{Counts, OffsetRange},
    pipeline::{
        Pipeline,
        testing::{partition, pipeline},
    },
    storage::faulty::{Failure, Fault, FaultyStore, Operation, Rule},
    write::{MAX_REQUESTS, TableWriter, WriteOptions},
};
use arrow::{
    array::{AsArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema},
};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

struct Bench {
    store: FaultyStore,
    schema: Arc<TableSchema>,
    shared: Arc<Shared>,
    gauges: Arc<WorkerGauges>,
    jobs: mpsc::Sender<Job>,
    done: mpsc::UnboundedReceiver<Done>,
    _pipeline: Pipeline,
    _lake: tempfile::TempDir,
}

async fn bench() -> Bench {
    let (pipeline, _, lake) = pipeline().await;
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let location = TableLocation {
        url: "memory:///lake/t/".parse().unwrap(),
        store: Arc::new(store.clone()),
        root: Path::from("lake/t"),
    };
    let fields = vec![Field::new("id", DataType::Int64, true)];
    let schema = TableSchema::new(Arc::new(Schema::new(fields)), Vec::new());
    let (jobs, queue) = mpsc::channel(2);
    let (say_done, done) = mpsc::unbounded_channel();
    let (shared, gauges) = (pipeline.shared().clone(), Arc::<WorkerGauges>::default());
    let flusher = Flusher {
        table: "t".into(),
        log: Arc::new(TableLog::new(
            location.clone(),
            "t",
            CommitOptions::default(),
        )),
        location,
        shared: shared.clone(),
        cancel: shared.cancel.clone(),
        generation: Arc::default(),
        gauges: gauges.clone(),
        requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
        jobs: queue,
        done: say_done,
    };
    tokio::spawn(flusher.run());
    Bench {
        store,
        schema: Arc::new(schema),
        shared,
        gauges,
        jobs,
        done,
        _pipeline: pipeline,
        _lake: lake,
    }
}

impl Bench {
    /// A flush of the ids from `expected` on, ten of them, in one file.
    async fn flush(&self, expected: Option<Offset>) {
        let start = expected.unwrap_or(0);
        let end = start + 10;
        let ids = Int64Array::from_iter_values((start..end).map(|id| id as i64));
        let rows = RecordBatch::try_new(self.schema.columns.clone(), vec![Arc::new(ids)]);
        let spec = Arc::new(new_table_spec(&self.schema));
        let mut writer = TableWriter::new(spec, WriteOptions::default()).unwrap();
        writer.write(&rows.unwrap()).unwrap();
        let counts = Counts {
            records: 10,
            rows: 10,
            ..Counts::default()
        };
        let job = Job {
            generation: 0,
            files: writer.finish().unwrap(),
            schema: self.schema.clone(),
            earlier: Vec::new(),
            ranges: vec![CommitRange {
                partition: partition(),
                expected,
                range: OffsetRange { start, end },
                counts,
            }],
            letters: Vec::new(),
            ends: vec![(partition().id.clone(), 1, end)],
            permit: self.shared.budget.charge(1),
            counted: self.gauges.hand_on(1),
            opened: Instant::now(),
            oldest_event: None,
            rows: 10,
        };
        self.jobs.send(job).await.unwrap();
    }

    async fn settled(&mut self) -> Option<u64> {
        let done = tokio::time::timeout(Duration::from_secs(20), self.done.recv());
        match done.await.expect("it goes on").expect("it runs") {
            Done::Settled { version, .. } => version,
            Done::Skipped => panic!("it was skipped"),
            Done::Dropped { why, .. } => panic!("{why}"),
        }
    }

    /// Waits until so many more operations of a kind were asked for.
    async fn asked(&self, operation: Operation, more: usize) {
        let from = self.store.count(operation);
        while self.store.count(operation) < from + more {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The ids in the files that the log names, and how many files lie there in all.
    async fn ids(&self) -> (Vec<i64>, usize) {
        let (mut ids, mut files) = (Vec::new(), 0);
        let objects: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        let mut log = String::new();
        for object in &objects {
            if object.location.as_ref().ends_with(".json") {
                let bytes = self.store.get(&object.location).await.unwrap();
                log += std::str::from_utf8(&bytes.bytes().await.unwrap()).unwrap();
            }
        }
        for object in &objects {
            let path = object.location.to_string();
            let Some(file) = path.strip_prefix("lake/t/part-") else {
                continue;
            };
            files += 1;
            if !log.contains(file) {
                continue;
            }
            let bytes = self.store.get(&object.location).await.unwrap();
            let bytes = bytes.bytes().await.unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                ids.extend(batch.column(0).as_primitive::<Int64Type>().values());
            }
        }
        ids.sort_unstable();
        (ids, files)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_away_for_a_while_cost_no_row_and_end_nothing() {
    let denied = Fault::Fail(Failure::PermissionDenied);
    for rule in [
        Rule::always(denied),
        Rule::on(Operation::Put, denied),
        Rule::on(Operation::Put, denied).path("*/_delta_log/*"),
        // As of a bucket that is away, or that the credential may not see any more.
        Rule::on(Operation::Put, Fault::Fail(Failure::NotFound)).path("*.parquet"),
    ] {
        let mut bench = bench().await;
        bench.flush(None).await;
        assert_eq!(bench.settled().await, Some(0));
        bench.store.add(rule.clone());
        bench.flush(Some(10)).await;
        bench.flush(Some(20)).await;
        bench.asked(Operation::Put, 4).await;
        assert!(bench.gauges.fails.load(Ordering::Acquire), "{rule:?}");
        assert!(bench.done.try_recv().is_err(), "{rule:?}");
        assert!(!bench.shared.cancel.is_cancelled(), "{rule:?}");
        bench.store.reset();
        assert_eq!(bench.settled().await, Some(1), "{rule:?}");
        assert_eq!(bench.settled().await, Some(2), "{rule:?}");
        let (ids, files) = bench.ids().await;
        assert_eq!(ids, (0..30).collect::<Vec<_>>(), "{rule:?}");
        assert_eq!(files, 3, "{rule:?}");
        assert!(bench.shared.failure.get().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_landed_although_it_was_refused_is_not_repeated() {
    let mut bench = bench().await;
    bench.flush(None).await;
    assert_eq!(bench.settled().await, Some(0));
    let lost = Fault::LoseAnswer(Failure::PermissionDenied);
    let rule = Rule::on(Operation::Put, lost).path("*/_delta_log/*.json");
    bench.store.add(rule.times(1));
    bench.flush(Some(10)).await;
    assert_eq!(bench.settled().await, Some(1));
    bench.flush(Some(20)).await;
    assert_eq!(bench.settled().await, Some(2));
    assert_eq!(bench.ids().await, ((0..30).collect(), 3));
}
