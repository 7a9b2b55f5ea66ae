//! One integration binary, one module a capability.
#![allow(clippy::print_stderr)]

mod rooms;
