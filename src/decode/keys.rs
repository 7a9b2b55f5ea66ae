//! The names of one level's fields: a small hash table over the bytes as they stand in events.

use super::guesses::Guesses;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The field of this index.
    Field(u32),
    /// No field: the spot of this index, where its values are left over.
    Spot(u32),
}

/// How many bytes of a name are looked at together.
pub(super) const HEAD: usize = 16;

/// For each length up to [`HEAD`], the bits of so many bytes.
const MASKS: [u128; HEAD + 1] = {
    let mut masks = [u128::MAX; HEAD + 1];
    let mut length = 0;
    while length < HEAD {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

#[derive(Default)]
pub(super) struct Keys {
    /// A power of two of them, at most a quarter in use.
    slots: Vec<Slot>,
    entries: Vec<Entry>,
    guesses: Guesses,
}

/// All that finding a short name takes is here: what follows waits for it.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The name's first bytes, zeros behind its end.
    head: u128,
    length: u32,
    /// The index of its entry.
    entry: u32,
    target: Option<Target>,
}

struct Entry {
    hash: u32,
    name: Box<[u8]>,
    target: Target,
}

/// A name's first bytes, zeros behind its end; `bytes` begin with the name.
#[inline(always)]
fn head_of(bytes: &[u8; HEAD], length: usize) -> u128 {
    u128::from_le_bytes(*bytes) & MASKS[length.min(HEAD)]
}

/// A name's first eight bytes, the first the least.
fn first_word(name: &[u8]) -> u64 {
    head_of(&padded(name), name.len()) as u64
}

/// The head of a name behind which nothing can be read.
fn padded(name: &[u8]) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes
        .iter_mut()
        .zip(name)
        .for_each(|(to, from)| *to = *from);
    bytes
}

/// Of the length and all bytes. Whoever sends names that collide makes their own table slow; a level
/// holds few names beyond its fields.
#[inline(always)]
fn hash(head: u128, name: &[u8]) -> u32 {
    if name.len() > HEAD {
        return hash_long(name);
    }
    let (low, high) = (head as u64, (head >> 64) as u64);
    (fold(low ^ high.rotate_left(29) ^ (name.len() as u64) << 58) >> 32) as u32
}

/// A product's halves together: every bit reaches every other.
#[inline(always)]
pub(super) fn fold(word: u64) -> u64 {
    let product = u128::from(word) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// Eight bytes at a time.
#[inline(never)]
fn hash_long(name: &[u8]) -> u32 {
    let fold = |hash: u64, word: &[u8; 8]| fold(hash ^ u64::from_le_bytes(*word));
    let (words, _) = name.as_chunks::<8>();
    let hash = words.iter().fold(name.len() as u64, fold);
    // What is behind the last whole word, and some of that once more.
    let hash = name.last_chunk::<8>().map_or(hash, |last| fold(hash, last));
    (hash >> 32) as u32
}

impl Keys {
    /// Which field a name of this length may be, by its first bytes, the first the least: an index that
    /// no field has where it is none.
    #[inline(always)]
    pub(super) fn guess(&self, word: u64, length: usize) -> u32 {
        self.guesses.field(word, length)
    }

    /// Makes [`Keys::guess`] know all fields that are there.
    pub(super) fn learn_guesses(&mut self) {
        let names: Vec<_> = (self.entries.iter())
            .filter_map(|entry| match entry.target {
                Target::Field(field) => Some((first_word(&entry.name), entry.name.len(), field)),
                Target::Spot(_) => None,
            })
            .collect();
        self.guesses = Guesses::of(&names);
    }

    /// What the name stands for; `bytes` begin with the name as far as they go.
    #[inline(always)]
    pub(super) fn find_at(&self, bytes: &[u8; HEAD], name: &[u8]) -> Option<Target> {
        let head = head_of(bytes, name.len());
        let hash = hash(head, name);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            let target = slot.target?;
            if slot.head == head
                && slot.length as usize == name.len()
                && (name.len() <= HEAD || self.is_name(slot.entry, name))
            {
                return Some(target);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline(never)]
    fn is_name(&self, entry: u32, name: &[u8]) -> bool {
        let entry = self.entries.get(entry as usize);
        entry.is_some_and(|entry| *entry.name == *name)
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<Target> {
        self.find_at(&padded(name), name)
    }

    /// Adds a name that is not there.
    pub(super) fn insert(&mut self, name: &[u8], target: Target) {
        let head = head_of(&padded(name), name.len());
        self.entries.push(Entry {
            hash: hash(head, name),
            name: name.into(),
            target,
        });
        if self.entries.len() * 4 > self.slots.len() {
            let slots = (self.entries.len() * 8).next_power_of_two();
            self.slots = vec![Slot::default(); slots];
            for i in 0..self.entries.len() {
                self.place(i);
            }
        } else {
            self.place(self.entries.len() - 1);
        }
    }

    fn place(&mut self, i: usize) {
        let mask = self.slots.len() - 1;
        let Some(entry) = self.entries.get(i) else {
            return;
        };
        let mut at = entry.hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.target.is_none() {
                *slot = Slot {
                    head: head_of(&padded(&entry.name), entry.name.len()),
                    length: entry.name.len() as u32,
                    entry: i as u32,
                    target: Some(entry.target),
                };
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Leaves the fields alone.
    pub(super) fn forget_spots(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| matches!(entry.target, Target::Field(_)));
        self.slots.clear();
        for entry in entries {
            self.insert(&entry.name, entry.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    #[cfg_attr(miri, ignore = "thousands of names, no unsafe code")]
    fn names_that_differ_in_any_byte_spread() {
        let shapes: [fn(usize) -> String; 5] = [
            |i| format!("property_{i:04}_enabled"),
            |i| format!("{i:04}_a_long_name_of_a_property"),
            |i| format!("a_long_name_of_a_property_{i:04}"),
            |i| format!("is_{i:04}_on"),
            |i| format!("a_name_{i:04}s"),
        ];
        for shape in shapes {
            let mut buckets = [0; 4_096];
            for i in 0..2_048 {
                let name = shape(i);
                let head = head_of(&padded(name.as_bytes()), name.len());
                buckets[hash(head, name.as_bytes()) as usize % buckets.len()] += 1;
            }
            let most = buckets.iter().max().unwrap_or(&0);
            assert!(*most <= 8, "{}: {most} names in one place", shape(0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 256 }))]

        #[test]
        fn as_a_hash_map(names in proptest::collection::vec("[ab]{0,12}", 0..60), others in proptest::collection::vec("[ab]{0,12}", 0..20)) {
            let (mut keys, mut map) = (Keys::default(), HashMap::new());
            for (i, name) in names.iter().enumerate() {
                let target = match i % 2 {
                    0 => Target::Field(i as u32),
                    _ => Target::Spot(i as u32),
                };
                if keys.find(name.as_bytes()).is_none() {
                    keys.insert(name.as_bytes(), target);
                }
                map.entry(name.clone()).or_insert(target);
            }
            for name in names.iter().chain(&others) {
                prop_assert_eq!(keys.find(name.as_bytes()), map.get(name).copied());
            }
            keys.forget_spots();
            for name in names.iter().chain(&others) {
                let field = map.get(name).copied().filter(|target| matches!(target, Target::Field(_)));
                prop_assert_eq!(keys.find(name.as_bytes()), field);
            }
        }
    }
}
