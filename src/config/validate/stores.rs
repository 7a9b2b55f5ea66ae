//! `[stores.NAME]`: the storage room judges the options, and here they get their key paths.

use super::{Findings, names};
use crate::{
    config::{options::Config, tree::join},
    storage::{self, CredentialOptions},
};

pub(super) fn check(config: &Config, found: &mut Findings) {
    for name in config.stores.keys() {
        if let Err(message) = names::check_store_name(name) {
            found.add(join("stores", name), message);
        }
    }
    for (name, store) in &config.stores {
        let CredentialOptions::UnityCatalog(unity) = &store.credentials else {
            continue;
        };
        if !config.connections.contains_key(&unity.connection) {
            let there: Vec<&str> = config.connections.keys().map(String::as_str).collect();
            found.add(
                join("stores", name) + ".credentials.connection",
                format!(
                    "names no `[connections.{}]`; add that section, or name one of those there are, there_are=`{}`",
                    unity.connection,
                    there.join(", ")
                ),
            );
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
