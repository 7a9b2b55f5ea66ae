//! Tables that number distinct values in the order of their first appearance.
//!
//! Open addressing with linear probing. Hashes are keyed by secrets drawn when the process starts, so that nobody can
//! send values that all collide; files do not depend on them.

use super::native::Native;
use std::sync::LazyLock;

/// Slots of a new table; there are twice as many as entries at least.
const FIRST_SLOTS: usize = 32;

static SECRETS: LazyLock<[u64; 2]> =
    LazyLock::new(|| [fastrand::u64(..) | 1, fastrand::u64(..) | 1]);

/// The high and the low half of a product, folded: every bit of the result depends on every bit of both.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Distinct values of fixed width.
#[derive(Debug)]
pub(super) struct FixedDictionary<T> {
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
    pub(super) fn values(&self) -> &[T] {
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
    pub(super) fn intern(&mut self, value: T) -> u32 {
        if self.values.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let last = self.slots.len() - 1;
        let mut at = self.slot(value) & last;
        loop {
            match self.slots[at] {
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
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.values.clear();
    }

    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * 4 + self.values.capacity() * size_of::<T>()
    }
}

/// A byte string and its first sixteen bytes, padded with zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    bytes: &'a [u8],
    head: [u64; 2],
}

impl<'a> Key<'a> {
    /// The value at `start..end` of `data`. Values in the middle of `data` are read fastest.
    pub(super) fn new(data: &'a [u8], start: usize, end: usize) -> Self {
        let bytes = &data[start..end];
        let head = match data.get(start..start + 16) {
            Some(head) => {
                let (words, _) = head.as_chunks::<8>();
                let word = |i: usize| words.get(i).map_or(0, |word| u64::from_le_bytes(*word));
                [
                    keep(word(0), bytes.len()),
                    keep(word(1), bytes.len().saturating_sub(8)),
                ]
            }
            None => {
                let mut padded = [0; 16];
                let length = bytes.len().min(16);
                padded[..length].copy_from_slice(&bytes[..length]);
                let all = u128::from_le_bytes(padded);
                [all as u64, (all >> 64) as u64]
            }
        };
        Self { bytes, head }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first eight bytes in an order that agrees with the strings'.
    pub(super) fn prefix(&self) -> u64 {
        self.head[0].swap_bytes()
    }

    fn hash(&self, secrets: [u64; 2]) -> u32 {
        let length = self.bytes.len() as u64;
        let mut hash = fold(
            self.head[0] ^ secrets[0],
            self.head[1] ^ secrets[1] ^ length << 32,
        );
        if let Some(rest) = self.bytes.get(16..)
            && !rest.is_empty()
        {
            let (words, last) = rest.as_chunks::<8>();
            for word in words {
                hash = fold(u64::from_le_bytes(*word) ^ hash, secrets[1]);
            }
            if !last.is_empty() {
                // The last eight bytes, of which some were taken in already: there are sixteen before.
                let (_, word) = self.bytes.as_rchunks::<8>();
                let word = word.last().map_or(0, |word| u64::from_le_bytes(*word));
                hash = fold(word ^ hash, secrets[1]);
            }
        }
        (hash >> 32) as u32
    }
}

/// The lowest `bytes` bytes of a word, the others zero.
fn keep(word: u64, bytes: usize) -> u64 {
    match bytes {
        0 => 0,
        1..8 => word & (u64::MAX >> (64 - 8 * bytes)),
        _ => word,
    }
}

#[derive(Debug)]
struct Entry {
    head: [u64; 2],
    /// Where in the data its bytes begin.
    start: u32,
    length: u32,
}

/// Distinct byte strings.
#[derive(Debug)]
pub(super) struct BytesDictionary {
    secrets: [u64; 2],
    /// Hash in the high half, number plus one in the low; zero is free. A power of two long.
    slots: Vec<u64>,
    entries: Vec<Entry>,
    /// The entries in plain form, in order.
    data: Vec<u8>,
}

impl Default for BytesDictionary {
    fn default() -> Self {
        Self {
            secrets: *SECRETS,
            slots: Vec::new(),
            entries: Vec::new(),
            data: Vec::new(),
        }
    }
}

impl BytesDictionary {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries as a page of plain values.
    pub(super) fn plain(&self) -> &[u8] {
        &self.data
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        let entry = &self.entries[number as usize];
        &self.data[entry.start as usize..][..entry.length as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.entries.len() as u32).map(|number| self.get(number))
    }

    /// The number of a value.
    pub(super) fn intern(&mut self, key: Key<'_>) -> u32 {
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let last = self.slots.len() - 1;
        let hash = key.hash(self.secrets);
        let mut at = hash as usize & last;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            if (slot >> 32) as u32 == hash {
                let number = slot as u32 - 1;
                let entry = &self.entries[number as usize];
                if entry.head == key.head
                    && entry.length as usize == key.bytes.len()
                    && (key.bytes.len() <= 16 || self.get(number)[16..] == key.bytes[16..])
                {
                    return number;
                }
            }
            at = (at + 1) & last;
        }
        self.data
            .extend_from_slice(&(key.bytes.len() as u32).to_le_bytes());
        self.entries.push(Entry {
            head: key.head,
            start: self.data.len() as u32,
            length: key.bytes.len() as u32,
        });
        self.data.extend_from_slice(key.bytes);
        self.slots[at] = u64::from(hash) << 32 | self.entries.len() as u64;
        self.entries.len() as u32 - 1
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = (slot >> 32) as usize & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// Keeps the memory.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.entries.clear();
        self.data.clear();
    }

    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * 8
            + self.entries.capacity() * size_of::<Entry>()
            + self.data.capacity()
    }
}
