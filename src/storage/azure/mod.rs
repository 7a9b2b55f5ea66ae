//! Azure Blob: containers by signature, account key or identity.
//!
//! In: a container, its account and `[stores.NAME]`. Out: an [`Opened`](super::opened::Opened) store; opening it makes no
//! request. What holds: no error, log line or `Debug` shows a signature, key or token; a request that a signature cannot
//! be good for by its own word is not sent; an answer that says the credential ended leads to one renewal and one replay.
//!
//! Of a landing zone only the credentials differ ([`super::landing_zone`]).

mod account_key;
mod answers;
#[cfg(test)]
mod azurite;
mod blobs;
mod entra;
mod environment;
mod managed_identity;
pub(super) mod oauth;
mod open;
mod plain;
mod rights;
pub(super) mod sas;
pub(super) mod settling;
mod signature;
mod sources;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

pub use open::open;
pub use rights::Right;

use super::{Error, credentials};
use crate::error::Kind;
use object_store::azure::AzureCredential;

/// Where a container's credentials come from.
type Source = Box<dyn credentials::Source<Credential = AzureCredential>>;

/// What is wrong with the options, for errors of [`open`] alone: a daemon ends with those.
fn config(message: impl Into<String>) -> Error {
    Error::credentials(Kind::Config, message)
}

/// What is wrong with a secret or an answer at run time: it may be mended without a restart.
fn refused(message: impl Into<String>) -> Error {
    Error::credentials(Kind::Unauthorized, message)
}

/// A secret that cannot be read now; its file may be there again.
pub(super) fn unreadable(error: &std::io::Error) -> Error {
    Error::credentials(Kind::Unavailable, error.to_string())
}
