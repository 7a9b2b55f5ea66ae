//! Opening: from a folder as a crash left it to a state that can be trusted.

use super::{
    Options,
    disk::Disk,
    error::{Result, SpoolError},
    keys::Keys,
    meta::Meta,
    segment::{self, Segment},
};
use crate::event::Offset;
use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder read, mended and locked.
pub(super) struct Recovered {
    pub(super) lock: File,
    pub(super) meta: Meta,
    pub(super) segments: VecDeque<Segment>,
    pub(super) keys: Arc<Keys>,
    /// Key files, with the time of the newest key in each.
    pub(super) key_files: Vec<(PathBuf, i64)>,
    /// The first number to give out.
    pub(super) next: Offset,
}

pub(super) fn recover(
    folder: &Path,
    pipeline: &str,
    source: &str,
    options: &Options,
    disk: &dyn Disk,
) -> Result<Recovered> {
    fs::create_dir_all(folder).map_err(SpoolError::io("create its folder", folder))?;
    let lock = lock(folder)?;
    let mut found = list(folder)?;
    let mut meta = match Meta::load(folder)? {
        Some(meta) if meta.pipeline == pipeline && meta.source == source => meta,
        Some(meta) => {
            return Err(SpoolError::Foreign {
                path: folder.into(),
                owner: format!("{}/{}", meta.pipeline, meta.source),
            });
        }
        None if found.segments.is_empty() => {
            let meta = Meta::new(pipeline, source);
            meta.save(folder, disk)?;
            meta
        }
        None => {
            return Err(SpoolError::NoIdentity {
                path: folder.into(),
            });
        }
    };
    let keys = Keys::new(options.max_keys, options.key_window);
    let mut key_files = Vec::new();
    for (_, path) in std::mem::take(&mut found.keys) {
        let newest = keys.load(&path)?;
        key_files.push((path, newest));
    }
    let mut next = meta.sequence_floor.max(meta.low_water);
    let mut segments = VecDeque::new();
    let mut torn = None;
    let mut empty = Vec::new();
    let newest = found.segments.last().map(|(first, _)| *first);
    let mut before: Offset = 0;
    for (first, path) in found.segments {
        if first < before {
            return Err(SpoolError::Corrupt {
                path,
                offset: 0,
                what: "a segment begins before the one before it ends".into(),
            });
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(SpoolError::io("open", &path))?;
        let scan = segment::scan(&path, &file, first, Some(first) == newest)?;
        for (key, answer) in &scan.keys {
            keys.insert(key.key, key.body, *answer);
        }
        before = scan.end;
        next = next.max(first).max(scan.end);
        let segment = Segment {
            path,
            file: Arc::new(file),
            first,
            end: scan.end,
            len: scan.good,
        };
        if scan.good < scan.len {
            // An event takes more than one byte on disk, so this many numbers cannot have been
            // written; the unwritten ones never left the writer.
            next = next.max(scan.end + (scan.len - scan.good));
            torn = Some((segment.clone(), scan.len));
        }
        if scan.end == first {
            empty.push(segment);
        } else {
            segments.push_back(segment);
        }
    }
    // The numbers that a torn tail may have used are given up before the tail itself is.
    meta.sequence_floor = next;
    meta.unconfirmed_from.get_or_insert(next);
    meta.save(folder, disk)?;
    if let Some((segment, len)) = torn {
        cut(&segment, len, disk)?;
    }
    // After a kill the last group may read back whole from memory without being on the disk. Only
    // what is fsynced is handed on, so that comes before anybody reads it.
    if let Some(last) = segments.back() {
        disk.sync(&last.file)
            .map_err(SpoolError::io("fsync", &last.path))?;
    }
    for segment in empty {
        fs::remove_file(&segment.path).map_err(SpoolError::io("remove", &segment.path))?;
    }
    Ok(Recovered {
        lock,
        meta,
        segments,
        keys,
        key_files,
        next,
    })
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(SpoolError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SpoolError::Locked {
            path: folder.into(),
        }),
        Err(fs::TryLockError::Error(error)) => Err(SpoolError::io("lock", path)(error)),
    }
}

#[derive(Default)]
struct Found {
    segments: Vec<(Offset, PathBuf)>,
    keys: Vec<(Offset, PathBuf)>,
}

fn list(folder: &Path) -> Result<Found> {
    let io = |error| SpoolError::io("list", folder)(error);
    let mut found = Found::default();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if let Some(first) = segment::number(&path, "seg") {
            found.segments.push((first, path));
        } else if let Some(first) = segment::number(&path, "keys") {
            found.keys.push((first, path));
        }
    }
    found.segments.sort();
    found.keys.sort();
    Ok(found)
}

/// Cuts a torn tail off. No byte of it was acknowledged, yet it is kept beside the segment: a person
/// may want to look, and a bit that flipped in the very last group looks the same.
fn cut(segment: &Segment, len: u64, disk: &dyn Disk) -> Result<()> {
    let kept = segment.path.with_extension("torn");
    let mut tail = vec![0; (len - segment.len) as usize];
    let copied = segment
        .file
        .read_exact_at(&mut tail, segment.len)
        .and_then(|()| fs::write(&kept, &tail));
    tracing::warn!(
        path = %segment.path.display(),
        offset = segment.len,
        bytes = len - segment.len,
        kept = %kept.display(),
        copied = copied.is_ok(),
        "the spool's last write was cut short by a crash; it was not acknowledged and is cut off"
    );
    disk.cut(&segment.file, segment.len)
        .map_err(SpoolError::io("cut", &segment.path))
}
