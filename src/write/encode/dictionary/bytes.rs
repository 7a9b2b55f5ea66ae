//! Distinct byte strings.

use super::{FIRST_SLOTS, Key, SECRETS, TOGETHER};

#[derive(Debug)]
struct Entry {
    /// Its first sixteen bytes, padded with zeros.
    head: [u64; 2],
    /// Where in the data its bytes begin.
    start: u32,
    length: u32,
}

impl Entry {
    /// Whether length and first sixteen bytes are the key's.
    fn begins_as(&self, key: &Key<'_>) -> bool {
        (self.head[0] ^ key.head[0])
            | (self.head[1] ^ key.head[1])
            | (u64::from(self.length) ^ key.bytes.len() as u64)
            == 0
    }
}

/// Distinct byte strings.
#[derive(Debug)]
pub(in crate::write::encode) struct BytesDictionary {
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
    pub(in crate::write::encode) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries as a page of plain values.
    pub(in crate::write::encode) fn plain(&self) -> &[u8] {
        &self.data
    }

    pub(in crate::write::encode) fn get(&self, number: u32) -> &[u8] {
        let entry = &self.entries[number as usize];
        &self.data[entry.start as usize..][..entry.length as usize]
    }

    pub(in crate::write::encode) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.entries.len() as u32).map(|number| self.get(number))
    }

    /// The number of a value.
    pub(in crate::write::encode) fn intern(&mut self, key: Key<'_>) -> u32 {
        self.reserve(1);
        let hash = key.hash(self.secrets);
        self.number(&key, hash)
    }

    /// Appends the numbers of the values between neighbours of `offsets`, which point into `data`.
    ///
    /// The tables of all columns together are larger than the core's cache. So values are taken some together and step by
    /// step: what one step reads for one value does not wait for what it reads for another.
    pub(in crate::write::encode) fn intern_all(
        &mut self,
        offsets: &[i32],
        data: &[u8],
        numbers: &mut Vec<u32>,
    ) {
        let mut left = offsets.len().saturating_sub(1);
        numbers.reserve(left);
        let mut ends = offsets.windows(2);
        while left > 0 {
            let count = left.min(TOGETHER);
            left -= count;
            self.reserve(count);
            let mut keys = [(Key::default(), 0); TOGETHER];
            let keys = &mut keys[..count];
            for (place, ends) in keys.iter_mut().zip(&mut ends) {
                let key = Key::new(data, ends[0] as usize, ends[1] as usize);
                *place = (key, key.hash(self.secrets));
            }
            let last = self.slots.len() - 1;
            let mut first = [0; TOGETHER];
            for (slot, (_, hash)) in first.iter_mut().zip(keys.iter()) {
                *slot = self.slots[*hash as usize & last];
            }
            let mut hits = [false; TOGETHER];
            for ((hit, slot), (key, _)) in hits.iter_mut().zip(first).zip(keys.iter()) {
                let entry = self.entries.get((slot as u32).wrapping_sub(1) as usize);
                *hit = entry.is_some_and(|entry| entry.begins_as(key));
            }
            for ((hit, slot), (key, hash)) in hits.iter().zip(first).zip(keys.iter()) {
                let number = (slot as u32).wrapping_sub(1);
                let same =
                    *hit && (key.bytes.len() <= 16 || same_rest(self.get(number), key.bytes));
                numbers.push(match same {
                    true => number,
                    false => self.number(key, *hash),
                });
            }
        }
    }

    /// Where `hash` is the key's; there is a free slot.
    fn number(&mut self, key: &Key<'_>, hash: u32) -> u32 {
        let last = self.slots.len() - 1;
        let mut at = hash as usize & last;
        loop {
            let slot = self.slots[at & last];
            if (slot >> 32) as u32 == hash && slot != 0 {
                let number = slot as u32 - 1;
                let entry = &self.entries[number as usize];
                if entry.begins_as(key)
                    && (key.bytes.len() <= 16 || same_rest(self.get(number), key.bytes))
                {
                    return number;
                }
            }
            if slot == 0 {
                return self.add(key, hash, at);
            }
            at = (at + 1) & last;
        }
    }

    #[cold]
    fn add(&mut self, key: &Key<'_>, hash: u32, at: usize) -> u32 {
        let length = key.bytes.len() as u32;
        self.data.extend_from_slice(&length.to_le_bytes());
        self.entries.push(Entry {
            head: key.head,
            start: self.data.len() as u32,
            length,
        });
        self.data.extend_from_slice(key.bytes);
        self.slots[at] = u64::from(hash) << 32 | self.entries.len() as u64;
        self.entries.len() as u32 - 1
    }

    /// Makes room for `more` entries.
    fn reserve(&mut self, more: usize) {
        while (self.entries.len() + more) * 2 > self.slots.len() {
            self.grow();
        }
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
    pub(in crate::write::encode) fn clear(&mut self) {
        self.slots.clear();
        self.entries.clear();
        self.data.clear();
    }

    pub(in crate::write::encode) fn memory(&self) -> usize {
        self.slots.capacity() * 8
            + self.entries.capacity() * size_of::<Entry>()
            + self.data.capacity()
    }
}

/// Whether strings of one length, which begin with the same sixteen bytes or are shorter, are equal.
fn same_rest(a: &[u8], b: &[u8]) -> bool {
    let (Some((_, rest)), Some((_, other))) =
        (a.split_first_chunk::<16>(), b.split_first_chunk::<16>())
    else {
        return true;
    };
    let ((blocks, _), (others, _)) = (rest.as_chunks::<16>(), other.as_chunks::<16>());
    let word = |block: &[u8; 16]| u128::from_le_bytes(*block);
    // No call for a few words.
    blocks.iter().zip(others).all(|(a, b)| word(a) == word(b))
        && a.last_chunk().map(word) == b.last_chunk().map(word)
}
