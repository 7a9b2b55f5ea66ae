//! The names of one level's fields: a small hash table over the bytes as they stand in events.

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The field of this index.
    Field(u32),
    /// No field: the spot of this index, where its values are left over.
    Spot(u32),
}

#[derive(Default)]
pub(super) struct Keys {
    /// Indexes into `entries` and one more, 0 for none; a power of two of them, at most half in use.
    slots: Vec<u32>,
    entries: Vec<Entry>,
}

struct Entry {
    hash: u32,
    name: Box<[u8]>,
    target: Target,
}

/// Of the length and all bytes. Whoever sends names that collide makes their own table slow; a level
/// holds few names beyond its fields.
#[inline(always)]
fn hash(name: &[u8]) -> u32 {
    if name.len() > 16 {
        return hash_long(name);
    }
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => (
                u32::from_le_bytes(*first).into(),
                u32::from_le_bytes(*last).into(),
            ),
            _ => (
                name.first().copied().unwrap_or(0).into(),
                u64::from(name.get(1).copied().unwrap_or(0)) << 8
                    | u64::from(name.get(2).copied().unwrap_or(0)),
            ),
        },
    };
    (fold(first ^ last.rotate_left(29) ^ name.len() as u64) >> 32) as u32
}

/// A product's halves together: every bit reaches every other.
#[inline(always)]
fn fold(word: u64) -> u64 {
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
    #[inline(always)]
    pub(super) fn find(&self, name: &[u8]) -> Option<Target> {
        let hash = hash(name);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = *self.slots.get(at)?;
            let entry = self.entries.get((slot as usize).wrapping_sub(1))?;
            if entry.hash == hash && *entry.name == *name {
                return Some(entry.target);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a name that is not there.
    pub(super) fn insert(&mut self, name: &[u8], target: Target) {
        self.entries.push(Entry {
            hash: hash(name),
            name: name.into(),
            target,
        });
        if self.entries.len() * 2 > self.slots.len() {
            let slots = (self.entries.len() * 4).next_power_of_two();
            self.slots = vec![0; slots];
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
            if *slot == 0 {
                *slot = i as u32 + 1;
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
                buckets[hash(shape(i).as_bytes()) as usize % buckets.len()] += 1;
            }
            let most = buckets.iter().max().unwrap_or(&0);
            assert!(*most <= 8, "{}: {most} names in one place", shape(0));
        }
    }

    proptest! {
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
