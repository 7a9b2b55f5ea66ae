//! One integration binary, one module a capability.
#![allow(clippy::print_stderr)]

mod http_to_table;
mod rooms;
mod support;
