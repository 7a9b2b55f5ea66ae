//! Tables written by hand in a folder, so that files can be made old.

use super::*;
use crate::{
    commit::CommitOptions,
    storage::{
        Lake, Stores,
        faulty::{Failure, Fault, FaultyStore, Operation, Rule},
    },
};
use serde_json::json;
use std::{fs, path::PathBuf, sync::Arc};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

struct Bench {
    root: PathBuf,
    store: FaultyStore,
    log: TableLog,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// A table `t`, partitioned by `a`, with this property of removed files.
    fn new(retention: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(
            dir.path().join("lake").to_str().unwrap(),
            &Stores::default(),
        )
        .unwrap();
        let mut location = lake.table("t", None).unwrap();
        let store = FaultyStore::new(location.store.clone());
        location.store = Arc::new(store.clone());
        let root = location.url.to_file_path().unwrap();
        let bench = Self {
            log: TableLog::new(location, "t", CommitOptions::default()),
            root,
            store,
            _dir: dir,
        };
        bench.commit(
            0,
            &[
                json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
                meta(retention),
            ],
        );
        bench
    }

    fn commit(&self, version: u64, actions: &[serde_json::Value]) {
        let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
        self.write(
            &format!("_delta_log/{version:020}.json"),
            0,
            lines.as_bytes(),
        );
    }

    fn write(&self, path: &str, age_seconds: u64, bytes: &[u8]) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let at = std::time::SystemTime::now() - Duration::from_secs(age_seconds);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(at).unwrap();
    }

    /// A data file of that age; nobody opens it.
    fn file(&self, path: &str, age_seconds: u64) {
        self.write(path, age_seconds, b"data");
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    async fn sweep(&self, older_than: Option<u64>, delete: bool) -> Result<Sweep> {
        let older_than = older_than.map(Duration::from_secs);
        let options = SweepOptions { older_than, delete };
        sweep(&self.log, Utc::now(), options).await
    }
}

fn meta(retention: Option<&str>) -> serde_json::Value {
    let schema = json!({"type": "struct", "fields": [
        {"name": "id", "type": "long", "nullable": true, "metadata": {}},
        {"name": "a", "type": "string", "nullable": true, "metadata": {}},
    ]});
    let configuration = match retention {
        Some(retention) => json!({"delta.deletedFileRetentionDuration": retention}),
        None => json!({}),
    };
    json!({"metaData": {
        "id": "5b1e", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(), "partitionColumns": ["a"],
        "configuration": configuration, "createdTime": 0,
    }})
}

fn add(path: &str) -> serde_json::Value {
    json!({"add": {"path": path, "partitionValues": {"a": "x"}, "size": 4, "modificationTime": 0, "dataChange": true}})
}

fn remove(path: &str, ago_seconds: u64) -> serde_json::Value {
    let at = Utc::now().timestamp_millis() - i64::try_from(ago_seconds * 1_000).unwrap();
    json!({"remove": {"path": path, "deletionTimestamp": at, "dataChange": true, "extendedFileMetadata": true,
        "partitionValues": {"a": "x"}, "size": 4}})
}

fn paths(sweep: &Sweep) -> Vec<String> {
    let names = sweep.files.iter().map(|file| file.location.to_string());
    names
        .map(|name| name.split_once("lake/t/").unwrap().1.to_owned())
        .collect()
}

/// Files of every sort; the orphans among them that are old enough.
fn of_every_sort(bench: &Bench) -> [&'static str; 4] {
    bench.commit(
        1,
        &[
            add("a=x/named.parquet"),
            add("a=x%252Fy/encoded.parquet"),
            add("a=x/removed.parquet"),
            add(bench
                .log
                .location()
                .url
                .join("a=x/absolute.parquet")
                .unwrap()
                .as_str()),
            add("s3://elsewhere/source/cloned.parquet"),
        ],
    );
    bench.commit(2, &[remove("a=x/removed.parquet", HOUR)]);
    for named in [
        "a=x/named",
        "a=x%2Fy/encoded",
        "a=x/removed",
        "a=x/absolute",
    ] {
        bench.file(&format!("{named}.parquet"), 90 * DAY);
    }
    for other in [
        "_change_data/cdc.parquet",
        "_delta_log/00000000000000000001.checkpoint.parquet.tmp",
        ".hidden/a.parquet",
        "_temporary/0/part.parquet",
        "deletion_vector_1.bin",
        "adobe-managed-staging/a.parquet",
    ] {
        bench.file(other, 90 * DAY);
    }
    bench.file("a=x/fresh.parquet", HOUR);
    bench.file("a=x/younger.parquet", 6 * DAY);
    bench.file("_alluvium_probe/probe-2", HOUR);
    let orphans = [
        "_alluvium_probe/probe-1",
        "a=x%2Fy/orphan.parquet",
        "a=x/orphan.zstd.parquet",
        "part-00000-of-spark.snappy.parquet",
    ];
    for orphan in orphans {
        bench.file(orphan, 8 * DAY);
    }
    orphans
}

