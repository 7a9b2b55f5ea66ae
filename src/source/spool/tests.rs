//! The spool as a whole: what is acknowledged survives, what is not never shows, over crashes,
//! damage and failing disks.

mod failures;
mod properties;
mod recent;

use super::*;
use crate::event::RecordKind;
use parking_lot::Mutex as PlMutex;
use std::{
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tempfile::TempDir;

/// A disk that fails on demand and counts.
#[derive(Default)]
struct Faulty {
    /// Bytes that still fit; `None` for no end.
    room: PlMutex<Option<u64>>,
    sync_fails: PlMutex<bool>,
    cut_fails: PlMutex<bool>,
    syncs: AtomicU64,
    /// Inodes of what was fsynced.
    synced: PlMutex<Vec<u64>>,
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<File> {
        LocalDisk.create(path)
    }

    fn write(&self, file: &File, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut *self.room.lock() {
            None => LocalDisk.write(file, slices),
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(room) => {
                // As a full disk does: some of the bytes arrive.
                let bytes: Vec<u8> = slices
                    .iter()
                    .flat_map(|slice| slice.iter().copied())
                    .take(*room as usize)
                    .collect();
                let n = LocalDisk.write(file, &[IoSlice::new(&bytes)])?;
                *room -= n as u64;
                Ok(n)
            }
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Relaxed);
        if *self.sync_fails.lock() {
            return Err(io::Error::other("injected"));
        }
        self.synced.lock().push(file.metadata()?.ino());
        LocalDisk.sync(file)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.sync_folder(folder)
    }

    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        if *self.cut_fails.lock() {
            return Err(io::Error::other("injected"));
        }
        LocalDisk.cut(file, len)
    }
}

fn small() -> Options {
    Options {
        max_bytes: 64 << 10,
        segment_bytes: 2 << 10,
        ..Options::default()
    }
}

fn open(folder: &Path) -> Result<Spool> {
    Spool::open(folder, "p", "web", small())
}

/// A request of the given events; every third event of the test data says that it is malformed.
fn request(table: &str, events: &[String]) -> Append {
    let body = Bytes::from(events.join("\n"));
    let mut at = 0;
    let ranges = events
        .iter()
        .map(|event| {
            let range = at..at + event.len() as u32;
            at = range.end + 1;
            range
        })
        .collect();
    Append {
        table: table.into(),
        body,
        events: ranges,
        rejected: Vec::new(),
        received_at: chrono::Utc::now().timestamp_micros(),
        claim: None,
        permit: None,
    }
}

async fn put(spool: &Spool, table: &str, events: &[&str]) -> Result<OffsetRange> {
    let events: Vec<_> = events.iter().map(|event| event.to_string()).collect();
    spool.append(request(table, &events)).await
}

/// Everything that can be read now: (offset, table, text).
async fn read_from(
    spool: &Spool,
    from: Offset,
    max_bytes: u64,
) -> Result<Vec<(Offset, String, String)>> {
    let mut reader = spool.reader(from, None)?;
    let mut all = Vec::new();
    let mut at = from;
    let end = {
        let log = spool.shared.log.lock();
        let filled = log.segments.iter().filter(|s| s.end > s.first);
        filled.map(|segment| segment.end).max()
    };
    while end.is_some_and(|end| reader.position() < end) {
        let Some(chunk) = reader.next(max_bytes).await? else {
            break;
        };
        assert_eq!(chunk.start, at, "chunks join");
        at = chunk.end;
        for record in &chunk.records {
            let value = &chunk.slab[record.value.start as usize..record.value.end as usize];
            let table = chunk.tables[record.table as usize].to_string();
            all.push((
                record.offset,
                table,
                String::from_utf8(value.to_vec()).unwrap(),
            ));
        }
    }
    Ok(all)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    files(folder, "seg")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn what_is_appended_is_read_in_order_from_any_position() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    assert_eq!(
        put(&spool, "a", &["one", "two"]).await.unwrap(),
        OffsetRange { start: 0, end: 2 }
    );
    let mut bad = request("b", &["three".into(), "four".into()]);
    bad.rejected = vec![(
        1,
        RejectReason {
            code: "malformed",
            detail: "why".into(),
        },
    )];
    spool.append(bad).await.unwrap();
    for from in 0..4 {
        for max in [1, 60, 1 << 20] {
            let all = read_from(&spool, from, max).await.unwrap();
            let texts: Vec<_> = all
                .iter()
                .map(|(offset, table, text)| (*offset, table.as_str(), text.as_str()))
                .collect();
            let expected = [
                (0, "a", "one"),
                (1, "a", "two"),
                (2, "b", "three"),
                (3, "b", "four"),
            ];
            assert_eq!(texts, expected[from as usize..]);
        }
    }
    let chunk = spool
        .reader(2, None)
        .unwrap()
        .next(1 << 20)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(chunk.records[0].kind, RecordKind::Event);
    assert!(
        matches!(&chunk.records[1].kind, RecordKind::Rejected(reason) if reason.code == "malformed" && &*reason.detail == "why")
    );
}

