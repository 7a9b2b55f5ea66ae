//! Wires the stages: positions, routing, one worker a table, acks, drain and shutdown.
//!
//! In: raw batches from the sources ([`crate::event::Intake`]). Out: Delta versions, and the low-water marks
//! that sources may acknowledge. It is here that invariants 1, 2, 4, 5 and 6 hold together:
//!
//! - `intake`: what a source sees: fresh positions, routing, room, acks
//! - `registry`, `tracker`: each partition's epoch and low-water mark
//! - `catch_up`: when a table that was left behind is given again what it lacks
//! - `resume`: where to read, as a pure rule
//! - `inbox`, `worker`, `lane`, `flusher`: one table's line from routed batches to commits
//! - `desk`: tables of catalogs, whose schemas are changed at the side
//! - `ledger`, `marks`: dead letters and low-water marks
//! - `serve`, `sources`, `backfill`: the processes made of these

mod admin;
mod backfill;
mod catch_up;
pub(crate) mod desk;
mod flusher;
mod inbox;
mod intake;
mod lane;
mod ledger;
mod marks;
#[cfg(test)]
mod model;
mod open;
mod registry;
mod request;
mod reset;
mod resume;
mod retry;
mod serve;
mod settings;
mod sources;
mod tables;
mod tally;
#[cfg(test)]
mod testing;
mod tracker;
mod worker;

pub use backfill::{backfill_files, backfill_range};
pub use open::Pipeline;
pub use request::{BackfillFiles, BackfillRange, Bound, Listening, ResetPlan, ResetPositions};
pub use reset::{apply_reset, plan_reset};
pub use serve::serve;
pub(crate) use settings::TableSettings;
pub use tally::Committed;
