//! Links to results that lie in the cloud's own storage.

use crate::secret::Secret;
use serde::Deserialize;
use std::fmt;

/// A presigned URL. Whoever has it may read, so it is not printed and our token is not sent along.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ExternalUrl(Secret);

impl ExternalUrl {
    pub fn new(url: &str) -> Self {
        Self(Secret::new(url))
    }

    /// The URL itself, for the request.
    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Shows the host alone.
impl fmt::Debug for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = url::Url::parse(self.0.expose()).ok();
        let host = url.as_ref().and_then(url::Url::host_str);
        write!(f, "[redacted, host={}]", host.unwrap_or("?"))
    }
}
