//! Runs over objects: each record once, whatever the store does.

use super::{
    FilesError, Plan, PlanArgs, Progress, RunArgs,
    fake_table::{FakeTable, Rows},
    object_tests::Memory,
    plan, run,
    run_tests::{args, fill, go},
    sample,
};
use crate::{
    error::Kind,
    event::ByteBudget,
    storage::faulty::{Failure, Fault, Operation, Rule},
};
use object_store::{ObjectStoreExt, path::Path};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The files of [`fill`] as objects below `in/`, and the rows they make.
async fn uploaded() -> (TempDir, Memory, Rows) {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let folder = dir.path().join("in").to_str().unwrap().to_owned();
    let mut want = fill(dir.path());
    for (path, _) in &mut want {
        *path = path.replace(&folder, "s3://b/in");
    }
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap();
        let key = format!("in/{}", file.file_name().to_str().unwrap());
        memory.put(&key, std::fs::read(file.path()).unwrap()).await;
    }
    want.sort();
    (dir, memory, want)
}

fn objects(dir: &TempDir, memory: &Memory, inputs: &[&str]) -> PlanArgs {
    PlanArgs {
        inputs: inputs.iter().map(|input| input.to_string()).collect(),
        stores: Arc::new(memory.clone()),
        ..args(dir.path(), &[])
    }
}

async fn planned(dir: &TempDir, memory: &Memory) -> Plan {
    plan(objects(dir, memory, &["s3://b/in/"])).await.unwrap()
}

#[tokio::test]
async fn each_record_once_and_a_second_run_does_nothing() {
    let (dir, memory, want) = uploaded().await;
    let table = Arc::new(FakeTable::default());
    let first = go(planned(&dir, &memory).await, &table).await.unwrap();
    assert!(first.complete);
    assert_eq!((first.committed, first.files), (want.len() as u64, 7));
    assert!(table.rows() == want);
    let entry = &planned(&dir, &memory).await.manifest.files[0];
    assert!(entry.etag.is_some() && entry.url == "s3://b/in/a.json");

    memory.0.reset();
    let again = plan(objects(&dir, &memory, &["s3a://b/in/"]))
        .await
        .unwrap();
    let again = go(again, &table).await.unwrap();
    assert!(again.already_complete && again.bytes == 0);
    // The listing asks whether the one empty object is an object at all.
    let heads = 1;
    assert_eq!(
        memory.0.count(Operation::Get),
        heads,
        "nothing is read again"
    );
}

#[tokio::test]
async fn files_folders_patterns_and_objects_in_one_run() {
    let (dir, memory, want) = uploaded().await;
    let local = dir.path().join("in/c.json").to_str().unwrap().to_owned();
    let inputs = ["s3://b/in/[a-b].*", "s3://b/in/**/[d-g].*", &local];
    let table = Arc::new(FakeTable::default());
    go(plan(objects(&dir, &memory, &inputs)).await.unwrap(), &table)
        .await
        .unwrap();
    let mut got = table.rows();
    for (path, _) in &mut got {
        if *path == local {
            *path = "s3://b/in/c.json".into();
        }
    }
    got.sort();
    assert!(got == want);
}

#[tokio::test]
async fn rule_20_killed_anywhere_and_resumed() {
    let (dir, memory, want) = uploaded().await;
    for kill in 1..12 {
        let table = Arc::new(FakeTable::default());
        std::fs::remove_dir_all(dir.path().join("table")).ok();
        *table.die_at.lock() = Some(kill);
        assert!(go(planned(&dir, &memory).await, &table).await.is_err());
        table.restart();
        assert!(
            go(planned(&dir, &memory).await, &table)
                .await
                .unwrap()
                .complete
        );
        assert!(table.rows() == want, "killed at batch {kill}");
    }
}

#[tokio::test]
async fn rewinds_and_a_store_that_fails_every_third_time() {
    let (dir, memory, want) = uploaded().await;
    let plan = planned(&dir, &memory).await;
    let table = Arc::new(FakeTable::default());
    *table.rewind_at.lock() = vec![1, 2, 5, 8, 13];
    memory.0.reset();
    for nth in (0..60).step_by(3) {
        let fault = match nth % 2 {
            0 => Fault::CutBody(100_000),
            _ => Fault::Fail(Failure::Unavailable),
        };
        memory.0.add(Rule::nth(nth, fault));
    }
    assert!(go(plan, &table).await.unwrap().complete);
    assert!(table.rows() == want);
}

