//! Where a Parquet file grows: chunks in memory, so that growing never copies what is there.

use bytes::Bytes;

/// Pieces shorter than this are copied into one, so that a file is not many small pieces.
const SHORTEST_CHUNK: usize = 64 << 10;

/// Collects pieces of a file in order. Large ones are taken as they are, small ones joined.
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

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.len - self.current.len() + self.current.capacity()
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.len() < SHORTEST_CHUNK {
            return self.push_copy(&piece);
        }
        self.seal();
        self.len += piece.len();
        self.full.push(piece);
    }

    pub(super) fn push_copy(&mut self, piece: &[u8]) {
        self.len += piece.len();
        self.current.extend_from_slice(piece);
        if self.current.len() >= SHORTEST_CHUNK {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if !self.current.is_empty() {
            let mut piece = std::mem::take(&mut self.current);
            piece.shrink_to_fit();
            self.full.push(piece.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut sink = ChunkSink::default();
        let mut expected: Vec<u8> = Vec::new();
        for (i, size) in [
            10,
            SHORTEST_CHUNK,
            3,
            SHORTEST_CHUNK - 1,
            5,
            2 * SHORTEST_CHUNK,
            0,
            7,
        ]
        .into_iter()
        .enumerate()
        {
            let bytes = vec![i as u8; size];
            expected.extend(&bytes);
            sink.push(bytes.into());
        }
        assert_eq!(sink.len(), expected.len());
        assert_eq!(sink.into_chunks().concat(), expected);
    }
}
