//! Columns' values under construction: vectors that can be cut back to an earlier row and padded with
//! nulls up to a later one, and that become Arrow's buffers without being copied.
//!
//! Longer than most files: all columns under construction are here, since the argument for the unchecked hand-over to Arrow rests on all of them.

#![allow(unsafe_code)]

use super::DecodeError;
use crate::json::{Blocks, Cursor, Simd, Stop, push_string};
use arrow::{
    array::{BinaryArray, BooleanArray, StringArray},
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::ArrowNativeType,
};
use std::ops::Range;

/// Takes a vector's values; room for as many and an eighth more stays, since batches are alike.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    std::mem::replace(values, room_after(values.len()))
}

fn room_after<T>(length: usize) -> Vec<T> {
    Vec::with_capacity(length + length / 8)
}

/// Which values there are none of. A value that is there costs nothing.
#[derive(Default)]
pub(super) struct Validity {
    /// A bit a row, 0 for a null, as far as a null was or further; nothing before the first null.
    bits: Vec<u8>,
}

/// How many bytes of [`Validity`] are made at once.
const STEP: usize = 64;

impl Validity {
    /// There is no value at `row`, the last so far.
    #[inline(always)]
    pub(super) fn null(&mut self, row: usize) {
        // Unseen, or the bit's place would be computed for every row, nulls or not.
        let row = std::hint::black_box(row);
        if row / 8 >= self.bits.len() {
            self.reach(row / 8);
        }
        if let Some(byte) = self.bits.get_mut(row / 8) {
            *byte &= !(1 << (row % 8));
        }
    }

    /// There are no values at these rows, at least one, the last so far.
    pub(super) fn nulls(&mut self, rows: Range<usize>) {
        let last = rows.end.saturating_sub(1) / 8;
        if last >= self.bits.len() {
            self.reach(last);
        }
        clear(&mut self.bits, rows);
    }

    #[cold]
    fn reach(&mut self, byte: usize) {
        self.bits.resize(byte + STEP, 0xff);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.bits.truncate(rows.div_ceil(8));
        if !rows.is_multiple_of(8)
            && let Some(byte) = self.bits.get_mut(rows / 8)
        {
            *byte |= 0xff << (rows % 8);
        }
    }

    /// Begins anew.
    pub(super) fn finish(&mut self, rows: usize) -> Option<NullBuffer> {
        if self.bits.is_empty() {
            return None;
        }
        let mut bits = take(&mut self.bits);
        bits.resize(rows.div_ceil(8), 0xff);
        Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, rows)))
    }
}

/// Clears the bits of a range.
fn clear(bits: &mut [u8], range: Range<usize>) {
    if range.is_empty() {
        return;
    }
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    // Those that stay: below the first, and above the last.
    let below = !(0xff << (range.start % 8));
    let above = 0xfe << ((range.end - 1) % 8);
    match bits.get_mut(first..=last) {
        Some([byte]) => *byte &= below | above,
        Some([start, middle @ .., end]) => {
            *start &= below;
            middle.fill(0);
            *end &= above;
        }
        _ => {}
    }
}

/// Values of a fixed width.
pub(super) struct Values<T> {
    values: Vec<T>,
    validity: Validity,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            validity: Validity::default(),
        }
    }
}

impl<T: ArrowNativeType> Values<T> {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        let row = self.values.len();
        self.validity.null(row);
        self.values.push(T::default());
    }

    /// Appends nulls until there are so many rows.
    #[inline(never)]
    pub(super) fn pad(&mut self, rows: usize) {
        self.validity.nulls(self.values.len()..rows);
        self.values.resize(rows, T::default());
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> (ScalarBuffer<T>, Option<NullBuffer>) {
        let nulls = self.validity.finish(self.values.len());
        (take(&mut self.values).into(), nulls)
    }
}

/// Booleans, a bit each.
#[derive(Default)]
pub(super) struct Bits {
    bits: Vec<u8>,
    rows: usize,
    validity: Validity,
}

impl Bits {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: bool) {
        if self.rows.is_multiple_of(8) {
            self.bits.push(0);
        }
        if let Some(byte) = self.bits.last_mut() {
            *byte |= u8::from(value) << (self.rows % 8);
        }
        self.rows += 1;
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        self.validity.null(self.rows);
        if self.rows.is_multiple_of(8) {
            self.bits.push(0);
        }
        self.rows += 1;
    }

    #[inline(never)]
    pub(super) fn pad(&mut self, rows: usize) {
        self.validity.nulls(self.rows..rows);
        self.bits.resize(rows.div_ceil(8), 0);
        self.rows = rows;
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        if rows >= self.rows {
            return;
        }
        self.rows = rows;
        self.bits.truncate(rows.div_ceil(8));
        if !rows.is_multiple_of(8)
            && let Some(last) = self.bits.last_mut()
        {
            *last &= (1 << (rows % 8)) - 1;
        }
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> BooleanArray {
        let rows = std::mem::take(&mut self.rows);
        let nulls = self.validity.finish(rows);
        let bits = BooleanBuffer::new(take(&mut self.bits).into(), 0, rows);
        BooleanArray::new(bits, nulls)
    }
}

