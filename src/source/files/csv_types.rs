//! Which CSV columns are numbers or booleans.
//!
//! CSV has no types, so a column's is a property of the column, never of one value: a column of which
//! one value in any file of the run reads `007` is text everywhere. The types are found once, when the
//! run is planned, and kept in its manifest, so that a resumed run makes the same records. A caller
//! that knows the table's columns overrides them.

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the values of a CSV column are written as JSON. Empty values are null whatever the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CsvType {
    /// `"…"`, as it stands in the file.
    #[default]
    Text,
    /// As it stands, where it is a JSON number; else as text, which then meets the table's `on_conflict`.
    Number,
    /// `true` or `false`; else as text.
    Boolean,
}

impl CsvType {
    /// For a column that the table has. A time may be a number since the epoch or text.
    pub fn of_column(column: &DataType) -> Self {
        match column {
            DataType::Boolean => Self::Boolean,
            column if column.is_numeric() || column.is_temporal() => Self::Number,
            _ => Self::Text,
        }
    }
}

/// The types of the columns of a run by name.
pub(crate) type CsvTypes = BTreeMap<String, CsvType>;

/// What the values of a column have in common so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guess {
    seen: bool,
    number: bool,
    boolean: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self {
            seen: false,
            number: true,
            boolean: true,
        }
    }
}

impl Guess {
    pub(crate) fn observe(&mut self, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        self.seen = true;
        self.number = self.number && is_exact_number(value);
        self.boolean = self.boolean && matches!(value, b"true" | b"false");
    }

    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            seen: self.seen || other.seen,
            number: self.number && other.number,
            boolean: self.boolean && other.boolean,
        }
    }

    /// A column without any value is text: nothing is known of it.
    pub(crate) fn decide(self) -> CsvType {
        match (self.seen, self.number, self.boolean) {
            (true, true, _) => CsvType::Number,
            (true, _, true) => CsvType::Boolean,
            _ => CsvType::Text,
        }
    }
}

/// Whether the text is a JSON number that a long or a double holds without loss: `12`, `-3`, `1.50`,
/// `2e3`, but not `007`, `+1`, `1.`, `NaN`, an integer outside 64 bits, or more digits than a double has.
pub(crate) fn is_exact_number(text: &[u8]) -> bool {
    let Some(shape) = number_shape(text) else {
        return false;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    match shape {
        Shape::Integer => text.parse::<i64>().is_ok(),
        Shape::Fraction => {
            let Ok(value) = text.parse::<f64>() else {
                return false;
            };
            value.is_finite()
                && (significant_digits(text).len() <= 15
                    || significant_digits(text) == significant_digits(&format!("{value:e}")))
        }
    }
}

/// Whether the text is a number by JSON's grammar, of whatever size.
pub(crate) fn is_number(text: &[u8]) -> bool {
    number_shape(text).is_some()
}

enum Shape {
    Integer,
    Fraction,
}

/// RFC 8259, section 6.
fn number_shape(text: &[u8]) -> Option<Shape> {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.first() == Some(&b'0')) {
        return None;
    }
    rest = rest.get(whole..)?;
    let mut shape = Shape::Integer;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n = digits(fraction);
        if n == 0 {
            return None;
        }
        (rest, shape) = (fraction.get(n..)?, Shape::Fraction);
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', rest @ ..] => rest,
            all => all,
        };
        let n = digits(exponent);
        if n == 0 {
            return None;
        }
        (rest, shape) = (exponent.get(n..)?, Shape::Fraction);
    }
    rest.is_empty().then_some(shape)
}

/// The digits of a number without sign, point, exponent, leading and trailing zeros.
fn significant_digits(text: &str) -> String {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_only_what_json_and_a_column_hold_exactly() {
        for yes in [
            "0",
            "12",
            "-3",
            "1.50",
            "0.1",
            "2e3",
            "1E-7",
            "9223372036854775807",
            "0.30000000000000004",
            "-0.0",
            "52.520008123456789e0",
        ] {
            let lossy = yes == "52.520008123456789e0";
            assert_eq!(is_exact_number(yes.as_bytes()), !lossy, "{yes}");
            assert!(is_number(yes.as_bytes()), "{yes}");
        }
        for no in [
            "", "007", "+1", "1.", ".5", "1e", "1e+", "NaN", "inf", " 1", "1 ", "0x1", "1_000",
            "1,5", "--1", "-",
        ] {
            assert!(!is_number(no.as_bytes()), "{no}");
        }
        assert!(!is_exact_number(b"9223372036854775808"), "past 64 bits");
        assert!(!is_exact_number(b"1e999"), "past a double");
    }

    #[test]
    fn one_value_decides_for_its_column() {
        let mut zip = Guess::default();
        zip.observe(b"10001");
        assert_eq!(zip.decide(), CsvType::Number);
        let mut other_file = Guess::default();
        other_file.observe(b"02134");
        assert_eq!(zip.join(other_file).decide(), CsvType::Text);
        assert_eq!(Guess::default().decide(), CsvType::Text);
        let mut flag = Guess::default();
        flag.observe(b"true");
        flag.observe(b"");
        assert_eq!(flag.decide(), CsvType::Boolean);
        flag.observe(b"True");
        assert_eq!(flag.decide(), CsvType::Text);
    }

    proptest! {
        #[test]
        fn a_number_is_one_for_serde_json_too(text in "[-+0-9.eE]{0,24}") {
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text)
                .is_ok_and(|raw| raw.get() == text);
            prop_assert_eq!(is_number(text.as_bytes()), theirs);
        }

        #[test]
        fn every_double_printed_shortest_is_exact(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let text = format!("{:e}", value);
            prop_assert!(is_exact_number(text.as_bytes()) || value.fract() == 0.0);
        }
    }
}
