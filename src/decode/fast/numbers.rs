//! Numbers and times by their common spellings; all others by the functions that read any.

use crate::{
    decode::{column::Times, number, time},
    json::{
        Cursor, NodeKind, Stop, clock, digit_run, leading_number, millis, short_integer,
        short_number, skip_number,
    },
};

/// What was found; the cursor has passed it unless it is a misfit.
pub(super) enum Found<T> {
    Value(T),
    Null,
    Misfit,
}

impl<T> From<Option<T>> for Found<T> {
    #[inline(always)]
    fn from(value: Option<T>) -> Self {
        match value {
            Some(value) => Found::Value(value),
            None => Found::Misfit,
        }
    }
}

/// Powers of ten that doubles hold exactly, as far as a 64-bit number has digits.
const POWERS: [f64; 20] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19,
];

const EXACT_DOUBLE: u64 = 1 << 53;

const TENS: [u64; 20] = {
    let mut tens = [1; 20];
    let mut i = 1;
    while i < tens.len() {
        tens[i] = tens[i - 1] * 10;
        i += 1;
    }
    tens
};

/// Passes `null`, if it stands here.
#[inline(always)]
pub(super) fn null<T>(cursor: &mut Cursor<'_>) -> Result<Found<T>, Stop> {
    if *cursor.bytes() != *b"null" {
        return Ok(Found::Misfit);
    }
    cursor.advance(4)?;
    Ok(Found::Null)
}

/// Passes a number of any spelling that `read` takes.
#[inline(always)]
pub(super) fn any_number<T>(
    cursor: &mut Cursor<'_>,
    read: impl FnOnce(&str, bool) -> Option<T>,
) -> Result<Found<T>, Stop> {
    let (found, behind) = spelled(*cursor, read)?;
    *cursor = behind;
    Ok(found)
}

#[inline(never)]
fn spelled<'a, T>(
    start: Cursor<'a>,
    read: impl FnOnce(&str, bool) -> Option<T>,
) -> Result<(Found<T>, Cursor<'a>), Stop> {
    let mut cursor = start;
    if !matches!(cursor.byte(), b'-' | b'0'..=b'9') {
        return Ok((null(&mut cursor)?, cursor));
    }
    let kind = skip_number(&mut cursor)?;
    let text = str::from_utf8(cursor.since(start)).map_err(|_| Stop)?;
    Ok(match read(text, kind == NodeKind::Integer) {
        Some(value) => (Found::Value(value), cursor),
        None => (Found::Misfit, start),
    })
}

/// An integer of up to 18 digits, or whatever is one.
#[inline(always)]
pub(super) fn long(cursor: &mut Cursor<'_>) -> Result<Found<i64>, Stop> {
    if let Some((digits, length)) = short_integer(cursor.word()) {
        cursor.advance(length)?;
        return Ok(Found::Value(digits as i64));
    }
    if let Found::Null = null::<i64>(cursor)? {
        return Ok(Found::Null);
    }
    let (found, behind) = longer(*cursor)?;
    *cursor = behind;
    Ok(found)
}

#[inline(never)]
fn longer(mut cursor: Cursor<'_>) -> Result<(Found<i64>, Cursor<'_>), Stop> {
    let found = any_long(&mut cursor)?;
    Ok((found, cursor))
}

fn any_long(cursor: &mut Cursor<'_>) -> Result<Found<i64>, Stop> {
    let start = *cursor;
    let negative = cursor.byte() == b'-';
    if negative {
        cursor.advance(1)?;
    }
    let zero = cursor.byte() == b'0';
    let (digits, count) = digit_run(cursor)?;
    if count == 0
        || count > 18
        || (zero && count > 1)
        || matches!(cursor.byte(), b'.' | b'e' | b'E')
    {
        *cursor = start;
        return any_number(cursor, |text, _| number::long(text));
    }
    let digits = digits as i64;
    Ok(Found::Value(if negative { -digits } else { digits }))
}

