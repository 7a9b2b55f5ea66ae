//! Where a configuration puts and reads objects: the lake, tables that lie elsewhere, named stores.

use super::{
    Section, disk,
    objects::{self, Target},
    rights::Provider,
};
use crate::{
    config::Config,
    error::{Error, Kind},
    storage::{self, CredentialOptions, Lake, Opened, Remote, Service, StoreOptions, Stores},
};
use std::{collections::BTreeSet, path::Path, time::Duration};

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
pub(super) fn all(config: &Config, stores: &Stores) -> Vec<Place> {
    let lake = &config.lake.url;
    let mut places = vec![Place {
        title: format!("lake {}", stores.canonical(lake)),
        url: lake.clone(),
        holds_tables: true,
    }];
    for (name, table) in &config.tables {
        if let Some(url) = &table.url {
            places.push(Place {
                title: format!("table {name} {}", stores.canonical(url)),
                url: url.clone(),
                holds_tables: true,
            });
        }
    }
    let serves: BTreeSet<String> = places
        .iter()
        .filter_map(|place| match storage::Place::parse(&place.url).ok()? {
            storage::Place::Remote(remote) => Some(stores.serving(&remote)?.0.to_owned()),
            storage::Place::Local(_) => None,
        })
        .collect();
    let others = stores.all().filter(|(name, ..)| !serves.contains(*name));
    places.extend(others.map(|(name, remote, _)| Place {
        title: format!("store {name} {}", remote.url()),
        url: remote.url().to_string(),
        holds_tables: false,
    }));
    places
}

/// How an object store is reached.
struct Access {
    provider: Provider,
    opened: Opened,
    /// Its container deletes what is some days old.
    is_landing_zone: bool,
    /// `single_writer` of its store.
    is_vouched: bool,
}

impl Access {
    fn new(remote: &Remote, stores: &Stores) -> Result<Self, Error> {
        let options = stores.serving(remote).map(|(_, options)| options);
        let credentials = options.map(|StoreOptions { credentials, .. }| credentials);
        use CredentialOptions as C;
        let provider = match (remote.service(), credentials) {
            (Service::S3, _) => Provider::S3,
            (Service::Azure, Some(C::Sas(_) | C::LandingZone(_))) => Provider::AzureSignature,
            (Service::Azure, Some(C::AccountKey(_))) => Provider::AzureKey,
            (Service::Azure, Some(C::Entra(_) | C::ManagedIdentity(_))) => Provider::AzureRole,
            (Service::Azure, _) => Provider::Azure,
        };
        Ok(Self {
            provider,
            opened: stores.open(remote)?,
            is_landing_zone: matches!(credentials, Some(C::LandingZone(_))),
            is_vouched: options.is_some_and(|options| options.single_writer),
        })
    }

    /// As whom it asks, and until when as far as is known.
    fn identity(&self) -> String {
        let identity = &self.opened.identity;
        let credentials = self.opened.credentials.as_ref();
        match credentials.and_then(|credentials| credentials.expires()) {
            None => format!("authenticates as {identity}"),
            Some(expires) => format!(
                "authenticates as {identity}; the credential ends at {} and is renewed before",
                chrono::DateTime::<chrono::Utc>::from(expires).format("%Y-%m-%dT%H:%M:%SZ")
            ),
        }
    }
}

fn open(place: &Place, stores: &Stores) -> Result<(Lake, Option<Access>), Error> {
    let lake = Lake::open(&place.url, stores)?;
    let access = match storage::Place::parse(&place.url)? {
        storage::Place::Remote(remote) => Some(Access::new(&stores.resolved(&remote)?, stores)?),
        storage::Place::Local(_) => None,
    };
    Ok((lake, access))
}

pub(super) async fn probe(place: &Place, stores: &Stores, thorough: bool) -> Section {
    let mut section = Section::new(&place.title);
    let opened = open(place, stores);
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
        provider: access
            .as_ref()
            .map_or(Provider::Disk, |access| access.provider),
        holds_tables: place.holds_tables,
        is_vouched: access.as_ref().is_some_and(|access| access.is_vouched),
        thorough,
        limit: match (&access, thorough) {
            (None, _) => ON_DISK,
            (Some(_), false) => REMOTE,
            (Some(_), true) => THOROUGH,
        },
    };
    objects::probe(&mut section, &target).await;
    if let Some(access) = &access {
        section.note(access.identity());
    }
    if access.is_some_and(|access| access.is_landing_zone) && place.holds_tables {
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

    fn stores(config: &Config) -> Stores {
        Stores::new(&config.stores).unwrap()
    }

    #[test]
    fn every_place_is_probed_once() {
        let config = config(
            "[lake]\nurl = \"s3://my-lake/x\"\n[tables.a]\nurl = \"/data/other\"\n[tables.b]\n\
             [tables.d]\nurl = \"s3a://my-lake/d/\"\n\
             [stores.lake]\nurl = \"s3://my-lake\"\n[stores.inputs]\nbucket = \"my-inputs\"\n",
        );
        let places = all(&config, &stores(&config));
        let titles: Vec<&str> = places.iter().map(|place| place.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "lake s3://my-lake/x/",
                "table a /data/other",
                "table d s3://my-lake/d/",
                "store inputs s3://my-inputs/"
            ]
        );
        let writes: Vec<bool> = places.iter().map(|place| place.holds_tables).collect();
        assert_eq!(writes, [true, true, true, false]);
    }

    #[test]
    fn who_names_the_rights_follows_from_the_credentials() {
        let config = config(
            "[stores.a]\nurl = \"az://aaa\"\naccount = \"acc1\"\ncredentials = { type = \"sas\", token = \"sv=2025-05-05&sr=c&sp=rwl&se=2100-01-01T00:00:00Z&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D\" }\n\
             [stores.b]\nurl = \"az://bbb\"\naccount = \"acc1\"\ncredentials = { type = \"managed_identity\" }\n\
             [stores.z]\nurl = \"az://zone\"\naccount = \"acc1\"\n\
             credentials = { type = \"landing_zone\", endpoint = \"http://127.0.0.1:1/x\", access_token = \"t\" }\n",
        );
        let stores = stores(&config);
        for (url, provider, is_landing_zone) in [
            ("s3://any", Provider::S3, false),
            ("az://aaa/x", Provider::AzureSignature, false),
            ("az://bbb", Provider::AzureRole, false),
            ("az://zone/t", Provider::AzureSignature, true),
        ] {
            let storage::Place::Remote(remote) = storage::Place::parse(url).unwrap() else {
                panic!("{url}");
            };
            let remote = stores.resolved(&remote).unwrap();
            let access = Access::new(&remote, &stores).unwrap();
            assert_eq!(
                (access.provider, access.is_landing_zone),
                (provider, is_landing_zone),
                "{url}"
            );
        }
    }

    #[tokio::test]
    async fn a_folder_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let lake = dir.path().join("a/lake");
        let config = config(&format!("[lake]\nurl = {lake:?}\n"));
        let stores = stores(&config);
        let section = probe(&all(&config, &stores)[0], &stores, false).await;
        let told = format!("{section:?}");
        assert!(
            !told.contains("Fault") && !told.contains("Warning"),
            "{told}"
        );
        assert!(told.contains("hard links work"), "{told}");
        assert!(!dir.path().join("a").exists(), "it was not there before");
    }
}
