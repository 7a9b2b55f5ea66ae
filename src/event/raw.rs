//! Bytes as received, and which of them belong to a table.

use super::{BytePermit, Epoch, Offset, Partition};
use bytes::Bytes;
use std::{ops::Range, sync::Arc};

/// One read of one source partition: a slab of bytes, so that a record costs no allocation.
///
/// Holds every record of `[start, end)` in offset order; offsets of the range without a record are
/// gaps. Consecutive batches of an epoch join: the next `start` is this `end`.
#[derive(Debug)]
pub struct RawBatch {
    pub partition: Arc<Partition>,
    pub epoch: Epoch,
    pub start: Offset,
    pub end: Offset,
    pub slab: Bytes,
    pub records: Vec<RecordSpan>,
    /// The tables that records name themselves (HTTP path, backfill `--table`); [`RecordSpan::table`]
    /// indexes it. Empty when the router decides by topic or field.
    pub tables: Vec<Arc<str>>,
    pub permit: BytePermit,
}

impl RawBatch {
    /// The bytes of a record's value.
    pub fn value(&self, record: &RecordSpan) -> &[u8] {
        &self.slab[record.value.start as usize..record.value.end as usize]
    }

    /// The bytes of a record's key, if it has one.
    pub fn key(&self, record: &RecordSpan) -> Option<&[u8]> {
        record
            .key
            .as_ref()
            .map(|key| &self.slab[key.start as usize..key.end as usize])
    }

    /// The headers of a record as JSON text (an object of name to text), if any were kept.
    pub fn headers(&self, record: &RecordSpan) -> Option<&[u8]> {
        record
            .headers
            .as_ref()
            .map(|headers| &self.slab[headers.start as usize..headers.end as usize])
    }
}

/// Where one record lies in the slab. A slab is at most `u32::MAX` bytes.
#[derive(Clone, Debug)]
pub struct RecordSpan {
    pub offset: Offset,
    pub value: Range<u32>,
    pub key: Option<Range<u32>>,
    pub headers: Option<Range<u32>>,
    /// Microseconds since the epoch: Kafka's timestamp, or the time of receipt.
    pub event_time: i64,
    /// Index into [`RawBatch::tables`]; `u32::MAX` when the router decides.
    pub table: u32,
    pub kind: RecordKind,
}

/// Whether a record is to be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// JSON text to decode.
    Event,
    /// A null or empty value: a counted skip.
    Tombstone,
    /// The source has already judged it (a malformed event of an HTTP request): a dead letter.
    Rejected(RejectReason),
}

/// Why a record became a dead letter. `code` is the bounded metric label, `detail` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectReason {
    /// One of `malformed`, `not_an_object`, `too_large`, `too_deep`, `unroutable`, `type_conflict`,
    /// `invalid_utf8`.
    pub code: &'static str,
    pub detail: Arc<str>,
}

/// The part of a raw batch that belongs to one table.
#[derive(Clone, Debug)]
pub struct RoutedBatch {
    pub raw: Arc<RawBatch>,
    /// Indexes into `raw.records`, ascending; `None` means all of them.
    pub select: Option<Vec<u32>>,
}

impl RoutedBatch {
    /// The selected records, in offset order.
    pub fn records(&self) -> Box<dyn Iterator<Item = &RecordSpan> + '_> {
        match &self.select {
            None => Box::new(self.raw.records.iter()),
            Some(select) => Box::new(select.iter().map(|&i| &self.raw.records[i as usize])),
        }
    }
}
