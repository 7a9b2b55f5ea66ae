//! When a landing zone's signature ends.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use std::time::SystemTime;

/// `expiryDate`: RFC 3339, or a date alone. A date has no zone and may mean any hour of that day in any of them, so it
/// counts as its first moment in UTC; the margin before it makes up for zones further east.
///
/// `None` if it is neither.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(SystemTime::from(time));
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(SystemTime::from(date.and_time(NaiveTime::MIN).and_utc()))
}

/// A time as logs and errors show it.
pub(super) fn shown(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_date_is_its_first_moment_in_utc_wherever_we_are() {
        for (text, moment) in [
            ("2025-07-05", "2025-07-05T00:00:00Z"),
            (" 2025-07-05\n", "2025-07-05T00:00:00Z"),
            // A leap day, and the days on which clocks change in Europe and America.
            ("2028-02-29", "2028-02-29T00:00:00Z"),
            ("2025-03-30", "2025-03-30T00:00:00Z"),
            ("2025-11-02", "2025-11-02T00:00:00Z"),
            ("2025-07-05T23:59:60Z", "2025-07-06T00:00:00Z"),
            ("2025-07-05T01:30:00+02:00", "2025-07-04T23:30:00Z"),
            ("2025-07-05T12:00:00.500Z", "2025-07-05T12:00:00Z"),
        ] {
            assert_eq!(parse(text).map(shown).as_deref(), Some(moment), "{text}");
        }
        for text in [
            "",
            "2027-02-29",
            "2025-13-01",
            "05.07.2025",
            "2025-07-05T12:00:00",
            "soon",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
