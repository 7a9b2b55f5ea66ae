//! What Alluvium asks of a store, asked of it: with the credential it will use, on objects that are removed again.
//!
//! Steps go on after one that was refused, so that every missing right is told at once; they end where all would be
//! answered alike (no way there, a credential that is no good). What was made is removed also after a step that
//! hangs, and what earlier probes could not remove is, once it is a day old.
//!
//! Past 500 lines: the steps are one after the other, and each is to be taken back.

use super::{
    Section,
    rights::{Provider, Right, Trouble, named, trouble, words},
};
use crate::{
    error::Kind,
    storage::{TableLocation, kind_of},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{
    Error, MultipartUpload, ObjectMeta, ObjectStoreExt, PutMode, PutPayload, path::Path,
};
use std::time::Duration;

/// What probes name their objects; whatever else lies in the folder is not touched.
const PREFIX: &str = "probe-";
/// What a daemon's start names its own.
const OF_STARTS: &str = "start-";
/// How old a leftover is when no probe can still be at work on it.
const LEFTOVER_AGE: TimeDelta = TimeDelta::days(1);
/// How long the removal of what was made may take.
const CLEANING: Duration = Duration::from_secs(10);
/// The least that S3 takes as a part that is not the last.
const PART_BYTES: usize = 5 << 20;
/// Requests at once where a thousand objects are made.
const AT_ONCE: usize = 32;
const CONTENT: &str = "alluvium check";

/// Where to probe, and for what.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The folder of probes; its objects alone are written and removed.
    pub(super) location: TableLocation,
    pub(super) provider: Provider,
    /// Tables are written here. Elsewhere, as where a backfill reads, a right to write is not missed.
    pub(super) holds_tables: bool,
    /// The operator vouches that there is one writer: whether the store is conditional does not show.
    pub(super) is_vouched: bool,
    /// Makes so many objects that a listing has two pages.
    pub(super) thorough: bool,
    pub(super) limit: Duration,
}

impl Target {
    /// How many objects a listing brings in one answer.
    fn page(&self) -> usize {
        match self.provider {
            Provider::S3 => 1_000,
            Provider::Disk => 0,
            _ => 5_000,
        }
    }
}

/// Probes and removes what it made. Takes [`Target::limit`] and a little more at most.
pub(super) async fn probe(section: &mut Section, target: &Target) {
    let mut probe = Probe {
        target,
        id: uuid::Uuid::new_v4().simple().to_string(),
        made: Vec::new(),
        upload: None,
        may_delete: true,
    };
    if tokio::time::timeout(target.limit, probe.steps(section))
        .await
        .is_err()
    {
        section.fault(
            Kind::Unavailable,
            format!(
                "no answer within {} seconds, url=`{}`",
                target.limit.as_secs(),
                target.location.url
            ),
            "look whether the disk or service hangs, and check again",
        );
    }
    if tokio::time::timeout(CLEANING, probe.clean(section))
        .await
        .is_err()
    {
        probe.left(section, "the store did not answer in time");
    }
}

struct Probe<'a> {
    target: &'a Target,
    id: String,
    /// What may be there and is to be removed.
    made: Vec<Path>,
    /// An upload that is neither completed nor aborted.
    upload: Option<Box<dyn MultipartUpload>>,
    may_delete: bool,
}

/// Whether steps go on.
type Onward = Result<(), ()>;

