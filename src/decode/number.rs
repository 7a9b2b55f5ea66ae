//! JSON numbers into columns without loss. All functions take the number's text, valid JSON.

/// The number as `mantissa × 10^exponent`, exactly, the mantissa not ending in 0 unless it is 0.
/// `None` past 38 significant digits or an exponent of more than nine digits.
pub(super) fn exact(text: &str) -> Option<(i128, i32)> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, Some(exponent)),
        None => (text, None),
    };
    let mut mantissa: i128 = 0;
    let mut significant = 0u32;
    let mut zeros = 0u32;
    let mut fraction = 0i64;
    let mut in_fraction = false;
    for byte in digits.bytes() {
        match byte {
            b'.' => in_fraction = true,
            b'0'..=b'9' => {
                fraction += i64::from(in_fraction);
                if byte == b'0' {
                    zeros += u32::from(significant > 0);
                    continue;
                }
                significant = significant.checked_add(zeros)?.checked_add(1)?;
                if significant > 38 {
                    return None;
                }
                mantissa = mantissa
                    .checked_mul(10i128.checked_pow(zeros + 1)?)?
                    .checked_add(i128::from(byte - b'0'))?;
                zeros = 0;
            }
            _ => {}
        }
    }
    if mantissa == 0 {
        return Some((0, 0));
    }
    let written: i64 = match exponent {
        Some(exponent) => exponent.parse::<i32>().ok()?.into(),
        None => 0,
    };
    let exponent = i32::try_from(written - fraction + i64::from(zeros)).ok()?;
    Some((
        if text.starts_with('-') {
            -mantissa
        } else {
            mantissa
        },
        exponent,
    ))
}

/// `number × 10^scale` as an integer; `None` where it is none, or past 38 digits.
pub(super) fn scaled(text: &str, scale: i32) -> Option<i128> {
    let (mantissa, exponent) = exact(text)?;
    let exponent = u32::try_from(exponent.checked_add(scale)?).ok();
    match exponent {
        Some(exponent) => mantissa.checked_mul(10i128.checked_pow(exponent)?),
        None => (mantissa == 0).then_some(0),
    }
}

/// An integer of 64 bits; `1e3` and `10.0` are ones too.
pub(super) fn long(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(integer) => Some(integer),
        Err(_) => i64::try_from(scaled(text, 0)?).ok(),
    }
}

/// A decimal of this precision and scale.
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let value = scaled(text, scale.into())?;
    let limit = 10u128.checked_pow(precision.into())?;
    (value.unsigned_abs() < limit).then_some(value)
}

/// A double. Digits alone must be held exactly, that is within 2^53; a number with a fraction or an
/// exponent is read as every JSON reader does, the nearest double, but neither as infinite nor as a
/// zero it is not.
pub(super) fn double(text: &str, digits_alone: bool) -> Option<f64> {
    if digits_alone {
        let integer: i64 = text.parse().ok()?;
        if integer.unsigned_abs() > 1 << 53 {
            return None;
        }
    }
    let value: f64 = text.parse().ok()?;
    let lost = !value.is_finite() || (value == 0.0 && !is_zero(text));
    (!lost).then_some(value)
}

/// A float: what a float prints back as the same number.
pub(super) fn float(text: &str, digits_alone: bool) -> Option<f32> {
    let wide = double(text, digits_alone)?;
    let value: f32 = text.parse().ok()?;
    let same = f64::from(value) == wide
        || (!digits_alone && value.to_string().parse::<f64>().ok() == Some(wide));
    (same && value.is_finite()).then_some(value)
}

fn is_zero(text: &str) -> bool {
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    !digits.bytes().any(|b| matches!(b, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_is_exact() {
        assert_eq!(exact("0"), Some((0, 0)));
        assert_eq!(exact("-0.000e99999999999"), Some((0, 0)));
        assert_eq!(exact("1200"), Some((12, 2)));
        assert_eq!(exact("-1.50"), Some((-15, -1)));
        assert_eq!(exact("0.00123e5"), Some((123, 0)));
        assert_eq!(exact("100.001"), Some((100_001, -3)));
        assert_eq!(exact(&"9".repeat(38)), Some((10i128.pow(38) - 1, 0)));
        assert_eq!(exact(&"9".repeat(39)), None);
        assert_eq!(exact(&format!("1{}", "0".repeat(500))), Some((1, 500)));
        assert_eq!(exact("1e99999999999"), None);
    }

    #[test]
    fn integers_never_lose() {
        assert_eq!(long("10.0"), Some(10));
        assert_eq!(long("1e3"), Some(1_000));
        assert_eq!(long("-1.5e1"), Some(-15));
        assert_eq!(long("-0"), Some(0));
        assert_eq!(long("9223372036854775807"), Some(i64::MAX));
        assert_eq!(long("-9223372036854775808"), Some(i64::MIN));
        for text in ["9223372036854775808", "10.5", "1e400", "1e-1", "1e19"] {
            assert_eq!(long(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_never_lose() {
        assert_eq!(decimal("12.34", 4, 2), Some(1_234));
        assert_eq!(decimal("12.340", 4, 2), Some(1_234));
        assert_eq!(decimal("1e2", 5, 2), Some(10_000));
        assert_eq!(decimal("12.345", 9, 2), None);
        assert_eq!(decimal("100", 4, 2), None);
        assert_eq!(decimal("-99.99", 4, 2), Some(-9_999));
        assert_eq!(decimal("1e38", 38, 0), None);
        assert_eq!(decimal("0.1", 38, 38), Some(10i128.pow(37)));
    }

    #[test]
    fn doubles_and_floats() {
        assert_eq!(
            double("9007199254740992", true),
            Some(9_007_199_254_740_992.0)
        );
        for text in [
            "9007199254740993",
            "-9007199254740994",
            "123456789012345678901",
        ] {
            assert_eq!(double(text, true), None, "{text}");
        }
        for text in ["1e400", "-1e400", "1e-400"] {
            assert_eq!(double(text, false), None, "{text}");
        }
        assert_eq!(double("0e-400", false), Some(0.0));
        assert_eq!(double("5e-324", false), Some(5e-324));
        assert_eq!(
            double("-0", true).map(f64::to_bits),
            Some((-0.0f64).to_bits())
        );
        assert_eq!(float("0.1", false), Some(0.1));
        assert_eq!(float("16777216", true), Some(16_777_216.0));
        assert_eq!(float("3.4e38", false), Some(3.4e38));
        for (text, alone) in [
            ("16777217", true),
            ("0.123456789", false),
            ("1e39", false),
            ("1e-60", false),
        ] {
            assert_eq!(float(text, alone), None, "{text}");
        }
    }
}
