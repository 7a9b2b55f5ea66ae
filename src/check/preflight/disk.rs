//! What a local disk is: free bytes, and whether it outlives the machine.

use super::Section;
use crate::check::text;
use std::path::{Path, PathBuf};

/// Below this a disk is soon full.
const LITTLE: u64 = 1 << 30;

/// The folder itself, or the nearest above it that exists.
pub(super) fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    path.ancestors()
        .find(|above| above.exists())
        .map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// Says how much room there is.
pub(super) fn room(section: &mut Section, folder: &Path) {
    let Ok(stat) = rustix::fs::statvfs(folder) else {
        section.note("how much room the disk has is not to be had");
        return;
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let (bytes, folder) = (text::bytes(free), folder.display());
    if free < LITTLE {
        section.warn(
            format!("only {bytes} are free, path=`{folder}`"),
            "make room: a full disk stops commits, and requests are answered 503",
        );
    } else {
        section.fine(format!("{bytes} are free"));
    }
}

/// The type of the file system below `folder`, from the kernel's list of mounts.
pub(super) fn file_system(folder: &Path) -> Option<String> {
    let folder = std::fs::canonicalize(folder).ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    type_of(&mounts, &folder)
}

/// Of the mounts that hold `folder` the deepest, and of those on one place the last.
fn type_of(mounts: &str, folder: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut parts = line.split(' ');
        let (Some(_), Some(place), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let place = place.replace("\\040", " ");
        let depth = Path::new(&place).components().count();
        if folder.starts_with(&place) && best.is_none_or(|(known, _)| depth >= known) {
            best = Some((depth, kind));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

/// Whether what lies on such a file system is gone with the machine or the container.
pub(super) fn is_ephemeral(file_system: &str) -> bool {
    matches!(file_system, "tmpfs" | "ramfs" | "overlay" | "aufs")
}

/// Makes a folder and remembers what has to be removed again.
pub(super) struct Made(Vec<PathBuf>);

impl Made {
    pub(super) fn folder(folder: &Path) -> std::io::Result<Self> {
        let missing = folder
            .ancestors()
            .take_while(|above| !above.as_os_str().is_empty() && !above.exists());
        let made = missing.map(Path::to_path_buf).collect();
        std::fs::create_dir_all(folder)?;
        Ok(Self(made))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Made {
    /// Only what is empty goes: another process may have begun to use it.
    fn drop(&mut self) {
        for folder in &self.0 {
            if std::fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_latest_mount_counts() {
        let mounts = "overlay / overlay rw 0 0\n/dev/sda /data ext4 rw 0 0\ntmpfs /data/my\\040ram tmpfs rw 0 0\n";
        let of = |path: &str| type_of(mounts, Path::new(path)).unwrap();
        assert_eq!(of("/data/lake"), "ext4");
        assert_eq!(of("/database"), "overlay");
        assert_eq!(of("/data/my ram/x"), "tmpfs");
    }

    #[test]
    fn what_was_made_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        let made = Made::folder(&deep).unwrap();
        assert!(deep.is_dir());
        std::fs::write(dir.path().join("a/keep"), "").unwrap();
        drop(made);
        assert!(!dir.path().join("a/b").exists() && dir.path().join("a/keep").exists());
    }
}
