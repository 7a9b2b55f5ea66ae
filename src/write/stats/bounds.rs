//! Least and greatest values by type, and how they are spelled.

use super::text;
use crate::write::encode::Extremes;
use arrow::datatypes::{DataType, Decimal128Type, DecimalType, TimeUnit};
use chrono::{DateTime, Datelike, Days, NaiveDate};

/// What is known of a column's values. Nothing is stated for booleans, binary, lists, maps and variants, as
/// Delta's own writer states nothing; they have a null count alone.
#[derive(Clone, Debug)]
pub(super) enum Bounds {
    None,
    Integer(Option<(i64, i64)>),
    /// Days since the epoch.
    Date(Option<(i64, i64)>),
    /// Microseconds since the epoch; whether they are UTC.
    Timestamp(Option<(i64, i64)>, bool),
    Decimal(Option<(i128, i128)>, u8, i8),
    Float(Option<(f64, f64)>),
    Text(Option<(String, String)>),
}

impl Bounds {
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Bounds::Integer(None)
            }
            DataType::Date32 => Bounds::Date(None),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Bounds::Timestamp(None, zone.is_some())
            }
            DataType::Decimal128(precision, scale) => Bounds::Decimal(None, *precision, *scale),
            DataType::Float32 | DataType::Float64 => Bounds::Float(None),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Bounds::Text(None),
            _ => Bounds::None,
        }
    }

    /// Takes in the range of some values of the type given to [`Self::of`].
    pub(super) fn merge(&mut self, extremes: Extremes<'_>) {
        match (&mut *self, extremes) {
            (
                Bounds::Integer(known) | Bounds::Date(known) | Bounds::Timestamp(known, _),
                Extremes::Integer(min, max),
            ) => widen(known, min, max),
            (Bounds::Decimal(known, ..), Extremes::Integer(min, max)) => {
                widen(known, min.into(), max.into());
            }
            (Bounds::Decimal(known, ..), Extremes::Decimal(min, max)) => widen(known, min, max),
            (Bounds::Float(known), Extremes::Float(min, max)) => widen(known, min, max),
            // Engines disagree where NaN stands in the order.
            (Bounds::Float(_), Extremes::NotANumber) => *self = Bounds::None,
            (Bounds::Text(known), Extremes::Text(min, max)) => {
                widen_text(known, text::min_prefix(min), text::max_prefix(max));
            }
            _ => {}
        }
    }

    /// The lower bound as JSON.
    pub(super) fn min(&self) -> Option<String> {
        match self {
            Bounds::None => None,
            Bounds::Integer(known) => known.map(|(min, _)| min.to_string()),
            Bounds::Date(known) => known.and_then(|(min, _)| date(min)),
            Bounds::Timestamp(known, utc) => {
                known.and_then(|(min, _)| timestamp(min.div_euclid(1_000), *utc))
            }
            Bounds::Decimal(known, precision, scale) => {
                known.map(|(min, _)| Decimal128Type::format_decimal(min, *precision, *scale))
            }
            // Some readers take -0.0 for less than 0.0.
            Bounds::Float(known) => {
                known.and_then(|(min, _)| float(if min == 0.0 { -0.0 } else { min }))
            }
            Bounds::Text(known) => known.as_ref().map(|(min, _)| text::json_string(min)),
        }
    }

    /// The upper bound as JSON.
    pub(super) fn max(&self) -> Option<String> {
        match self {
            Bounds::None => None,
            Bounds::Integer(known) => known.map(|(_, max)| max.to_string()),
            Bounds::Date(known) => known.and_then(|(_, max)| date(max)),
            Bounds::Timestamp(known, utc) => known.and_then(|(_, max)| {
                let up = i64::from(max.rem_euclid(1_000) != 0);
                timestamp(max.div_euclid(1_000) + up, *utc)
            }),
            Bounds::Decimal(known, precision, scale) => {
                known.map(|(_, max)| Decimal128Type::format_decimal(max, *precision, *scale))
            }
            Bounds::Float(known) => {
                known.and_then(|(_, max)| float(if max == 0.0 { 0.0 } else { max }))
            }
            Bounds::Text(known) => {
                let (_, max) = known.as_ref()?;
                text::upper_bound(max).as_deref().map(text::json_string)
            }
        }
    }
}

fn widen<T: PartialOrd + Copy>(known: &mut Option<(T, T)>, min: T, max: T) {
    *known = Some(match *known {
        None => (min, max),
        Some((low, high)) => (
            if min < low { min } else { low },
            if max > high { max } else { high },
        ),
    });
}

fn widen_text(known: &mut Option<(String, String)>, min: &str, max: &str) {
    match known {
        None => *known = Some((min.to_owned(), max.to_owned())),
        Some((low, high)) => {
            if min < low.as_str() {
                min.clone_into(low);
            }
            if max > high.as_str() {
                max.clone_into(high);
            }
        }
    }
}

/// A 32-bit float is spelled with the digits of the same 64-bit one: a reader that parses it as either gets the
/// very value. JSON has no infinities.
fn float(value: f64) -> Option<String> {
    serde_json::Number::from_f64(value).map(|n| n.to_string())
}

/// Years that are not of four digits are read differently by different readers.
fn in_calendar(date: impl Datelike) -> bool {
    (0..=9_999).contains(&date.year())
}

fn date(days: i64) -> Option<String> {
    let epoch = NaiveDate::default();
    let days_off = Days::new(days.unsigned_abs());
    let date = if days < 0 {
        epoch.checked_sub_days(days_off)
    } else {
        epoch.checked_add_days(days_off)
    };
    date.filter(|d| in_calendar(*d))
        .map(|d| d.format("\"%Y-%m-%d\"").to_string())
}

/// As Delta's Spark writer: milliseconds, with `Z` where the type is UTC.
fn timestamp(millis: i64, utc: bool) -> Option<String> {
    let time = DateTime::from_timestamp_millis(millis).filter(|t| in_calendar(*t))?;
    let format = if utc {
        "\"%Y-%m-%dT%H:%M:%S%.3fZ\""
    } else {
        "\"%Y-%m-%dT%H:%M:%S%.3f\""
    };
    Some(time.format(format).to_string())
}
