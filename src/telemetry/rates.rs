//! The live line of a terminal: what the last second brought.

use super::{Screen, format::scaled};
use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Bumped by the stages, read once a second. No order between the counters is promised.
#[derive(Debug, Default)]
pub struct Rates {
    events: AtomicU64,
    bytes: AtomicU64,
    rows: AtomicU64,
    commits: AtomicU64,
    dead_letters: AtomicU64,
    lag_records: AtomicU64,
    inflight_bytes: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events taken by sources, since the start.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows committed.
    pub rows: u64,
    /// Delta versions made.
    pub commits: u64,
    /// Records that became dead letters.
    pub dead_letters: u64,
    /// Records that wait at the sources or in the spool, now.
    pub lag_records: u64,
    /// Bytes of the memory budget in use, now.
    pub inflight_bytes: u64,
}

impl Rates {
    /// A source took events.
    pub fn taken(&self, events: u64, bytes: u64) {
        self.events.fetch_add(events, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// A version holds these rows.
    pub fn committed(&self, rows: u64) {
        self.rows.fetch_add(rows, Relaxed);
        self.commits.fetch_add(1, Relaxed);
    }

    pub fn dead_letters(&self, records: u64) {
        self.dead_letters.fetch_add(records, Relaxed);
    }

    pub fn set_lag(&self, records: u64) {
        self.lag_records.store(records, Relaxed);
    }

    pub fn set_inflight(&self, bytes: u64) {
        self.inflight_bytes.store(bytes, Relaxed);
    }

    pub fn totals(&self) -> Totals {
        Totals {
            events: self.events.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            rows: self.rows.load(Relaxed),
            commits: self.commits.load(Relaxed),
            dead_letters: self.dead_letters.load(Relaxed),
            lag_records: self.lag_records.load(Relaxed),
            inflight_bytes: self.inflight_bytes.load(Relaxed),
        }
    }
}

/// The text of the line, for the time between two readings.
fn line(before: &Totals, now: &Totals, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let rate = |before: u64, now: u64| scaled(now.saturating_sub(before) as f64 / seconds);
    let mut text = format!(
        "{} events/s  {}B/s  {} rows in {} commits  lag {}  in flight {}B",
        rate(before.events, now.events),
        spaced(rate(before.bytes, now.bytes)),
        scaled(now.rows as f64),
        scaled(now.commits as f64),
        scaled(now.lag_records as f64),
        spaced(scaled(now.inflight_bytes as f64)),
    );
    if now.dead_letters > 0 {
        text.push_str(&format!(
            "  dead letters {}",
            scaled(now.dead_letters as f64)
        ));
    }
    text
}

/// `12` as `12 ` before a unit; `12 k` as it is.
fn spaced(number: String) -> String {
    if number.ends_with(|c: char| c.is_ascii_digit()) {
        number + " "
    } else {
        number
    }
}

/// Draws the line each second until dropped or aborted, and takes it away then. Only for a terminal
/// ([`super::Telemetry::live`]). `refresh` is called before each reading, to set lag and bytes in flight.
pub async fn live_line(rates: Arc<Rates>, screen: Screen, refresh: impl Fn(&Rates) + Send) {
    draw(rates, screen, refresh, Duration::from_secs(1)).await;
}

async fn draw(
    rates: Arc<Rates>,
    screen: Screen,
    refresh: impl Fn(&Rates) + Send,
    period: Duration,
) {
    struct Erase(Screen);
    impl Drop for Erase {
        fn drop(&mut self) {
            self.0.set_live("");
        }
    }
    let screen = Erase(screen);
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    tick.tick().await;
    let (mut before, mut at) = (rates.totals(), Instant::now());
    loop {
        tick.tick().await;
        refresh(&rates);
        let now = rates.totals();
        screen.0.set_live(&line(&before, &now, at.elapsed()));
        (before, at) = (now, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::screen::tests::Sink;

    #[test]
    fn the_line_tells_rates_and_totals() {
        let rates = Rates::default();
        let before = rates.totals();
        rates.taken(3_000, 2_500_000);
        rates.committed(2_900);
        rates.dead_letters(4);
        rates.set_lag(96);
        rates.set_inflight(512);
        assert_eq!(
            line(&before, &rates.totals(), Duration::from_secs(2)),
            "1.50 k events/s  1.25 MB/s  2.90 k rows in 1 commits  lag 96  in flight 512 B  dead letters 4"
        );
    }

    #[tokio::test]
    async fn the_line_is_drawn_and_taken_away() {
        let sink = Sink::default();
        let screen = Screen::of(Box::new(sink.clone()));
        let rates = Arc::new(Rates::default());
        let period = Duration::from_millis(5);
        let task = tokio::spawn(draw(rates, screen, |rates| rates.set_lag(7), period));
        while sink.text().matches("lag 7").count() < 2 {
            tokio::time::sleep(period).await;
        }
        task.abort();
        let _ = task.await;
        assert!(sink.text().ends_with("\r\x1b[K"), "{:?}", sink.text());
    }
}
