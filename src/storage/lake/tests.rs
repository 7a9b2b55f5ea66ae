//! A lake on a disk and in a bucket.

use super::*;
use crate::storage::{
    StoreOptions,
    testing::{self, Conditions, Unconditional},
};
use object_store::{ObjectStore, memory::InMemory};
use std::{fs, sync::Arc};

fn open(place: &str) -> Lake {
    Lake::open(place, &Stores::default()).unwrap()
}

fn in_memory(place: &str) -> Lake {
    Lake::open(place, &Stores::in_memory()).unwrap()
}

fn over(store: impl ObjectStore) -> Lake {
    let mut lake = in_memory("s3://raw/lake");
    lake.folder.store = Arc::new(store);
    lake
}

#[tokio::test]
async fn tables_are_folders_with_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path().join("lake").to_str().unwrap());
    assert!(
        lake.tables().await.unwrap().is_empty(),
        "a lake not yet made has no tables"
    );
    for name in ["b", "a c", "_dead_letters"] {
        let table = lake.table(name, None).unwrap();
        let commit = table
            .object_path("_delta_log/00000000000000000000.json")
            .unwrap();
        table.store.put(&commit, "{}".into()).await.unwrap();
    }
    fs::create_dir_all(dir.path().join("lake/no_log/x")).unwrap();
    fs::create_dir_all(dir.path().join("lake/.spool/_delta_log")).unwrap();
    fs::write(dir.path().join("lake/.spool/_delta_log/0.json"), "{}").unwrap();
    assert_eq!(lake.tables().await.unwrap(), ["_dead_letters", "a c", "b"]);
}

#[tokio::test]
async fn a_table_may_lie_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path().join("lake").to_str().unwrap());
    let elsewhere = dir.path().join("elsewhere");
    let table = lake.table("t", Some(elsewhere.to_str().unwrap())).unwrap();
    assert_eq!(table.url.to_file_path().unwrap(), elsewhere);
    assert_eq!(
        lake.table("t", Some("gs://b/t")).unwrap_err().kind(),
        Kind::Unsupported
    );
    assert_eq!(
        lake.table("../t", Some("/x")).unwrap_err().kind(),
        Kind::InvalidData
    );
}

#[tokio::test]
async fn a_probe_makes_the_folder_and_leaves_nothing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path().join("a/lake").to_str().unwrap());
    lake.probe().await.unwrap();
    let left: Vec<_> = fs::read_dir(lake.local_path().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, [".staging"]);
}

#[tokio::test]
async fn tables_of_a_bucket_are_prefixes_with_a_log() {
    for place in ["s3://raw", "s3://raw/lake", "az://raw/lake"] {
        let lake = in_memory(place);
        assert!(lake.tables().await.unwrap().is_empty());
        for name in ["b", "a c", "_dead_letters"] {
            let table = lake.table(name, None).unwrap();
            let commit = table
                .object_path("_delta_log/00000000000000000000.json")
                .unwrap();
            table.store.put(&commit, "{}".into()).await.unwrap();
        }
        let plain = lake
            .table("no_log", None)
            .unwrap()
            .object_path("x/y")
            .unwrap();
        lake.folder.store.put(&plain, "".into()).await.unwrap();
        lake.probe().await.unwrap();
        assert_eq!(lake.tables().await.unwrap(), ["_dead_letters", "a c", "b"]);
    }
}

#[tokio::test]
async fn a_table_may_lie_in_another_store() {
    let lake = in_memory("s3://raw/lake");
    let table = lake
        .table("t", Some("abfss://raw@acme1.dfs.core.windows.net/t"))
        .unwrap();
    assert_eq!(
        table.url.as_str(),
        "abfss://raw@acme1.dfs.core.windows.net/t/"
    );
    assert_eq!(table.root.as_ref(), "t");
    let beside = lake.table("t", Some("s3a://raw/elsewhere/")).unwrap();
    beside
        .store
        .put(&beside.object_path("x").unwrap(), "x".into())
        .await
        .unwrap();
    let shared = lake.folder.store.head(&Path::from("elsewhere/x")).await;
    assert!(shared.is_ok(), "one bucket is opened once");
}

#[tokio::test]
async fn a_store_without_conditional_puts_is_refused() {
    for conditions in [
        Conditions::Ignored,
        Conditions::Refused,
        Conditions::Answered501,
    ] {
        let store = Arc::new(Unconditional::new(conditions));
        let mut lake = over(InMemory::new());
        lake.folder.store = store.clone();
        let error = lake.probe().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{conditions:?}");
        let told = error.to_string();
        assert!(
            told.contains("single_writer = true") && told.contains("s3://raw/lake/"),
            "{told}"
        );
        assert!(
            store.list(None).next().await.is_none(),
            "the probe is removed"
        );
    }
}

#[tokio::test]
async fn other_buckets_of_tables_are_probed_too_each_once() {
    use crate::storage::{Opened, Remote};
    fn mixed(name: &str, place: &Remote, options: &StoreOptions) -> Result<Opened> {
        match place.bucket() {
            "lax" => testing::unconditional(name, place, options),
            _ => testing::in_memory(name, place, options),
        }
    }
    let stores = Stores::opening(&std::collections::BTreeMap::new(), mixed).unwrap();
    let lake = Lake::open("s3://raw/lake", &stores).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let others = lake
        .others([
            "s3://raw/t",
            "s3://lax/t",
            folder.path().to_str().unwrap(),
            "s3a://lax/u/",
            "s3://strict/t",
        ])
        .unwrap();
    let urls: Vec<&str> = others.iter().map(|other| other.url().as_str()).collect();
    assert_eq!(urls, ["s3://lax/t/", "s3://strict/t/"]);
    lake.probe().await.unwrap();
    others[1].probe().await.unwrap();
    let error = others[0].probe().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("s3://lax/t/"), "{error}");
}

#[tokio::test]
async fn the_operator_may_vouch_for_a_single_writer() {
    let options = StoreOptions {
        url: Some("s3://raw".into()),
        single_writer: true,
        ..StoreOptions::default()
    };
    let stores = Stores::opening(&[("raw".into(), options)].into(), testing::unconditional);
    let lake = Lake::open("s3://raw/lake", &stores.unwrap()).unwrap();
    lake.probe().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_down_is_unavailable_and_one_that_keeps_everything_is_taken() {
    use crate::storage::faulty::{Failure, Fault, FaultyStore, Operation, Rule};
    let faulty = FaultyStore::new(Arc::new(InMemory::new()));
    faulty.add(Rule::always(Fault::Fail(Failure::Unavailable)));
    assert_eq!(
        over(faulty).probe().await.unwrap_err().kind(),
        Kind::Unavailable
    );
    let faulty = FaultyStore::new(Arc::new(InMemory::new()));
    faulty.add(Rule::on(
        Operation::Delete,
        Fault::Fail(Failure::PermissionDenied),
    ));
    over(faulty).probe().await.unwrap();
}
