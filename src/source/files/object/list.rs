//! Which objects an input names.

use super::{
    super::{FilesError, format::is_known_name, inputs::Found},
    InputStores, backoff,
    url::{Located, ObjectUrl, names},
};
use crate::error::Kind;
use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use std::{collections::BTreeMap, path::Path as NamePath};

/// Tries of one listing before it is given up: a person waits for it.
const ATTEMPTS: u32 = 6;

/// Adds what a canonical input names now; whether there was any.
///
/// A URL without a pattern is an object or, if there is none, a folder; one that ends in `/` is a
/// folder. Folders stand for the objects of known formats below them. Left out everywhere: names that
/// begin with `.` or `_` where the input does not spell that out, and empty objects of no known format, which
/// are the marks of folders.
pub(crate) async fn list(
    input: &str,
    stores: &dyn InputStores,
    found: &mut BTreeMap<String, Found>,
) -> Result<bool, FilesError> {
    let url = ObjectUrl::parse(input)?;
    let place = url.locate(stores)?;
    let mut refused = None;
    if place.pattern.is_empty() && !place.folder {
        match again(|| the_object(&place)).await {
            Ok(Some(file)) => {
                found.insert(file.path.clone(), file);
                return Ok(true);
            }
            Ok(None) => {}
            // Who may not list a bucket is refused what is not there, too.
            Err(e) if e.kind() == Kind::Unauthorized => refused = Some(e),
            Err(e) => return Err(e),
        }
    }
    let listed = match again(|| below(&place)).await {
        Ok(listed) => listed,
        Err(e) => return Err(refused.unwrap_or(e)),
    };
    match (listed.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        (none, _) => {
            found.extend(listed.into_iter().map(|file| (file.path.clone(), file)));
            Ok(!none)
        }
    }
}

async fn the_object(place: &Located<'_>) -> Result<Option<Found>, FilesError> {
    match place.store.head(&place.path).await {
        Ok(meta) => Ok(Some(describe(place, meta))),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed(place, "asking for an object", source)),
    }
}

async fn below(place: &Located<'_>) -> Result<Vec<Found>, FilesError> {
    let depth = place.path.parts().count();
    let prefix = (!place.path.is_root()).then_some(&place.path);
    let mut objects = place.store.list(prefix);
    let mut all = Vec::new();
    while let Some(meta) = objects
        .try_next()
        .await
        .map_err(|source| failed(place, "listing objects", source))?
    {
        let below: Vec<&str> = meta.location.as_ref().split('/').skip(depth).collect();
        let known = is_known_name(NamePath::new(meta.location.as_ref()));
        let plain = known || meta.size > 0;
        if !below.is_empty() && names(place.pattern, &below, plain, known) {
            all.push(describe(place, meta));
        }
    }
    Ok(all)
}

fn describe(place: &Located<'_>, meta: ObjectMeta) -> Found {
    Found {
        path: place.url_of(&meta.location),
        size: meta.size,
        modified_us: meta.last_modified.timestamp_micros(),
        etag: meta.e_tag,
    }
}

fn failed(place: &Located<'_>, action: &'static str, source: StoreError) -> FilesError {
    FilesError::Object {
        action,
        path: place.canonical(),
        source,
    }
}

/// Tries a few times what may succeed later.
async fn again<T>(work: impl AsyncFn() -> Result<T, FilesError>) -> Result<T, FilesError> {
    let mut attempt = 0;
    loop {
        match work().await {
            Err(e) if e.kind() == Kind::Unavailable && attempt + 1 < ATTEMPTS => {
                attempt += 1;
                tracing::warn!(error = %e, attempt, "an object store did not answer a backfill");
                tokio::time::sleep(backoff(attempt)).await;
            }
            done => return done,
        }
    }
}
