//! One integration binary, one module a capability.
#![allow(clippy::print_stderr)]

mod backfill;
mod checks;
mod cli;
mod columns;
mod databricks;
mod faults;
mod foreign_writers;
mod http_answers;
mod http_kills;
mod http_to_table;
mod kafka_range;
mod kafka_to_table;
mod limits;
mod rooms;
mod rules;
mod schema_plan;
mod secrets;
mod slow_tables;
mod stores;
mod support;
mod sweep;
