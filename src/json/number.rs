//! Numbers: where they end, and their digits eight at a time.

use super::{
    cursor::{Cursor, Stop},
    scan::NodeKind,
};

const POWERS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// Each byte's value as a digit, where it is one.
#[inline(always)]
fn digits_of(word: u64) -> u64 {
    word ^ u64::from_ne_bytes([b'0'; 8])
}

/// How many of the bytes, from the least on, are below ten.
#[inline(always)]
fn leading_digits(digits: u64) -> usize {
    // 0x76 takes the highest bit from 10 on. What carries is no digit itself and spoils only bytes
    // behind it, which do not count.
    let beyond = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    (beyond.trailing_zeros() / 8) as usize
}

/// The number that eight digits make, the first in the least byte.
#[inline(always)]
fn eight(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(2_561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    (fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32
}

/// Passes the digits from here on: the number they spell modulo 2^64, and how many there are. Up to
/// 19 digits are within 2^64.
#[inline(always)]
pub(crate) fn digit_run(cursor: &mut Cursor<'_>) -> Result<(u64, usize), Stop> {
    let mut value = 0u64;
    let mut count = 0;
    loop {
        let word = digits_of(cursor.word());
        let digits = leading_digits(word);
        if digits == 8 {
            value = value.wrapping_mul(POWERS[8]).wrapping_add(eight(word));
            count += 8;
            cursor.advance(8)?;
            continue;
        }
        if digits > 0 {
            // The digits go to the end of the word, zeros before them.
            let part = eight(word << (64 - 8 * digits));
            value = value.wrapping_mul(POWERS[digits & 7]).wrapping_add(part);
            cursor.advance(digits)?;
        }
        return Ok((value, count + digits));
    }
}

/// The number that the digits at the start of eight bytes spell, and how many there are.
#[inline(always)]
pub(crate) fn leading_number(word: u64) -> (u64, usize) {
    let word = digits_of(word);
    match leading_digits(word) {
        0 => (0, 0),
        count => (eight(word << (64 - 8 * count)), count),
    }
}

/// Whether a number that is a value of an object or an array ends before this byte, the usual ones.
#[inline(always)]
fn ends(byte: u64) -> bool {
    let byte = byte as u8;
    byte == b',' || byte == b'}' || byte == b']'
}

/// Whether several digits begin with a zero, which no number does.
#[inline(always)]
fn zero_before(word: u64, digits: usize) -> bool {
    word as u8 == b'0' && digits > 1
}

/// The number at the start of eight bytes where it is up to seven digits and its end is among them, and
/// how many digits it has.
#[inline(always)]
pub(crate) fn short_integer(word: u64) -> Option<(u64, usize)> {
    let values = digits_of(word);
    let digits = leading_digits(values);
    if digits.wrapping_sub(1) >= 7 || !ends(word >> (8 * digits)) || zero_before(word, digits) {
        return None;
    }
    Some((eight(values << (64 - 8 * digits)), digits))
}

/// The number at the start of eight bytes where it is digits, or digits, a point and digits, and its
/// end is among them: all its digits as one number, how many of them stand behind the point, and its
/// length.
#[inline(always)]
pub(crate) fn short_number(word: u64) -> Option<(u64, usize, usize)> {
    let values = digits_of(word);
    let whole = leading_digits(values);
    if whole.wrapping_sub(1) >= 7 || zero_before(word, whole) {
        return None;
    }
    let behind = word >> (8 * whole);
    if ends(behind) {
        return Some((eight(values << (64 - 8 * whole)), 0, whole));
    }
    // The zeros that come in behind are digits only past the seven bytes that may be.
    let fraction = values >> (8 * whole) >> 8;
    let places = leading_digits(fraction);
    let length = whole + 1 + places;
    if behind as u8 != b'.' || places == 0 || length > 7 || !ends(word >> (8 * length)) {
        return None;
    }
    // Without the point, and at the word's end.
    let digits = fraction << (8 * whole) | values & !(u64::MAX << (8 * whole));
    Some((eight(digits << (64 - 8 * (length - 1))), places, length))
}

/// The microseconds of `HH:MM:SS`.
#[inline(always)]
pub(crate) fn clock(word: [u8; 8]) -> Option<u64> {
    // Each byte's value, and what takes the byte's highest bit from the most it may be.
    let parts = u64::from_le_bytes(word) ^ u64::from_le_bytes(*b"00:00:00");
    let room = u64::from_le_bytes([0x7d, 0x76, 0x7f, 0x7a, 0x76, 0x7f, 0x7a, 0x76]);
    if (parts.wrapping_add(room) | parts) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // At each byte ten times it and the next; the colons are zeros.
    let pairs = parts * 10 + (parts >> 8);
    let (hours, minutes, seconds) = (pairs & 0xff, pairs >> 24 & 0xff, pairs >> 48 & 0xff);
    let seconds = (hours * 60 + minutes) * 60 + seconds;
    (hours < 24).then_some(seconds * 1_000_000)
}

/// The milliseconds of `.mmmZ"`, as most encoders end a time, at the start of eight bytes.
#[inline(always)]
pub(crate) fn millis(word: u64) -> Option<u64> {
    let frame = u64::from_le_bytes(*b".\0\0\0Z\"\0\0");
    let parts = (word >> 8 ^ 0x30_3030) & 0xff_ffff;
    // As in `clock`.
    let beyond = ((parts + 0x76_7676) | parts) & 0x80_8080;
    let is_such = word & 0x0000_ffff_0000_00ff == frame && beyond == 0;
    is_such.then_some((parts & 0xff) * 100 + (parts >> 8 & 0xff) * 10 + (parts >> 16))
}

/// Passes digits, at least one, up to the text's end.
#[inline(always)]
fn digits(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    let mut any = false;
    loop {
        let digits = leading_digits(digits_of(cursor.word())).min(cursor.left());
        cursor.advance(digits)?;
        any |= digits > 0;
        if digits < 8 {
            return if any { Ok(()) } else { Err(Stop) };
        }
    }
}

/// Passes one number, [`NodeKind::Integer`] where it is digits alone, else [`NodeKind::Float`].
#[inline(always)]
pub(crate) fn skip_number(cursor: &mut Cursor<'_>) -> Result<NodeKind, Stop> {
    if cursor.byte() == b'-' {
        cursor.advance(1)?;
    }
    if cursor.byte() == b'0' {
        cursor.advance(1)?;
        if cursor.left() > 0 && cursor.byte().is_ascii_digit() {
            return Err(Stop);
        }
    } else {
        digits(cursor)?;
    }
    // Behind the end stands what is none of this text.
    if cursor.left() == 0 || !matches!(cursor.byte(), b'.' | b'e' | b'E') {
        return Ok(NodeKind::Integer);
    }
    if cursor.byte() == b'.' {
        cursor.advance(1)?;
        digits(cursor)?;
    }
    if cursor.left() > 0 && matches!(cursor.byte(), b'e' | b'E') {
        cursor.advance(1)?;
        if matches!(cursor.byte(), b'+' | b'-') {
            cursor.advance(1)?;
        }
        digits(cursor)?;
    }
    Ok(NodeKind::Float)
}
