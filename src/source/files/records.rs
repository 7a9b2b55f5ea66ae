//! What every format makes: records as JSON text in one slab.

use super::FilesError;
use crate::event::RecordKind;
use std::ops::Range;

/// Records read from one file, in its order.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) slab: Vec<u8>,
    pub(crate) records: Vec<(Range<u32>, RecordKind)>,
}

impl Chunk {
    /// Ends a record that began at `start` of the slab. Readers bound their records, so a slab stays
    /// far below `u32::MAX` bytes.
    pub(crate) fn push(&mut self, start: usize, kind: RecordKind) {
        self.push_span(start..self.slab.len(), kind);
    }

    /// Makes a record of these bytes of the slab.
    pub(crate) fn push_span(&mut self, bytes: Range<usize>, kind: RecordKind) {
        let span = as_u32(bytes.start)..as_u32(bytes.end);
        self.records.push((span, kind));
    }

    pub(crate) fn is_full(&self, target_bytes: usize) -> bool {
        self.slab.len() >= target_bytes || self.records.len() >= MAX_CHUNK_RECORDS
    }
}

/// Records of a chunk; their spans are memory too.
const MAX_CHUNK_RECORDS: usize = 1 << 16;

fn as_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Reads one file's records in order. The n-th record of a file is the same at every reading of the
/// same bytes: positions count on it.
pub(crate) trait RecordReader: Send {
    /// Appends records until the chunk is full or the file ends; false at the end of the file.
    fn read(&mut self, chunk: &mut Chunk, target_bytes: usize) -> Result<bool, FilesError>;

    /// Passes at most `n` records; returns how many there were.
    fn skip(&mut self, n: u64) -> Result<u64, FilesError>;
}
