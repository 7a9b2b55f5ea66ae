//! What can be said of a configuration before it runs, and of tables after.

pub mod audit;
