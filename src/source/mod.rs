//! Bytes in, acks out: Kafka, HTTP with its spool, files.

pub mod files;
pub mod http;
pub mod kafka;
mod slab;
pub mod spool;
