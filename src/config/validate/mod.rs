//! What types cannot say: ranges of numbers, names, addresses, and what keys say of each other.

mod connections;
mod http;
mod kafka;
mod names;
mod registration;
mod stores;
mod tables;

pub use names::check_table_name;

use super::{options::Config, source::SourceOptions, tree::join};
use crate::storage::Place;
use std::fmt::{Debug, Display};

/// The least byte budget: a few batches of every stage.
const MIN_MEMORY_BUDGET_BYTES: u64 = 16 << 20;

/// One thing that is wrong.
pub(super) struct Finding {
    pub(super) path: String,
    pub(super) message: String,
    /// Another key the judgement rests on.
    pub(super) rests_on: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding {
            path: path.into(),
            message: message.into(),
            rests_on: None,
        });
    }

    /// A finding that means nothing if the value at `rests_on` is wrong itself.
    fn add_given(&mut self, rests_on: String, path: String, message: String) {
        self.0.push(Finding {
            path,
            message,
            rests_on: Some(rests_on),
        });
    }

    /// A finding unless `low <= value <= high`.
    fn within<T: PartialOrd + Display + Debug>(&mut self, path: String, value: T, low: T, high: T) {
        if !(value >= low && value <= high) {
            self.add(path, format!("must be from {low} to {high}, not `{value}`"));
        }
    }
}

/// Every finding, by key path.
pub(super) fn validate(config: &Config) -> Vec<Finding> {
    let mut found = Findings::default();
    process(config, &mut found);
    storage(config, &mut found);
    stores::check(config, &mut found);
    connections::check(config, &mut found);
    for (name, source) in &config.sources {
        let path = join("sources", name);
        if let Err(message) = names::check_source_name(name) {
            found.add(&path, message);
        }
        match source {
            SourceOptions::Http(options) => http::check(&path, options, config, &mut found),
            SourceOptions::Kafka(options) => kafka::check(&path, options, config, &mut found),
        }
    }
    http::check_addresses(config, &mut found);
    tables::check(config, &mut found);
    found.0
}

fn process(config: &Config, found: &mut Findings) {
    if let Err(message) = names::check_pipeline_name(&config.pipeline) {
        found.add("pipeline", message);
    }
    found.within(
        "memory_budget_bytes".into(),
        config.memory_budget_bytes,
        MIN_MEMORY_BUDGET_BYTES,
        1 << 46,
    );
    found.within(
        "shutdown_timeout_seconds".into(),
        config.shutdown_timeout_seconds,
        0.1,
        86_400.0,
    );
}

fn storage(config: &Config, found: &mut Findings) {
    if let Err(message) = check_place(&config.lake.url) {
        found.add("lake.url", message);
    }
    found.within("lake.max_tables".into(), config.lake.max_tables, 1, 100_000);
    if config
        .spool
        .path
        .as_ref()
        .is_some_and(|path| path.as_os_str().is_empty())
    {
        found.add(
            "spool.path",
            "is empty; name a folder, or leave the key out",
        );
    }
    found.within(
        "spool.segment_bytes".into(),
        config.spool.segment_bytes,
        64 << 10,
        4 << 30,
    );
    if config.spool.max_bytes < config.spool.segment_bytes {
        found.add(
            "spool.max_bytes",
            format!(
                "must hold at least one segment; spool.segment_bytes=`{}`",
                config.spool.segment_bytes
            ),
        );
    }
    found.within(
        "spool.group_commit_milliseconds".into(),
        config.spool.group_commit_milliseconds,
        0,
        10_000,
    );
    if let Err(message) = check_table_name(&config.dead_letters.table) {
        found.add("dead_letters.table", message);
    }
}

/// Where a lake or a table may lie: see [`Place::parse`].
fn check_place(url: &str) -> Result<(), String> {
    if url.trim().is_empty() {
        return Err("is empty; name a folder, or a URL of a file: or an object store".into());
    }
    Place::parse(url)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::check_place;

    #[test]
    fn lakes_are_folders_and_buckets() {
        for good in [
            "./lake",
            "/lake",
            "lake",
            "file:///var/lake",
            "file:/var/lake",
            "./a:b",
            "s3://bucket/p",
            "abfss://container@account.dfs.core.windows.net/p",
        ] {
            assert_eq!(check_place(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "gs://b/p",
            "abfss://c@a/p",
            "file:",
            "file:lake",
            "file://host/lake",
            "s3:b",
        ] {
            assert!(check_place(bad).is_err(), "{bad}");
        }
    }
}
