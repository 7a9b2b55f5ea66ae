//! What the decoder needs of the other rooms, by their sources. A package of its own: their tests need more than that.
#![allow(dead_code, unused_imports, reason = "their users are elsewhere")]

#[path = "../../../../src/error.rs"]
pub mod error;
#[path = "../../../../src/event/mod.rs"]
pub mod event;
#[path = "../../../../src/schema/mod.rs"]
pub mod schema;