/// A number's digits as an integer, how many of them stand behind the point, and its sign; `None`
/// for exponents, more than 19 digits and what is no number.
#[inline(always)]
fn plain(cursor: &mut Cursor<'_>) -> Result<Option<(u64, usize, bool)>, Stop> {
    let negative = cursor.byte() == b'-';
    if negative {
        cursor.advance(1)?;
    }
    let zero = cursor.byte() == b'0';
    let (mut digits, mut count) = digit_run(cursor)?;
    if count == 0 || (zero && count > 1) {
        return Ok(None);
    }
    let mut behind = 0;
    if cursor.byte() == b'.' {
        cursor.advance(1)?;
        let (fraction, length) = digit_run(cursor)?;
        count += length;
        if length == 0 || count > 19 {
            return Ok(None);
        }
        behind = length;
        let Some(power) = TENS.get(length) else {
            return Ok(None);
        };
        digits = digits * power + fraction;
    }
    if count > 19 || matches!(cursor.byte(), b'e' | b'E') {
        return Ok(None);
    }
    Ok(Some((digits, behind, negative)))
}

/// A double: where both the digits and the power of ten are exact, one division rounds right.
#[inline(always)]
pub(super) fn double(cursor: &mut Cursor<'_>) -> Result<Found<f64>, Stop> {
    if let Some((digits, behind, length)) = short_number(cursor.word()) {
        cursor.advance(length)?;
        return Ok(Found::Value(digits as i64 as f64 / POWERS[behind % 8]));
    }
    if let Found::Null = null::<f64>(cursor)? {
        return Ok(Found::Null);
    }
    let (found, behind) = longer_double(*cursor)?;
    *cursor = behind;
    Ok(found)
}

#[inline(never)]
fn longer_double(mut cursor: Cursor<'_>) -> Result<(Found<f64>, Cursor<'_>), Stop> {
    let found = any_double(&mut cursor)?;
    Ok((found, cursor))
}

fn any_double(cursor: &mut Cursor<'_>) -> Result<Found<f64>, Stop> {
    let start = *cursor;
    if let Some((digits, behind, negative)) = plain(cursor)?
        && digits <= EXACT_DOUBLE
        && let Some(power) = POWERS.get(behind)
    {
        // As a signed number, for which there is an instruction.
        let value = digits as i64 as f64 / power;
        return Ok(Found::Value(if negative { -value } else { value }));
    }
    *cursor = start;
    any_number(cursor, number::double)
}

#[inline(always)]
pub(super) fn decimal(
    cursor: &mut Cursor<'_>,
    precision: u8,
    scale: i8,
) -> Result<Found<i128>, Stop> {
    let start = *cursor;
    if let Some((digits, behind, negative)) = plain(cursor)?
        && let Ok(scale) = usize::try_from(scale)
        && behind <= scale
        && let Some(power) = TENS.get(scale - behind)
    {
        // Below 10^19 × 10^19.
        let value = i128::from(digits) * i128::from(*power);
        if value < 10i128.pow(precision.min(38).into()) {
            return Ok(Found::Value(if negative { -value } else { value }));
        }
    }
    *cursor = start;
    any_number(cursor, |text, _| number::decimal(text, precision, scale))
}

/// The microseconds of `"YYYY-MM-DDTHH:MM:SS"` with up to six digits of a fraction and a `Z` where
/// the column has a zone, and its length with both quotes. `None` for all other spellings.
#[inline(always)]
pub(super) fn time(times: &mut Times, cursor: Cursor<'_>) -> Option<(i64, usize)> {
    let text = cursor.bytes::<32>();
    let day = text[1..].first_chunk::<10>()?;
    if *day != times.day {
        times.day_us = day_us(day)?;
        times.day = *day;
    }
    let mut micros = clock(*text[12..].first_chunk()?)? as i64;
    if text[0] != b'"' || !matches!(text[11], b'T' | b' ') {
        return None;
    }
    if times.zoned
        && let Some(millis) = millis(u64::from_le_bytes(*text[20..].first_chunk()?))
    {
        return Some((times.day_us + micros + millis as i64 * 1_000, 26));
    }
    let mut at = 20;
    if text[20] == b'.' {
        let (digits, count) = leading_number(u64::from_le_bytes(*text[21..].first_chunk()?));
        if count == 0 || count > 6 {
            return None;
        }
        micros += digits as i64 * TENS[6 - count] as i64;
        at = 21 + count;
    }
    if times.zoned {
        if text[at] != b'Z' {
            return None;
        }
        at += 1;
    }
    (text[at] == b'"').then_some((times.day_us + micros, at + 1))
}

#[cold]
fn day_us(day: &[u8; 10]) -> Option<i64> {
    let text = [&day[..], b"T00:00:00Z"].concat();
    time::instant(str::from_utf8(&text).ok()?)
}
