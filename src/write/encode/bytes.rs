//! Strings and binary values of one column, on their way to pages.

use super::{
    bounds::{BytesRange, Extremes},
    delta,
    dictionary::{BytesDictionary, Key},
    indices::{self, Indices, LARGEST_DICTIONARY, Phase},
};
use crate::write::options::ValueEncoding;
use parquet::{basic::Encoding, file::statistics::Statistics};

/// Values up to this long are copied as if they were this long, where there is room: one move in place of a call.
const SHORT: usize = 64;

#[derive(Debug)]
pub(super) struct Bytes {
    /// Lengths are written apart from the bytes.
    delta: bool,
    phase: Phase,
    dictionary: BytesDictionary,
    /// The page's values while the dictionary is open.
    indices: Indices,
    /// Bytes of the values in `indices` in plain form.
    indexed: usize,
    /// In the first `filled` bytes the page's values while it is not: in plain form, or one after the other where lengths
    /// are apart. What lies behind is of pages before, and need not be cleared to be written over.
    plain: Vec<u8>,
    filled: usize,
    /// Lengths for the delta encoding.
    lengths: Vec<i32>,
    /// How many are in `plain`.
    values: usize,
    /// Of the chunk's values that are not in the dictionary.
    range: BytesRange,
}

impl Bytes {
    /// `text`: values are UTF-8.
    pub(super) fn new(text: bool, encoding: ValueEncoding) -> Self {
        Self {
            delta: encoding == ValueEncoding::Delta,
            phase: Phase::default(),
            dictionary: BytesDictionary::default(),
            indices: Indices::default(),
            indexed: 0,
            plain: Vec::new(),
            filled: 0,
            lengths: Vec::new(),
            values: 0,
            range: BytesRange::new(text),
        }
    }

    /// Adds the values between neighbours of `offsets`, which point into `data`.
    pub(super) fn add(&mut self, mut offsets: &[i32], data: &[u8]) {
        while self.phase.is_open() && offsets.len() > 1 {
            let some = (offsets.len() - 1).min(indices::LOOK);
            self.intern(&offsets[..=some], data);
            offsets = &offsets[some..];
            // Where long values repeat among many short ones, the page in plain form would be far larger than a page.
            let is_small = self.indexed <= 2 * self.dictionary.plain().len();
            if self.phase == Phase::Trying
                && is_small
                && indices::is_hopeless(self.indices.len(), self.dictionary.len())
            {
                self.drop_dictionary();
            }
        }
        if offsets.len() > 1 {
            self.append(offsets, data);
        }
    }

    fn intern(&mut self, offsets: &[i32], data: &[u8]) {
        let count = offsets.len() - 1;
        let (first, last) = (offsets[0] as usize, offsets[count] as usize);
        self.indexed += last - first + 4 * count;
        let dictionary = &mut self.dictionary;
        if is_constant(offsets, data) {
            let index = dictionary.intern(Key::new(data, first, offsets[1] as usize));
            self.indices.push_run(index, count);
            return;
        }
        dictionary.intern_all(offsets, data, self.indices.list());
    }

    /// Adds plain values.
    fn append(&mut self, offsets: &[i32], data: &[u8]) {
        let count = offsets.len() - 1;
        let (first, last) = (offsets[0] as usize, offsets[count] as usize);
        self.values += count;
        let mut at = self.filled;
        self.make_room(last - first + 4 * count);
        if self.delta {
            at += last - first;
            self.plain[self.filled..at].copy_from_slice(&data[first..last]);
            self.lengths
                .extend(offsets.windows(2).map(|ends| ends[1] - ends[0]));
        }
        for ends in offsets.windows(2) {
            let (start, end) = (ends[0] as usize, ends[1] as usize);
            let key = Key::new(data, start, end);
            if self.range.may_widen(key.prefix()) {
                self.range.update(key.bytes());
            }
            if !self.delta {
                at = copy_plain(data, start, end, &mut self.plain, at);
            }
        }
        self.filled = at;
    }

    /// So that `bytes` more fit in `plain`, and what [`copy_plain`] writes too much.
    fn make_room(&mut self, bytes: usize) {
        let needed = self.filled + bytes + SHORT;
        if self.plain.len() < needed {
            self.plain.resize(needed, 0);
        }
    }

