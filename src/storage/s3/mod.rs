//! S3 and what speaks its protocol.
//!
//! In: a bucket and the options of its store. Out: an [`Opened`](super::Opened). Opening asks nobody: credentials are
//! fetched at the first request, so that a daemon starts beside an STS that is down and waits for it; what is wrong
//! with the options themselves is an error at once.

mod answers;
mod assume_role;
mod environment;
mod open;
mod profile;
mod region;
mod sdk;
mod sources;
mod static_keys;
mod sts;
#[cfg(test)]
mod tests;
mod web_identity;

pub use open::open;
