//! What the log room promises, on a model and on the real kernel.

mod contention;
mod faults;
mod group;
mod kernel;
mod model;
mod refusals;
mod segment;
mod support;
