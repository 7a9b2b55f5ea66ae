//! Distinct values of fixed width.

use super::{FIRST_SLOTS, SECRETS, TOGETHER, fold};
use crate::write::encode::native::Native;

/// Distinct values of fixed width.
#[derive(Debug)]
pub(in crate::write::encode) struct FixedDictionary<T> {
    secrets: [u64; 2],
    /// An entry's number plus one, or zero. A power of two long.
    slots: Vec<u32>,
    values: Vec<T>,
}

impl<T: Native> Default for FixedDictionary<T> {
    fn default() -> Self {
        Self {
            secrets: *SECRETS,
            slots: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<T: Native> FixedDictionary<T> {
    pub(in crate::write::encode) fn values(&self) -> &[T] {
        &self.values
    }

    fn slot(&self, value: T) -> usize {
        let bits = value.bits();
        let low = fold(bits as u64 ^ self.secrets[0], self.secrets[1]);
        if size_of::<T>() <= size_of::<u64>() {
            return low as usize;
        }
        fold(low ^ (bits >> 64) as u64, self.secrets[0]) as usize
    }

    /// The number of `value`.
    pub(in crate::write::encode) fn intern(&mut self, value: T) -> u32 {
        self.reserve(1);
        let at = self.slot(value);
        self.number(value, at)
    }

    /// Appends the numbers of `values`.
    pub(in crate::write::encode) fn intern_all(&mut self, values: &[T], numbers: &mut Vec<u32>) {
        numbers.reserve(values.len());
        for values in values.chunks(TOGETHER) {
            self.reserve(values.len());
            // All hashes first: the look-ups of the second loop do not wait for them nor for one another.
            let mut hashes = [0; TOGETHER];
            for (hash, value) in hashes.iter_mut().zip(values) {
                *hash = self.slot(*value);
            }
            let found = values.iter().zip(hashes);
            numbers.extend(found.map(|(value, hash)| self.number(*value, hash)));
        }
    }

    /// Where `hash` is the value's; there is a free slot.
    fn number(&mut self, value: T, hash: usize) -> u32 {
        let last = self.slots.len() - 1;
        let mut at = hash & last;
        loop {
            match self.slots[at & last] {
                0 => {
                    self.values.push(value);
                    self.slots[at] = self.values.len() as u32;
                    return self.slots[at] - 1;
                }
                entry if self.values[entry as usize - 1].bits() == value.bits() => {
                    return entry - 1;
                }
                _ => at = (at + 1) & last,
            }
        }
    }

    /// Makes room for `more` entries.
    fn reserve(&mut self, more: usize) {
        while (self.values.len() + more) * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FIRST_SLOTS);
        self.slots.clear();
        self.slots.resize(size, 0);
        for (entry, value) in (1..).zip(&self.values) {
            let mut at = self.slot(*value) & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = entry;
        }
    }

    /// Keeps the memory.
    pub(in crate::write::encode) fn clear(&mut self) {
        self.slots.clear();
        self.values.clear();
    }

    pub(in crate::write::encode) fn memory(&self) -> usize {
        self.slots.capacity() * 4 + self.values.capacity() * size_of::<T>()
    }
}
