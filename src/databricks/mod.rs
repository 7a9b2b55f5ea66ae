//! A client of a Databricks workspace, usable as a library.
//!
//! In: options of a connection and calls. Out: typed answers, or an [`Error`] whose [`Kind`] says what to do. What holds:
//!
//! - A token goes to the workspace it is for, by TLS (plain HTTP on loopback only), and to hosts named as trusted; never
//!   along a redirect, never to an external link, and no `.netrc` is read.
//! - No token, secret or signature is printed: errors and traces pass [`trace`], which strikes them out.
//! - A call that may not be sent twice ([`Call::once`]) is sent again only if it cannot have been carried out.
//! - Every call ends: one request within its timeout, all tries within the connection's budget.
//!
//! The room imports nothing of ours but secrets, and [`boundary`], which tells its errors in the words of the others.

mod auth;
mod boundary;
mod call;
mod client;
pub mod clusters;
pub mod commands;
mod connections;
pub mod contexts;
mod error;
mod external;
mod host;
mod http;
mod ids;
mod jdbc;
pub mod node_types;
mod options;
mod page;
mod raw;
mod retry;
mod rights;
mod rules;
pub mod scim;
#[cfg(test)]
pub(crate) mod scripted;
pub mod statements;
#[cfg(test)]
mod testing;
mod trace;
pub mod unity;
pub mod wait;
pub mod warehouses;

pub use auth::{Credential, Discovery};
pub use call::{Call, segment};
pub use client::Workspace;
pub use connections::Connections;
pub use error::{ApiError, Detail, Error, Kind, Result, StatementFailure};
pub use external::ExternalUrl;
pub use host::{Cloud, Host, HostKind};
pub use ids::{
    AccountId, ApplicationId, ClusterId, CommandId, ContextId, MetastoreId, ScimId, SecretId,
    StatementId, TableId, TokenId, WarehouseId,
};
pub use jdbc::{Compute, JdbcUrl, jdbc_url};
pub use options::{
    AuthOptions, ConnectionOptions, EntraOptions, FederationOptions, M2mOptions, PatOptions,
    WarehouseRef,
};
pub use page::Page;
pub use raw::{FilePart, RawAnswer, RawBody, RawData, RawRequest, ResponseType};
pub use rules::{Misfit, judge};
