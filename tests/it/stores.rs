//! Running object stores, and whether they do what tables rely on.
//!
//! `STORES_UNDER_TEST` names configurations (joined by `:`), each with a `lake.url` and the `[stores]` that reach it.
//! What a suite writes lies in a folder of its own below the lake, and is deleted.

use alluvium::{
    config::{Config, Environment, Flags},
    storage::{Stores, suite},
};

/// S3 takes no smaller parts but the last.
const PART_BYTES: usize = 5 << 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs running stores, named in STORES_UNDER_TEST"]
async fn running_stores_pass_the_suite() {
    let files = std::env::var_os("STORES_UNDER_TEST").unwrap_or_default();
    assert!(!files.is_empty(), "STORES_UNDER_TEST names no store");
    for file in std::env::split_paths(&files).filter(|file| !file.as_os_str().is_empty()) {
        let config = Config::load(Some(&file), &Environment::of_process(), &Flags::default())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let stores = Stores::new(&config.stores).unwrap_or_else(|error| panic!("{error}"));
        let lake = stores
            .locate(&config.lake.url)
            .unwrap_or_else(|error| panic!("{error}"));
        let expect = suite::Expect {
            sorted: lake.url.scheme() != "file",
            part_bytes: PART_BYTES,
        };
        if let Err(failed) = suite::run(lake.store, &lake.root, expect).await {
            panic!("{}: {failed}", lake.url);
        }
        eprintln!("passed: {}", lake.url);
    }
}