    /// Makes the page's values plain ones.
    fn drop_dictionary(&mut self) {
        self.phase = Phase::Dropped;
        for value in self.dictionary.iter() {
            self.range.update(value);
        }
        let list = self.indices.list();
        self.values = list.len();
        self.plain.clear();
        self.plain.reserve(self.indexed + SHORT);
        for index in list.iter() {
            let value = self.dictionary.get(*index);
            if self.delta {
                self.lengths.push(value.len() as i32);
            } else {
                self.plain
                    .extend_from_slice(&(value.len() as u32).to_le_bytes());
            }
            self.plain.extend_from_slice(value);
        }
        self.filled = self.plain.len();
        self.indexed = 0;
        self.indices = Indices::default();
        self.dictionary = BytesDictionary::default();
    }

    /// Values of the page.
    pub(super) fn len(&self) -> usize {
        self.indices.len() + self.values
    }

    /// Bytes of memory the page's values use.
    pub(super) fn buffered(&self) -> usize {
        self.indices.bytes() + self.filled + self.lengths.len() * 4
    }

    /// Bytes the page and the dictionary would take before compression, about.
    pub(super) fn pending(&self) -> usize {
        self.indices.encoded(self.dictionary.len())
            + self.filled
            + self.lengths.len()
            + self.dictionary.plain().len()
    }

    /// Whether the page must end because the dictionary takes no more values.
    pub(super) fn is_full(&self) -> bool {
        self.phase.is_open() && self.dictionary.plain().len() > LARGEST_DICTIONARY
    }

    /// Appends the page's values and forgets them.
    pub(super) fn page(&mut self, out: &mut Vec<u8>) -> Encoding {
        let distinct = self.dictionary.len();
        if self.phase == Phase::Trying {
            let entries = self.dictionary.plain().len();
            let ascend = self.indexed <= 16 * entries && self.indices.ascend(distinct);
            if indices::pays(self.indexed, entries, self.indices.encoded(distinct)) && !ascend {
                self.phase = Phase::Kept;
            } else {
                self.drop_dictionary();
            }
        }
        if self.phase.is_open() {
            let encoding = self.indices.encode(distinct, out);
            if self.is_full() {
                self.phase = Phase::Full;
            }
            self.indices.clear();
            self.indexed = 0;
            return encoding;
        }
        let encoding = if self.delta {
            delta::encode(&self.lengths, out);
            Encoding::DELTA_LENGTH_BYTE_ARRAY
        } else {
            Encoding::PLAIN
        };
        out.extend_from_slice(&self.plain[..self.filled]);
        self.filled = 0;
        self.lengths.clear();
        self.values = 0;
        encoding
    }

    /// Appends the chunk's dictionary in plain form, if there is one; returns its number of entries.
    pub(super) fn dictionary(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        if !matches!(self.phase, Phase::Kept | Phase::Full) {
            return None;
        }
        for value in self.dictionary.iter() {
            self.range.update(value);
        }
        out.extend_from_slice(self.dictionary.plain());
        Some(self.dictionary.len())
    }

    /// Of the whole chunk; after [`Self::dictionary`].
    pub(super) fn statistics(&self, nulls: u64) -> Statistics {
        self.range.statistics(nulls)
    }

    /// Of the whole chunk; after [`Self::dictionary`].
    pub(super) fn extremes(&self) -> Extremes<'_> {
        self.range.extremes()
    }

    /// Begins a new chunk.
    pub(super) fn reset(&mut self) {
        self.phase = Phase::default();
        self.dictionary.clear();
        self.range.clear();
    }

    pub(super) fn memory(&self) -> usize {
        self.indices.memory()
            + self.plain.capacity()
            + self.lengths.capacity() * 4
            + self.dictionary.memory()
    }
}

/// Writes a value in plain form at `at` of `out`, which has room for it and `SHORT` more; returns where it ends.
fn copy_plain(data: &[u8], start: usize, end: usize, out: &mut [u8], at: usize) -> usize {
    let length = end - start;
    let at = at + 4;
    out[at - 4..at].copy_from_slice(&(length as u32).to_le_bytes());
    match data.get(start..start + SHORT) {
        Some(value) if length <= SHORT => out[at..at + SHORT].copy_from_slice(value),
        _ => out[at..at + length].copy_from_slice(&data[start..end]),
    }
    at + length
}

/// Whether all values are equal: as the second is to the first, so is each to the one before.
fn is_constant(offsets: &[i32], data: &[u8]) -> bool {
    let at = |i: usize| offsets[i] as usize;
    let (first, last) = (at(0), at(offsets.len() - 1));
    let length = at(1) - first;
    // Mostly the second value already tells.
    if offsets.len() > 2 && data[first..at(1)] != data[at(1)..at(2)] {
        return false;
    }
    offsets
        .windows(2)
        .all(|ends| (ends[1] - ends[0]) as usize == length)
        && data[first..last - length] == data[first + length..last]
}
