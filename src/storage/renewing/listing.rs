//! Lists in pages, across the end of a credential.

use super::{Core, Operation};
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{ObjectMeta, ObjectStore, Result, path::Path};
use std::sync::Arc;

struct Listing<S> {
    core: Arc<Core<S>>,
    prefix: Option<Path>,
    /// The last item given, or where the list began.
    after: Option<Path>,
    items: BoxStream<'static, Result<ObjectMeta>>,
    /// The credential's generation before the page that comes next was asked for.
    seen: u64,
    /// Whether it was begun anew since the last item.
    again: bool,
    done: bool,
}

/// The objects below `prefix` in the order of their names, after `after`. When the credential ends it goes on after
/// the last item given.
pub(super) fn list<S: ObjectStore>(
    core: &Arc<Core<S>>,
    prefix: Option<Path>,
    after: Option<Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let listing = Listing {
        items: items(core, prefix.as_ref(), after.as_ref()),
        seen: core.credentials.generation(),
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

async fn next<S: ObjectStore>(mut listing: Listing<S>) -> Option<(Result<ObjectMeta>, Listing<S>)> {
    while !listing.done {
        let error = match listing.items.next().await? {
            Ok(item) => {
                listing.after = Some(item.location.clone());
                listing.seen = listing.core.credentials.generation();
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
