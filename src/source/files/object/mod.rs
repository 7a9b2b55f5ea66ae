//! Objects as inputs: listed, read in blocks fetched ahead, and never two states of one object mixed.
//!
//! In: URLs of objects, folders and patterns (`url`), an [`InputStores`] that serves them. Out: what
//! [`list`] finds, and [`Ahead`], whose bytes the readers of every format take as they take a file's;
//! Parquet, which does not read in order, takes them by `chunks`.
//!
//! What holds: every answer is of the state that the manifest remembers (by etag, by time of change where
//! there is none; asked for with `If-Match` and judged again by what the answer says of itself). A store that does not
//! answer is asked until it does, from the first byte that is missing; only [`FilesError::Halted`] ends that. What it
//! refuses for good (4xx) is not asked again.

mod ahead;
mod chunks;
mod list;
mod url;

use super::{FileEntry, FilesError};
use crate::{error::Kind, source::slab, storage};
use ::url::Url;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Error as StoreError, GetOptions, ObjectMeta, ObjectStore, path::Path};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::Semaphore;

pub(crate) use ahead::{Ahead, ReadAhead};
pub(crate) use chunks::ObjectChunks;
pub(crate) use list::list;
pub(crate) use url::ObjectUrl;

/// Requests of one object at a time.
const REQUESTS: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// object_store's words, whose type is private, for an answer that is not 206.
const NOT_PARTIAL: &str = "Received non-partial response when range requested";

/// What serves the URLs of inputs.
pub trait InputStores: fmt::Debug + Send + Sync {
    /// The store of a URL without patterns or encoded characters, and the place in it. Nothing is asked of
    /// the store yet.
    ///
    /// # Errors
    /// A URL of no store, or one that no configured store may serve.
    fn open_url(&self, url: &str) -> storage::Result<Served>;
}

impl InputStores for storage::Stores {
    fn open_url(&self, url: &str) -> storage::Result<Served> {
        let storage::TableLocation { url, store, root } = self.locate(url)?;
        Ok(Served {
            store,
            path: root,
            url,
        })
    }
}

/// A place in an object store.
#[derive(Clone, Debug)]
pub struct Served {
    pub store: Arc<dyn ObjectStore>,
    /// The folder or object; the root for a whole bucket.
    pub path: Path,
    /// The same as a URL, in the form that names it in a manifest.
    pub url: Url,
}

/// How an object was when it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) size: u64,
    pub(crate) modified_us: i64,
    pub(crate) etag: Option<String>,
}

/// One object in the one state that is read of it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) url: Arc<str>,
    store: Arc<dyn ObjectStore>,
    path: Path,
    state: State,
    /// The etag as answers spell it; Azure's listings leave its quotes out.
    etag: OnceLock<String>,
    requests: Semaphore,
}

impl Object {
    /// An object as it was listed.
    pub(crate) fn new(
        url: &str,
        state: State,
        stores: &dyn InputStores,
    ) -> Result<Self, FilesError> {
        let parsed = ObjectUrl::parse(url)?;
        let place = parsed.locate(stores)?;
        Ok(Self {
            url: url.into(),
            store: place.store,
            path: place.path,
            state,
            etag: OnceLock::new(),
            requests: Semaphore::new(REQUESTS),
        })
    }

    /// One of a manifest.
    pub(crate) fn of(file: &FileEntry, stores: &dyn InputStores) -> Result<Self, FilesError> {
        let state = State {
            size: file.size,
            modified_us: file.modified_us,
            etag: file.etag.clone(),
        };
        let object = Self::new(&file.url, state, stores)?;
        if let Some(etag) = &file.etag {
            object.etag.get_or_init(|| etag.clone());
        }
        Ok(object)
    }

    pub(crate) fn size(&self) -> u64 {
        self.state.size
    }

    /// The etag as the store's answers spell it, once one is known.
    pub(crate) fn seen_etag(&self) -> Option<&str> {
        self.etag.get().map(String::as_str)
    }

