//! The few file operations whose failure decides what may be acknowledged; a seam for tests.

#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, Write},
    ops::Range,
    path::Path,
};

/// What the writer asks of the file system.
pub trait Disk: Send + Sync + 'static {
    /// Creates a file that must not exist yet, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Appends some of the bytes; returns how many.
    fn write(&self, file: &File, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Returns when the file's bytes and length are on stable storage.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Makes names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Cuts a file to a length, durably.
    fn cut(&self, file: &File, len: u64) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
    }

    fn write(&self, file: &File, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut file = file;
        file.write_vectored(slices)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)?;
        file.sync_all()
    }
}

/// Writes every slice, in order.
pub(super) fn write_all(
    disk: &dyn Disk,
    file: &File,
    mut slices: &mut [IoSlice<'_>],
) -> io::Result<()> {
    // A write of no bytes says nothing, so empty slices at the front go first.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        // One call takes at most IOV_MAX slices; the operating system writes the first of them.
        let some = slices.len().min(1_024);
        match disk.write(file, &slices[..some]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut slices, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells the system that nobody will read these durable bytes soon, so that it need not keep them in
/// memory: advice, whose failure changes nothing.
pub(super) fn forget(file: &File, bytes: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let Some(len) = NonZeroU64::new(bytes.end.saturating_sub(bytes.start)) {
        let _ = rustix::fs::fadvise(file, bytes.start, Some(len), rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
}

/// Writes a small file so that after a crash it is either the old one or the new one, whole.
pub(super) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("tmp");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&part)?;
    write_all(disk, &file, &mut [IoSlice::new(bytes)])?;
    disk.sync(&file)?;
    std::fs::rename(&part, path)?;
    match path.parent() {
        Some(folder) => disk.sync_folder(folder),
        None => Ok(()),
    }
}