/// The most bytes that all values of a column take: Arrow counts them by signed 32-bit numbers.
const MAX_BYTES: usize = i32::MAX as usize;

/// Byte strings one after the other.
///
/// Invariant: unless `data` is or was longer than [`MAX_BYTES`] (`long`, where it is no more), the ends
/// begin with 0, never descend, and the last is at most `data.len()`.
pub(super) struct Bytes {
    ends: Vec<i32>,
    data: Blocks,
    long: bool,
    validity: Validity,
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            ends: vec![0],
            data: Blocks::default(),
            long: false,
            validity: Validity::default(),
        }
    }
}

impl Bytes {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// How many bytes all values have together.
    pub(super) fn bytes(&self) -> usize {
        self.data.len()
    }

    pub(super) fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.end();
    }

    /// What was appended since the last value becomes one.
    #[inline(always)]
    fn end(&mut self) {
        self.ends.push(self.data.len() as i32);
    }

    /// The value of a row; empty where there is none.
    pub(super) fn value(&self, row: usize) -> &[u8] {
        let range = match (self.ends.get(row), self.ends.get(row + 1)) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => return &[],
        };
        self.data.as_slice().get(range).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        let row = self.len();
        self.validity.null(row);
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.push(end);
    }

    #[inline(never)]
    pub(super) fn pad(&mut self, rows: usize) {
        self.validity.nulls(self.len()..rows);
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.resize(rows + 1, end);
    }

    /// Cuts off a value that was begun, too.
    pub(super) fn truncate(&mut self, rows: usize) {
        // Shorter again, the wrapped ends would not be seen.
        self.long |= self.data.len() > MAX_BYTES;
        self.ends.truncate(rows + 1);
        let end = self.ends.last().copied().unwrap_or(0);
        self.data.truncate(end as usize);
        self.validity.truncate(rows);
    }

    /// Begins anew; an error where there are too many bytes.
    fn parts(&mut self) -> Result<(OffsetBuffer<i32>, Buffer, Option<NullBuffer>), DecodeError> {
        let bytes = self.data.len();
        if self.long || bytes > MAX_BYTES {
            *self = Self::default();
            return Err(DecodeError::BatchTooLarge {
                bytes: bytes as u64,
                limit: MAX_BYTES as u64,
            });
        }
        let nulls = self.validity.finish(self.len());
        let ends = take(&mut self.ends);
        self.ends.push(0);
        // SAFETY: the ends begin with 0 and do not descend: each is the length of `data` when it was
        // pushed, or the one before, `data` shrinks to the last end only, and none of its lengths was
        // past `i32::MAX` (else it is so still, or `long`).
        let ends = unsafe { OffsetBuffer::new_unchecked(ends.into()) };
        let data = self.data.replace(room_after(bytes));
        Ok((ends, Buffer::from_vec(data), nulls))
    }

    pub(super) fn finish_binary(&mut self) -> Result<BinaryArray, DecodeError> {
        let (ends, data, nulls) = self.parts()?;
        // SAFETY: the ends are within `data` (see `parts`); there is one null bit a value.
        Ok(unsafe { BinaryArray::new_unchecked(ends, data, nulls) })
    }
}

/// Text: byte strings that are UTF-8.
///
/// Invariant: all bytes together are UTF-8, and so is each value. What is not a `&str` comes by
/// [`push_string`], which judges what it appends; after an error that is cut off.
#[derive(Default)]
pub(super) struct Texts(Bytes);

impl Texts {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    pub(super) fn push(&mut self, value: &str) {
        self.0.push(value.as_bytes());
    }

    /// Appends the text of the string that begins here, and passes it.
    #[inline(always)]
    pub(super) fn push_string<S: Simd>(
        &mut self,
        simd: S,
        cursor: &mut Cursor<'_>,
    ) -> Result<(), Stop> {
        if push_string(simd, cursor, &mut self.0.data).is_err() {
            self.cut();
            return Err(Stop);
        }
        self.0.end();
        Ok(())
    }

    /// Cuts off a value that was begun.
    #[cold]
    fn cut(&mut self) {
        self.truncate(self.len());
    }

    /// Appends to the next value, which [`Texts::end`] ends.
    pub(super) fn part(&mut self, text: &str) {
        self.0.data.extend_from_slice(text.as_bytes());
    }

