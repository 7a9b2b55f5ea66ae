use super::*;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use std::fs;

struct Disk {
    dir: tempfile::TempDir,
    store: DurableLocal,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableLocal::new(dir.path().join("lake"));
        Self { dir, store }
    }

    fn path(&self, name: &str) -> Path {
        Path::from_absolute_path(self.dir.path().join("lake").join(name)).unwrap()
    }

    fn staged(&self) -> usize {
        fs::read_dir(self.dir.path().join("lake/.staging")).map_or(0, Iterator::count)
    }

    async fn names(&self) -> Vec<String> {
        let root = Path::from_absolute_path(self.dir.path()).unwrap();
        let mut names: Vec<_> = self
            .store
            .list(Some(&root))
            .map_ok(|m| m.location.to_string())
            .try_collect()
            .await
            .unwrap();
        names.sort();
        names
    }
}

fn create() -> PutOptions {
    PutMode::Create.into()
}

#[tokio::test]
async fn create_fails_where_the_name_is_taken_and_overwrite_replaces() {
    let disk = Disk::new();
    let path = disk.path("t/_delta_log/0.json");
    disk.store
        .put_opts(&path, "one".into(), create())
        .await
        .unwrap();
    let error = disk
        .store
        .put_opts(&path, "two".into(), create())
        .await
        .unwrap_err();
    assert!(
        matches!(error, object_store::Error::AlreadyExists { .. }),
        "{error}"
    );
    let read = |p| async move { disk.store.get(p).await.unwrap().bytes().await.unwrap() };
    assert_eq!(read(&path).await, "one");
    let disk2 = DurableLocal::new("/nowhere/used");
    drop(disk2);
    let disk = Disk::new();
    let path = disk.path("t/_last_checkpoint");
    for text in ["one", "three"] {
        disk.store.put(&path, text.into()).await.unwrap();
        assert_eq!(
            disk.store.get(&path).await.unwrap().bytes().await.unwrap(),
            text
        );
    }
    assert_eq!(disk.staged(), 0);
}

#[test]
fn sixteen_racing_creators_have_one_winner_and_readers_see_whole_objects() {
    let disk = Disk::new();
    let path = disk.path("t/_delta_log/00000000000000000001.json");
    let bodies: Vec<String> = (0..16).map(|i| format!("{i}").repeat(20_000 + i)).collect();
    for _round in 0..20 {
        let barrier = std::sync::Barrier::new(17);
        let winners: Vec<usize> = std::thread::scope(|scope| {
            let writers: Vec<_> = bodies
                .iter()
                .enumerate()
                .map(|(i, body)| {
                    let (store, path, barrier) = (&disk.store, &path, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        let put = store.put_opts(path, body.clone().into(), create());
                        match futures::executor::block_on(put) {
                            Ok(_) => Some(i),
                            Err(object_store::Error::AlreadyExists { .. }) => None,
                            Err(e) => panic!("{e}"),
                        }
                    })
                })
                .collect();
            barrier.wait();
            let seen = futures::executor::block_on(disk.names());
            assert!(seen.iter().all(|n| n.ends_with(".json")), "{seen:?}");
            if let Ok(found) = futures::executor::block_on(disk.store.get(&path)) {
                let bytes = futures::executor::block_on(found.bytes()).unwrap();
                assert!(
                    bodies.iter().any(|b| b.as_bytes() == bytes),
                    "half an object"
                );
            }
            writers
                .into_iter()
                .filter_map(|w| w.join().unwrap())
                .collect()
        });
        assert_eq!(winners.len(), 1);
        let kept = futures::executor::block_on(async {
            disk.store.get(&path).await.unwrap().bytes().await.unwrap()
        });
        assert_eq!(kept, bodies[winners[0]]);
        futures::executor::block_on(disk.store.delete(&path)).unwrap();
    }
    assert_eq!(disk.staged(), 0);
}

