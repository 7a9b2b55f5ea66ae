//! Credentials that end: where they come from ([`Source`]), and how they are kept fresh ([`Cached`]).
//!
//! What holds: however many requests wait, one fetch is under way; a credential that is still good is never withheld
//! because its successor is late; a source that fails is asked again after a pause that grows; and whoever was refused
//! by the store brings about one fetch, not one each.

mod cached;
mod lease;
mod pace;
#[cfg(test)]
pub(in crate::storage) mod tests;

pub use cached::{Cached, Timing};
pub use lease::{Clock, Lease};
pub use pace::Pace;

use super::Result;
use async_trait::async_trait;
use std::{fmt, time::SystemTime};

/// Where credentials come from. Each call asks anew; what is kept is [`Cached`]'s business alone.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// What an `object_store` client signs with.
    type Credential: fmt::Debug + Send + Sync + 'static;

    /// A credential that is good now. Errors say what was asked, where, what the provider said and the remedy
    /// ([`super::Error::credentials`]). A call may be dropped after [`Timing::fetch`].
    async fn fetch(&self, ask: Ask) -> Result<Lease<Self::Credential>>;

    /// What it authenticates as, and how, without any secret.
    fn describe(&self) -> String;
}

/// Why a credential is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// There is none yet, or the present one ends soon.
    Ahead,
    /// The store has refused the present one.
    Refused,
}

/// Credentials that can be replaced before their end.
#[async_trait]
pub trait Renewable: fmt::Debug + Send + Sync {
    /// The number of the credential in use, which rises with each new one; 0 before the first.
    fn generation(&self) -> u64;

    /// When the credential in use ends by its issuer's word; `None` before the first, and if it does not say.
    fn expires(&self) -> Option<SystemTime> {
        None
    }

    /// Gets another credential, because the store has refused that of generation `seen` or an older one. Does nothing
    /// if there is a newer one already. Of all who ask at once, one asks the source.
    ///
    /// Errors if the source fails, or if it was made to renew so lately that another one cannot help.
    async fn renew(&self, seen: u64) -> Result<()>;
}

#[async_trait]
impl<C: fmt::Debug + Send + Sync + 'static> Source for Box<dyn Source<Credential = C>> {
    type Credential = C;

    async fn fetch(&self, ask: Ask) -> Result<Lease<C>> {
        (**self).fetch(ask).await
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}