    /// What was appended since the last value becomes one.
    pub(super) fn end(&mut self) {
        self.0.end();
    }

    pub(super) fn value(&self, row: usize) -> &[u8] {
        self.0.value(row)
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        self.0.push_null();
    }

    pub(super) fn pad(&mut self, rows: usize) {
        self.0.pad(rows);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> Result<StringArray, DecodeError> {
        let (ends, data, nulls) = self.0.parts()?;
        // SAFETY: the ends are within `data` (see `parts`), each value is UTF-8 (invariant), and there
        // is one null bit a value.
        Ok(unsafe { StringArray::new_unchecked(ends, data, nulls) })
    }

    /// More bytes than a column may have, of pages that nobody touches.
    #[cfg(test)]
    pub(super) fn overfill(&mut self) {
        self.0.data.replace(vec![0; MAX_BYTES + 1]);
    }
}

/// Ends of lists in their elements.
pub(super) struct Lists {
    /// After a first 0; never descending.
    ends: Vec<i32>,
    validity: Validity,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            ends: vec![0],
            validity: Validity::default(),
        }
    }
}

impl Lists {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// How many elements all lists have together.
    #[inline(always)]
    pub(super) fn elements(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }

    /// Ends a list after so many elements of all. A batch is far smaller than `i32::MAX` bytes, and
    /// an element takes one at least.
    #[inline(always)]
    pub(super) fn push(&mut self, elements: usize) {
        self.ends.push(elements as i32);
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        let row = self.len();
        self.validity.null(row);
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.push(end);
    }

    #[inline(never)]
    pub(super) fn pad(&mut self, rows: usize) {
        self.validity.nulls(self.len()..rows);
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.resize(rows + 1, end);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let nulls = self.validity.finish(self.len());
        let ends = take(&mut self.ends);
        self.ends.push(0);
        (OffsetBuffer::new(ends.into()), nulls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Array;
    use proptest::prelude::*;

    #[test]
    #[cfg_attr(miri, ignore = "two gigabytes")]
    fn more_bytes_than_offsets_count_are_an_error() {
        for cut in [false, true] {
            let mut texts = Texts::default();
            texts.push("a");
            texts.overfill();
            texts.end();
            if cut {
                texts.truncate(1);
            }
            assert!(matches!(
                texts.finish(),
                Err(DecodeError::BatchTooLarge { .. })
            ));
            assert_eq!((texts.len(), texts.bytes()), (0, 0));
            texts.push("b");
            assert_eq!(texts.finish().map_or(0, |array| array.len()), 1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }))]

        /// Whatever is pushed, padded and cut, the arrays hold what a vector of options would.
        #[test]
        fn as_a_vector_of_options(steps in proptest::collection::vec((0u8..4, 0usize..30), 0..60)) {
            let mut model: Vec<Option<i64>> = Vec::new();
            let (mut values, mut bits, mut texts, mut lists) =
                (Values::<i64>::default(), Bits::default(), Texts::default(), Lists::default());
            for (step, n) in steps {
                match step {
                    0 | 1 => {
                        let value = n as i64;
                        model.push(Some(value));
                        values.push(value);
                        bits.push(value % 2 == 0);
                        texts.push(&value.to_string());
                        lists.push(lists.elements() + n);
                    }
                    2 if n > 0 => {
                        let rows = model.len() + n;
                        model.resize(rows, None);
                        values.pad(rows);
                        bits.pad(rows);
                        texts.pad(rows);
                        lists.pad(rows);
                    }
                    _ => {
                        let rows = model.len().saturating_sub(n);
                        model.truncate(rows);
                        texts.part("begun");
                        values.truncate(rows);
                        bits.truncate(rows);
                        texts.truncate(rows);
                        lists.truncate(rows);
                    }
                }
            }
            let (numbers, nulls) = values.finish();
            let (bits, texts, (ends, list_nulls)) = (bits.finish(), texts.finish()?, lists.finish());
            prop_assert_eq!(numbers.len(), model.len());
            for (i, value) in model.iter().enumerate() {
                let null = |nulls: &Option<NullBuffer>| nulls.as_ref().is_some_and(|n| n.is_null(i));
                prop_assert_eq!(null(&nulls), value.is_none());
                prop_assert_eq!(null(&list_nulls), value.is_none());
                prop_assert_eq!((bits.is_null(i), texts.is_null(i)), (value.is_none(), value.is_none()));
                if let Some(value) = value {
                    prop_assert_eq!(numbers[i], *value);
                    prop_assert_eq!(bits.value(i), value % 2 == 0);
                    prop_assert_eq!(texts.value(i), value.to_string());
                    prop_assert_eq!(i64::from(ends[i + 1] - ends[i]), *value);
                }
            }
        }
    }
}
