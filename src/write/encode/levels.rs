//! Definition and repetition levels of one page.

use super::hybrid;
use arrow::buffer::NullBuffer;

/// Levels gathered for a page; as long as all are equal they take no memory.
#[derive(Debug, Default)]
pub(super) struct Levels {
    level: u8,
    /// How many of `level`, while `bytes` is empty.
    run: usize,
    bytes: Vec<u8>,
}

impl Levels {
    pub(super) fn len(&self) -> usize {
        self.run + self.bytes.len()
    }

    pub(super) fn push_run(&mut self, level: u8, count: usize) {
        if self.bytes.is_empty() && (self.run == 0 || self.level == level) {
            self.level = level;
            self.run += count;
        } else {
            self.unroll();
            self.bytes.resize(self.bytes.len() + count, level);
        }
    }

    pub(super) fn extend(&mut self, levels: &[u8]) {
        if let Some((&first, rest)) = levels.split_first() {
            if rest.iter().all(|level| *level == first) {
                self.push_run(first, levels.len());
            } else {
                self.unroll();
                self.bytes.extend_from_slice(levels);
            }
        }
    }

    fn unroll(&mut self) {
        if self.run > 0 {
            self.bytes.resize(self.run, self.level);
            self.run = 0;
        }
    }

    /// Appends what a version 1 page wants: the length in four bytes, then the levels.
    pub(super) fn encode(&self, greatest: u8, out: &mut Vec<u8>) {
        let bits = hybrid::bits_for(greatest.into());
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        if self.bytes.is_empty() {
            hybrid::encode_run(self.level.into(), self.run, bits, out);
        } else {
            hybrid::encode_bytes(&self.bytes, bits, out);
        }
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Forgets the levels, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.run = 0;
        self.bytes.clear();
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

/// The definition levels one optional node deeper: those at `depth` rise by one where `nulls` says there is a value.
/// `above` is `None` where all `count` are at `depth`.
pub(super) fn deepen(
    above: Option<&[u8]>,
    depth: u8,
    nulls: Option<&NullBuffer>,
    count: usize,
) -> Vec<u8> {
    let rise = |level: u8| level + u8::from(level == depth);
    match (above, nulls) {
        (None, None) => vec![depth + 1; count],
        (Some(above), None) => above.iter().map(|level| rise(*level)).collect(),
        (None, Some(nulls)) => {
            let mut levels = expand(nulls);
            levels.iter_mut().for_each(|level| *level += depth);
            levels
        }
        (Some(above), Some(nulls)) => {
            let mut levels = expand(nulls);
            for (level, above) in levels.iter_mut().zip(above) {
                *level = above + (u8::from(*above == depth) & *level);
            }
            levels
        }
    }
}

/// A byte a bit: 1 where there is a value, 0 where there is none.
fn expand(nulls: &NullBuffer) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(nulls.len().next_multiple_of(64));
    for word in nulls.inner().bit_chunks().iter_padded() {
        for byte in word.to_le_bytes() {
            // Each byte of the product holds all eight bits; one is kept in each, then moved to the lowest place.
            let bits = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
            let ones = (bits + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101;
            bytes.extend_from_slice(&ones.to_le_bytes());
        }
    }
    bytes.truncate(nulls.len());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_become_bytes_from_any_offset(bits in prop::collection::vec(any::<bool>(), 0..300), from in 0..70_usize) {
            let from = from.min(bits.len());
            let nulls = NullBuffer::from(bits.clone()).slice(from, bits.len() - from);
            let expected: Vec<u8> = bits[from..].iter().map(|b| u8::from(*b)).collect();
            prop_assert_eq!(expand(&nulls), expected);
        }

        #[test]
        fn levels_are_kept_however_they_come(parts in prop::collection::vec((0..3_u8, 0..30_usize, any::<bool>()), 0..20)) {
            let (mut levels, mut plain) = (Levels::default(), Vec::new());
            for (level, count, as_run) in parts {
                plain.extend(std::iter::repeat_n(level, count));
                if as_run {
                    levels.push_run(level, count);
                } else {
                    levels.extend(&vec![level; count]);
                }
            }
            prop_assert_eq!(levels.len(), plain.len());
            let (mut got, mut expected) = (Vec::new(), Vec::new());
            levels.encode(2, &mut got);
            hybrid::encode_bytes(&plain, 2, &mut expected);
            if levels.bytes() > 0 {
                prop_assert_eq!(&got[4..], &expected[..]);
            }
            prop_assert_eq!(got[..4].to_vec(), ((got.len() - 4) as u32).to_le_bytes().to_vec());
        }
    }

    #[test]
    fn levels_rise_only_where_their_parent_is() {
        let nulls = NullBuffer::from(vec![true, false, true]);
        assert_eq!(deepen(None, 1, Some(&nulls), 3), [2, 1, 2]);
        assert_eq!(deepen(Some(&[0, 1, 1]), 1, Some(&nulls), 3), [0, 1, 2]);
        assert_eq!(deepen(Some(&[0, 1, 1]), 1, None, 3), [0, 2, 2]);
        assert_eq!(deepen(None, 1, None, 2), [2, 2]);
    }
}
