//! `[connections.NAME]`: the Databricks client judges the options, and here they get their key paths.

use super::{Findings, names};
use crate::{
    config::{options::Config, tree::join},
    databricks,
};

pub(super) fn check(config: &Config, found: &mut Findings) {
    for name in config.connections.keys() {
        if let Err(message) = names::check_connection_name(name) {
            found.add(join("connections", name), message);
        }
    }
    for misfit in databricks::judge(&config.connections) {
        let connection = join("connections", &misfit.connection);
        found.add(format!("{connection}.{}", misfit.key), misfit.message);
    }
}
