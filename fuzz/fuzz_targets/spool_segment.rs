//! Any bytes as the newest segment of a spool, and the same bytes behind a segment's own beginning (a header and a whole
//! request, so that checksums need not be guessed first): it opens or says what is corrupt, what it hands on follows without
//! a doubled number, and a second opening hands on the same.

#![no_main]

use alluvium::source::spool::{Append, Disk, LocalDisk, Options, Spool, SpoolError};
use libfuzzer_sys::fuzz_target;
use std::{
    fs::{self, File},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const SEGMENT: &str = "00000000000000000000.seg";

/// The local disk without its fsyncs: nothing here outlives the process.
struct Quick;

impl Disk for Quick {
    fn create(&self, path: &Path) -> io::Result<File> {
        LocalDisk.create(path)
    }
    fn write(&self, file: &File, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        LocalDisk.write(file, slices)
    }
    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }
}

struct Scene {
    runtime: Runtime,
    _folder: TempDir,
    path: PathBuf,
    identity: Vec<u8>,
    beginning: Vec<u8>,
}

fn open(path: &Path) -> Result<Spool, SpoolError> {
    Spool::open_on(Arc::new(Quick), path, "fuzz", "web", Options::default())
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("web");
        let spool = open(&path).expect("a new spool");
        let identity = fs::read(path.join("spool.json")).expect("its identity");
        let append = Append {
            table: "t".into(),
            body: bytes::Bytes::from_static(b"{}{}"),
            events: vec![0..2, 2..4],
            rejected: Vec::new(),
            received_at: 1,
            claim: None,
            permit: None,
        };
        runtime.block_on(spool.append(append)).expect("room");
        drop(spool);
        let beginning = fs::read(path.join(SEGMENT)).expect("its segment");
        Scene { runtime, _folder: folder, path, identity, beginning }
    })
}

/// Every event's number and bytes; `None` where the segment is refused.
fn events(scene: &Scene) -> Option<Vec<(u64, Vec<u8>)>> {
    let spool = match open(&scene.path) {
        Ok(spool) => spool,
        Err(SpoolError::Corrupt { .. }) => return None,
        Err(other) => panic!("{other}"),
    };
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut reader = spool.reader(0, Some(spool.durable())).expect("nothing was let go");
    while let Some(chunk) = scene.runtime.block_on(reader.next(1 << 16)).expect("what was checked reads") {
        for record in chunk.records {
            assert!(found.last().is_none_or(|(last, _)| *last < record.offset));
            let value = record.value.start as usize..record.value.end as usize;
            found.push((record.offset, chunk.slab[value].to_vec()));
        }
    }
    Some(found)
}

fn judge(scene: &Scene, segment: &[u8]) -> Option<usize> {
    for entry in fs::read_dir(&scene.path).expect("the folder").flatten() {
        fs::remove_file(entry.path()).expect("no folder within");
    }
    fs::write(scene.path.join("spool.json"), &scene.identity).expect("written");
    fs::write(scene.path.join(SEGMENT), segment).expect("written");
    let first = events(scene)?;
    assert_eq!(events(scene).as_ref(), Some(&first), "opened twice, it hands on the same");
    Some(first.len())
}

fuzz_target!(|bytes: &[u8]| {
    let scene = scene();
    judge(scene, bytes);
    let segment = [&scene.beginning, bytes].concat();
    // A flaw behind an acknowledged request may refuse the segment, never cut the request off.
    if let Some(events) = judge(scene, &segment) {
        assert!(events >= 2, "the first request is gone");
    }
});
