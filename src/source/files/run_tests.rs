//! Runs against a pipeline that commits, rewinds and dies on command: each record once, whatever happens.

use super::{
    FilesError, Plan, PlanArgs, Progress, RunArgs, RunId, Summary,
    fake_table::{FakeTable, Rows},
    manifest::RunStore,
    object_tests::Memory,
    plan, run, sample,
};
use crate::{
    error::{Kind, Result},
    event::ByteBudget,
};
use object_store::local::LocalFileSystem;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

pub(crate) fn args(dir: &Path, inputs: &[&str]) -> PlanArgs {
    std::fs::create_dir_all(dir.join("table")).unwrap();
    PlanArgs {
        pipeline: "default".into(),
        table: "events".into(),
        inputs: inputs
            .iter()
            .map(|i| dir.join(i).to_str().unwrap().to_owned())
            .collect(),
        stores: Arc::new(Memory::default()),
        stop: CancellationToken::new(),
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

pub(crate) async fn go(plan: Plan, table: &Arc<FakeTable>) -> Result<Summary> {
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
pub(crate) fn fill(dir: &Path) -> Rows {
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
async fn rule_20_killed_anywhere_and_resumed() {
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
        .map(|f| f.name().unwrap())
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
async fn rule_20_changed_inputs_are_refused_with_the_way_on() {
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
async fn rule_20_the_first_manifest_wins() {
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

#[tokio::test]
async fn a_finished_run_whose_positions_were_moved_is_not_taken_at_its_word() {
    let dir = tempfile::tempdir().unwrap();
    let want = fill(dir.path());
    let table = Arc::new(FakeTable::default());
    go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap();
    // The table was restored to before the run.
    *table.lanes.lock() = BTreeMap::new();
    let again = go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap();
    assert!(again.complete && !again.already_complete);
    assert_eq!(table.rows(), want);
    for lane in table.lanes.lock().values_mut() {
        lane.position = lane.position.map(|p| p + 1);
    }
    let error = go(plan(args(dir.path(), &["in"])).await.unwrap(), &table)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
}

#[tokio::test]
async fn the_plan_of_a_dry_run_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let dry = PlanArgs {
        record: false,
        ..args(dir.path(), &["in"])
    };
    let planned = plan(dry).await.unwrap();
    assert!(go(planned, &Arc::default()).await.is_err());
}
