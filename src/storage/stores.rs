//! The configured stores, and which of them serves a place.

use super::{
    Account, CredentialOptions, Error, Opened, Place, Remote, Result, Service, StoreOptions,
    TableLocation, azure, guard::Guard, location::Folder, rules, s3, single_writer::SingleWriter,
};
use crate::databricks::Connections;
use parking_lot::Mutex;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

/// The name under which a place without a `[stores.NAME]` stands in logs and metrics.
const BY_ENVIRONMENT: &str = "environment";

/// Every object store of the process. Clones share what is open.
#[derive(Clone)]
pub struct Stores {
    inner: Arc<Inner>,
}

struct Inner {
    entries: Vec<Entry>,
    open: Open,
    connections: Connections,
    /// Buckets that are open, by the store (none: of the environment).
    opened: Mutex<HashMap<Key, Opened>>,
}

type Open = fn(&str, &Remote, &StoreOptions) -> Result<Opened>;
type Key = (Option<usize>, Service, String, Option<Account>);

struct Entry {
    name: String,
    place: Remote,
    options: StoreOptions,
}

impl Stores {
    /// The stores of `[stores]`, of which none has credentials of Unity Catalog. None is opened yet.
    ///
    /// Errors: `Config`, the first of what [`rules::judge`] finds.
    pub fn new(options: &BTreeMap<String, StoreOptions>) -> Result<Self> {
        Self::connected(options, &Connections::default())
    }

    /// The same with the workspaces that hand out credentials.
    pub fn connected(
        options: &BTreeMap<String, StoreOptions>,
        connections: &Connections,
    ) -> Result<Self> {
        Self::opening_with(options, open, connections)
    }

    #[cfg(test)]
    pub(super) fn opening(options: &BTreeMap<String, StoreOptions>, open: Open) -> Result<Self> {
        Self::opening_with(options, open, &Connections::default())
    }

    fn opening_with(
        options: &BTreeMap<String, StoreOptions>,
        open: Open,
        connections: &Connections,
    ) -> Result<Self> {
        if let Some(misfit) = rules::judge(options).into_iter().next() {
            return Err(Error::Options {
                store: misfit.store,
                key: misfit.key,
                message: misfit.message,
            });
        }
        let entry = |(name, options): (&String, &StoreOptions)| {
            Ok(Entry {
                name: name.clone(),
                place: rules::place(options)?,
                options: options.clone(),
            })
        };
        Ok(Self {
            inner: Arc::new(Inner {
                entries: options.iter().map(entry).collect::<Result<_>>()?,
                open,
                connections: connections.clone(),
                opened: Mutex::default(),
            }),
        })
    }

    /// The store that serves a place, of several the one with the longest URL. `None`: the place is reached with the
    /// credentials of the environment.
    pub fn serving(&self, place: &Remote) -> Option<(&str, &StoreOptions)> {
        self.entry(place)
            .map(|(_, entry)| (entry.name.as_str(), &entry.options))
    }

