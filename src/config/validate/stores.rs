//! `[stores.NAME]`: the storage room judges the options, and here they get their key paths.

use super::{Findings, names};
use crate::{
    config::{options::Config, tree::join},
    storage,
};

pub(super) fn check(config: &Config, found: &mut Findings) {
    for name in config.stores.keys() {
        if let Err(message) = names::check_store_name(name) {
            found.add(join("stores", name), message);
        }
    }
    for misfit in storage::judge(&config.stores) {
        let store = join("stores", &misfit.store);
        let path = match misfit.key.as_str() {
            "" => store,
            key => format!("{store}.{key}"),
        };
        found.add(path, misfit.message);
    }
}
