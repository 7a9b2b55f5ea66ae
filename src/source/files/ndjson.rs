//! One record a line.

use super::{
    FilesError,
    records::{Chunk, RecordReader},
    text::{TextFile, is_space},
};
use crate::event::RecordKind;
use memchr::memchr;

/// A line is a record, whatever it holds: what does not parse becomes a dead letter later. Lines of
/// whitespace alone are no records. The last line may lack its newline.
pub(crate) struct NdjsonReader {
    text: TextFile,
}

impl NdjsonReader {
    pub(crate) fn new(text: TextFile) -> Self {
        Self { text }
    }

    /// Passes one line, appending it to `out` without its line end; whether the line was a record.
    /// `None` at the end of the file.
    fn line(&mut self, mut out: Option<&mut Vec<u8>>) -> Result<Option<bool>, FilesError> {
        let (mut length, mut is_record) = (0usize, false);
        loop {
            let bytes = self.text.fill()?;
            if bytes.is_empty() {
                return Ok((length > 0).then_some(is_record));
            }
            let (part, used, ended) = match memchr(b'\n', bytes) {
                Some(at) => (&bytes[..at], at + 1, true),
                None => (bytes, bytes.len(), false),
            };
            is_record = is_record || part.iter().any(|&b| !is_space(b));
            length += used;
            if let Some(out) = out.as_deref_mut() {
                out.extend_from_slice(part);
            }
            self.text.consume(used);
            if ended {
                return Ok(Some(is_record));
            }
            self.text.check_length(length)?;
        }
    }
}

impl RecordReader for NdjsonReader {
    fn read(&mut self, chunk: &mut Chunk, target_bytes: usize) -> Result<bool, FilesError> {
        while !chunk.is_full(target_bytes) {
            let start = chunk.slab.len();
            match self.line(Some(&mut chunk.slab))? {
                None => return Ok(false),
                Some(false) => chunk.slab.truncate(start),
                Some(true) => {
                    if chunk.slab.last() == Some(&b'\r') {
                        chunk.slab.pop();
                    }
                    chunk.push(start, RecordKind::Event);
                    self.text.records += 1;
                }
            }
        }
        Ok(true)
    }

    fn skip(&mut self, n: u64) -> Result<u64, FilesError> {
        let mut skipped = 0;
        while skipped < n {
            match self.line(None)? {
                None => break,
                Some(is_record) => {
                    skipped += u64::from(is_record);
                    self.text.records += u64::from(is_record);
                }
            }
        }
        Ok(skipped)
    }
}
