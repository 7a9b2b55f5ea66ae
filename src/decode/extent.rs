//! Where a batch's events lie in its slab, and how much of that is text.

use super::{DecodeError, MAX_BATCH_BYTES};
use crate::{
    event::{RecordSpan, RoutedBatch},
    json::{Cursor, Padded, is_utf8},
};
use std::{marker::PhantomData, ops::Range};

/// Proof that the text which a cursor of this lifetime stands in is UTF-8: only [`Extent::cursor`] makes
/// one, together with the cursor.
#[derive(Clone, Copy)]
pub(super) struct Utf8<'a>(PhantomData<&'a [u8]>);

/// Where a batch's events lie, and whether all that is UTF-8.
pub(super) struct Extent {
    pub(super) records: usize,
    /// What is known to be UTF-8, in bytes of the slab.
    utf8: Range<usize>,
}

impl Extent {
    /// Looks at all events at once where they lie close together.
    pub(super) fn of(batch: &RoutedBatch) -> Result<Extent, DecodeError> {
        let length = |span: &Option<Range<u32>>| span.as_ref().map_or(0, |span| span.len() as u64);
        let (mut bytes, mut values, mut records) = (0, 0, 0);
        let (mut start, mut end) = (usize::MAX, 0);
        for record in batch.records() {
            let value = span(record);
            start = start.min(value.start);
            end = end.max(value.end);
            values += value.len();
            bytes += value.len() as u64 + length(&record.key) + length(&record.headers);
            records += 1;
        }
        if bytes > MAX_BATCH_BYTES {
            return Err(DecodeError::BatchTooLarge {
                bytes,
                limit: MAX_BATCH_BYTES,
            });
        }
        let close = start < end && values >= (end - start) / 2;
        let whole = match close && batch.raw.slab.get(start..end).is_some_and(is_utf8) {
            true => start..end,
            false => 0..0,
        };
        Ok(Extent {
            records,
            utf8: whole,
        })
    }

    /// A cursor at the start of the record's value, where that is UTF-8.
    #[inline]
    pub(super) fn cursor<'a>(
        &self,
        padded: &'a mut Padded,
        slab: &'a [u8],
        record: &RecordSpan,
    ) -> Option<(Cursor<'a>, Utf8<'a>)> {
        if !self.is_utf8(slab, record) {
            return None;
        }
        let cursor = padded.cursor(slab, span(record))?;
        Some((cursor, Utf8(PhantomData)))
    }

    /// Whether the record's value is UTF-8.
    #[inline]
    fn is_utf8(&self, slab: &[u8], record: &RecordSpan) -> bool {
        let value = span(record);
        if self.utf8.start <= value.start && value.end <= self.utf8.end {
            // Part of a UTF-8 text is UTF-8 if it begins and ends between characters.
            let between = |at: usize| {
                at == self.utf8.end || slab.get(at).is_none_or(|byte| byte & 0xc0 != 0x80)
            };
            return between(value.start) && between(value.end);
        }
        slab.get(value).is_some_and(is_utf8)
    }
}

pub(super) fn span(record: &RecordSpan) -> Range<usize> {
    record.value.start as usize..record.value.end as usize
}
