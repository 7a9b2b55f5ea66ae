//! A folder of tables.

use super::{Error, Result, TableLocation, location::Folder};
use futures::StreamExt;
use object_store::{ObjectStoreExt, PutMode};
use url::Url;

/// The place where tables are made: one folder a table.
#[derive(Clone, Debug)]
pub struct Lake {
    folder: Folder,
}

impl Lake {
    /// Opens `url`: a folder path, relative or absolute, or a `file:` URL. Nothing is made on disk; the first
    /// put does that. Removes what crashed processes staged more than a day ago.
    ///
    /// Errors: `Unsupported` for object stores not yet served, `Config` for what is no place for tables.
    pub fn open(url: &str) -> Result<Self> {
        Ok(Self {
            folder: Folder::open(url)?,
        })
    }

    /// The lake's URL; it ends in `/`.
    pub fn url(&self) -> &Url {
        &self.folder.url
    }

    /// The lake's folder, if it is on this machine.
    pub fn local_path(&self) -> Option<&std::path::Path> {
        self.folder.local.as_deref()
    }

    /// Where the table `name` is: in the folder of its name, or at `url_override`, which takes what
    /// [`Lake::open`] takes.
    ///
    /// Errors: `InvalidData` for a name that is not one plain folder (see [`super::validate_table_name`]), also
    /// with an override, as names stand in metrics and the ledger too.
    pub fn table(&self, name: &str, url_override: Option<&str>) -> Result<TableLocation> {
        let inside = self.folder.child(name)?;
        let Some(url) = url_override else {
            return Ok(inside);
        };
        let Folder {
            url, store, root, ..
        } = Folder::open(url)?;
        Ok(TableLocation { url, store, root })
    }

    /// The names of the tables, sorted: folders with something in their `_delta_log`.
    pub async fn tables(&self) -> Result<Vec<String>> {
        let failed = |source| Error::Store {
            action: "listing tables",
            path: self.folder.url.to_string(),
            source,
        };
        let listing = self
            .folder
            .store
            .list_with_delimiter(Some(&self.folder.root));
        let mut names = Vec::new();
        for path in listing.await.map_err(failed)?.common_prefixes {
            let Some(name) = path.filename() else {
                continue;
            };
            if super::validate_table_name(name).is_err() {
                continue;
            }
            let mut log = self
                .folder
                .store
                .list(Some(&path.clone().join("_delta_log")));
            if log.next().await.transpose().map_err(failed)?.is_some() {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Proves that objects can be created and removed here, making the folder if it is missing. For the
    /// refusal before the first byte (invariant 8).
    pub async fn probe(&self) -> Result<()> {
        let name = format!(".probe-{}", uuid::Uuid::new_v4().simple());
        let path = self.folder.root.clone().join(name);
        let failed = |action| {
            let path = self.folder.url.to_string();
            move |source| Error::Store {
                action,
                path,
                source,
            }
        };
        let store = &self.folder.store;
        store
            .put_opts(&path, "probe".into(), PutMode::Create.into())
            .await
            .map_err(failed("creating an object"))?;
        store
            .delete(&path)
            .await
            .map_err(failed("removing an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::fs;

    #[tokio::test]
    async fn tables_are_folders_with_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path().join("lake").to_str().unwrap()).unwrap();
        assert!(
            lake.tables().await.unwrap().is_empty(),
            "a lake not yet made has no tables"
        );
        for name in ["b", "a c", "_dead_letters"] {
            let table = lake.table(name, None).unwrap();
            let commit = table
                .object_path("_delta_log/00000000000000000000.json")
                .unwrap();
            table.store.put(&commit, "{}".into()).await.unwrap();
        }
        fs::create_dir_all(dir.path().join("lake/no_log/x")).unwrap();
        fs::create_dir_all(dir.path().join("lake/.spool/_delta_log")).unwrap();
        fs::write(dir.path().join("lake/.spool/_delta_log/0.json"), "{}").unwrap();
        assert_eq!(lake.tables().await.unwrap(), ["_dead_letters", "a c", "b"]);
    }

    #[tokio::test]
    async fn a_table_may_lie_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path().join("lake").to_str().unwrap()).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        let table = lake.table("t", Some(elsewhere.to_str().unwrap())).unwrap();
        assert_eq!(table.url.to_file_path().unwrap(), elsewhere);
        assert_eq!(
            lake.table("t", Some("s3://b/t")).unwrap_err().kind(),
            Kind::Unsupported
        );
        assert_eq!(
            lake.table("../t", Some("/x")).unwrap_err().kind(),
            Kind::InvalidData
        );
    }

    #[tokio::test]
    async fn a_probe_makes_the_folder_and_leaves_nothing_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path().join("a/lake").to_str().unwrap()).unwrap();
        lake.probe().await.unwrap();
        let left: Vec<_> = fs::read_dir(lake.local_path().unwrap())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, [".staging"]);
    }
}
