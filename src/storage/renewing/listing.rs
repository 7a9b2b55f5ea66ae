//! Lists in pages, across the end of a credential.

use super::{Core, Operation};
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{ObjectMeta, ObjectStore, Result, path::Path};
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

struct Listing<S> {
    core: Arc<Core<S>>,
    prefix: Option<Path>,
    /// Where the list goes on: after the last item given, or where it began.
    after: Option<Path>,
    /// What was given, of a store whose lists are in an order of their own.
    given: Option<HashSet<[u64; 2]>>,
    items: BoxStream<'static, Result<ObjectMeta>>,
    /// The credential's generation before the page that comes next was asked for.
    seen: u64,
    /// Whether it was begun anew since the last item given.
    again: bool,
    done: bool,
}

/// The objects below `prefix` in the store's order, those after `after`. When the credential ends it goes on after the
/// last item given; where the order is not that of the names it begins anew, and what was given is not given again.
pub(super) fn list<S: ObjectStore>(
    core: &Arc<Core<S>>,
    prefix: Option<Path>,
    after: Option<Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let listing = Listing {
        items: items(core, prefix.as_ref(), after.as_ref()),
        seen: core.credentials.generation(),
        given: (!core.dialect.lists_in_byte_order()).then(HashSet::new),
        core: Arc::clone(core),
        prefix,
        after,
        again: false,
        done: false,
    };
    stream::unfold(listing, next).boxed()
}

fn items<S: ObjectStore>(
    core: &Core<S>,
    prefix: Option<&Path>,
    after: Option<&Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    match after {
        Some(after) => core.store.list_with_offset(prefix, after),
        None => core.store.list(prefix),
    }
}

/// Of many millions of names no two share one.
fn fingerprint(path: &Path) -> [u64; 2] {
    [1_u8, 2].map(|half| {
        let mut hasher = DefaultHasher::new();
        half.hash(&mut hasher);
        path.as_ref().hash(&mut hasher);
        hasher.finish()
    })
}

async fn next<S: ObjectStore>(mut listing: Listing<S>) -> Option<(Result<ObjectMeta>, Listing<S>)> {
    while !listing.done {
        let error = match listing.items.next().await? {
            Ok(item) => {
                listing.seen = listing.core.credentials.generation();
                let is_new = match &mut listing.given {
                    Some(given) => given.insert(fingerprint(&item.location)),
                    None => {
                        listing.after = Some(item.location.clone());
                        true
                    }
                };
                if !is_new {
                    continue;
                }
                listing.again = false;
                return Some((Ok(item), listing));
            }
            Err(error) => error,
        };
        if !listing.again && listing.core.renewed(listing.seen, &error).await {
            listing.again = true;
            listing.seen = listing.core.credentials.generation();
            let (prefix, after) = (listing.prefix.as_ref(), listing.after.as_ref());
            listing.items = items(&listing.core, prefix, after);
        } else {
            listing.done = true;
            let prefix = listing.prefix.as_ref();
            let error = listing.core.dialect.explain(Operation::List, prefix, error);
            return Some((Err(error), listing));
        }
    }
    None
}
