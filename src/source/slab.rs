//! Buffers for the bytes of batches, used again when nobody holds the batch any more.
//!
//! A fresh buffer of this size comes from the kernel, which clears every page of it at its first
//! touch: more work than copying the bytes into it. Kept buffers are at most [`KEPT_BYTES`] in all.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Buffers of 2^16 to 2^22 bytes are kept, by powers of two; others are the allocator's.
const SMALLEST: u32 = 16;
const LARGEST: u32 = 22;
const CLASSES: usize = (LARGEST - SMALLEST + 1) as usize;
/// The most bytes kept for later.
const KEPT_BYTES: usize = 32 << 20;

static KEPT: [Mutex<Vec<Vec<u8>>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];
static KEPT_NOW: AtomicUsize = AtomicUsize::new(0);

/// An empty buffer with room for at least `bytes`.
pub(super) fn take(bytes: usize) -> Vec<u8> {
    let size = bytes.next_power_of_two().max(1 << SMALLEST);
    let Some(class) = class(size) else {
        return Vec::with_capacity(bytes);
    };
    match KEPT[class].lock().pop() {
        Some(buffer) => {
            KEPT_NOW.fetch_sub(buffer.capacity(), Ordering::Relaxed);
            buffer
        }
        None => Vec::with_capacity(size),
    }
}

/// The bytes of a buffer, which is kept for later once the last slice of them is dropped.
pub(super) fn share(buffer: Vec<u8>) -> Bytes {
    Bytes::from_owner(Lent(buffer))
}

/// Takes back a buffer that holds nothing of use.
pub(super) fn put_back(mut buffer: Vec<u8>) {
    // One that grew past the size it was taken for is not of a class.
    let Some(class) = class(buffer.capacity()) else {
        return;
    };
    buffer.clear();
    let size = buffer.capacity();
    if KEPT_NOW.fetch_add(size, Ordering::Relaxed) + size > KEPT_BYTES {
        KEPT_NOW.fetch_sub(size, Ordering::Relaxed);
        return;
    }
    KEPT[class].lock().push(buffer);
}

fn class(size: usize) -> Option<usize> {
    let power = size.is_power_of_two().then(|| size.ilog2())?;
    (SMALLEST..=LARGEST)
        .contains(&power)
        .then(|| (power - SMALLEST) as usize)
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        put_back(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_buffer_holds_its_bytes_until_the_last_slice_goes() {
        let mut buffer = take(100_000);
        assert!(buffer.is_empty() && buffer.capacity() >= 100_000);
        buffer.extend_from_slice(b"abc");
        let slice = share(buffer).slice(1..);
        // Others take and fill buffers meanwhile.
        for _ in 0..10 {
            let mut other = take(100_000);
            other.resize(100_000, b'x');
            drop(share(other));
        }
        assert_eq!(slice, "bc");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers: Vec<_> = (0..100).map(|_| take(1 << 20)).collect();
        buffers.into_iter().for_each(put_back);
        put_back(take(10 << 20));
        put_back(Vec::with_capacity(100_001));
        assert!(KEPT_NOW.load(Ordering::Relaxed) <= KEPT_BYTES);
    }
}
