//! TOML, environment and flags into typed options, every error at once.

mod options;

pub use options::{
    AdminOptions, Config, DeadLetterOptions, LakeOptions, SourceOptions, SpoolOptions, TableOptions,
};
