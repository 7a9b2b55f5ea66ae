//! One integration binary, one module a capability.
#![allow(clippy::print_stderr)]

mod backfill;
mod checks;
mod cli;
mod faults;
mod foreign_writers;
mod http_kills;
mod http_to_table;
mod kafka_to_table;
mod rooms;
mod secrets;
mod support;
