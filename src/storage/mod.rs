//! Object stores by URL, durable on a local disk.
//!
//! In: the URL of a lake or of one table. Out: a [`TableLocation`], which is what `write` uploads to and
//! `commit` opens with the kernel. Only local folders are served; other schemes answer a clear error.
//!
//! What holds: an object that [`DurableLocal`] has answered `Ok` for survives a power cut, its folder
//! entry included (facts: object_store's `LocalFileSystem` never syncs), and no reader ever sees half of
//! one. Table names cannot leave the lake.

mod blocking;
mod durable;
mod error;
#[doc(hidden)]
pub mod faulty;
mod folders;
mod lake;
mod location;
mod options;
mod staging;

pub use durable::DurableLocal;
pub use error::{Error, kind_of};
pub use lake::Lake;
pub use location::{TableLocation, validate_table_name};
pub use options::{
    AccountKeyOptions, AssumeRoleOptions, Checksum, CredentialOptions, Encryption, EntraOptions,
    LandingZoneOptions, ManagedIdentityOptions, ProfileOptions, RefreshMethod, SasOptions,
    StaticKeys, StoreOptions, WebIdentityOptions,
};

/// The result of this room's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
