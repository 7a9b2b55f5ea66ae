//! A folder of tables.

use super::{
    Error, Result, Stores, TableLocation, location::Folder, single_writer::lacks_conditions,
};
use crate::error::Kind;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, PutMode, path::Path};
use std::sync::Arc;
use url::Url;

/// Tables looked at at once: each costs a request.
const LOOKS_AT_ONCE: usize = 16;

/// The folder of a bucket that holds probes; as no table of ours, everything else skips it.
const PROBES: &str = "_alluvium_probe";

/// The place where tables are made: one folder a table.
#[derive(Clone, Debug)]
pub struct Lake {
    folder: Folder,
    stores: Stores,
    /// What a person sets to accept this place, in words.
    store: String,
}

impl Lake {
    /// Opens `url`: a folder path, relative or absolute, or a `file:` URL, or a URL of an object store, which is
    /// reached as `stores` say (see [`super::Place::parse`]). Nothing is made or asked for; the first put does that.
    /// Of a folder, removes what crashed processes staged more than a day ago.
    ///
    /// Errors: `Unsupported` for other schemes, `Config` for what is no place for tables and for options that make
    /// no store.
    pub fn open(url: &str, stores: &Stores) -> Result<Self> {
        let folder = Folder::open(url, stores)?;
        let store = match super::Place::parse(url)? {
            super::Place::Remote(place) => match stores.serving(&place) {
                Some((name, _)) => format!("`[stores.{name}]`"),
                None => format!("a `[stores.NAME]` with `url = \"{}\"`", place.url()),
            },
            super::Place::Local(_) => "a `[stores.NAME]`".into(),
        };
        Ok(Self {
            folder,
            stores: stores.clone(),
            store,
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

    /// The stores it was opened with.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Where the table `name` is: in the folder of its name, or at `url_override`, which takes what
    /// [`Lake::open`] takes.
    ///
    /// Errors: `InvalidData` for a name that is not one plain folder (see [`super::validate_table_name`]), also
    /// with an override, as names stand in metrics and the ledger too.
    pub fn table(&self, name: &str, url_override: Option<&str>) -> Result<TableLocation> {
        let inside = self.folder.child(name)?;
        match url_override {
            Some(url) => self.stores.locate(url),
            None => Ok(inside),
        }
    }

    /// The first of the places at `urls` in each bucket that is not the lake's, for [`Lake::probe`]. Folders of this
    /// machine are left out.
    pub fn others<'a>(&self, urls: impl IntoIterator<Item = &'a str>) -> Result<Vec<Lake>> {
        let mut others: Vec<Lake> = Vec::new();
        for url in urls {
            let other = Lake::open(url, &self.stores)?;
            // A bucket is opened once.
            let same = |lake: &Lake| Arc::ptr_eq(&lake.folder.store, &other.folder.store);
            if other.folder.local.is_none() && !same(self) && !others.iter().any(same) {
                others.push(other);
            }
        }
        Ok(others)
    }

    /// The names of the tables, sorted: folders with something in their `_delta_log`.
    pub async fn tables(&self) -> Result<Vec<String>> {
        let failed = self.failed("listing tables");
        let listing = self
            .folder
            .store
            .list_with_delimiter(Some(&self.folder.root));
        let folders = listing.await.map_err(&failed)?.common_prefixes;
        let named = folders.into_iter().filter_map(|path| {
            let name = path.filename()?.to_owned();
            super::validate_table_name(&name)
                .is_ok()
                .then_some((name, path))
        });
        let mut names: Vec<String> = stream::iter(named)
            .map(|(name, path)| async move {
                let mut log = self.folder.store.list(Some(&path.join("_delta_log")));
                let first = log.next().await.transpose()?;
                Ok(first.map(|_| name))
            })
            .buffer_unordered(LOOKS_AT_ONCE)
            .try_filter_map(|name| async move { Ok(name) })
            .try_collect()
            .await
            .map_err(&failed)?;
        names.sort();
        Ok(names)
    }

    /// Proves that objects can be created here once and not twice, making a folder if it is missing: three requests,
    /// for the refusal before the first byte (invariant 8).
    ///
    /// Errors: `Unsupported` where a second create succeeds or the store cannot create conditionally, as commits of
    /// two writers would then overwrite each other; others of the store.
    pub async fn probe(&self) -> Result<()> {
        let path = self.probe_path();
        let store = &self.folder.store;
        let create = || store.put_opts(&path, "probe".into(), PutMode::Create.into());
        let created = self.judge(create().await.map(drop));
        let second = match &created {
            Ok(()) => self.judge(match create().await {
                Ok(_) => Ok(false),
                Err(
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. },
                ) => Ok(true),
                Err(error) => Err(error),
            }),
            Err(_) => return created,
        };
        self.remove(&path).await?;
        match second? {
            true => Ok(()),
            false => Err(self.not_conditional()),
        }
    }

    /// What is created and cannot be deleted again is no reason to refuse: data is not lost by it.
    async fn remove(&self, path: &Path) -> Result<()> {
        match self.folder.store.delete(path).await {
            Ok(()) => Ok(()),
            Err(error) if super::kind_of(&error) == Kind::Unauthorized => {
                tracing::warn!(%path, %error, "the right to delete objects is missing; what failed uploads leave behind stays");
                Ok(())
            }
            Err(error) => Err(self.failed("removing an object")(error)),
        }
    }

    fn judge<T>(&self, answer: object_store::Result<T>) -> Result<T> {
        answer.map_err(|error| match lacks_conditions(&error) {
            true => self.not_conditional(),
            false => self.failed("creating an object")(error),
        })
    }

    fn probe_path(&self) -> Path {
        let root = self.folder.root.clone();
        let id = uuid::Uuid::new_v4();
        match &self.folder.local {
            Some(_) => root.join(format!(".probe-{}", id.simple())),
            None => root.join(PROBES).join(format!("start-{}", id.simple())),
        }
    }

    fn not_conditional(&self) -> Error {
        Error::NotConditional {
            store: self.store.clone(),
            url: self.folder.url.to_string(),
        }
    }

    fn failed(&self, action: &'static str) -> impl Fn(object_store::Error) -> Error + use<> {
        let path = self.folder.url.to_string();
        move |source| Error::Store {
            action,
            path: path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
