//! Whether tables can be made and committed to in the lake.

use super::{Section, disk};
use crate::{
    check::open,
    config::Config,
    error::{Kind, Result},
    storage::{Lake, TableLocation, kind_of},
};
use futures::TryStreamExt;
use object_store::{Error, ObjectStoreExt, PutMode};
use std::path::Path;

/// The folder that holds a probe's objects; as no table of ours, it is skipped by everything else.
const FOLDER: &str = "_alluvium_probe";
const REMEDY: &str =
    "give the user of this process the right to write there, or choose another lake.url";

pub(super) async fn probe(config: &Config) -> Section {
    let mut section = Section::new(format!("lake {}", config.lake.url));
    let lake = match open::lake(config) {
        Ok(lake) => lake,
        Err(error) => {
            section.error(&error);
            return section;
        }
    };
    let local = lake.local_path().map(Path::to_path_buf);
    let made = match local.as_deref().map(disk::Made::folder).transpose() {
        Ok(made) => made,
        Err(error) => {
            section.fault(
                kind_of_io(&error),
                format!(
                    "the folder cannot be made: {error}, lake.url=`{}`",
                    lake.url()
                ),
                REMEDY,
            );
            return section;
        }
    };
    match lake.table(FOLDER, None) {
        Ok(location) => {
            objects(&mut section, &location).await;
            if let Some(local) = &local {
                hard_link(&mut section, local);
                // What the store made for itself; either stays where something is in it.
                let _ = std::fs::remove_dir(local.join(FOLDER));
                if made.is_some() && is_new(&made) {
                    let _ = std::fs::remove_dir(local.join(".staging"));
                }
                disk::room(&mut section, local);
            }
        }
        Err(error) => section.error(&error.into()),
    }
    drop(made);
    section
}

fn is_new(made: &Option<disk::Made>) -> bool {
    made.as_ref().is_some_and(|made| !made.is_empty())
}

/// A commit in small: create, fail to create again, read back, list, delete.
async fn objects(section: &mut Section, location: &TableLocation) {
    let name = format!("probe-{}", uuid::Uuid::new_v4().simple());
    let Ok(path) = location.object_path(&name) else {
        return;
    };
    let store = &location.store;
    let fault = |section: &mut Section, doing: &str, error: &Error| {
        section.fault(
            kind_of(error),
            format!("{doing} fails: {error}, url=`{}`", location.url),
            REMEDY,
        );
    };
    let content = "alluvium check";
    let create = || store.put_opts(&path, content.into(), PutMode::Create.into());
    if let Err(error) = create().await {
        fault(section, "creating an object", &error);
        return;
    }
    section.fine("objects can be created");
    match create().await {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
            section.fine("a second create of the same name fails, so two writers cannot take one version");
        }
        Ok(_) => section.fault(
            Kind::Unsupported,
            format!("an object can be created twice, url=`{}`", location.url),
            "use storage with conditional creation: on this one two writers would overwrite each other's versions",
        ),
        Err(error) => fault(section, "creating an object twice", &error),
    }
    let read = async { store.get(&path).await?.bytes().await };
    match read.await {
        Ok(bytes) if bytes == content.as_bytes() => section.fine("what was written reads back"),
        Ok(_) => section.fault(
            Kind::Corrupt,
            format!(
                "what was written does not read back, url=`{}`",
                location.url
            ),
            "look at the disk or the network file system below; do not land events here",
        ),
        Err(error) => fault(section, "reading an object", &error),
    }
    match store
        .list(Some(&location.root))
        .try_collect::<Vec<_>>()
        .await
    {
        Ok(found) if found.iter().any(|object| object.location == path) => {
            section.fine("listing shows it");
        }
        Ok(_) => section.fault(
            Kind::Unsupported,
            format!(
                "listing does not show an object just written, url=`{}`",
                location.url
            ),
            "use storage whose listings are consistent: versions of a table are found by listing",
        ),
        Err(error) => fault(section, "listing objects", &error),
    }
    match store.delete(&path).await {
        Ok(()) => section.fine("and it can be deleted"),
        Err(error) => fault(section, "deleting an object", &error),
    }
}

/// Commits on a local disk are made by hard links.
fn hard_link(section: &mut Section, folder: &Path) {
    let from = folder.join(format!(".probe-{}", uuid::Uuid::new_v4().simple()));
    let to = from.with_extension("link");
    let tried = std::fs::write(&from, "").and_then(|()| std::fs::hard_link(&from, &to));
    let _ = std::fs::remove_file(&to);
    let _ = std::fs::remove_file(&from);
    match tried {
        Ok(()) => section.fine("hard links work"),
        Err(error) => section.fault(
            Kind::Unsupported,
            format!("hard links do not work: {error}, path=`{}`", folder.display()),
            "put the lake on a file system with hard links (ext4, xfs, btrfs, zfs, apfs, nfs); commits need them",
        ),
    }
}

/// What an I/O error asks of whoever receives it.
pub(super) fn kind_of_io(error: &std::io::Error) -> Kind {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            Kind::Unauthorized
        }
        std::io::ErrorKind::NotADirectory => Kind::Config,
        _ => Kind::Unavailable,
    }
}

/// Opens the lake for the probes that come after this one, which has told what is wrong with it.
pub(super) fn open(config: &Config) -> Result<Lake> {
    open::lake(config)
}
