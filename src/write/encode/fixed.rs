//! Values of fixed width of one column, on their way to pages.

use super::{
    bounds::{Extremes, Range},
    codec::Scale,
    dictionary::FixedDictionary,
    indices::{self, Indices, LARGEST_DICTIONARY, Phase},
    native::Native,
};
use crate::write::options::ValueEncoding;
use parquet::{basic::Encoding, errors::Result, file::statistics::Statistics};

/// Fewer values are not worth a trial.
const FEWEST_TRIED: usize = 128;
/// Values by which a trial judges a chunk.
const MOST_TRIED: usize = 8_192;
/// Differences that are not this much shorter than the plain form are not worth a trial either.
const SHORTER_PERCENT: usize = 95;
/// Being shorter they are less work for the compressor, and may be so much larger after it.
const LARGER_PERCENT: usize = 105;

#[derive(Debug)]
pub(super) struct Fixed<T> {
    /// Bytes of a plain value.
    width: usize,
    encoding: ValueEncoding,
    phase: Phase,
    dictionary: FixedDictionary<T>,
    /// The page's values while the dictionary is open.
    indices: Indices,
    /// The page's values while it is not.
    plain: Vec<T>,
    /// Whether the chunk's plain values are written as differences; chosen with the first page of them.
    delta: Option<bool>,
    /// Of the chunk's values that are not in the dictionary.
    range: Range<T>,
}

impl<T: Native> Fixed<T> {
    pub(super) fn new(width: usize, encoding: ValueEncoding) -> Self {
        Self {
            width,
            encoding,
            phase: Phase::default(),
            dictionary: FixedDictionary::default(),
            indices: Indices::default(),
            plain: Vec::new(),
            delta: None,
            range: Range::default(),
        }
    }

    /// Adds values to the page.
    pub(super) fn add(&mut self, mut values: &[T]) {
        while self.phase.is_open() && !values.is_empty() {
            let (some, rest) = values.split_at(values.len().min(indices::LOOK));
            self.intern(some);
            values = rest;
            if self.phase == Phase::Trying
                && indices::is_hopeless(self.indices.len(), self.dictionary.values().len())
            {
                self.drop_dictionary();
            }
        }
        self.range.update(values);
        self.plain.extend_from_slice(values);
    }

    fn intern(&mut self, values: &[T]) {
        let Some(&first) = values.first() else { return };
        let bits = first.bits();
        if values.iter().all(|value| value.bits() == bits) {
            let index = self.dictionary.intern(first);
            self.indices.push_run(index, values.len());
            return;
        }
        self.dictionary.intern_all(values, self.indices.list());
    }

    /// Makes the page's values plain ones.
    fn drop_dictionary(&mut self) {
        self.phase = Phase::Dropped;
        let values = self.dictionary.values();
        self.range.update(values);
        let list = self.indices.list();
        self.plain
            .extend(list.iter().map(|index| values[*index as usize]));
        self.indices = Indices::default();
        self.dictionary = FixedDictionary::default();
    }

    /// Values of the page.
    pub(super) fn len(&self) -> usize {
        self.indices.len() + self.plain.len()
    }

    /// Bytes of memory the page's values use.
    pub(super) fn buffered(&self) -> usize {
        self.indices.bytes() + self.plain.len() * self.width
    }

    /// Bytes the page and the dictionary would take before compression, about.
    pub(super) fn pending(&self) -> usize {
        let dictionary = self.dictionary.values().len();
        self.indices.encoded(dictionary) + (self.plain.len() + dictionary) * self.width
    }

    /// Whether the page must end because the dictionary takes no more values.
    pub(super) fn is_full(&self) -> bool {
        self.phase.is_open() && self.dictionary.values().len() * self.width > LARGEST_DICTIONARY
    }

    /// Appends the page's values and forgets them.
    pub(super) fn page(&mut self, out: &mut Vec<u8>, scale: &mut Scale<'_>) -> Result<Encoding> {
        let distinct = self.dictionary.values().len();
        if self.phase == Phase::Trying {
            let (plain, entries) = (self.indices.len() * self.width, distinct * self.width);
            if indices::pays(plain, entries, self.indices.encoded(distinct))
                && !self.indices.ascend(distinct)
            {
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
            return Ok(encoding);
        }
        let delta = match self.delta {
            Some(chosen) => chosen,
            None => *self.delta.insert(self.is_delta_smaller(scale)?),
        };
        let encoding = if delta {
            T::delta(&self.plain, out);
            Encoding::DELTA_BINARY_PACKED
        } else {
            T::plain(&self.plain, self.width, out);
            Encoding::PLAIN
        };
        self.plain.clear();
        Ok(encoding)
    }

    /// Whether to write differences, by the page's first values where that is left open.
    fn is_delta_smaller(&self, scale: &mut Scale<'_>) -> Result<bool> {
        match self.encoding {
            ValueEncoding::Delta => return Ok(T::DELTA),
            ValueEncoding::Auto if T::DELTA && self.plain.len() >= FEWEST_TRIED => {}
            _ => return Ok(false),
        }
        let values = &self.plain[..self.plain.len().min(MOST_TRIED)];
        let (mut delta, mut plain) = (Vec::new(), Vec::new());
        T::delta(values, &mut delta);
        T::plain(values, self.width, &mut plain);
        Ok(delta.len() * 100 <= plain.len() * SHORTER_PERCENT
            && scale.weigh(&delta)? * 100 <= scale.weigh(&plain)? * LARGER_PERCENT)
    }

    /// Appends the chunk's dictionary in plain form, if there is one; returns its number of entries.
    pub(super) fn dictionary(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        if !matches!(self.phase, Phase::Kept | Phase::Full) {
            return None;
        }
        let values = self.dictionary.values();
        self.range.update(values);
        T::plain(values, self.width, out);
        Some(values.len())
    }

    /// Of the whole chunk; after [`Self::dictionary`].
    pub(super) fn statistics(&self, nulls: u64) -> Statistics {
        self.range.statistics(self.width, nulls)
    }

    /// Of the whole chunk; after [`Self::dictionary`].
    pub(super) fn extremes(&self) -> Extremes<'_> {
        self.range.extremes()
    }

    /// Begins a new chunk.
    pub(super) fn reset(&mut self) {
        self.phase = Phase::default();
        self.delta = None;
        self.dictionary.clear();
        self.range = Range::default();
    }

    pub(super) fn memory(&self) -> usize {
        self.indices.memory() + self.plain.capacity() * size_of::<T>() + self.dictionary.memory()
    }
}
