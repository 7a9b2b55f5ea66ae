//! Alluvium lands event streams in Delta tables, exactly once.
//!
//! Layout: the rooms are the stages of an event's way, joined by [`pipeline`] alone.
//!
//! - [`source`]: Kafka, HTTP with its spool, files: bytes in, acks out
//! - [`route`]: event to table
//! - [`decode`]: JSON to Arrow, rescue, dead letters
//! - [`schema`]: types, names, inference, the evolution decision
//! - [`batch`]: flush policy and accumulation per table
//! - [`write`]: Arrow to Parquet, statistics, upload
//! - [`commit`]: the Delta log
//! - [`control`]: schema changes through a SQL warehouse
//! - [`json`]: JSON text, for those that read it
//! - [`storage`]: object stores by URL
//! - [`databricks`]: a client of Databricks workspaces
//! - [`event`]: the nouns that travel between them
//! - [`config`], [`cli`], [`check`], [`maintain`], [`telemetry`]: around them

pub mod batch;
pub mod check;
pub mod cli;
pub mod commit;
pub mod config;
pub mod control;
pub mod databricks;
pub mod decode;
pub mod error;
pub mod event;
pub mod json;
pub mod maintain;
pub mod pipeline;
pub mod route;
pub mod schema;
pub mod secret;
pub mod source;
pub mod storage;
pub mod telemetry;
pub mod write;