#[tokio::test(flavor = "multi_thread")]
async fn only_old_files_of_no_version_are_found_and_a_dry_run_deletes_nothing() {
    let bench = Bench::new(None);
    let orphans = of_every_sort(&bench);
    let found = bench.sweep(None, false).await.unwrap();
    assert_eq!(paths(&found), orphans);
    assert_eq!((found.found.files, found.found.bytes), (4, 16));
    assert_eq!((found.younger.files, found.version), (3, 2));
    assert_eq!(found.deleted, Tally::default());
    assert!(found.report().text.contains("nothing was deleted"));
    assert!(orphans.iter().all(|orphan| bench.has(orphan)));
    assert_eq!(bench.store.count(Operation::Delete), 0);
    assert_eq!(bench.store.count(Operation::Put), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_takes_them_and_nothing_else() {
    let bench = Bench::new(None);
    let orphans = of_every_sort(&bench);
    let swept = bench.sweep(Some(7 * DAY), true).await.unwrap();
    assert_eq!(swept.deleted.files, 4, "{}", swept.report().text);
    assert!(orphans.iter().all(|orphan| !bench.has(orphan)));
    for kept in [
        "a=x/named.parquet",
        "a=x%2Fy/encoded.parquet",
        "a=x/removed.parquet",
        "a=x/absolute.parquet",
        "a=x/fresh.parquet",
        "a=x/younger.parquet",
        "_alluvium_probe/probe-2",
        "_change_data/cdc.parquet",
        ".hidden/a.parquet",
        "_temporary/0/part.parquet",
        "deletion_vector_1.bin",
        "adobe-managed-staging/a.parquet",
        "_delta_log/00000000000000000000.json",
    ] {
        assert!(bench.has(kept), "{kept}");
    }
    let again = bench.sweep(None, true).await.unwrap();
    assert_eq!((again.found.files, again.deleted.files), (0, 0));
    let json = swept.to_json();
    assert_eq!(json["success"], true);
    assert_eq!(json["deleted"]["files"], 4);
    assert_eq!(json["untried"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_that_are_not_safe_are_refused() {
    let cases = [
        (None, 7 * DAY),
        (Some("interval 1 hour"), DAY),
        (Some("interval 30 days"), 30 * DAY),
    ];
    for (retention, least) in cases {
        let bench = Bench::new(retention);
        bench.file("old.parquet", least + HOUR);
        bench.file("young.parquet", least - HOUR);
        let error = bench.sweep(Some(least - 1), true).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(
            error.to_string().contains(&format!("least=`{least}s`")),
            "{error}"
        );
        assert!(bench.has("old.parquet"));
        let swept = bench.sweep(Some(least), true).await.unwrap();
        assert_eq!(swept.deleted.files, 1, "{retention:?}");
        assert!(bench.has("young.parquet"));
        let state = bench.log.load().await.unwrap().unwrap();
        let usual = bench.sweep(None, false).await.unwrap().older_than;
        assert_eq!(usual, USUAL.max(least_age(&state)));
        // Rule 8: between what may still be committed and what may be deleted lie 12 hours or more.
        assert!(least_age(&state) >= state.longest_file_age() + Duration::from_secs(12 * HOUR));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_committed_after_the_listing_is_kept() {
    let bench = Bench::new(None);
    bench.file("one.parquet", 8 * DAY);
    bench.file("two.parquet", 8 * DAY);
    let mut sweep = bench.sweep(None, false).await.unwrap();
    assert_eq!(sweep.found.files, 2);
    let state = bench.log.load().await.unwrap().unwrap();
    let mut named = bench.log.named_files(&state).await.unwrap();
    bench.commit(1, &[add("two.parquet")]);
    sweep.delete = true;
    sweep.delete(&bench.log, &mut named).await;
    assert_eq!((sweep.deleted.files, sweep.named_since), (1, 1));
    assert!(!bench.has("one.parquet") && bench.has("two.parquet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_retention_that_is_set_meanwhile_ends_the_sweep() {
    let bench = Bench::new(None);
    bench.file("one.parquet", 8 * DAY);
    let mut sweep = bench.sweep(None, false).await.unwrap();
    let state = bench.log.load().await.unwrap().unwrap();
    let mut named = bench.log.named_files(&state).await.unwrap();
    bench.commit(1, &[meta(Some("interval 30 days"))]);
    sweep.delete = true;
    sweep.delete(&bench.log, &mut named).await;
    assert_eq!(sweep.fault.as_ref().unwrap().0, Kind::Conflict);
    assert!(bench.has("one.parquet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_that_only_a_checkpoint_holds_are_kept_while_they_last() {
    let bench = Bench::new(None);
    bench.commit(1, &[add("a.parquet"), add("b.parquet"), add("c.parquet")]);
    bench.commit(
        2,
        &[remove("a.parquet", HOUR), remove("b.parquet", 40 * DAY)],
    );
    bench.log.checkpoint().await.unwrap();
    for version in 0..=1 {
        let path = format!("_delta_log/{version:020}.json");
        fs::remove_file(bench.root.join(path)).unwrap();
    }
    bench.commit(3, &[json!({"txn": {"appId": "x", "version": 1}})]);
    for file in ["a.parquet", "b.parquet", "c.parquet", "d.parquet"] {
        bench.file(file, 60 * DAY);
    }
    let fresh = TableLog::new(bench.log.location().clone(), "t", CommitOptions::default());
    let found = sweep(&fresh, Utc::now(), SweepOptions::default())
        .await
        .unwrap();
    // The commit that removed it is in the log still.
    assert_eq!(paths(&found), ["d.parquet"]);
    fs::remove_file(bench.root.join("_delta_log/00000000000000000002.json")).unwrap();
    let fresh = TableLog::new(bench.log.location().clone(), "t", CommitOptions::default());
    let found = sweep(&fresh, Utc::now(), SweepOptions::default())
        .await
        .unwrap();
    assert_eq!(paths(&found), ["b.parquet", "d.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_below_the_table_is_refused() {
    let bench = Bench::new(None);
    bench.file("inner/part.parquet", 60 * DAY);
    bench.file("inner/_delta_log/00000000000000000000.json", DAY);
    let error = bench.sweep(None, true).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(bench.has("inner/part.parquet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_to_delete_is_named_and_nothing_is_said_to_be_deleted() {
    let bench = Bench::new(None);
    bench.file("one.parquet", 8 * DAY);
    bench.store.add(Rule::on(
        Operation::Delete,
        Fault::Fail(Failure::PermissionDenied),
    ));
    let swept = bench.sweep(None, true).await.unwrap();
    let report = swept.report();
    assert_eq!((report.faults, report.kind), (1, Kind::Unauthorized));
    assert!(report.text.contains("s3:DeleteObject"), "{}", report.text);
    assert!(report.text.contains("  0 files deleted"), "{}", report.text);
    assert_eq!(
        (swept.unknown, swept.to_json()["success"].as_bool()),
        (1, Some(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_dies_half_way_leaves_a_true_report() {
    let bench = Bench::new(None);
    for i in 0..40 {
        bench.file(&format!("{i:02}.parquet"), 8 * DAY);
    }
    let dies = Rule::on(Operation::Delete, Fault::DieAfter)
        .skip(10)
        .times(1);
    bench.store.add(dies);
    let swept = bench.sweep(None, true).await.unwrap();
    let left = (0..40)
        .filter(|i| bench.has(&format!("{i:02}.parquet")))
        .count();
    assert_eq!(left, 29);
    assert_eq!((swept.deleted.files, swept.unknown), (10, 30));
    assert_eq!(swept.report().kind, Kind::Unavailable);
    // What is left goes with the next run.
    bench.store.reset();
    let swept = bench.sweep(None, true).await.unwrap();
    assert_eq!((swept.deleted.files, swept.report().faults), (29, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_read_ends_it_before_anything_is_deleted() {
    let bench = Bench::new(None);
    bench.file("one.parquet", 8 * DAY);
    bench.commit(1, &[add("two.parquet")]);
    let path = bench.root.join("_delta_log/00000000000000000001.json");
    bench.log.load().await.unwrap();
    fs::write(&path, "{\"add\":{\"pa").unwrap();
    assert!(bench.sweep(None, true).await.is_err());
    assert!(bench.has("one.parquet"));
    assert_eq!(bench.store.count(Operation::Delete), 0);
}
