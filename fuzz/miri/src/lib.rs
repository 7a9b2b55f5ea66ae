//! The rooms with unsafe code of their own, the decoder and JSON text, with their unit tests, by their sources.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "their users are elsewhere"
)]

pub use alluvium_rooms::{error, event, schema};

#[path = "../../../src/decode/mod.rs"]
pub mod decode;
#[path = "../../../src/json/mod.rs"]
pub mod json;
