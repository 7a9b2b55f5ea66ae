//! Runs against a pipeline that commits, rewinds and dies on command: each record once, whatever happens.

use super::{
    FilesError, Plan, PlanArgs, Progress, RunArgs, RunId, Summary, manifest::RunStore, plan, run,
    sample,
};
use crate::{
    error::{Error, Kind, Result},
    event::{
        Acked, Assignment, ByteBudget, Epoch, Intake, Offer, Offset, Partition, RawBatch,
        SourceEvent,
    },
};
use async_trait::async_trait;
use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Committed records of a lane in order: label and text.
type Rows = Vec<(String, String)>;

#[derive(Default)]
struct LaneState {
    epoch: Epoch,
    committed: Rows,
    position: Option<Offset>,
    /// Offered in this epoch, not yet committed.
    held: Rows,
}

/// A table in memory: `held` is lost by a rewind or a crash, `committed` never.
#[derive(Default)]
struct FakeTable {
    lanes: Mutex<BTreeMap<String, LaneState>>,
    events: Mutex<VecDeque<SourceEvent>>,
    ring: Notify,
    /// After so many batches: a rewind of the lane that sent it, or the end of the pipeline.
    rewind_at: Mutex<Vec<usize>>,
    die_at: Mutex<Option<usize>>,
    batches: Mutex<usize>,
    dead: Mutex<bool>,
}

impl FakeTable {
    fn tell(&self, event: SourceEvent) {
        self.events.lock().push_back(event);
        self.ring.notify_one();
    }

    fn rows(&self) -> Rows {
        let mut all: Rows = self
            .lanes
            .lock()
            .values()
            .flat_map(|lane| lane.committed.clone())
            .collect();
        all.sort();
        all
    }

    /// A crash: what was held is gone, a new process reads.
    fn restart(&self) {
        *self.dead.lock() = false;
        *self.die_at.lock() = None;
        self.events.lock().clear();
        for lane in self.lanes.lock().values_mut() {
            lane.held.clear();
        }
    }
}

#[async_trait]
impl Intake for FakeTable {
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        let mut lanes = self.lanes.lock();
        Ok(partitions
            .into_iter()
            .map(|partition| {
                let lane = lanes.entry(partition.id.app_id().to_owned()).or_default();
                lane.epoch += 1;
                lane.held.clear();
                Assignment {
                    epoch: lane.epoch,
                    resume: lane.position,
                    partition,
                }
            })
            .collect())
    }

    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()> {
        for (assignment, offset) in starts {
            let mut lanes = self.lanes.lock();
            lanes
                .entry(assignment.partition.id.app_id().to_owned())
                .or_default()
                .position = Some(offset);
        }
        Ok(())
    }

    fn offer(&self, batch: RawBatch) -> Offer {
        let mut lanes = self.lanes.lock();
        let lane = lanes.get_mut(batch.partition.id.app_id()).unwrap();
        if lane.epoch != batch.epoch {
            return Offer::Stale;
        }
        let next = lane.position.unwrap() + lane.held.len() as u64;
        assert_eq!(batch.start, next, "batches of an epoch join");
        assert_eq!(batch.end - batch.start, batch.records.len() as u64);
        for (i, record) in batch.records.iter().enumerate() {
            assert_eq!(record.offset, batch.start + i as u64);
            assert_eq!(&*batch.tables[record.table as usize], "events");
            let text = String::from_utf8(batch.value(record).to_vec()).unwrap();
            lane.held.push((batch.partition.label.to_string(), text));
        }
        let mut count = self.batches.lock();
        *count += 1;
        if self.rewind_at.lock().contains(&count) {
            lane.held.clear();
            lane.epoch += 1;
            self.tell(SourceEvent::Rewind {
                partition: batch.partition.clone(),
                epoch: batch.epoch,
            });
        } else if count.is_multiple_of(3) {
            commit(lane);
            self.tell(SourceEvent::Acked(Acked {
                partition: batch.partition.clone(),
                epoch: batch.epoch,
                low_water: lane.position.unwrap(),
            }));
        }
        if self.die_at.lock().is_some_and(|at| *count >= at) {
            *self.dead.lock() = true;
            self.ring.notify_one();
        }
        Offer::Accepted
    }

    async fn send(&self, batch: RawBatch) -> Result<()> {
        tokio::task::yield_now().await;
        if *self.dead.lock() {
            return Err(Error::new(Kind::Unavailable, "killed"));
        }
        self.offer(batch);
        Ok(())
    }

    async fn drain(&self, partitions: &[Arc<Partition>], _: Duration) -> Vec<Acked> {
        let mut lanes = self.lanes.lock();
        let dead = *self.dead.lock();
        partitions
            .iter()
            .map(|partition| {
                let lane = lanes.get_mut(partition.id.app_id()).unwrap();
                if !dead {
                    commit(lane);
                }
                Acked {
                    partition: partition.clone(),
                    epoch: lane.epoch,
                    low_water: lane.position.unwrap(),
                }
            })
            .collect()
    }

    fn release(&self, partitions: &[Arc<Partition>]) {
        for partition in partitions {
            if let Some(lane) = self.lanes.lock().get_mut(partition.id.app_id()) {
                lane.held.clear();
            }
        }
    }

    async fn event(&self) -> Option<SourceEvent> {
        loop {
            if *self.dead.lock() {
                return None;
            }
            if let Some(event) = self.events.lock().pop_front() {
                return Some(event);
            }
            self.ring.notified().await;
        }
    }

    async fn committed(&self, _: &str, _: &Partition, _: Offset) -> Result<u64> {
        Ok(0)
    }
}

