//! Disks that are full or fail, spools that are full or held, and fsyncs counted.

use super::*;

#[tokio::test]
async fn concurrent_appends_share_fsyncs() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Faulty::default());
    let spool = Spool::open_on(
        Arc::clone(&disk) as _,
        folder.path(),
        "p",
        "web",
        Options::default(),
    )
    .unwrap();
    put(&spool, "a", &["first"]).await.unwrap();
    let before = disk.syncs.load(Relaxed);
    let appends = (0..200).map(|i| spool.append(request("a", &[format!("event {i}")])));
    let ranges = futures::future::try_join_all(appends).await.unwrap();
    let mut starts: Vec<_> = ranges.iter().map(|range| range.start).collect();
    starts.sort();
    assert_eq!(starts, (1..201).collect::<Vec<_>>());
    let syncs = disk.syncs.load(Relaxed) - before;
    assert!(syncs <= 20, "200 appends took {syncs} fsyncs");
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_heals() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Faulty::default());
    let open = || Spool::open_on(Arc::clone(&disk) as _, folder.path(), "p", "web", small());
    let spool = open().unwrap();
    put(&spool, "a", &["kept"]).await.unwrap();
    for room in [0, 1, 30, 100] {
        *disk.room.lock() = Some(room);
        let error = put(&spool, "a", &[&"lost".repeat(100)]).await.unwrap_err();
        assert!(matches!(error, SpoolError::Io { .. }), "{error}");
        assert!(spool.health().borrow().is_err());
        assert_eq!(read_from(&spool, 0, 1 << 20).await.unwrap().len(), 1);
    }
    *disk.room.lock() = None;
    let range = put(&spool, "a", &["after"]).await.unwrap();
    assert!(
        range.start > 1,
        "numbers of failed writes are not used again"
    );
    assert!(spool.health().borrow().is_ok());
    let texts = |all: Vec<(u64, String, String)>| all.into_iter().map(|e| e.2).collect::<Vec<_>>();
    assert_eq!(
        texts(read_from(&spool, 0, 1 << 20).await.unwrap()),
        ["kept", "after"]
    );
    drop(spool);
    assert_eq!(
        texts(read_from(&open().unwrap(), 0, 1 << 20).await.unwrap()),
        ["kept", "after"]
    );
}

#[tokio::test]
async fn a_failed_fsync_is_not_believed_later() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Faulty::default());
    let spool = Spool::open_on(Arc::clone(&disk) as _, folder.path(), "p", "web", small()).unwrap();
    put(&spool, "a", &["kept"]).await.unwrap();
    *disk.sync_fails.lock() = true;
    *disk.cut_fails.lock() = true;
    let both = futures::join!(put(&spool, "a", &["lost"]), put(&spool, "a", &["lost too"]));
    assert!(
        both.0.is_err() && both.1.is_err(),
        "every waiter of the group hears of it"
    );
    // The fsync works again, but the abandoned segment cannot be cut: still nothing is taken.
    *disk.sync_fails.lock() = false;
    assert!(put(&spool, "a", &["lost"]).await.is_err());
    *disk.cut_fails.lock() = false;
    // The writer finds out by itself, without a request.
    let mut health = spool.health();
    tokio::time::timeout(
        Duration::from_secs(5),
        health.wait_for(|health| health.is_ok()),
    )
    .await
    .unwrap()
    .unwrap();
    put(&spool, "a", &["after"]).await.unwrap();
    let texts = |all: Vec<(u64, String, String)>| all.into_iter().map(|e| e.2).collect::<Vec<_>>();
    assert_eq!(
        texts(read_from(&spool, 0, 1 << 20).await.unwrap()),
        ["kept", "after"]
    );
    drop(spool);
    let spool = open(folder.path()).unwrap();
    assert_eq!(
        texts(read_from(&spool, 0, 1 << 20).await.unwrap()),
        ["kept", "after"]
    );
}

