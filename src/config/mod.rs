//! TOML, environment and flags into typed options, every error at once.
//!
//! In: a file, `ALLUVIUM_…` variables, flags. Out: a [`Config`] in which every value is in its range
//! and every name refers to something, or [`ConfigErrors`] with all that is wrong by key path.
//! Precedence: flags over environment over file. Nothing is opened but the file and what its
//! `file:` references name.

mod conform;
mod connections;
mod credentials;
mod environment;
mod load;
mod options;
mod problems;
mod reference;
mod references;
mod secrets;
mod shape;
mod show;
mod source;
mod table;
mod tree;
mod validate;

#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use load::Flags;
pub use options::{AdminOptions, Config, DeadLetterOptions, LakeOptions, SpoolOptions};
pub use problems::{ConfigErrors, Origin, Problem};
pub use reference::markdown;
pub use show::{schema, show};
pub use source::SourceOptions;
pub use table::{Compression, MetadataColumn, ParquetEncoding, Registration, Table, TableOptions};
pub use validate::check_table_name;

use crate::storage::Place;
use std::path::{Path, PathBuf};

impl Config {
    /// A table's options with every value concrete, whether the configuration names it or not.
    pub fn table(&self, name: &str) -> Table {
        let mut table = table::resolve(
            name,
            &self.lake.url,
            self.tables.get(name),
            &self.table_defaults,
        );
        if name == self.dead_letters.table {
            // In a catalog under a name that was chosen for it, or in none.
            let named = table.registration.zip(self.dead_letters.table_name.clone());
            table.registration = named.map(|(place, table)| Registration { table, ..place });
        }
        table
    }

    /// The spool's folder: `spool.path`; else `.spool` in the lake's folder, or `./spool` where the lake is no folder.
    pub fn spool_path(&self) -> PathBuf {
        match &self.spool.path {
            Some(path) => path.clone(),
            None if matches!(Place::parse(&self.lake.url), Ok(Place::Remote(_))) => {
                Path::new("./spool").to_path_buf()
            }
            None => local_path(&self.lake.url).join(".spool"),
        }
    }
}

/// The path of a folder or `file:` URL.
fn local_path(url: &str) -> PathBuf {
    url::Url::parse(url)
        .ok()
        .filter(|parsed| parsed.scheme() == "file")
        .and_then(|parsed| parsed.to_file_path().ok())
        .unwrap_or_else(|| Path::new(url).to_path_buf())
}