#[tokio::test]
async fn rule_20_changed_objects_are_refused_with_the_way_on() {
    let (dir, memory, _) = uploaded().await;
    planned(&dir, &memory).await;
    let refusal = async || match plan(objects(&dir, &memory, &["s3://b/in/"])).await {
        Err(e @ FilesError::InputsChanged(_)) => {
            assert_eq!(e.kind(), Kind::Config);
            e.to_string()
        }
        other => panic!("not refused: {other:?}"),
    };
    let key = Path::from("in/b.csv");
    let old = memory.0.get(&key).await.unwrap().bytes().await.unwrap();
    // As long as before: the etag alone tells.
    let mut other = old.to_vec();
    *other.last_mut().unwrap() = b' ';
    memory.put("in/b.csv", other).await;
    let text = refusal().await;
    assert!(
        text.contains("changed") && text.contains("s3://b/in/b.csv"),
        "{text}"
    );
    memory.0.delete(&key).await.unwrap();
    let text = refusal().await;
    assert!(text.contains("missing: s3://b/in/b.csv"), "{text}");
    memory.put("in/new one.ndjson", b"{}\n".to_vec()).await;
    let text = refusal().await;
    assert!(
        text.contains("backfill --table events s3://b/in/new%20one.ndjson"),
        "{text}"
    );
}

#[tokio::test]
async fn an_object_that_changes_during_the_run_ends_its_lane() {
    let (dir, memory, want) = uploaded().await;
    let plan = planned(&dir, &memory).await;
    memory
        .put("in/f.ndjson", b"{\"file\":0}\n".repeat(300_000))
        .await;
    let table = Arc::new(FakeTable::default());
    let error = go(plan, &table).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidData);
    assert!(error.to_string().contains("s3://b/in/f.ndjson"), "{error}");
    let rows = table.rows();
    assert!(!rows.is_empty() && rows.iter().all(|row| want.binary_search(row).is_ok()));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_store() {
    let (dir, memory, want) = uploaded().await;
    let planned = planned(&dir, &memory).await;
    memory.0.reset();
    memory
        .0
        .add(Rule::on(Operation::Get, Fault::Fail(Failure::Unavailable)));
    let table = Arc::new(FakeTable::default());
    let stop = CancellationToken::new();
    let args = RunArgs {
        plan: planned.clone(),
        stop: stop.clone(),
        drain_limit: Duration::from_secs(5),
    };
    let budget = ByteBudget::new(64 << 20);
    let running = tokio::spawn(run(
        args,
        table.clone(),
        budget.clone(),
        Progress::new(0, false),
    ));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(budget.used() > 0, "what is fetched ahead is charged");
    stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(10), running);
    assert!(!stopped.await.unwrap().unwrap().unwrap().complete);
    assert_eq!(budget.used(), 0);
    memory.0.reset();
    go(planned, &table).await.unwrap();
    assert!(table.rows() == want);

    let stopped = PlanArgs {
        run_id: Some(super::RunId::new("other").unwrap()),
        ..objects(&dir, &memory, &["s3://b/in/"])
    };
    stopped.stop.cancel();
    assert!(matches!(plan(stopped).await, Err(FilesError::Halted)));
}

#[tokio::test]
async fn a_dry_run_counts_objects() {
    let (dir, memory, want) = uploaded().await;
    let dry = PlanArgs {
        record: false,
        ..objects(&dir, &memory, &["s3://b/in/"])
    };
    let budget = ByteBudget::new(64 << 20);
    let got = sample(&plan(dry).await.unwrap(), &budget, 20, true)
        .await
        .unwrap();
    let counted: u64 = got.files.iter().map(|f| f.records.unwrap()).sum();
    assert_eq!(counted, want.len() as u64);
    assert!(!dir.path().join("table/_alluvium").exists());
}
