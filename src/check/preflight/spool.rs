//! Whether an HTTP source's spool can be durable where it is to be.

use super::{Section, disk, places::kind_of_io};
use crate::{check::text, config::Config, error::Kind, source::spool};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::Path,
};

const REMEDY: &str =
    "give the user of this process the right to write there, or set spool.path to another folder";

pub(super) async fn probe(config: &Config, source: &str) -> Section {
    let folder = config.spool_path().join(source);
    let title = format!("spool {}", folder.display());
    let (pipeline, source) = (config.pipeline.clone(), source.to_owned());
    let probed = tokio::task::spawn_blocking(move || blocking(&folder, &pipeline, &source));
    probed.await.unwrap_or_else(|error| {
        let mut section = Section::new(title);
        section.fault(Kind::Bug, format!("the probe stopped: {error}"), "");
        section
    })
}

fn blocking(folder: &Path, pipeline: &str, source: &str) -> Section {
    let mut section = Section::new(format!("spool {}", folder.display()));
    let stands = folder.exists();
    let made = match disk::Made::folder(folder) {
        Ok(made) => made,
        Err(error) => {
            section.fault(
                kind_of_io(&error),
                format!("the folder cannot be made: {error}"),
                REMEDY,
            );
            return section;
        }
    };
    match stands {
        true => section.fine("the folder is there"),
        false => section.fine("the folder can be made"),
    }
    lock(&mut section, folder);
    match durable(folder) {
        Ok(()) => section.fine("files can be written and fsynced"),
        Err(error) => section.fault(
            kind_of_io(&error),
            format!("a file cannot be written and fsynced: {error}"),
            REMEDY,
        ),
    }
    match spool::look(folder) {
        Ok(None) => {}
        Ok(Some(look)) if look.pipeline != pipeline || look.source != source => section.fault(
            Kind::Config,
            format!(
                "the spool belongs to another source, owner=`{}/{}`",
                look.pipeline, look.source
            ),
            "run that one until it is empty, or give this one its own spool.path",
        ),
        Ok(Some(look)) => section.fine(format!(
            "holds {} in {}; everything below sequence {} is committed",
            text::bytes(look.bytes),
            text::count(look.segments, "segment", "segments"),
            look.low_water
        )),
        Err(error) => section.error(&error.into()),
    }
    let place = disk::existing(folder);
    match disk::file_system(&place) {
        Some(kind) if disk::is_ephemeral(&kind) => section.warn(
            format!("lies on {kind}, which is gone with this machine or container, and with it what was answered 200 and not yet committed"),
            "mount a lasting volume at spool.path, or answer after the commit with ack = \"commit\"",
        ),
        Some(kind) => section.fine(format!("lies on {kind}")),
        None => section.note("on which file system it lies is not to be had here"),
    }
    disk::room(&mut section, &place);
    drop(made);
    section
}

/// Whether another process holds the spool. The lock is taken for the moment of the question.
fn lock(section: &mut Section, folder: &Path) {
    let file = match File::open(folder.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            section.fault(
                kind_of_io(&error),
                format!("the lock cannot be opened: {error}"),
                REMEDY,
            );
            return;
        }
    };
    match file.try_lock() {
        Ok(()) => {
            let _ = file.unlock();
            section.fine("no other process holds it");
        }
        Err(TryLockError::WouldBlock) => section.note("held by a running daemon"),
        Err(TryLockError::Error(error)) => section.fault(
            Kind::Unsupported,
            format!("files cannot be locked here: {error}"),
            "set spool.path to a folder on a local disk",
        ),
    }
}

fn durable(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".probe-{}", uuid::Uuid::new_v4().simple()));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(b"alluvium check")?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.and(removed)
}
