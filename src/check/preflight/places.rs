//! Where a configuration puts and reads objects: the lake, tables that lie elsewhere, named stores.

use super::{
    Section, disk,
    objects::{self, Target},
    rights::Provider,
};
use crate::{
    check::open,
    config::Config,
    error::{Error, Kind},
    storage::Lake,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// The folder that holds a probe's objects; as no table of ours, it is skipped by everything else.
const FOLDER: &str = "_alluvium_probe";
const REMEDY: &str =
    "give the user of this process the right to write there, or choose another lake.url";
/// How long the steps of one place may take: on a disk, in an object store, and there with thousands of objects.
const ON_DISK: Duration = Duration::from_secs(15);
const REMOTE: Duration = Duration::from_secs(60);
const THOROUGH: Duration = Duration::from_secs(300);

/// One place, and what the configuration has there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) title: String,
    pub(super) url: String,
    /// It holds tables that stay; else it is a store by its name alone.
    pub(super) holds_tables: bool,
}

/// The lake, then the tables that have a URL of their own, then the stores that serve neither. Each place once.
pub(super) fn all(config: &Config) -> Vec<Place> {
    let lake = &config.lake.url;
    let mut places = vec![Place {
        title: format!("lake {lake}"),
        url: lake.clone(),
        holds_tables: true,
    }];
    let mut elsewhere: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, table) in &config.tables {
        if let Some(url) = table.url.as_deref() {
            elsewhere.entry(url).or_default().push(name);
        }
    }
    for (url, tables) in elsewhere {
        places.push(Place {
            title: format!("table {} {url}", tables.join(", ")),
            url: url.to_owned(),
            holds_tables: true,
        });
    }
    let known: BTreeSet<String> = places.iter().map(|place| place.url.clone()).collect();
    places.extend(
        stores(config)
            .into_iter()
            .filter(|(_, url)| !known.iter().any(|known| lies_in(known, url)))
            .map(|(name, url)| Place {
                title: format!("store {name} {url}"),
                url,
                holds_tables: false,
            }),
    );
    places
}

/// Whether a URL is `url` or below it.
fn lies_in(inner: &str, url: &str) -> bool {
    let url = url.trim_end_matches('/');
    inner
        .strip_prefix(url)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Names and URLs of the configured stores.
fn stores(_config: &Config) -> Vec<(String, String)> {
    Vec::new()
}

/// How a place is reached.
struct Access {
    provider: Provider,
    /// As whom, and until when.
    identity: Option<String>,
    /// Its container deletes what is some days old.
    is_landing_zone: bool,
}

fn access(_config: &Config, lake: &Lake) -> Result<Access, Error> {
    Ok(Access {
        provider: match lake.url().scheme() {
            "file" => Provider::Disk,
            "s3" | "s3a" => Provider::S3,
            _ => Provider::Azure,
        },
        identity: None,
        is_landing_zone: false,
    })
}

pub(super) async fn probe(config: &Config, place: &Place, thorough: bool) -> Section {
    let mut section = Section::new(&place.title);
    let opened = open::place(config, &place.url).and_then(|lake| {
        let access = access(config, &lake)?;
        Ok((lake, access))
    });
    let (lake, access) = match opened {
        Ok(opened) => opened,
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
                format!("the folder cannot be made: {error}, url=`{}`", lake.url()),
                REMEDY,
            );
            return section;
        }
    };
    let location = match lake.table(FOLDER, None) {
        Ok(location) => location,
        Err(error) => {
            section.error(&error.into());
            return section;
        }
    };
    let target = Target {
        location,
        provider: access.provider,
        holds_tables: place.holds_tables,
        thorough,
        limit: match (access.provider, thorough) {
            (Provider::Disk, _) => ON_DISK,
            (_, false) => REMOTE,
            (_, true) => THOROUGH,
        },
    };
    objects::probe(&mut section, &target).await;
    if let Some(identity) = access.identity {
        section.note(format!("authenticates as {identity}"));
    }
    if access.is_landing_zone && place.holds_tables {
        section.warn(
            "a landing zone deletes files after some days, and of a table that is to last its log with them",
            "keep lasting tables in a container of your own; use the landing zone to hand over files",
        );
    }
    if let Some(local) = &local {
        hard_link(&mut section, local);
        // What the store made for itself; either stays where something is in it.
        let _ = std::fs::remove_dir(local.join(FOLDER));
        if made.as_ref().is_some_and(|made| !made.is_empty()) {
            let _ = std::fs::remove_dir(local.join(".staging"));
        }
        disk::room(&mut section, local);
    }
    drop(made);
    section
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let environment = crate::config::Environment::fixed([], []);
        Config::parse(text, &environment, &crate::config::Flags::default()).unwrap()
    }

    #[test]
    fn every_place_is_probed_once() {
        let config = config(
            "[lake]\nurl = \"/data/lake\"\n[tables.a]\nurl = \"/data/other\"\n[tables.b]\n\
             [tables.c]\nurl = \"/data/other\"\n[tables.d]\nurl = \"/data/d\"\n",
        );
        let titles: Vec<String> = all(&config).into_iter().map(|place| place.title).collect();
        assert_eq!(
            titles,
            [
                "lake /data/lake",
                "table d /data/d",
                "table a, c /data/other"
            ]
        );
        assert!(lies_in("s3://b/x/y", "s3://b/x/") && lies_in("s3://b/x", "s3://b/x"));
        assert!(!lies_in("s3://b/xy", "s3://b/x"));
    }

    #[tokio::test]
    async fn a_folder_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let lake = dir.path().join("a/lake");
        let config = config(&format!("[lake]\nurl = {lake:?}\n"));
        let section = probe(&config, &all(&config)[0], false).await;
        let told = format!("{section:?}");
        assert!(
            !told.contains("Fault") && !told.contains("Warning"),
            "{told}"
        );
        assert!(told.contains("hard links work"), "{told}");
        assert!(!dir.path().join("a").exists(), "it was not there before");
    }
}
