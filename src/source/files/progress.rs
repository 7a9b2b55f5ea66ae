//! How far a backfill is: a bar on a terminal, a log line now and then elsewhere.

use super::text::BytesRead;
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Counts what lanes read and what is committed. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bar: Option<ProgressBar>,
    total_bytes: u64,
    /// By lane, of its latest pass: what is read again after a rewind does not count twice.
    bytes: parking_lot::Mutex<BTreeMap<u32, BytesRead>>,
    records: AtomicU64,
    committed: AtomicU64,
    /// Since when, and the bytes that a resumed run had passed by then: they are not in the rate.
    started: parking_lot::Mutex<(Instant, u64, Instant)>,
}

impl Progress {
    /// `terminal`: whether standard error is one that may be drawn on.
    pub fn new(total_bytes: u64, terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(total_bytes);
            let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left, {msg}";
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        let now = Instant::now();
        Self(Arc::new(Inner {
            bar,
            total_bytes,
            bytes: parking_lot::Mutex::default(),
            records: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            started: parking_lot::Mutex::new((now, 0, now)),
        }))
    }

    /// A counter for a lane that begins to read, from nothing.
    pub(crate) fn lane_bytes(&self, lane: u32) -> BytesRead {
        let counter = BytesRead::default();
        self.0.bytes.lock().insert(lane, counter.clone());
        counter
    }

    /// Bytes of files read or passed so far.
    pub fn bytes_read(&self) -> u64 {
        let lanes = self.0.bytes.lock();
        lanes.values().map(|b| b.load(Ordering::Relaxed)).sum()
    }

    /// Records handed on.
    pub fn records(&self) -> u64 {
        self.0.records.load(Ordering::Relaxed)
    }

    /// Records committed, those of earlier runs included.
    pub fn committed(&self) -> u64 {
        self.0.committed.load(Ordering::Relaxed)
    }

    pub(crate) fn add_records(&self, n: u64) {
        self.0.records.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set_committed(&self, n: u64) {
        self.0.committed.store(n, Ordering::Relaxed);
    }

    /// Records of an earlier run were passed: the rate begins anew.
    pub(crate) fn skipped(&self) {
        let now = Instant::now();
        let mut started = self.0.started.lock();
        *started = (now, self.bytes_read(), started.2);
        if let Some(bar) = &self.0.bar {
            bar.set_position(self.bytes_read());
            bar.reset_eta();
        }
    }

    /// Draws, or logs if it is time. Called a few times a second.
    pub(crate) fn tick(&self) {
        let bytes = self.bytes_read().min(self.0.total_bytes);
        let (records, committed) = (self.records(), self.committed());
        if let Some(bar) = &self.0.bar {
            bar.set_position(bytes);
            bar.set_message(format!(
                "{} records read, {} committed",
                HumanCount(records),
                HumanCount(committed)
            ));
            return;
        }
        let mut started = self.0.started.lock();
        if started.2.elapsed() < LOG_INTERVAL {
            return;
        }
        started.2 = Instant::now();
        let seconds = started.0.elapsed().as_secs_f64().max(0.001);
        let rate = (bytes.saturating_sub(started.1)) as f64 / seconds;
        let left = match rate > 0.0 {
            true => HumanDuration(Duration::from_secs_f64(
                ((self.0.total_bytes - bytes) as f64 / rate).min(1e9),
            ))
            .to_string(),
            false => "unknown".to_owned(),
        };
        tracing::info!(
            records,
            committed,
            bytes,
            total_bytes = self.0.total_bytes,
            bytes_per_second = rate as u64,
            rate = %format_args!("{}/s", HumanBytes(rate as u64)),
            left,
            "backfill"
        );
    }

    pub(crate) fn finish(&self) {
        self.tick();
        if let Some(bar) = &self.0.bar {
            bar.abandon();
        }
    }
}
