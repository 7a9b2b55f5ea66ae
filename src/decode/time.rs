//! RFC 3339 text and epoch numbers into microseconds and days, without loss.

use super::{DecodeError, number};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Microseconds in a day.
pub(super) const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// What a number in a timestamp column counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TimestampUnit {
    /// Nothing: only RFC 3339 text fits.
    #[default]
    Text,
    Seconds,
    Milliseconds,
    Microseconds,
}

impl TimestampUnit {
    pub(super) fn parse(column: &str, text: Option<&str>) -> Result<Self, DecodeError> {
        match text {
            None | Some("rfc3339") => Ok(TimestampUnit::Text),
            Some("seconds") => Ok(TimestampUnit::Seconds),
            Some("milliseconds") => Ok(TimestampUnit::Milliseconds),
            Some("microseconds") => Ok(TimestampUnit::Microseconds),
            Some(other) => Err(DecodeError::TimestampUnit {
                column: column.to_string(),
                unit: other.to_string(),
            }),
        }
    }

    /// A JSON number in microseconds; `None` if it has finer digits, does not fit or has no unit.
    pub(super) fn micros(self, text: &str) -> Option<i64> {
        let scale = match self {
            TimestampUnit::Text => return None,
            TimestampUnit::Seconds => 6,
            TimestampUnit::Milliseconds => 3,
            TimestampUnit::Microseconds => 0,
        };
        i64::try_from(number::scaled(text, scale)?).ok()
    }
}

/// RFC 3339 (section 5.6): the local time in microseconds since the epoch, and the zone's offset in
/// seconds where there is one. A space may stand for the `T`. `None` for other text, leap seconds,
/// and digits other than 0 below a microsecond.
pub(super) fn rfc3339(text: &str) -> Option<(i64, Option<i64>)> {
    let bytes = text.as_bytes();
    let days = i64::from(date(text.get(..10)?)?);
    if !matches!(bytes.get(10)?, b'T' | b't' | b' ')
        || *bytes.get(13)? != b':'
        || *bytes.get(16)? != b':'
    {
        return None;
    }
    let (hour, minute, second) = (two(bytes, 11)?, two(bytes, 14)?, two(bytes, 17)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut micros = 0;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let start = at;
        let mut worth = 100_000;
        while let Some(digit) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
            if worth == 0 && *digit != b'0' {
                return None;
            }
            micros += i64::from(digit - b'0') * worth;
            worth /= 10;
            at += 1;
        }
        if at == start {
            return None;
        }
    }
    let zone = match bytes.get(at) {
        None => None,
        Some(b'Z' | b'z') => {
            at += 1;
            Some(0)
        }
        Some(sign @ (b'+' | b'-')) => {
            let (hours, minutes) = (two(bytes, at + 1)?, two(bytes, at + 4)?);
            if *bytes.get(at + 3)? != b':' || hours > 23 || minutes > 59 {
                return None;
            }
            at += 6;
            let seconds = hours * 3_600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        Some(_) => return None,
    };
    if at != bytes.len() {
        return None;
    }
    let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second;
    Some((seconds * MICROS_PER_SECOND + micros, zone))
}

/// RFC 3339 text with a zone: microseconds since the epoch in UTC.
pub(super) fn instant(text: &str) -> Option<i64> {
    let (local, zone) = rfc3339(text)?;
    Some(local - zone? * MICROS_PER_SECOND)
}

/// RFC 3339 text without a zone: microseconds of the local time.
pub(super) fn local(text: &str) -> Option<i64> {
    match rfc3339(text)? {
        (local, None) => Some(local),
        _ => None,
    }
}

/// `YYYY-MM-DD` as days since the epoch.
pub(super) fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
    let (month, day) = (two(bytes, 5)?, two(bytes, 8)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    // Days from civil (Howard Hinnant): years that begin in March, in eras of 400.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

fn two(bytes: &[u8], at: usize) -> Option<i64> {
    let digit = |i: usize| {
        bytes
            .get(i)
            .filter(|b| b.is_ascii_digit())
            .map(|b| i64::from(b - b'0'))
    };
    Some(digit(at)? * 10 + digit(at + 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDate};
    use proptest::prelude::*;

    #[test]
    fn instants() {
        assert_eq!(instant("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(instant("1970-01-01 00:00:00.000001z"), Some(1));
        assert_eq!(instant("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(instant("1969-12-31T23:59:59.5Z"), Some(-500_000));
        assert_eq!(
            instant("2024-02-29T12:00:00.1234560000Z"),
            Some(1_709_208_000_123_456)
        );
        for text in [
            "2024-02-29T12:00:00.1234567Z",
            "2023-02-29T12:00:00Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T12:60:00Z",
            "2016-12-31T23:59:60Z",
            "2024-02-29T12:00:00",
            "2024-02-29",
            "2024-02-29T12:00:00.Z",
            "2024-02-29T12:00:00Zx",
            "2024-02-29T12:00:00+0100",
            "2024-02-29T12:00:00+1:00",
            "2024-02-29T12:00:00+24:00",
            "",
            "2024-02-29T12:00Z",
            "+2024-02-29T12:00:00Z",
            "2024-02-29T12:00:00+",
            "２024-02-29T12:00:00Z",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
        assert_eq!(local("1970-01-01T00:00:01"), Some(1_000_000));
        assert_eq!(local("1970-01-01T00:00:01Z"), None);
    }

    #[test]
    fn epoch_numbers() {
        assert_eq!(
            TimestampUnit::Seconds.micros("1700000000.5"),
            Some(1_700_000_000_500_000)
        );
        assert_eq!(
            TimestampUnit::Milliseconds.micros("1.7e12"),
            Some(1_700_000_000_000_000)
        );
        assert_eq!(TimestampUnit::Microseconds.micros("1.5"), None);
        assert_eq!(TimestampUnit::Seconds.micros("0.0000001"), None);
        assert_eq!(TimestampUnit::Seconds.micros("99999999999999"), None);
        assert_eq!(TimestampUnit::Text.micros("1"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }))]

        #[test]
        fn as_chrono_reads_it(micros in -62_167_219_200_000_000i64..253_402_300_800_000_000, offset in -1_439i32..1_440) {
            let zone = chrono::FixedOffset::east_opt(offset * 60).unwrap();
            let time = DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&zone);
            let text = time.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string();
            prop_assume!(text.len() == 32);
            prop_assert_eq!(instant(&text), Some(micros), "{}", text);
        }

        #[test]
        fn dates_as_chrono_reads_them(year in 0i32..10_000, month in 0u32..14, day in 0u32..33) {
            let ours = date(&format!("{year:04}-{month:02}-{day:02}"));
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            let theirs = NaiveDate::from_ymd_opt(year, month, day)
                .map(|d| d.signed_duration_since(epoch).num_days() as i32);
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = (rfc3339(&text), date(&text));
        }
    }
}