#[tokio::test]
async fn the_size_is_capped_and_commits_make_room() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    let event = "x".repeat(1_000);
    let mut last = OffsetRange { start: 0, end: 0 };
    let error = loop {
        match put(&spool, "a", &[&event]).await {
            Ok(range) => last = range,
            Err(error) => break error,
        }
        assert!(spool.disk_bytes() <= small().max_bytes);
    };
    assert!(matches!(error, SpoolError::Full { .. }), "{error}");
    assert!(last.end > 50);
    let huge = put(&spool, "a", &[&"x".repeat(70_000)]).await.unwrap_err();
    assert!(matches!(huge, SpoolError::TooLarge { .. }), "{huge}");
    spool.truncate_below(last.end);
    // Larger than what is free beside the segment being written, which goes too.
    let large = put(&spool, "a", &[&"x".repeat(64_000)]).await.unwrap();
    spool.confirm_identity().await.unwrap(); // commands are taken in order: the group is behind us
    assert!(matches!(
        *spool.health().borrow(),
        Err(SpoolError::Full { .. })
    ));
    assert!(matches!(
        spool.reader(0, None),
        Err(SpoolError::Behind { .. })
    ));
    drop(spool);
    let spool = open(folder.path()).unwrap();
    assert!(matches!(
        spool.reader(last.end - 1, None),
        Err(SpoolError::Behind { .. })
    ));
    assert_eq!(read_from(&spool, last.end, 1 << 20).await.unwrap().len(), 1);
    spool.truncate_below(large.end);
    spool.confirm_identity().await.unwrap();
    assert_eq!(spool.disk_bytes(), 0);
    assert!(spool.health().borrow().is_ok());
}

#[tokio::test]
async fn a_failed_request_frees_its_key() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Faulty::default());
    let spool = Spool::open_on(Arc::clone(&disk) as _, folder.path(), "p", "web", small()).unwrap();
    *disk.sync_fails.lock() = true;
    let (key, body) = (KeyHash::new(b"me", "a", b"k"), BodyHash::new(b"b"));
    let Begin::New(claim) = spool.keys().begin(key, body, 0).await else {
        panic!("new")
    };
    let mut append = request("a", &["one".into()]);
    append.claim = Some(claim);
    spool.append(append).await.unwrap_err();
    assert!(matches!(
        spool.keys().begin(key, body, 0).await,
        Begin::New(_)
    ));
}

#[tokio::test]
async fn one_process_one_source() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    assert!(matches!(
        open(folder.path()),
        Err(SpoolError::Locked { .. })
    ));
    put(&spool, "a", &["one"]).await.unwrap();
    drop(spool);
    assert!(matches!(
        Spool::open(folder.path(), "other", "web", small()),
        Err(SpoolError::Foreign { .. })
    ));
    std::fs::remove_file(folder.path().join("spool.json")).unwrap();
    assert!(matches!(
        open(folder.path()),
        Err(SpoolError::NoIdentity { .. })
    ));
}

#[tokio::test]
async fn rule_17_what_a_killed_writer_left_is_fsynced_before_it_is_read() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    put(&spool, "a", &["one"]).await.unwrap();
    drop(spool);
    let disk = Arc::new(Faulty::default());
    let _spool =
        Spool::open_on(Arc::clone(&disk) as _, folder.path(), "p", "web", small()).unwrap();
    let segment = std::fs::metadata(&segments(folder.path())[0]).unwrap();
    assert!(disk.synced.lock().contains(&segment.ino()));
}

#[tokio::test]
async fn a_request_that_would_not_read_back_is_not_written() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    let reason = |event| {
        (
            event,
            RejectReason {
                code: "malformed",
                detail: "".into(),
            },
        )
    };
    let breaks: [fn(&mut Append); 5] = [
        |append| append.events.reverse(),
        |append| append.events[1].end += 1,
        |append| append.events.clear(),
        |append| append.table = "x".repeat(129).into(),
        |append| append.rejected[0].0 = 2,
    ];
    for (n, spoil) in breaks.into_iter().enumerate() {
        let mut append = request("a", &["one".into(), "two".into()]);
        append.rejected = vec![reason(1)];
        spoil(&mut append);
        let error = spool.append(append).await.unwrap_err();
        assert!(matches!(error, SpoolError::Unfit { .. }), "{n}: {error}");
    }
    assert_eq!(put(&spool, "a", &["one"]).await.unwrap().start, 0);
}