    /// Every store's name, place and options, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Remote, &StoreOptions)> {
        let entries = self.inner.entries.iter();
        entries.map(|entry| (entry.name.as_str(), &entry.place, &entry.options))
    }

    /// The same place with the account its store names.
    pub fn resolved(&self, place: &Remote) -> Result<Remote> {
        match self.entry(place) {
            Some((_, entry)) => fill_in(place, entry),
            None => Ok(place.clone()),
        }
    }

    /// The bucket of a place, for paths from the bucket's root. It is opened once and shared.
    ///
    /// It refuses what lies below `adobe-managed-staging/`, and, where the operator vouches for a single writer,
    /// looks before it creates.
    ///
    /// Errors: `Config` for options that do not make a store, `Unavailable` for secrets that cannot be read. Nothing
    /// is asked of the service yet.
    pub fn open(&self, place: &Remote) -> Result<Opened> {
        let entry = self.entry(place);
        let place = match entry {
            Some((_, entry)) => fill_in(place, entry)?,
            None => place.clone(),
        };
        let key = (
            entry.map(|(index, _)| index),
            place.service(),
            place.bucket().to_owned(),
            place.account().cloned(),
        );
        let mut opened = self.inner.opened.lock();
        if let Some(found) = opened.get(&key) {
            return Ok(found.clone());
        }
        let (name, options) = match entry {
            Some((_, entry)) => (entry.name.as_str(), entry.options.clone()),
            None => (BY_ENVIRONMENT, StoreOptions::default()),
        };
        let mut options = completed(options, &place);
        if let (CredentialOptions::UnityCatalog(unity), Some((_, entry))) =
            (&mut options.credentials, entry)
        {
            let connected = unity.connect(&entry.place, &self.inner.connections);
            connected.map_err(|reason| Error::InvalidStore {
                store: name.to_owned(),
                reason,
            })?;
        }
        let mut bucket = (self.inner.open)(name, &place, &options)?;
        if options.single_writer {
            bucket.store = Arc::new(SingleWriter::new(bucket.store));
        }
        bucket.store = Arc::new(Guard::new(bucket.store));
        opened.insert(key, bucket.clone());
        Ok(bucket)
    }

    /// The folder or prefix that a text names (see [`Place::parse`]), with its store.
    pub fn locate(&self, place: &str) -> Result<TableLocation> {
        let Folder {
            url, store, root, ..
        } = Folder::open(place, self)?;
        Ok(TableLocation { url, store, root })
    }

    /// The one spelling of a place, for comparing two; a text that is no place stays as it is.
    pub fn canonical(&self, place: &str) -> String {
        match Place::parse(place) {
            Ok(Place::Remote(remote)) => self.resolved(&remote).unwrap_or(remote).url().to_string(),
            Ok(local) => local.to_string(),
            Err(_) => place.to_owned(),
        }
    }

    /// None where two serve it equally well: a URL without an account, and stores of two accounts.
    fn entry(&self, place: &Remote) -> Option<(usize, &Entry)> {
        let rank = |entry: &Entry| {
            let same_account = entry.place.account() == place.account();
            (entry.place.prefix().as_ref().len(), same_account)
        };
        let holders = self.inner.entries.iter().enumerate();
        let mut best: Vec<(usize, &Entry)> = Vec::new();
        for (index, entry) in holders.filter(|(_, entry)| entry.place.holds(place)) {
            match best.first().map(|(_, best)| rank(best).cmp(&rank(entry))) {
                Some(Ordering::Greater) => continue,
                Some(Ordering::Less) => best.clear(),
                Some(Ordering::Equal) | None => {}
            }
            best.push((index, entry));
        }
        match best.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}

impl Default for Stores {
    /// No `[stores]`: everything by the environment.
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                entries: Vec::new(),
                open,
                connections: Connections::default(),
                opened: Mutex::default(),
            }),
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.inner.entries.iter().map(|entry| &entry.name);
        f.debug_tuple("Stores")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}

fn fill_in(place: &Remote, entry: &Entry) -> Result<Remote> {
    match (place.account(), entry.place.account()) {
        (None, Some(account)) => place.with_account(account),
        _ => Ok(place.clone()),
    }
}

/// The options with what follows from the place.
fn completed(mut options: StoreOptions, place: &Remote) -> StoreOptions {
    if let Some(account) = place.account()
        && !account.is_public()
    {
        options.endpoint.get_or_insert_with(|| account.endpoint());
    }
    options
}

fn open(name: &str, place: &Remote, options: &StoreOptions) -> Result<Opened> {
    match place.service() {
        Service::S3 => s3::open(name, place.bucket(), options),
        Service::Azure => {
            let account = place.account().map(|account| account.name.as_str());
            azure::open(name, place.bucket(), account, options)
        }
    }
}

#[cfg(test)]
mod tests;
