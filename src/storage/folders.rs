//! Folders whose own entries are durable.

use super::staging;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Folders remembered; past it all are forgotten and synced once more when next used.
const REMEMBERED: usize = 16_384;

/// The folders of one lake, or of one table that lies elsewhere.
#[derive(Debug)]
pub(super) struct Folders {
    /// Entries are made durable from here down.
    root: PathBuf,
    staging: PathBuf,
    /// Folders synced up to the root by this process, and where files for them are staged.
    ready: Mutex<HashMap<PathBuf, PathBuf>>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            staging: root.join(".staging"),
            root,
            ready: Mutex::default(),
        }
    }

    /// Makes `folder` and what is missing above it, durably, and returns where to stage files for it.
    ///
    /// A folder found in place is synced like one just made: another process may have made it and not have
    /// synced it yet.
    pub(super) fn ready(&self, folder: &Path) -> io::Result<PathBuf> {
        if let Some(staging) = self.ready.lock().get(folder) {
            return Ok(staging.clone());
        }
        let topmost = create_all(folder)?;
        fs::create_dir_all(&self.staging)?;
        for above in folder.ancestors().skip(1) {
            if above.starts_with(&self.root) {
                sync(above)?;
            } else if topmost
                .as_deref()
                .is_some_and(|made| above.starts_with(made))
                || topmost.as_deref().and_then(Path::parent) == Some(above)
            {
                // Folders above the lake may be closed to reading, and then cannot be synced.
                match sync(above) {
                    Err(e) if e.kind() != io::ErrorKind::PermissionDenied => return Err(e),
                    _ => {}
                }
            } else {
                break;
            }
        }
        let staging = if same_file_system(folder, &self.staging)? {
            self.staging.clone()
        } else {
            folder.to_path_buf()
        };
        let mut ready = self.ready.lock();
        if ready.len() >= REMEMBERED {
            ready.clear();
        }
        ready.insert(folder.to_path_buf(), staging.clone());
        Ok(staging)
    }

    /// To be called when a folder turns out to be gone.
    pub(super) fn forget(&self, folder: &Path) {
        self.ready.lock().remove(folder);
    }

    /// Removes what crashed processes staged, if not written to for `age`.
    pub(super) fn clean(&self, age: Duration, now: SystemTime) -> io::Result<usize> {
        staging::clean(&self.staging, age, now)
    }
}

/// Like `create_dir_all`; returns the topmost folder that was missing.
fn create_all(folder: &Path) -> io::Result<Option<PathBuf>> {
    let topmost = folder
        .ancestors()
        .take_while(|f| !f.exists())
        .last()
        .map(Path::to_path_buf);
    fs::create_dir_all(folder)?;
    Ok(topmost)
}

/// Makes the entries of a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(unix)]
fn same_file_system(a: &Path, b: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(a)?.dev() == fs::metadata(b)?.dev())
}

#[cfg(not(unix))]
fn same_file_system(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(true)
}
