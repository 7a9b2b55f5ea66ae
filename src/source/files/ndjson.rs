//! One record a line.

use super::{
    FilesError,
    records::{Chunk, RecordReader},
    text::{TextFile, is_space},
};
use crate::event::RecordKind;
use memchr::memchr;

/// Of a line longer than a chunk no less is read at once.
const MIN_READ_BYTES: usize = 64 << 10;

/// A line is a record, whatever it holds: what does not parse becomes a dead letter later. Lines of
/// whitespace alone are no records. The last line may lack its newline.
///
/// Text is read straight into the slab of a chunk, in blocks; of each block only the line that its end
/// cuts in two is copied, to the front of the next.
pub(crate) struct NdjsonReader {
    text: TextFile,
    /// Bytes that are read and not yet passed.
    rest: Vec<u8>,
    /// What ended the reading behind `rest`, to be told once the lines before it are handed on.
    failed: Option<FilesError>,
}

impl NdjsonReader {
    pub(crate) fn new(text: TextFile) -> Self {
        Self {
            text,
            rest: Vec::new(),
            failed: None,
        }
    }
}

impl RecordReader for NdjsonReader {
    fn read(&mut self, chunk: &mut Chunk, target_bytes: usize) -> Result<bool, FilesError> {
        let base = chunk.slab.len();
        chunk.slab.append(&mut self.rest);
        // Whether enough is in the chunk when it holds lines up to `end`.
        let is_full = |chunk: &Chunk, end| end >= target_bytes || chunk.is_full(usize::MAX);
        // The first byte of the line, and the first that may be its end.
        let (mut line, mut seen) = (base, base);
        loop {
            while line == base || !is_full(chunk, line) {
                let Some(at) = memchr(b'\n', &chunk.slab[seen..]) else {
                    seen = chunk.slab.len();
                    break;
                };
                let end = seen + at;
                self.text.check_length(end - line)?;
                self.record(chunk, line, end);
                line = end + 1;
                seen = line;
            }
            if line > base && is_full(chunk, chunk.slab.len()) {
                self.rest.extend_from_slice(&chunk.slab[line..]);
                chunk.slab.truncate(line);
                return Ok(true);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            self.text.check_length(chunk.slab.len() - line)?;
            let room = target_bytes.saturating_sub(chunk.slab.len());
            let more = match room {
                // A line longer than the chunk should be.
                0 => MIN_READ_BYTES.max(chunk.slab.len() - line),
                _ => room,
            };
            if self.text.read_onto(&mut chunk.slab, more)? == 0 {
                let end = chunk.slab.len();
                self.record(chunk, line, end);
                return Ok(false);
            }
        }
    }

    fn skip(&mut self, n: u64) -> Result<u64, FilesError> {
        let mut skipped = 0;
        let mut chunk = Chunk::default();
        while skipped < n {
            chunk.slab.clear();
            chunk.records.clear();
            let read = self.read(&mut chunk, MIN_READ_BYTES);
            let here = chunk.records.len() as u64;
            if skipped + here > n || (read.is_err() && skipped + here == n) {
                // The records behind those to pass are read again, and what is wrong behind them is found then.
                self.put_back(chunk, (n - skipped) as usize);
                if let Err(error) = read {
                    self.failed = Some(error);
                }
                return Ok(n);
            }
            let more = read?;
            skipped += here;
            if !more {
                break;
            }
        }
        Ok(skipped)
    }
}

impl NdjsonReader {
    /// Takes back what lies behind the first `keep` records of a chunk, which are one at least.
    fn put_back(&mut self, mut chunk: Chunk, keep: usize) {
        self.text.records -= (chunk.records.len() - keep) as u64;
        // From the end of a line that is passed: that end alone is no record.
        let from = chunk.records[keep - 1].0.end as usize;
        let mut rest = chunk.slab.split_off(from);
        rest.append(&mut self.rest);
        self.rest = rest;
    }

    /// Makes a record of a line, if there is anything in it.
    fn record(&mut self, chunk: &mut Chunk, start: usize, end: usize) {
        let bytes = &chunk.slab[start..end];
        if bytes.iter().any(|&byte| !is_space(byte)) {
            let end = end - usize::from(bytes.last() == Some(&b'\r'));
            chunk.push_span(start..end, RecordKind::Event);
            self.text.records += 1;
        }
    }
}
