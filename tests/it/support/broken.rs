//! A table whose log cannot be used.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Makes a table's log unusable, for root too: a file stands where its folder was.
pub(crate) struct Broken {
    log: PathBuf,
    away: PathBuf,
}

impl Broken {
    pub(crate) fn new(log: &Path) -> Self {
        let away = log.with_file_name("away");
        fs::rename(log, &away).unwrap();
        fs::write(log, "not a folder").unwrap();
        Self {
            log: log.to_owned(),
            away,
        }
    }

    pub(crate) fn heal(self) {
        fs::remove_file(&self.log).unwrap();
        fs::rename(&self.away, &self.log).unwrap();
    }
}