fn commit(lane: &mut LaneState) {
    let n = lane.held.len() as u64;
    lane.committed.append(&mut lane.held);
    *lane.position.as_mut().unwrap() += n;
}

fn args(dir: &Path, inputs: &[&str]) -> PlanArgs {
    std::fs::create_dir_all(dir.join("table")).unwrap();
    PlanArgs {
        pipeline: "default".into(),
        table: "events".into(),
        inputs: inputs
            .iter()
            .map(|i| dir.join(i).to_str().unwrap().to_owned())
            .collect(),
        run_id: None,
        lanes: Some(3),
        store: RunStore {
            store: Arc::new(LocalFileSystem::new_with_prefix(dir).unwrap()),
            root: "table".into(),
        },
        csv_types: BTreeMap::new(),
        record: true,
    }
}

async fn go(plan: Plan, table: &Arc<FakeTable>) -> Result<Summary> {
    let budget = ByteBudget::new(3 << 20);
    let progress = Progress::new(plan.manifest.total_bytes(), false);
    let args = RunArgs {
        plan,
        stop: CancellationToken::new(),
        drain_limit: Duration::from_secs(5),
    };
    let done = run(args, table.clone(), budget.clone(), progress).await;
    assert_eq!(budget.used(), 0, "every permit came back");
    done
}

/// Seven files of four formats, some of several batches; and all (file, record) that they hold.
fn fill(dir: &Path) -> Rows {
    std::fs::create_dir_all(dir.join("in")).unwrap();
    let mut rows = Rows::new();
    for file in 0..7 {
        let count = [0, 1, 10, 30_000, 100, 60_000, 5][file];
        let name = [
            "a.json",
            "b.csv",
            "c.json",
            "d.ndjson.gz",
            "e.jsonl",
            "f.ndjson",
            "g.ndjson.zst",
        ][file];
        let path = dir.join("in").join(name);
        let texts: Vec<String> = (0..count)
            .map(|i| format!("{{\"file\":{file},\"i\":{i},\"pad\":\"{:64}\"}}", ""))
            .collect();
        let lines: String = texts.iter().map(|t| format!("{t}\n")).collect();
        let bytes = match name {
            "b.csv" => format!("file,i,pad\n{}", format_args!("{file},0,{:64}\n", "")).into_bytes(),
            "c.json" => format!("[{}]", texts.join(",")).into_bytes(),
            "d.ndjson.gz" => {
                use std::io::Write;
                let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gz.write_all(lines.as_bytes()).unwrap();
                gz.finish().unwrap()
            }
            "g.ndjson.zst" => zstd::stream::encode_all(lines.as_bytes(), 1).unwrap(),
            _ => lines.into_bytes(),
        };
        std::fs::write(&path, bytes).unwrap();
        rows.extend(
            texts
                .into_iter()
                .map(|t| (path.to_str().unwrap().to_owned(), t)),
        );
    }
    rows.sort();
    rows
}

