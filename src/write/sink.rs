//! Where a Parquet file grows: chunks in memory, so that growing never copies what is there.

use bytes::Bytes;
use std::io;

const CHUNK: usize = 1 << 20;

/// Collects written bytes as chunks of at most about a mebibyte, or of one write where that is larger.
#[derive(Debug, Default)]
pub(super) struct ChunkSink {
    full: Vec<Bytes>,
    current: Vec<u8>,
    len: usize,
}

impl ChunkSink {
    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn into_chunks(mut self) -> Vec<Bytes> {
        self.seal();
        self.full
    }

    fn seal(&mut self) {
        if !self.current.is_empty() {
            self.full.push(std::mem::take(&mut self.current).into());
        }
    }
}

impl io::Write for ChunkSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.current.len() + bytes.len() > CHUNK {
            self.seal();
        }
        if bytes.len() >= CHUNK {
            self.full.push(Bytes::copy_from_slice(bytes));
        } else {
            self.current.extend_from_slice(bytes);
        }
        self.len += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut sink = ChunkSink::default();
        let mut expected = Vec::new();
        for (i, size) in [10, CHUNK, 3, CHUNK - 1, 5, 2 * CHUNK, 0, 7]
            .into_iter()
            .enumerate()
        {
            let bytes = vec![i as u8; size];
            sink.write_all(&bytes).unwrap();
            expected.extend(bytes);
        }
        assert_eq!(sink.len(), expected.len());
        assert_eq!(sink.into_chunks().concat(), expected);
    }
}