impl Probe<'_> {
    /// The end is told by the section's lines; where it comes early there is nothing more to learn.
    async fn steps(&mut self, section: &mut Section) {
        let _ = self.all(section).await;
    }

    async fn all(&mut self, section: &mut Section) -> Onward {
        let first = self.path("")?;
        let is_there = self.create(section, &first).await?;
        self.read(section, &first, is_there).await?;
        self.list(section, &first, is_there).await?;
        self.in_parts(section).await?;
        if self.target.thorough {
            self.pages(section).await?;
        }
        self.leftovers(section, Utc::now()).await?;
        self.delete(section, &first, is_there).await
    }

    fn path(&self, more: &str) -> Result<Path, ()> {
        let name = format!("{PREFIX}{}{more}", self.id);
        self.target.location.object_path(&name).map_err(|_| ())
    }

    /// Tells of an error, and whether steps go on.
    fn refused(&self, section: &mut Section, right: Right, doing: &str, error: &Error) -> Onward {
        let told = words(error);
        let url = &self.target.location.url;
        let provider = self.target.provider;
        let trouble = trouble(error);
        if trouble != Trouble::Right {
            section.fault(
                kind_of(error),
                format!("{doing} fails: {told}, url=`{url}`"),
                match provider {
                    Provider::Disk => "look at the disk and its file system",
                    _ => "look at the store's address, its bucket or container, and its credentials in [stores.NAME]",
                },
            );
            return match trouble {
                Trouble::Everything => Err(()),
                _ => Ok(()),
            };
        }
        let (name, what) = match (provider, named(error)) {
            (Provider::S3 | Provider::AzureSignature, Some(name)) => {
                (name, format!("{doing} is refused: {told}, url=`{url}`"))
            }
            _ => {
                let name = right.name(provider);
                let what = format!("{doing} is refused, {name} is missing: {told}, url=`{url}`");
                (name, what)
            }
        };
        let remedy = format!("grant {name}: {}", right.why());
        let is_read = matches!(right, Right::Read | Right::List);
        if right.is_dispensable() {
            section.warn(what, remedy);
        } else if self.target.holds_tables || is_read {
            section.fault(Kind::Unauthorized, what, remedy);
        } else {
            section.note(format!("{doing} is refused ({name}); no table of the configuration lies here, so it is not needed"));
        }
        Ok(())
    }

    /// A commit in small. Whether the object is there.
    async fn create(&mut self, section: &mut Section, path: &Path) -> Result<bool, ()> {
        let target = self.target;
        let store = &target.location.store;
        let create = || store.put_opts(path, CONTENT.into(), PutMode::Create.into());
        self.made.push(path.clone());
        if let Err(error) = create().await {
            if is_unsupported(&error) {
                self.not_conditional(section, &words(&error));
            } else {
                self.refused(section, Right::Create, "creating an object", &error)?;
            }
            return Ok(false);
        }
        section.fine("objects can be created");
        match create().await {
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) if target.is_vouched => section.warn(
                "that no two writers take one version rests on the operator's word (single_writer = true)",
                "run one daemon alone; where the store has conditional puts, take the key away",
            ),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => section.fine(
                "a second create of the same name fails, so two writers cannot take one version",
            ),
            Ok(_) => self.not_conditional(section, "an object can be created twice"),
            Err(error) => {
                self.refused(section, Right::Create, "creating an object twice", &error)?
            }
        }
        match store.put(path, CONTENT.into()).await {
            Ok(_) => section.fine("an object can be replaced"),
            Err(error) => {
                self.refused(section, Right::Overwrite, "replacing an object", &error)?;
            }
        }
        Ok(true)
    }

    fn not_conditional(&self, section: &mut Section, why: &str) {
        let url = &self.target.location.url;
        if !self.target.holds_tables {
            section.note(format!(
                "the store does not create an object only where none is, so no table may be put here: {why}"
            ));
            return;
        }
        section.fault(
            Kind::Unsupported,
            format!("the store does not create an object only where none is: {why}, url=`{url}`"),
            "use storage with conditional creation: on this one two writers would overwrite each other's versions; \
             with one writer alone, say single_writer = true in its [stores.NAME]",
        );
    }

    async fn read(&mut self, section: &mut Section, path: &Path, is_there: bool) -> Onward {
        let store = &self.target.location.store;
        let url = &self.target.location.url;
        match store.head(path).await {
            Ok(found) if found.size == CONTENT.len() as u64 => {}
            Ok(found) => section.fault(
                Kind::Corrupt,
                format!(
                    "an object has another size than was written, bytes=`{}` url=`{url}`",
                    found.size
                ),
                "look at the store, or at what lies between; do not land events here",
            ),
            Err(Error::NotFound { .. }) if !is_there => {}
            Err(error) => {
                return self.refused(section, Right::Read, "looking at an object", &error);
            }
        }
        let read = async { store.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) if bytes == CONTENT.as_bytes() => section.fine("what was written reads back"),
            Ok(_) => section.fault(
                Kind::Corrupt,
                format!("what was written does not read back, url=`{url}`"),
                "look at the disk or the network file system below; do not land events here",
            ),
            Err(Error::NotFound { .. }) if !is_there => {}
            Err(error) => self.refused(section, Right::Read, "reading an object", &error)?,
        }
        Ok(())
    }

    async fn list(&mut self, section: &mut Section, path: &Path, is_there: bool) -> Onward {
        let location = &self.target.location;
        let store = &location.store;
        let flat: Result<Vec<ObjectMeta>, Error> =
            store.list(Some(&location.root)).try_collect().await;
        let found = match flat {
            Ok(found) => found,
            Err(error) => return self.refused(section, Right::List, "listing objects", &error),
        };
        if let Err(error) = store.list_with_delimiter(Some(&location.root)).await {
            return self.refused(section, Right::List, "listing folders", &error);
        }
        // As the log's newest versions are found. It begins after the offset, which a name just before is.
        let before = Path::parse(format!("{}/{PREFIX}", location.root)).map_err(|_| ())?;
        let after = store.list_with_offset(Some(&location.root), &before);
        let after: Vec<ObjectMeta> = match after.try_collect().await {
            Ok(after) => after,
            Err(error) => return self.refused(section, Right::List, "listing objects", &error),
        };
        let has = |listed: &[ObjectMeta]| listed.iter().any(|object| object.location == *path);
        if !is_there {
            section.fine("objects can be listed");
        } else if has(&found) && has(&after) {
            section.fine("listing shows it");
        } else {
            section.fault(
                Kind::Unsupported,
                format!("listing does not show an object just written, url=`{}`", location.url),
                "use storage whose listings are consistent: versions of a table are found by listing",
            );
        }
        Ok(())
    }

    /// One upload given up after its first part, one completed.
    async fn in_parts(&mut self, section: &mut Section) -> Onward {
        let target = self.target;
        let store = &target.location.store;
        let (aborted, completed) = (self.path("-aborted")?, self.path("-parts")?);
        self.made.extend([aborted.clone(), completed.clone()]);
        match store.put_multipart(&aborted).await {
            Ok(upload) => self.upload = Some(upload),
            Err(error) => {
                return self.refused(section, Right::Multipart, "an upload in parts", &error);
            }
        }
        let part = PutPayload::from(vec![0; PART_BYTES]);
        if let Some(upload) = &mut self.upload
            && let Err(error) = upload.put_part(part.clone()).await
        {
            return self.refused(section, Right::Multipart, "a part of an upload", &error);
        }
        // Kept until it is answered: at the limit of time it is given up once more.
        let aborted = match &mut self.upload {
            Some(upload) => Some(upload.abort().await),
            None => None,
        };
        self.upload = None;
        if let Some(answer) = aborted {
            match answer {
                Ok(()) => section.fine("an upload in parts can be given up"),
                // Azure forgets blocks that are not committed by itself.
                Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => {}
                Err(error) => self.refused(
                    section,
                    Right::Abort,
                    "giving up an upload in parts",
                    &error,
                )?,
            }
        }
        match store.put_multipart(&completed).await {
            Ok(upload) => self.upload = Some(upload),
            Err(error) => {
                return self.refused(section, Right::Multipart, "an upload in parts", &error);
            }
        }
        let sent = match &mut self.upload {
            None => return Ok(()),
            Some(upload) => {
                async {
                    upload.put_part(part).await?;
                    upload.put_part(CONTENT.into()).await?;
                    upload.complete().await
                }
                .await
            }
        };
        if let Err(error) = sent {
            return self.refused(
                section,
                Right::Multipart,
                "completing an upload in parts",
                &error,
            );
        }
        self.upload = None;
        match store.head(&completed).await {
            Ok(found) if found.size == (PART_BYTES + CONTENT.len()) as u64 => {
                section.fine("an upload in parts can be completed");
            }
            Ok(found) => section.fault(
                Kind::Corrupt,
                format!(
                    "an upload in parts has another size than its parts, bytes=`{}` url=`{}`",
                    found.size, target.location.url
                ),
                "look at the store, or at what lies between; do not land events here",
            ),
            // Told before.
            Err(_) => {}
        }
        Ok(())
    }

    /// A listing of more objects than one answer holds.
    async fn pages(&mut self, section: &mut Section) -> Onward {
        let count = self.target.page() + 1;
        if count == 1 {
            return Ok(());
        }
        let location = &self.target.location;
        let folder = self.path("-pages")?;
        let paths: Vec<Path> = (0..count)
            .map(|n| folder.clone().join(format!("{n:05}")))
            .collect();
        self.made.extend(paths.iter().cloned());
        let put = |path: Path| async move { location.store.put(&path, CONTENT.into()).await };
        let made = stream::iter(paths).map(put).buffer_unordered(AT_ONCE);
        if let Err(error) = made.try_for_each(|_| async { Ok(()) }).await {
            return self.refused(section, Right::Create, "creating many objects", &error);
        }
        let listed = location.store.list(Some(&folder));
        match listed.try_fold(0, |n, _| async move { Ok(n + 1) }).await {
            Ok(found) if found == count => {
                section.fine(format!("a listing of {count} objects, over two pages, is whole"));
            }
            Ok(found) => section.fault(
                Kind::Unsupported,
                format!(
                    "a listing of more than a page is not whole, objects=`{count}` listed=`{found}` url=`{}`",
                    location.url
                ),
                "use storage whose listings are consistent: versions of a table are found by listing",
            ),
            Err(error) => self.refused(section, Right::List, "listing over two pages", &error)?,
        }
        Ok(())
    }

    /// Removes what other probes could not.
    async fn leftovers(&mut self, section: &mut Section, now: DateTime<Utc>) -> Onward {
        let location = &self.target.location;
        let listed: Result<Vec<ObjectMeta>, Error> = location
            .store
            .list(Some(&location.root))
            .try_collect()
            .await;
        let is_ours = |object: &ObjectMeta| {
            let parts = object.location.prefix_match(&location.root);
            let name = parts.and_then(|mut parts| parts.next());
            name.is_some_and(|name| {
                [PREFIX, OF_STARTS]
                    .iter()
                    .any(|ours| name.as_ref().starts_with(ours))
            })
        };
        // That listing is refused was told.
        let old = listed.unwrap_or_default().into_iter();
        let old: Vec<Path> = old
            .filter(|object| object.last_modified < now - LEFTOVER_AGE && is_ours(object))
            .map(|object| object.location)
            .collect();
        if !old.is_empty() {
            section.note(format!(
                "{} of earlier checks removed",
                super::super::text::count(old.len() as u64, "leftover", "leftovers")
            ));
            self.made.extend(old);
        }
        Ok(())
    }

    async fn delete(&mut self, section: &mut Section, path: &Path, is_there: bool) -> Onward {
        match self.target.location.store.delete(path).await {
            Ok(()) => {
                self.made.retain(|made| made != path);
                match is_there {
                    true => section.fine("and it can be deleted"),
                    false => section.fine("objects can be deleted"),
                }
            }
            Err(Error::NotFound { .. }) if !is_there => {}
            Err(error) => {
                self.may_delete = trouble(&error) != Trouble::Right;
                self.refused(section, Right::Delete, "deleting an object", &error)?;
            }
        }
        Ok(())
    }

    async fn clean(&mut self, section: &mut Section) {
        if let Some(mut upload) = self.upload.take() {
            let _ = upload.abort().await;
        }
        if !self.may_delete {
            return self.left(section, "the right to delete is missing");
        }
        let paths: Vec<_> = self.made.iter().cloned().map(Ok).collect();
        let mut deleted = self
            .target
            .location
            .store
            .delete_stream(stream::iter(paths).boxed());
        let mut fault = None;
        while let Some(answer) = deleted.next().await {
            match answer {
                Ok(path) => self.made.retain(|made| *made != path),
                Err(Error::NotFound { .. }) => {}
                Err(error) => fault = Some(words(&error)),
            }
        }
        if let Some(why) = fault {
            self.left(section, &why);
        }
    }

    /// A folder that could not be cleaned. Where nothing could be made this says nothing.
    fn left(&self, section: &mut Section, why: &str) {
        let made_any = section
            .lines
            .iter()
            .any(|line| matches!(line, super::section::Line::Fine(_)));
        if made_any {
            section.note(format!(
                "objects of this check may stay: {why}; a check after a day removes them, or do so yourself, url=`{}`",
                self.target.location.url
            ));
        }
    }
}

fn is_unsupported(error: &Error) -> bool {
    matches!(
        error,
        Error::NotSupported { .. } | Error::NotImplemented { .. }
    ) || kind_of(error) == Kind::Unsupported
}

#[cfg(test)]
mod tests;
