//! Which objects an input names.

use super::{
    super::{FilesError, format::is_known_name, inputs::Found},
    InputStores, backoff,
    url::{Located, ObjectUrl, names},
};
use crate::{error::Kind, storage};
use futures::{TryStreamExt, future::join_all};
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path as NamePath,
};

/// Tries of one listing before it is given up: a person waits for it.
const ATTEMPTS: u32 = 6;
/// Objects asked for at a time.
const HEADS: usize = 16;

/// Adds what a canonical input names now; whether there was any.
///
/// A URL without a pattern is an object or, if there is none, a folder; one that ends in `/` is a
/// folder. Folders stand for the objects of known formats below them. Left out everywhere: names that
/// begin with `.` or `_` where the input does not spell that out, and the marks of folders. Those are empty objects
/// of no known format, those below whose name others are (WASB), and those that are listed under a name without the
/// slash at its end (consoles).
pub(crate) async fn list(
    input: &str,
    stores: &dyn InputStores,
    found: &mut BTreeMap<String, Found>,
) -> Result<bool, FilesError> {
    let url = ObjectUrl::parse(input)?;
    let place = url.locate(stores)?;
    let (mut refused, mut empty) = (None, None);
    if place.pattern.is_empty() && !place.folder {
        match again(|| the_object(&place)).await {
            Ok(Some(file)) if file.size > 0 => {
                found.insert(file.path.clone(), file);
                return Ok(true);
            }
            // An empty one may be the mark of a folder.
            Ok(object) => empty = object,
            // Who may not list a bucket is refused what is not there, too.
            Err(e) if e.kind() == Kind::Unauthorized => refused = Some(e),
            Err(e) => return Err(e),
        }
    }
    let (listed, any) = match again(|| below(&place)).await {
        Ok(listed) => listed,
        Err(e) if empty.is_some() && e.kind() == Kind::Unauthorized => (Vec::new(), false),
        Err(e) => return Err(refused.unwrap_or(e)),
    };
    if let Some(file) = empty.filter(|_| !any) {
        found.insert(file.path.clone(), file);
        return Ok(true);
    }
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

/// The inputs below a place, and whether anything is there at all.
async fn below(place: &Located<'_>) -> Result<(Vec<Found>, bool), FilesError> {
    let depth = place.path.parts().count();
    let prefix = (!place.path.is_root()).then_some(&place.path);
    let mut objects = place.store.list(prefix);
    let (mut all, mut any) = (Vec::new(), false);
    let mut empty: Vec<ObjectMeta> = Vec::new();
    // Those whose names could be files' too.
    let mut folders: BTreeSet<String> = BTreeSet::new();
    while let Some(meta) = objects
        .try_next()
        .await
        .map_err(|source| failed(place, "listing objects", source))?
    {
        let key: &str = meta.location.as_ref();
        for (at, _) in key.match_indices('/') {
            let folder = &key[..at];
            if is_known_name(NamePath::new(folder)) && !folders.contains(folder) {
                folders.insert(folder.to_owned());
            }
        }
        let below: Vec<&str> = key.split('/').skip(depth).collect();
        any |= !below.is_empty();
        let known = is_known_name(NamePath::new(key));
        let plain = known || meta.size > 0;
        if below.is_empty() || !names(place.pattern, &below, plain, known) {
            continue;
        }
        match meta.size {
            0 => empty.push(meta),
            _ => all.push(describe(place, meta)),
        }
    }
    empty.retain(|meta| {
        let key: &str = meta.location.as_ref();
        !folders.contains(key)
    });
    for meta in present(place, empty).await? {
        all.push(describe(place, meta));
    }
    Ok((all, any))
}

/// Those that are there by the name they are listed under: `a.json/` is listed as `a.json`, which nobody can read.
async fn present(
    place: &Located<'_>,
    empty: Vec<ObjectMeta>,
) -> Result<Vec<ObjectMeta>, FilesError> {
    let mut there = Vec::with_capacity(empty.len());
    for group in empty.chunks(HEADS) {
        let heads = group.iter().map(|meta| place.store.head(&meta.location));
        let answers = join_all(heads).await;
        for (meta, answer) in group.iter().zip(answers) {
            match answer {
                Ok(_) => there.push(meta.clone()),
                Err(StoreError::NotFound { .. }) => {}
                // Whoever reads it is told.
                Err(e) if storage::kind_of(&e) == Kind::Unauthorized => there.push(meta.clone()),
                Err(source) => return Err(failed(place, "asking for an object", source)),
            }
        }
    }
    Ok(there)
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
    let path = place.canonical();
    match source {
        StoreError::InvalidPath { source } => FilesError::BadObjectName { path, source },
        source => FilesError::Object {
            action,
            path,
            source,
        },
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