#[tokio::test]
async fn each_record_once_and_a_second_run_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let want = fill(dir.path());
    let table = Arc::new(FakeTable::default());
    let first = go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap();
    assert!(first.complete && !first.already_complete);
    assert_eq!(
        (first.records, first.committed, first.files, first.lanes),
        (want.len() as u64, want.len() as u64, 7, 3)
    );
    assert_eq!(table.rows(), want);

    let again = plan(args(dir.path(), &["in"])).await.unwrap();
    assert!(again.finished.is_some() && !again.fresh);
    let again = go(again, &table).await.unwrap();
    assert!(again.already_complete);
    assert_eq!((again.records, again.bytes), (0, 0));
    assert_eq!(table.rows(), want);
}

#[tokio::test]
async fn rewinds_read_again_from_what_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let want = fill(dir.path());
    let table = Arc::new(FakeTable::default());
    *table.rewind_at.lock() = vec![1, 2, 5, 8, 13];
    let summary = go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap();
    assert!(summary.complete && summary.records > summary.committed);
    assert_eq!(table.rows(), want);
}

#[tokio::test]
async fn killed_anywhere_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let want = fill(dir.path());
    for kill in 1..12 {
        let table = Arc::new(FakeTable::default());
        std::fs::remove_dir_all(dir.path().join("table")).ok();
        *table.die_at.lock() = Some(kill);
        let killed = go(plan(args(dir.path(), &["in"])).await.unwrap(), &table).await;
        assert!(killed.is_err(), "killed at batch {kill}");
        table.restart();
        let resumed = go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
            .await
            .unwrap();
        assert!(resumed.complete);
        assert_eq!(table.rows(), want, "killed at batch {kill}");
    }
}

#[tokio::test]
async fn a_stop_commits_what_was_read_and_can_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let want = fill(dir.path());
    let table = Arc::new(FakeTable::default());
    let stop = CancellationToken::new();
    stop.cancel();
    let args1 = RunArgs {
        plan: plan(args(dir.path(), &["in"])).await.unwrap(),
        stop,
        drain_limit: Duration::from_secs(5),
    };
    let stopped = run(
        args1,
        table.clone(),
        ByteBudget::new(1 << 20),
        Progress::new(0, false),
    )
    .await
    .unwrap();
    assert!(!stopped.complete);
    go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap();
    assert_eq!(table.rows(), want);
}

#[tokio::test]
async fn a_broken_file_fails_after_everything_else_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut want = fill(dir.path());
    let broken = dir.path().join("in/d.ndjson.gz");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let table = Arc::new(FakeTable::default());
    let planned = plan(args(dir.path(), &["in"])).await.unwrap();
    let lane_of = |name: &str| {
        let file = planned
            .manifest
            .files
            .iter()
            .find(|f| f.url.ends_with(name))
            .unwrap();
        file.lane
    };
    let with_it: Vec<String> = planned
        .manifest
        .lane_files(lane_of("d.ndjson.gz"))
        .iter()
        .map(|f| f.path().unwrap())
        .collect();
    let error = go(planned.clone(), &table).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidData);
    assert!(error.to_string().contains("d.ndjson.gz"), "{error}");
    let rows = table.rows();
    let of_broken = rows
        .iter()
        .filter(|(path, _)| path.ends_with("d.ndjson.gz"))
        .count();
    assert!(
        of_broken > 0 && of_broken < 30_000,
        "what precedes the damage is committed: {of_broken}"
    );
    want.retain(|(path, _)| !with_it.contains(path));
    for row in &want {
        assert!(rows.binary_search(row).is_ok());
    }
    // Nothing moves by trying again.
    assert!(go(planned, &table).await.is_err());
    assert_eq!(table.rows(), rows);
}

