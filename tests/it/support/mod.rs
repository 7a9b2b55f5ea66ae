//! What the tests share: a home for a daemon, the daemon as a process, a client, a reader of tables that is not ours.

pub(crate) mod broken;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod foreign;
pub(crate) mod home;
pub(crate) mod kafka;
pub(crate) mod lake;
pub(crate) mod workspace;

use std::time::{Duration, Instant};

/// The longest that any one thing may take; far above what it takes on a busy machine of two cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `done`, or fails saying what it waited for.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
