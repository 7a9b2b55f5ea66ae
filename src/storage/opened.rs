//! A store that is ready for use.

use object_store::ObjectStore;
use std::sync::Arc;

/// A bucket or container with the credentials it is reached with.
#[derive(Clone, Debug)]
pub struct Opened {
    pub store: Arc<dyn ObjectStore>,
    /// What it authenticates as, for `check` and logs; no secret.
    pub identity: String,
}
