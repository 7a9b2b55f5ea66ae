//! Options that several commands share.

use crate::{
    config::{Config, Environment, Flags},
    error::Result,
};
use std::path::PathBuf;

/// Which configuration.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// The configuration file (TOML); without one, HTTP on 127.0.0.1:8080 into ./lake
    #[arg(long, short, value_name = "FILE", env = "ALLUVIUM_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Where the tables are: a folder, s3://, az://, abfss:// or file:; over `lake.url`
    #[arg(long, value_name = "URL|DIR")]
    pub(super) lake: Option<String>,
}

impl ConfigArgs {
    /// # Errors
    /// All that is wrong with the configuration.
    pub(super) fn load(&self, listen: Option<String>) -> Result<Config> {
        Ok(Config::load(
            self.config.as_deref(),
            &Environment::of_process(),
            &self.flags(listen),
        )?)
    }

    pub(super) fn flags(&self, listen: Option<String>) -> Flags {
        Flags {
            listen,
            lake: self.lake.clone(),
        }
    }
}
