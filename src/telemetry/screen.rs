//! The one way to stderr: log lines and a live line or progress bars, without mixing them up.

use indicatif::MultiProgress;
use parking_lot::Mutex;
use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
};
use tracing_subscriber::fmt::MakeWriter;

/// To the start of the line, and clear it (ECMA-48: CR, EL).
const CLEAR_LINE: &str = "\r\x1b[K";
/// A line longer than the terminal is cut, not wrapped: what wraps cannot be cleared (DECAWM).
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Where log lines go. Cheap to clone.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<Inner>>);

struct Inner {
    out: Box<dyn Write + Send>,
    /// What stands on the last line, without an end of line.
    live: String,
    progress: Option<MultiProgress>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl Screen {
    /// Of the process's stderr.
    pub fn stderr() -> Self {
        Self::of(Box::new(io::stderr()))
    }

    pub(super) fn of(out: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            out,
            live: String::new(),
            progress: None,
        })))
    }

    /// Puts a text on the live line in place of what stands there; empty takes it away. A screen that
    /// cannot be written to is not an error: the work goes on.
    pub fn set_live(&self, text: &str) {
        let mut inner = self.0.lock();
        inner.live = match text {
            "" => String::new(),
            text => format!("{NO_WRAP}{text}{WRAP}"),
        };
        let drawn = format!("{CLEAR_LINE}{}", inner.live);
        let _ = inner
            .out
            .write_all(drawn.as_bytes())
            .and_then(|()| inner.out.flush());
    }

    /// Prints whole lines above the live line and the progress bars.
    pub fn print(&self, text: &str) {
        let _ = self.write_lines(text.as_bytes());
    }

    /// Log lines step around these progress bars until they are taken away by `None`.
    pub fn attach(&self, progress: Option<MultiProgress>) {
        self.0.lock().progress = progress;
    }

    fn write_lines(&self, text: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        let mut whole = Vec::with_capacity(text.len() + inner.live.len() + 8);
        if !inner.live.is_empty() {
            whole.extend_from_slice(CLEAR_LINE.as_bytes());
        }
        whole.extend_from_slice(text);
        whole.extend_from_slice(inner.live.as_bytes());
        let out = &mut inner.out;
        let mut write = || out.write_all(&whole).and_then(|()| out.flush());
        match &inner.progress {
            Some(progress) => progress.suspend(write),
            None => write(),
        }
    }
}

/// A log event comes as one write.
pub struct LogWriter(Screen);

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.write_lines(text).map(|()| text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> Self::Writer {
        LogWriter(self.clone())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A writer that can be read back.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(in crate::telemetry) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_lines_stand_above_the_live_line() {
        let sink = Sink::default();
        let screen = Screen::of(Box::new(sink.clone()));
        screen.print("first\n");
        screen.set_live("10 events/s");
        screen.print("second\n");
        screen.set_live("");
        screen.print("third\n");
        assert_eq!(
            sink.text(),
            "first\n\r\x1b[KLIVE\r\x1b[Ksecond\nLIVE\r\x1b[Kthird\n"
                .replace("LIVE", "\x1b[?7l10 events/s\x1b[?7h")
        );
    }
}
