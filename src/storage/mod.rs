//! Object stores by URL, durable on a local disk.

use object_store::{ObjectStore, path::Path};
use std::sync::Arc;
use url::Url;

/// Where a table is: a store and the table's root in it.
#[derive(Clone, Debug)]
pub struct TableLocation {
    pub url: Url,
    pub store: Arc<dyn ObjectStore>,
    pub root: Path,
}
