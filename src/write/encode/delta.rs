//! `DELTA_BINARY_PACKED`: differences of neighbours, packed in blocks.
//!
//! Format: <https://github.com/apache/parquet-format/blob/master/Encodings.md#DELTAENC>.

use super::hybrid::varint;

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// Integers that can be delta-encoded, in the arithmetic of their own width.
pub(super) trait Delta: Copy + Default + Ord + Into<i64> {
    fn difference(self, previous: Self) -> Self;
    /// `self - least` of two differences, which wraps into an unsigned number of the type's width.
    fn above(self, least: Self) -> u64;
}

impl Delta for i32 {
    fn difference(self, previous: Self) -> Self {
        self.wrapping_sub(previous)
    }

    fn above(self, least: Self) -> u64 {
        u64::from(self.wrapping_sub(least) as u32)
    }
}

impl Delta for i64 {
    fn difference(self, previous: Self) -> Self {
        self.wrapping_sub(previous)
    }

    fn above(self, least: Self) -> u64 {
        self.wrapping_sub(least) as u64
    }
}

/// Appends all of `values`.
pub(super) fn encode<T: Delta>(values: &[T], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint(MINIBLOCKS as u64, out);
    varint(values.len() as u64, out);
    let first = values.first().copied().unwrap_or_default();
    zigzag(first.into(), out);
    let mut previous = first;
    for values in values.get(1..).unwrap_or_default().chunks(BLOCK) {
        let mut differences = [T::default(); BLOCK];
        for (difference, value) in differences.iter_mut().zip(values) {
            *difference = value.difference(previous);
            previous = *value;
        }
        block(&differences[..values.len()], out);
    }
}

fn block<T: Delta>(differences: &[T], out: &mut Vec<u8>) {
    let least = differences.iter().copied().min().unwrap_or_default();
    zigzag(least.into(), out);
    let mut above = [0_u64; BLOCK];
    for (above, difference) in above.iter_mut().zip(differences) {
        *above = difference.above(least);
    }
    let (miniblocks, _) = above.as_chunks::<MINIBLOCK>();
    let width = |values: &[u64; MINIBLOCK]| {
        u64::BITS - values.iter().fold(0, |all, v| all | v).leading_zeros()
    };
    out.extend(miniblocks.iter().map(|values| width(values) as u8));
    for values in miniblocks
        .iter()
        .take(differences.len().div_ceil(MINIBLOCK))
    {
        pack(values, width(values), out);
    }
}

/// Appends 32 values of `bits` bits: `4 * bits` bytes.
fn pack(values: &[u64; MINIBLOCK], bits: u32, out: &mut Vec<u8>) {
    let (mut word, mut filled) = (0_u128, 0);
    for value in values {
        word |= u128::from(*value) << filled;
        filled += bits;
        if filled >= 64 {
            out.extend_from_slice(&(word as u64).to_le_bytes());
            word >>= 64;
            filled -= 64;
        }
    }
    out.extend_from_slice(&(word as u64).to_le_bytes()[..filled.div_ceil(8) as usize]);
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)) as u64, out);
}
