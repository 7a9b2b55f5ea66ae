//! How often the same trouble is told: at once, and then as often as a person wants to read it.

use std::time::{Duration, Instant};

/// The first repetition comes after this long; each later one after twice the last.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);

/// Decides, of one trouble that lasts, when it is told again.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    next: Instant,
    pause: Duration,
}

impl Seldom {
    /// Whether it is due to be told; if so, it counts as told.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let pause = match &self.told {
            None => FIRST,
            Some(told) if now < told.next => return false,
            Some(told) => (told.pause * 2).min(LONGEST),
        };
        self.told = Some(Told {
            next: now + pause,
            pause,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_and_then_at_distances_that_double() {
        let (mut seldom, start) = (Seldom::default(), Instant::now());
        let told: Vec<u64> = (0..4_000)
            .filter(|second| seldom.is_due(start + Duration::from_secs(*second)))
            .collect();
        assert_eq!(told[..8], [0, 5, 15, 35, 75, 155, 315, 635]);
        assert_eq!(told[8..], [1_235, 1_835, 2_435, 3_035, 3_635]);
    }
}
