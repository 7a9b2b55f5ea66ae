//! Numbers of dictionary entries, and whether a column chunk has a dictionary at all.

use super::hybrid;
use parquet::basic::Encoding;

/// Values looked at between two looks at whether a dictionary pays.
pub(super) const LOOK: usize = 256;

/// A dictionary takes no new values past this size: readers hold it whole.
pub(super) const LARGEST_DICTIONARY: usize = 1 << 20;

/// Indices ascend if nine tenths of them are so near to the newest.
const NEAR: u32 = 64;
/// With fewer entries, indices are narrow enough.
const ASCENDING_ENTRIES: usize = 512;
/// With more repetitions of each, indices become runs. It also bounds what becomes of the page in plain form.
const ASCENDING_REPEATS: usize = 16;

/// What a column chunk does with its dictionary. It is decided anew for each chunk, from the values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Phase {
    /// No page is written; the values may still become plain ones.
    #[default]
    Trying,
    /// Pages were written that need the dictionary, more follow.
    Kept,
    /// Pages were written that need it, but the dictionary is full and the next are plain.
    Full,
    /// The chunk has none.
    Dropped,
}

impl Phase {
    /// Whether new values go to the dictionary.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Phase::Trying | Phase::Kept)
    }
}

/// Whether so many of the values at the beginning of a chunk are distinct that a dictionary cannot pay. Both limits mean
/// values drawn from about 2,700 or more; the first finds those that never repeat early.
pub(super) fn is_hopeless(values: usize, distinct: usize) -> bool {
    values >= 256 && distinct * 100 > values * 97 || values >= 2_048 && distinct * 10 > values * 7
}

/// Whether a first page is small enough with its dictionary; all in bytes before compression.
pub(super) fn pays(plain: usize, dictionary: usize, indices: usize) -> bool {
    (dictionary + indices) * 4 <= plain * 3
}

/// The indices of one page; as long as all are equal they take no memory.
#[derive(Debug, Default)]
pub(super) struct Indices {
    index: u32,
    run: usize,
    list: Vec<u32>,
}

impl Indices {
    pub(super) fn len(&self) -> usize {
        self.run + self.list.len()
    }

    pub(super) fn push_run(&mut self, index: u32, count: usize) {
        if self.list.is_empty() && (self.run == 0 || self.index == index) {
            self.index = index;
            self.run += count;
        } else {
            let list = self.list();
            list.resize(list.len() + count, index);
        }
    }

    /// The indices, to add to.
    pub(super) fn list(&mut self) -> &mut Vec<u32> {
        if self.run > 0 {
            self.list.resize(self.run, self.index);
            self.run = 0;
        }
        &mut self.list
    }

    /// Bytes that the indices take in a page, about.
    pub(super) fn encoded(&self, entries: usize) -> usize {
        self.list.len() * hybrid::bits_for(entries as u32) as usize / 8 + 8
    }

    /// Whether values repeat near their first appearance only, as times and numbers that ascend do: the compressor
    /// finds such repetitions in plain values, and cannot shrink indices that rise.
    pub(super) fn ascend(&self, entries: usize) -> bool {
        if entries < ASCENDING_ENTRIES || self.list.len() > entries * ASCENDING_REPEATS {
            return false;
        }
        let (mut newest, mut near) = (0, 0);
        for &index in &self.list {
            newest = newest.max(index);
            near += usize::from(newest - index < NEAR);
        }
        near * 10 >= self.list.len() * 9
    }

    /// Appends a data page's part: the width, then the indices.
    pub(super) fn encode(&self, entries: usize, out: &mut Vec<u8>) -> Encoding {
        let bits = hybrid::bits_for(entries.saturating_sub(1) as u32);
        out.push(bits as u8);
        if self.list.is_empty() {
            hybrid::encode_run(self.index, self.run, bits, out);
        } else {
            hybrid::encode(&self.list, bits, out);
        }
        Encoding::RLE_DICTIONARY
    }

    /// Keeps the memory.
    pub(super) fn clear(&mut self) {
        self.run = 0;
        self.list.clear();
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.list.len() * 4
    }

    pub(super) fn memory(&self) -> usize {
        self.list.capacity() * 4
    }
}
