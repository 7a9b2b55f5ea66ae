//! Object stores by URL, durable on a local disk.
//!
//! In: the URL of a lake or of one table, and `[stores]`. Out: a [`TableLocation`], which is what `write` uploads to
//! and `commit` opens with the kernel.
//!
//! - `place`: which folder or bucket a text means · `stores`, `rules`: which options serve it · `lake`, `location`
//! - `guard`, `single_writer`: what lies around every remote store · `durable`: the local one
//! - `suite`: what every store must do
//!
//! What holds: an object that [`DurableLocal`] has answered `Ok` for survives a power cut, its folder
//! entry included (facts: object_store's `LocalFileSystem` never syncs), and no reader ever sees half of
//! one. Table names cannot leave the lake. A bucket is opened once, so its credentials are refreshed once. Nothing
//! below `adobe-managed-staging/` is asked for.

pub mod azure;
mod blocking;
pub mod credentials;
mod durable;
mod error;
pub mod explain;
#[doc(hidden)]
pub mod faulty;
mod folders;
mod guard;
mod http;
mod lake;
mod landing_zone;
mod location;
mod opened;
mod options;
mod place;
mod renewing;
mod rules;
pub mod s3;
mod single_writer;
mod staging;
mod stores;
#[doc(hidden)]
pub mod suite;
#[cfg(test)]
mod testing;
mod unity_catalog;

pub use durable::DurableLocal;
pub use error::{Error, kind_of, ours};
pub use lake::Lake;
pub use location::{TableLocation, validate_table_name};
pub use opened::Opened;
pub use options::{
    AccountKeyOptions, AssumeRoleOptions, Checksum, CredentialOptions, Encryption, EntraOptions,
    LandingZoneOptions, ManagedIdentityOptions, ProfileOptions, RefreshMethod, SasOptions,
    StaticKeys, StoreOptions, UnityCatalogOptions, VendingOperation, WebIdentityOptions,
};
pub(crate) use place::holds_placeholder;
pub use place::{Account, Place, Remote, Service};
pub use rules::{Misfit, judge};
pub use stores::Stores;

/// The result of this room's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
