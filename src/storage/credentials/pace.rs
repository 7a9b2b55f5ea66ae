//! How often something may be repeated that helps at most once in a while.

use std::time::Duration;
use tokio::time::Instant;

/// Lets through what comes rarely, and what comes again and again after waits that double.
///
/// After a pass the next one must wait; who comes within twice that wait finds it doubled, who comes later finds it
/// short again.
#[derive(Debug)]
pub struct Pace {
    shortest: Duration,
    longest: Duration,
    /// The last pass, and how long after it the next may follow.
    last: Option<(Instant, Duration)>,
}

impl Pace {
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            last: None,
        }
    }

    /// Whether one more may pass now; if so it has passed.
    pub fn admit(&mut self) -> bool {
        let now = Instant::now();
        let wait = match self.last {
            Some((last, wait)) if now < last + wait => return false,
            Some((last, wait)) if now < last + wait * 2 => (wait * 2).min(self.longest),
            _ => self.shortest,
        };
        self.last = Some((now, wait));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_storm_passes_ever_more_rarely_and_what_is_rare_passes_always() {
        let mut pace = Pace::new(SECOND, SECOND * 60);
        let mut passed = 0;
        for _ in 0..6_000 {
            passed += u32::from(pace.admit());
            advance(SECOND / 10).await;
        }
        assert!((10..=17).contains(&passed), "{passed} in ten minutes");
        advance(SECOND * 120).await;
        for _ in 0..20 {
            assert!(pace.admit());
            advance(SECOND * 3).await;
        }
    }
}