#[tokio::test]
async fn changed_inputs_are_refused_with_the_way_on() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let first = plan(args(dir.path(), &["in/*"])).await.unwrap();
    let refusal = async || match plan(args(dir.path(), &["in/*"])).await {
        Err(e @ FilesError::InputsChanged(_)) => {
            assert_eq!(e.kind(), Kind::Config);
            e.to_string()
        }
        other => panic!("not refused: {other:?}"),
    };
    let new = dir.path().join("in/new.ndjson");
    std::fs::write(&new, "{}\n").unwrap();
    let text = refusal().await;
    assert!(
        text.contains(&format!("backfill --table events {}", new.display())),
        "{text}"
    );
    std::fs::remove_file(&new).unwrap();
    assert_eq!(
        plan(args(dir.path(), &["in/*"])).await.unwrap().manifest,
        first.manifest
    );

    std::fs::rename(dir.path().join("in/e.jsonl"), dir.path().join("e.jsonl")).unwrap();
    assert!(refusal().await.contains("missing"));
    std::fs::rename(dir.path().join("e.jsonl"), dir.path().join("in/e.jsonl")).unwrap();

    std::fs::write(dir.path().join("in/b.csv"), "a\n1\n").unwrap();
    let text = refusal().await;
    assert!(
        text.contains("changed") && text.contains("--run-id NEW") && text.contains("twice"),
        "{text}"
    );
    let other = PlanArgs {
        run_id: Some(RunId::new("second").unwrap()),
        ..args(dir.path(), &["in/*"])
    };
    assert!(plan(other).await.unwrap().fresh);

    let stolen = PlanArgs {
        run_id: Some(RunId::new("second").unwrap()),
        ..args(dir.path(), &["in/e.jsonl"])
    };
    assert!(matches!(
        plan(stolen).await,
        Err(FilesError::InputsChanged(_))
    ));
}

#[tokio::test]
async fn positions_without_a_manifest_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let table = Arc::new(FakeTable::default());
    go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap();
    std::fs::remove_dir_all(dir.path().join("table")).unwrap();
    let error = go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
}

#[tokio::test]
async fn the_first_manifest_wins() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let three = plan(args(dir.path(), &["in"])).await.unwrap();
    let mut two = three.manifest.clone();
    two.lanes = 1;
    two.files.iter_mut().for_each(|f| f.lane = 0);
    let (kept, made) = three.store.record_manifest(two).await.unwrap();
    assert!(!made);
    assert_eq!(kept, three.manifest);
    let path = dir
        .path()
        .join(format!("table/_alluvium/backfill-{}.json", kept.run_id));
    std::fs::write(&path, "{\"format\": 2}").unwrap();
    assert!(matches!(
        plan(args(dir.path(), &["in"])).await,
        Err(FilesError::ManifestFormat { .. })
    ));
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(
        plan(args(dir.path(), &["in"])).await,
        Err(FilesError::ManifestCorrupt { .. })
    ));
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let want = fill(dir.path());
    let dry = PlanArgs {
        record: false,
        ..args(dir.path(), &["in"])
    };
    let planned = plan(dry).await.unwrap();
    let budget = ByteBudget::new(64 << 20);
    let got = sample(&planned, &budget, 20, true).await.unwrap();
    let counts: Vec<u64> = got.files.iter().map(|f| f.records.unwrap()).collect();
    assert_eq!(counts, [0, 1, 10, 30_000, 100, 60_000, 5]);
    assert_eq!(counts.iter().sum::<u64>(), want.len() as u64);
    let taken: Vec<usize> = got.batches.iter().map(|b| b.records.len()).collect();
    assert_eq!(taken, [1, 10, 20, 20, 20, 5]);
    assert!(!dir.path().join("table/_alluvium").exists());
    drop(got);
    assert_eq!(budget.used(), 0);
}
