//! What is said again and again, said seldom: librdkafka repeats the complaints of each broker connection as fast as it
//! reconnects, about twenty lines a second.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The first interval between two lines of one text; it doubles up to [`MOST`].
const FIRST: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(600);
/// A text not heard for so long is new again.
const FORGET: Duration = Duration::from_secs(60);
/// Texts remembered: the connections of a source, with a little room.
const TEXTS: usize = 256;

/// Decides which repetition of a text is logged.
#[derive(Default)]
pub(crate) struct Quiet {
    texts: HashMap<String, Heard>,
}

struct Heard {
    last: Instant,
    due: Instant,
    interval: Duration,
    held_back: u64,
}

impl Quiet {
    /// `Some(repetitions held back since the last line)` if the text is to be logged now.
    pub(crate) fn hear(&mut self, text: &str, now: Instant) -> Option<u64> {
        let text = constant_part(text);
        if let Some(heard) = self.texts.get_mut(text)
            && now.saturating_duration_since(heard.last) < FORGET
        {
            heard.last = now;
            if now < heard.due {
                heard.held_back += 1;
                return None;
            }
            heard.interval = (heard.interval * 2).min(MOST);
            heard.due = now + heard.interval;
            return Some(std::mem::take(&mut heard.held_back));
        }
        if self.texts.len() >= TEXTS {
            self.texts
                .retain(|_, heard| now.saturating_duration_since(heard.last) < FORGET);
            if self.texts.len() >= TEXTS {
                self.texts.clear();
            }
        }
        let heard = Heard {
            last: now,
            due: now + FIRST,
            interval: FIRST,
            held_back: 0,
        };
        self.texts.insert(text.to_owned(), heard);
        Some(0)
    }
}

/// A text without its last parenthesis, in which librdkafka tells times and its own count of repetitions
/// (`(after 3ms in state CONNECT, 5 identical error(s) suppressed)`).
fn constant_part(text: &str) -> &str {
    text.rfind(" (after ").map_or(text, |at| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_told_at_growing_intervals_and_none_is_uncounted() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        let (mut told, mut counted) = (Vec::new(), 0);
        // A day of twenty lines a second.
        let all = 86_400 * 20;
        for n in 0..all {
            let text = format!("b1: refused (after {n}ms in state CONNECT)");
            if let Some(held_back) = quiet.hear(&text, start + Duration::from_millis(50 * n)) {
                told.push(50 * n / 1_000);
                counted += held_back + 1;
            }
        }
        assert_eq!(told[..5], [0, 5, 15, 35, 75]);
        assert!(told.len() < 160, "{}", told.len());
        assert!(all - counted <= 20 * MOST.as_secs());
    }

    #[test]
    fn another_text_and_one_long_silent_are_told_at_once() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        assert_eq!(quiet.hear("b1: refused (after 1ms)", start), Some(0));
        assert_eq!(quiet.hear("b1: refused (after 2ms)", start), None);
        assert_eq!(quiet.hear("b2: refused (after 2ms)", start), Some(0));
        assert_eq!(quiet.hear("b1: refused", start + FORGET), Some(0));
        for n in 0..10 * TEXTS {
            quiet.hear(&n.to_string(), start);
        }
        assert!(quiet.texts.len() <= TEXTS);
    }
}
