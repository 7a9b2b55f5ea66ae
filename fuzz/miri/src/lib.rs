//! The room for JSON text and the decoder's columns with their own unit tests, by their sources.
#![allow(dead_code, unused_imports, reason = "their users are elsewhere")]

#[path = "../../../src/json/mod.rs"]
pub mod json;

#[path = "../../../src/decode/build.rs"]
mod build;
