//! Upkeep of tables by hand: what crashes leave behind is removed.
//!
//! In: a configuration and a table's name. Out: a report. Nothing is deleted unless that is asked for, and
//! then nothing that a version in the log names or that any writer may be about to commit.
//!
//! - `sweep`: files of no version; `sweep/candidate`: which objects may be such; `sweep/clock`: whether ages
//!   can be trusted; `sweep/report`: what is told

mod sweep;

pub use sweep::{Sweep, SweepOptions, sweep_table};
