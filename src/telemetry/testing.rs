//! The log's lines, for tests of what is told.

use parking_lot::Mutex;
use std::{
    io::{self, Write},
    sync::{Arc, LazyLock},
};
use tracing::{Dispatch, subscriber::DefaultGuard};

/// Lines of warnings and errors.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What this thread tells as long as the guard is held.
pub(crate) fn listen() -> (Lines, DefaultGuard) {
    /// While a process has one subscriber, tracing asks only the thread that comes first to a line whether anybody
    /// listens to it, and keeps the answer for all: a second one has it ask them all.
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&SECOND);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (lines, tracing::subscriber::set_default(subscriber))
}
