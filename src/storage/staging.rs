//! Objects while they are being written: outside the tables, then linked or renamed into place.

use object_store::PutMode;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Ends every staged file's name. object_store's `LocalFileSystem` neither lists nor opens names that end in
/// `#` and digits, so a staged file is invisible even where it has to be staged inside a table.
const SUFFIX: &str = ".staged#0";

/// A file that nobody sees yet; dropping it removes it.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    path: PathBuf,
}

impl Staged {
    /// A new file in `folder`, which must exist on the file system of the object to be.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{}{SUFFIX}", uuid::Uuid::new_v4().simple()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self { file, path })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)
    }

    /// Syncs the content, then gives it its name: by a hard link, which fails where the name is taken, or by a
    /// rename, which replaces. The name itself is durable once its folder is synced, which is the caller's.
    pub(super) fn publish(self, to: &Path, mode: &PutMode) -> io::Result<()> {
        self.file.sync_all()?;
        match mode {
            PutMode::Create => fs::hard_link(&self.path, to),
            _ => fs::rename(&self.path, to),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; what a crash leaves is removed by `clean`.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes staged files that a dead process left: those not written to for `age`. Returns how many.
pub(super) fn clean(folder: &Path, age: Duration, now: SystemTime) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let staged = entry
            .file_name()
            .to_str()
            .is_some_and(|n| n.ends_with(SUFFIX));
        // Another process may clean at the same time.
        let Ok(modified) = entry.metadata().and_then(|m| m.modified()) else {
            continue;
        };
        let old = now.duration_since(modified).is_ok_and(|d| d >= age);
        if staged && old && fs::remove_file(entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