#[tokio::test]
async fn a_reader_wakes_when_events_become_durable() {
    let folder = TempDir::new().unwrap();
    let spool = Arc::new(open(folder.path()).unwrap());
    let mut reader = spool.reader(0, None).unwrap();
    let read = tokio::spawn(async move { reader.next(1 << 20).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    put(&spool, "a", &["one"]).await.unwrap();
    assert_eq!(read.await.unwrap().unwrap().unwrap().records.len(), 1);
}

#[tokio::test]
async fn a_large_request_is_one_whole_over_many_records() {
    let folder = TempDir::new().unwrap();
    let spool = Spool::open(folder.path(), "p", "web", Options::default()).unwrap();
    let events: Vec<_> = (0..40)
        .map(|i| format!("{i}{}", "x".repeat(50_000)))
        .collect();
    spool.append(request("a", &events)).await.unwrap();
    let all = read_from(&spool, 0, 100_000).await.unwrap();
    assert_eq!(all.len(), 40);
    drop(spool);
    // A crash in the middle of it takes all of it.
    let path = segments(folder.path()).remove(0);
    let len = std::fs::metadata(&path).unwrap().len();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(len - 1)
        .unwrap();
    let spool = Spool::open(folder.path(), "p", "web", Options::default()).unwrap();
    assert!(read_from(&spool, 0, 1 << 20).await.unwrap().is_empty());
    assert!(
        put(&spool, "a", &["next"]).await.unwrap().start >= 40,
        "its numbers are skipped"
    );
    assert_eq!(
        files(folder.path(), "torn").len(),
        1,
        "the cut bytes are kept to look at"
    );
}

#[tokio::test]
async fn segments_go_only_when_all_of_them_is_committed() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    for i in 0..20 {
        put(&spool, "a", &[&format!("{i}{}", "x".repeat(500))])
            .await
            .unwrap();
    }
    let before = segments(folder.path()).len();
    spool.truncate_below(1);
    spool.confirm_identity().await.unwrap();
    assert_eq!(segments(folder.path()).len(), before);
    spool.truncate_below(10);
    spool.confirm_identity().await.unwrap(); // commands are taken in order, so the first is done
    assert!(segments(folder.path()).len() < before);
    let all = read_from(&spool, 10, 1 << 20).await.unwrap();
    assert_eq!(
        all.iter().map(|e| e.0).collect::<Vec<_>>(),
        (10..20).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn rule_19_keys_are_durable_with_their_request_and_outlive_its_segment() {
    let folder = TempDir::new().unwrap();
    let now = chrono::Utc::now().timestamp_micros();
    let hash = |n: u8| (KeyHash::new(b"me", "a", &[n]), BodyHash::new(&[n]));
    let mut spool = open(folder.path()).unwrap();
    for n in 0..2 {
        let (key, body) = hash(n);
        let Begin::New(claim) = spool.keys().begin(key, body, now).await else {
            panic!("new")
        };
        let mut append = request("a", &["x".repeat(3_000)]);
        append.claim = Some(claim);
        // The client goes away: the request is stored all the same, and its key with it.
        drop(spool.append(append));
        let Begin::Done(answer) = spool.keys().begin(key, body, now).await else {
            panic!("waited")
        };
        assert_eq!(
            (answer.range.start, answer.accepted, answer.rejected),
            (n.into(), 1, 0)
        );
    }
    for round in 0..3 {
        drop(spool);
        spool = open(folder.path()).unwrap();
        for n in 0..2 {
            let (key, body) = hash(n);
            assert!(
                matches!(spool.keys().begin(key, body, now).await, Begin::Done(_)),
                "round {round}"
            );
            assert!(matches!(
                spool.keys().begin(key, hash(9).1, now).await,
                Begin::OtherBody
            ));
        }
        spool.truncate_below(2);
        spool.confirm_identity().await.unwrap();
    }
    assert!(
        segments(folder.path()).is_empty(),
        "only the key files are left"
    );
}

#[tokio::test]
async fn rule_17_a_new_identity_begins_where_the_disk_was_found() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    spool.confirm_identity().await.unwrap();
    put(&spool, "a", &["old"]).await.unwrap();
    let old = spool.generations().pop().unwrap().partition;
    drop(spool);
    // Opened twice before the tables could be asked: the mark stays at the first.
    let spool = open(folder.path()).unwrap();
    let from = spool.unconfirmed_from().unwrap();
    put(&spool, "a", &["new"]).await.unwrap();
    drop(spool);
    let spool = open(folder.path()).unwrap();
    assert_eq!(spool.unconfirmed_from(), Some(from));
    spool.adopt_new_identity().await.unwrap();
    drop(spool);
    for _ in 0..2 {
        let spool = open(folder.path()).unwrap();
        if spool.generations().len() == 1 {
            return; // the second time: what was truncated below stays gone
        }
        let generations = spool.generations();
        assert_eq!(generations.len(), 2);
        assert_eq!(
            (generations[0].partition.id.clone(), generations[0].end),
            (old.id.clone(), Some(from))
        );
        assert_eq!((generations[1].first, generations[1].end), (from, None));
        assert_ne!(generations[1].partition.id, old.id);
        assert_eq!(spool.partition_of(0).unwrap().id, old.id);
        assert_eq!(
            spool.partition_of(from).unwrap().id,
            generations[1].partition.id
        );
        let mut reader = spool.reader(0, Some(from)).unwrap();
        assert_eq!(reader.next(1 << 20).await.unwrap().unwrap().end, 1);
        assert!(
            reader.next(1 << 20).await.unwrap().is_none(),
            "an earlier identity has an end"
        );
        assert_eq!(read_from(&spool, from, 1 << 20).await.unwrap()[0].2, "new");
        spool.truncate_below(from);
        assert_eq!(spool.generations().len(), 1);
        spool.confirm_identity().await.unwrap();
    }
    panic!("the earlier identity came back");
}

#[tokio::test]
async fn after_a_clean_close_no_flipped_bit_passes_for_a_torn_tail() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path()).unwrap();
    put(&spool, "a", &["one"]).await.unwrap();
    let len = std::fs::metadata(&segments(folder.path())[0])
        .unwrap()
        .len();
    spool.close().await.unwrap();
    assert!(matches!(
        put(&spool, "a", &["two"]).await,
        Err(SpoolError::Closed)
    ));
    drop(spool);
    let path = segments(folder.path()).remove(0);
    let good = std::fs::read(&path).unwrap();
    for byte in 32..len as usize {
        let mut bytes = good.clone();
        bytes[byte] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(
            matches!(&error, SpoolError::Corrupt { path: at, .. } if *at == path),
            "byte {byte}: {error}"
        );
        assert!(
            error.to_string().contains("move it out of the folder"),
            "{error}"
        );
    }
    std::fs::write(&path, good).unwrap();
    assert_eq!(
        read_from(&open(folder.path()).unwrap(), 0, 1 << 20)
            .await
            .unwrap()
            .len(),
        1
    );
}
