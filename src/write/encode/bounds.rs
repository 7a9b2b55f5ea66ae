//! Least and greatest values of a column chunk.

use super::native::Native;
use parquet::{
    data_type::ByteArray,
    file::statistics::{Statistics, ValueStatistics},
};

/// What a chunk tells the statistics of its file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::write) enum Extremes<'a> {
    /// No value, or of a type without an order that readers share.
    Unknown,
    Integer(i64, i64),
    Decimal(i128, i128),
    Float(f64, f64),
    /// There is a NaN among the values; engines disagree where it stands.
    NotANumber,
    /// Beginnings of the values, at least 65 characters long where a value is.
    Text(&'a str, &'a str),
}

/// The range of values of fixed width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range<T> {
    min: T,
    max: T,
    nan: bool,
}

impl<T: Native> Default for Range<T> {
    fn default() -> Self {
        Self {
            min: T::GREATEST,
            max: T::LEAST,
            nan: false,
        }
    }
}

impl<T: Native> Range<T> {
    pub(super) fn update(&mut self, values: &[T]) {
        let Self {
            mut min,
            mut max,
            mut nan,
        } = *self;
        for &value in values {
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
            nan |= value.is_nan();
        }
        *self = Self { min, max, nan };
    }

    fn known(&self) -> Option<(T, T)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }

    pub(super) fn statistics(&self, width: usize, nulls: u64) -> Statistics {
        // Readers would skip the chunk for a filter that its NaN meets.
        T::statistics(self.known().filter(|_| !self.nan), width, nulls)
    }

    pub(super) fn extremes(&self) -> Extremes<'static> {
        match self.known() {
            _ if self.nan => Extremes::NotANumber,
            Some(bounds) => T::extremes(bounds),
            None => Extremes::Unknown,
        }
    }
}

/// Enough of a value to tell its statistics: the 65 characters that [`Extremes::Text`] promises, of four bytes each.
const LONGEST_KEPT: usize = 264;

/// The longest bound that a footer holds.
const LONGEST_STATED: usize = 64;

/// The range of byte strings, of which only beginnings are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct BytesRange {
    text: bool,
    any: bool,
    min: Vec<u8>,
    max: Vec<u8>,
    /// The first eight bytes of both, in an order that agrees with theirs.
    prefixes: Option<(u64, u64)>,
}

impl BytesRange {
    /// `text`: values are UTF-8.
    pub(super) fn new(text: bool) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    /// Whether a value whose first eight bytes are `prefix` (big-endian, padded with zeros) may widen the range.
    pub(super) fn may_widen(&self, prefix: u64) -> bool {
        self.prefixes
            .is_none_or(|(min, max)| prefix <= min || prefix >= max)
    }

    pub(super) fn update(&mut self, value: &[u8]) {
        if !self.any || value < self.min.as_slice() {
            value_start(value, self.text).clone_into(&mut self.min);
        }
        if !self.any || value > self.max.as_slice() {
            value_start(value, self.text).clone_into(&mut self.max);
        }
        self.any = true;
        self.prefixes = Some((big_endian(&self.min), big_endian(&self.max)));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.text);
    }

    pub(super) fn extremes(&self) -> Extremes<'_> {
        match (str::from_utf8(&self.min), str::from_utf8(&self.max)) {
            (Ok(min), Ok(max)) if self.text && self.any => Extremes::Text(min, max),
            _ => Extremes::Unknown,
        }
    }

    /// Long bounds are cut, the upper one rounded up, and marked inexact. Where it cannot be rounded it is kept whole if
    /// it is known whole, else left out.
    pub(super) fn statistics(&self, nulls: u64) -> Statistics {
        let none = ValueStatistics::new(None, None, None, Some(nulls), false);
        if !self.any {
            return Statistics::ByteArray(none);
        }
        let min = prefix(&self.min, LONGEST_STATED, self.text);
        let cut = self.max.len() > LONGEST_STATED;
        let max = match round_up(&self.max, self.text) {
            Some(bound) if cut => Some(bound),
            None if cut => None,
            _ => Some(self.max.clone()),
        };
        Statistics::ByteArray(
            ValueStatistics::new(
                Some(ByteArray::from(min.to_vec())),
                max.map(ByteArray::from),
                None,
                Some(nulls),
                false,
            )
            .with_min_is_exact(self.min.len() <= LONGEST_STATED)
            .with_max_is_exact(!cut),
        )
    }
}

fn value_start(value: &[u8], text: bool) -> &[u8] {
    prefix(value, LONGEST_KEPT, text)
}

/// At most `longest` bytes, and no part of a character.
fn prefix(value: &[u8], longest: usize, text: bool) -> &[u8] {
    if value.len() <= longest {
        return value;
    }
    let mut end = longest;
    while text && end > 0 && value[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    &value[..end]
}

/// A short byte string above all that begin as `value` does.
fn round_up(value: &[u8], text: bool) -> Option<Vec<u8>> {
    let start = prefix(value, LONGEST_STATED, text);
    if text {
        let start = str::from_utf8(start).ok()?;
        for (at, last) in start.char_indices().rev() {
            // Of one length, so that the bound stays short; the gap of surrogates and the end have no next one.
            let next = char::from_u32(last as u32 + 1).filter(|c| c.len_utf8() == last.len_utf8());
            if let Some(next) = next {
                return Some(format!("{}{next}", &start[..at]).into_bytes());
            }
        }
        return None;
    }
    let end = start.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut bound = start[..=end].to_vec();
    bound[end] += 1;
    Some(bound)
}

fn big_endian(value: &[u8]) -> u64 {
    let mut padded = [0; 8];
    let length = value.len().min(8);
    padded[..length].copy_from_slice(&value[..length]);
    u64::from_be_bytes(padded)
}
