//! A store that is ready for use.

use super::credentials::Renewable;
use object_store::ObjectStore;
use std::sync::Arc;

/// A bucket or container with the credentials it is reached with.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its objects, by their keys in the bucket. Renews its credentials when they end; its errors are ours
    /// ([`super::explain`]).
    pub store: Arc<dyn ObjectStore>,
    /// What it authenticates as, for `check` and logs; no secret.
    pub identity: String,
    /// The credentials, if they can be renewed.
    pub credentials: Option<Arc<dyn Renewable>>,
}