    /// That it still is as it was listed. For an object of which no byte is read.
    pub(crate) async fn check(&self) -> Result<(), FilesError> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let mut tries = Tries(0);
        loop {
            let answer = self.store.get_opts(&self.path, options.clone()).await;
            match answer.map_err(|e| self.refused(e)) {
                Ok(answer) => return self.accept(&answer.meta),
                Err(e) => tries.pause(e, false).await?,
            }
        }
    }

    /// The bytes of a range that is not empty. Asks until it has them.
    ///
    /// Errors: [`FilesError::ChangedWhileRead`], [`FilesError::ObjectGone`], [`FilesError::Refused`],
    /// [`FilesError::NoRanges`], a missing right.
    async fn fetch(&self, range: Range<u64>) -> Result<Bytes, FilesError> {
        let wanted = usize::try_from(range.end - range.start)
            .map_err(|e| FilesError::Task(e.to_string()))?;
        let _turn = self.requests.acquire().await;
        let (mut buffer, mut tries) = (slab::take(wanted), Tries(0));
        loop {
            let before = buffer.len();
            match self.fill(&range, wanted, &mut buffer).await {
                Ok(()) => return Ok(slab::share(buffer)),
                Err(e) => tries.pause(e, buffer.len() > before).await?,
            }
        }
    }

    /// Asks once for what a buffer lacks of a range. It keeps what came before an error.
    async fn fill(
        &self,
        range: &Range<u64>,
        wanted: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), FilesError> {
        let start = buffer.len();
        let mut body = self.get(range.start + start as u64..range.end).await?;
        // To its end, so that the connection can be used again.
        loop {
            let part = match body.try_next().await {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(_) if buffer.len() == wanted => break,
                Err(e) => return Err(self.failed(e)),
            };
            if buffer.len() + part.len() > wanted {
                buffer.truncate(start);
                return Err(self.unlike("more bytes than were asked for"));
            }
            buffer.extend_from_slice(&part);
        }
        match buffer.len() == wanted {
            true => Ok(()),
            false => Err(self.unlike("fewer bytes than were asked for")),
        }
    }

    async fn get(
        &self,
        range: Range<u64>,
    ) -> Result<impl futures::Stream<Item = object_store::Result<Bytes>> + Unpin, FilesError> {
        let options = GetOptions {
            // A weak tag never matches, by the rules of HTTP; the answer is judged by it all the same.
            if_match: self
                .seen_etag()
                .filter(|e| !e.starts_with("W/"))
                .map(str::to_owned),
            range: Some(range.clone().into()),
            ..GetOptions::default()
        };
        let answer = self.store.get_opts(&self.path, options).await;
        let answer = answer.map_err(|e| self.refused(e))?;
        self.accept(&answer.meta)?;
        if answer.range != range {
            return Err(self.unlike("another range than was asked for"));
        }
        Ok(answer.into_stream())
    }

    /// Whether an answer is of the state that was listed.
    fn accept(&self, meta: &ObjectMeta) -> Result<(), FilesError> {
        let seconds = |us: i64| us.div_euclid(1_000_000);
        let same = match (&self.state.etag, &meta.e_tag) {
            (Some(listed), Some(now)) => same_etag(listed, now),
            // Listings may tell a time more precisely than answers do.
            _ => meta.last_modified.timestamp() == seconds(self.state.modified_us),
        };
        if !same || meta.size != self.state.size {
            return Err(FilesError::ChangedWhileRead(self.url.to_string()));
        }
        if let Some(etag) = &meta.e_tag {
            self.etag.get_or_init(|| etag.clone());
        }
        Ok(())
    }

    /// The error of a request, for which the credential was renewed if it had ended. One of a body that breaks off
    /// may be of an ended credential still.
    fn refused(&self, source: StoreError) -> FilesError {
        // An error that the store's dialect understood says neither: its kind counts.
        let text = source.to_string();
        if text.contains(NOT_PARTIAL) {
            return FilesError::NoRanges(self.url.to_string());
        }
        let generic = matches!(source, StoreError::Generic { .. });
        match storage::explain::status(&text).filter(|_| generic) {
            // It ends before the range does.
            Some(416) => FilesError::ChangedWhileRead(self.url.to_string()),
            Some(408 | 429) => self.failed(source),
            // S3 says 400 of a connection that was idle for too long.
            Some(400) if text.contains("<Code>RequestTimeout</Code>") => self.failed(source),
            Some(400..=499) => FilesError::Refused {
                path: self.url.to_string(),
                source,
            },
            _ => self.failed(source),
        }
    }

    fn failed(&self, source: StoreError) -> FilesError {
        match source {
            StoreError::Precondition { .. } => FilesError::ChangedWhileRead(self.url.to_string()),
            StoreError::NotFound { .. } => FilesError::ObjectGone(self.url.to_string()),
            source => FilesError::Object {
                action: "reading an object",
                path: self.url.to_string(),
                source,
            },
        }
    }

    fn unlike(&self, problem: &'static str) -> FilesError {
        self.failed(StoreError::Generic {
            store: "input",
            source: format!("the answer has {problem}").into(),
        })
    }
}

/// How often in a row nothing came.
struct Tries(u32);

impl Tries {
    /// Waits before the next try; whatever a try cannot mend is given back.
    async fn pause(&mut self, error: FilesError, progress: bool) -> Result<(), FilesError> {
        if error.kind() != Kind::Unavailable {
            return Err(error);
        }
        self.0 = if progress {
            1
        } else {
            self.0.saturating_add(1)
        };
        let pause = backoff(self.0);
        tracing::warn!(%error, attempt = self.0, ?pause, "an input is asked for again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether two etags are one; where they come from decides whether they are quoted.
pub(crate) fn same_etag(a: &str, b: &str) -> bool {
    let bare = |etag: &str| etag.trim_start_matches("W/").trim_matches('"').to_owned();
    bare(a) == bare(b)
}

/// The pause before the n-th repetition, from 1: twice as long each time, up to a limit, with jitter.
fn backoff(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(1 << attempt.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
