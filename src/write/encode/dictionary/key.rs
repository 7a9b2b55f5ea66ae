//! Byte strings as they are looked up.

use super::fold;

/// A byte string and its first sixteen bytes, padded with zeros.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::write::encode) struct Key<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) head: [u64; 2],
}

impl<'a> Key<'a> {
    /// The value at `start..end` of `data`. Values in the middle of `data` are read fastest.
    pub(in crate::write::encode) fn new(data: &'a [u8], start: usize, end: usize) -> Self {
        let bytes = &data[start..end];
        let head = match data.get(start..start + 16) {
            Some(head) => {
                let (low, high) = words(head.first_chunk().unwrap_or(&[0; 16]));
                let length = bytes.len().min(16);
                [low & LOWEST[length], high & LOWEST[length.max(8) - 8]]
            }
            None => {
                let mut padded = [0; 16];
                let length = bytes.len().min(16);
                padded[..length].copy_from_slice(&bytes[..length]);
                let (low, high) = words(&padded);
                [low, high]
            }
        };
        Self { bytes, head }
    }

    pub(in crate::write::encode) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first eight bytes in an order that agrees with the strings'.
    pub(in crate::write::encode) fn prefix(&self) -> u64 {
        self.head[0].swap_bytes()
    }

    pub(super) fn hash(&self, secrets: [u64; 2]) -> u32 {
        let length = self.bytes.len() as u64;
        let mut hash = fold(
            self.head[0] ^ secrets[0],
            self.head[1] ^ secrets[1] ^ length << 32,
        );
        if let Some((_, rest)) = self.bytes.split_first_chunk::<16>()
            && !rest.is_empty()
        {
            let (blocks, _) = rest.as_chunks::<16>();
            // The last sixteen bytes; some may be in a block before, too.
            for block in blocks.iter().chain(self.bytes.last_chunk()) {
                let (low, high) = words(block);
                hash = fold(low ^ hash, high ^ secrets[1]);
            }
        }
        (hash >> 32) as u32
    }
}

fn words(block: &[u8; 16]) -> (u64, u64) {
    let all = u128::from_le_bytes(*block);
    (all as u64, (all >> 64) as u64)
}

/// Masks of the lowest bytes of a word, by their number.
const LOWEST: [u64; 17] = {
    let mut masks = [u64::MAX; 17];
    let mut bytes = 0;
    while bytes < 8 {
        masks[bytes] = (1 << (8 * bytes)) - 1;
        bytes += 1;
    }
    masks
};