#[tokio::test]
async fn parts_arrive_in_any_order_and_show_only_when_complete() {
    let disk = Disk::new();
    let path = disk.path("t/a=1/part.parquet");
    let mut upload = disk.store.put_multipart(&path).await.unwrap();
    let first = upload.put_part("hello ".into());
    let second = upload.put_part("world".into());
    second.await.unwrap();
    first.await.unwrap();
    assert!(disk.names().await.is_empty());
    upload.complete().await.unwrap();
    assert_eq!(
        disk.store.get(&path).await.unwrap().bytes().await.unwrap(),
        "hello world"
    );
    assert!(upload.complete().await.is_err());

    let mut aborted = disk.store.put_multipart(&disk.path("t/b")).await.unwrap();
    aborted.put_part("x".into()).await.unwrap();
    aborted.abort().await.unwrap();
    assert!(aborted.put_part("y".into()).await.is_err());
    let mut dropped = disk.store.put_multipart(&disk.path("t/c")).await.unwrap();
    dropped.put_part("x".into()).await.unwrap();
    drop(dropped);
    assert_eq!(disk.staged(), 0);
    assert_eq!(disk.names().await.len(), 1);
}

#[tokio::test]
async fn a_folder_removed_meanwhile_is_made_again() {
    let disk = Disk::new();
    disk.store
        .put(&disk.path("t/a=1/x"), "1".into())
        .await
        .unwrap();
    fs::remove_dir_all(disk.dir.path().join("lake")).unwrap();
    disk.store
        .put(&disk.path("t/a=1/y"), "2".into())
        .await
        .unwrap();
    fs::remove_dir_all(disk.dir.path().join("lake")).unwrap();
    let mut upload = disk
        .store
        .put_multipart(&disk.path("t/a=1/z"))
        .await
        .unwrap();
    upload.put_part("3".into()).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(disk.names().await.len(), 1);
}

#[tokio::test]
async fn what_a_crash_leaves_is_unseen_and_cleaned_only_when_old() {
    let disk = Disk::new();
    disk.store.put(&disk.path("t/x"), "1".into()).await.unwrap();
    let mut left = Staged::create(&disk.dir.path().join("lake/.staging")).unwrap();
    left.write(b"half").unwrap();
    std::mem::forget(left);
    fs::write(disk.dir.path().join("lake/.staging/not-ours"), "x").unwrap();
    let staged = disk.names().await;
    assert_eq!(staged.iter().filter(|n| n.contains("staged")).count(), 0);

    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    assert_eq!(disk.store.clean_staging(day, now).unwrap(), 0);
    assert_eq!(disk.store.clean_staging(day, now + 2 * day).unwrap(), 1);
    assert_eq!(disk.staged(), 1, "files of others stay");
}

#[tokio::test]
async fn copies_and_renames_land() {
    let disk = Disk::new();
    let (a, b, c) = (disk.path("t/a"), disk.path("u/b"), disk.path("v/c"));
    disk.store.put(&a, "1".into()).await.unwrap();
    disk.store.copy(&a, &b).await.unwrap();
    assert!(disk.store.copy_if_not_exists(&a, &b).await.is_err());
    disk.store.rename(&b, &c).await.unwrap();
    assert_eq!(disk.names().await, [a.to_string(), c.to_string()]);
}

#[tokio::test]
async fn conditional_updates_and_attributes_are_refused() {
    let disk = Disk::new();
    let mode = PutMode::Update(object_store::UpdateVersion {
        e_tag: None,
        version: None,
    });
    let error = disk
        .store
        .put_opts(&disk.path("t/x"), "1".into(), mode.into())
        .await
        .unwrap_err();
    assert!(matches!(error, object_store::Error::NotImplemented { .. }));
}

#[cfg(unix)]
#[test]
fn a_folder_on_another_file_system_is_staged_in_itself() {
    let other = std::path::Path::new("/dev/shm");
    let disk = Disk::new();
    let probe = || -> io::Result<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        Ok((
            fs::metadata(other)?.dev(),
            fs::metadata(disk.dir.path())?.dev(),
        ))
    };
    if !probe().is_ok_and(|(a, b)| a != b) {
        return;
    }
    let shm = tempfile::tempdir_in(other).unwrap();
    let path = Path::from_absolute_path(shm.path().join("t/x")).unwrap();
    futures::executor::block_on(async {
        disk.store
            .put_opts(&path, "1".into(), create())
            .await
            .unwrap();
        assert_eq!(
            disk.store.get(&path).await.unwrap().bytes().await.unwrap(),
            "1"
        );
    });
    assert_eq!(fs::read_dir(shm.path().join("t")).unwrap().count(), 1);
}
