//! Booleans of one column, on their way to pages.

use super::bounds::Extremes;
use super::native;
use arrow::{
    array::BooleanBufferBuilder,
    buffer::{BooleanBuffer, NullBuffer},
};
use parquet::{basic::Encoding, file::statistics::Statistics};

/// The page's values, a bit each, and which values the chunk has.
pub(super) struct Boolean {
    bits: BooleanBufferBuilder,
    any_true: bool,
    any_false: bool,
}

impl Boolean {
    pub(super) fn new() -> Self {
        Self {
            bits: BooleanBufferBuilder::new(0),
            any_true: false,
            any_false: false,
        }
    }

    /// Adds values to the page.
    pub(super) fn add(&mut self, values: &BooleanBuffer, nulls: Option<&NullBuffer>) {
        match nulls {
            None => self.append(values),
            Some(nulls) => {
                for (start, end) in nulls.valid_slices() {
                    self.append(&values.slice(start, end - start));
                }
            }
        }
    }

    fn append(&mut self, values: &BooleanBuffer) {
        let set = values.count_set_bits();
        self.any_true |= set > 0;
        self.any_false |= set < values.len();
        self.bits.append_buffer(values);
    }

    pub(super) fn len(&self) -> usize {
        self.bits.len()
    }

    pub(super) fn buffered(&self) -> usize {
        self.bits.len() / 8
    }

    pub(super) fn pending(&self) -> usize {
        self.buffered()
    }

    pub(super) fn is_full(&self) -> bool {
        false
    }

    /// Appends the page's values and forgets them.
    pub(super) fn page(&mut self, out: &mut Vec<u8>) -> Encoding {
        out.extend_from_slice(&self.bits.as_slice()[..self.bits.len().div_ceil(8)]);
        self.bits.truncate(0);
        Encoding::PLAIN
    }

    pub(super) fn dictionary(&mut self, _out: &mut Vec<u8>) -> Option<usize> {
        None
    }

    pub(super) fn statistics(&self, nulls: u64) -> Statistics {
        let bounds = (self.any_true || self.any_false).then_some((!self.any_false, self.any_true));
        let statistics = native::signed(bounds, nulls);
        Statistics::Boolean(statistics.with_backwards_compatible_min_max(false))
    }

    pub(super) fn extremes(&self) -> Extremes<'_> {
        Extremes::Unknown
    }

    pub(super) fn reset(&mut self) {
        (self.any_true, self.any_false) = (false, false);
    }

    pub(super) fn memory(&self) -> usize {
        self.bits.capacity() / 8
    }
}
