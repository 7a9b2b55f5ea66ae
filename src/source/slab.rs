//! Buffers for the bytes of batches, used again when nobody holds the batch any more.
//!
//! A fresh buffer of this size comes from the kernel, which clears every page of it at its first
//! touch: more work than copying the bytes into it. Kept buffers are at most [`KEPT_BYTES`] in all.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Buffers of 2^16 to 2^22 bytes are kept, in steps of a quarter of the power of two below, so that
/// one is at most a quarter larger than asked for; others are the allocator's.
const SMALLEST: u32 = 16;
const LARGEST: u32 = 22;
const STEPS: usize = 4;
const CLASSES: usize = (LARGEST - SMALLEST) as usize * STEPS + 1;
/// The most bytes kept for later.
const KEPT_BYTES: usize = 32 << 20;

/// Buffers kept for later, by class.
struct Pool {
    kept: [Mutex<Vec<Vec<u8>>>; CLASSES],
    bytes: AtomicUsize,
}

static POOL: Pool = Pool::new();

/// An empty buffer with room for at least `bytes`.
pub(super) fn take(bytes: usize) -> Vec<u8> {
    POOL.take(bytes)
}

/// The capacity of a buffer taken for so many bytes.
pub(super) fn size(bytes: usize) -> usize {
    let bytes = bytes.max(1 << SMALLEST);
    let size = bytes.next_multiple_of(step(bytes));
    if class(size).is_some() { size } else { bytes }
}

/// The bytes of a buffer, which is kept for later once the last slice of them is dropped.
pub(super) fn share(buffer: Vec<u8>) -> Bytes {
    Bytes::from_owner(Lent(buffer))
}

/// Takes back a buffer that holds nothing of use.
pub(super) fn put_back(buffer: Vec<u8>) {
    POOL.put_back(buffer);
}

impl Pool {
    const fn new() -> Self {
        Self {
            kept: [const { Mutex::new(Vec::new()) }; CLASSES],
            bytes: AtomicUsize::new(0),
        }
    }

    fn take(&self, bytes: usize) -> Vec<u8> {
        let size = size(bytes);
        let Some(class) = class(size) else {
            return Vec::with_capacity(size);
        };
        match self.kept[class].lock().pop() {
            Some(buffer) => {
                self.bytes.fetch_sub(buffer.capacity(), Ordering::Relaxed);
                buffer
            }
            None => Vec::with_capacity(size),
        }
    }

    fn put_back(&self, mut buffer: Vec<u8>) {
        // One that grew past the size it was taken for is not of a class.
        let Some(class) = class(buffer.capacity()) else {
            return;
        };
        buffer.clear();
        let size = buffer.capacity();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > KEPT_BYTES
            && !self.make_way(class)
        {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        self.kept[class].lock().push(buffer);
    }

    /// Lets go of buffers for one of a class of which none is kept: sizes change with what is received, and what was kept for
    /// others must not be in the way for ever. Whether there is room for it.
    #[cold]
    fn make_way(&self, class: usize) -> bool {
        if !self.kept[class].lock().is_empty() {
            return false;
        }
        for others in (0..CLASSES).rev().filter(|other| *other != class) {
            while let Some(buffer) = self.kept[others].lock().pop() {
                let size = buffer.capacity();
                if self.bytes.fetch_sub(size, Ordering::Relaxed) - size <= KEPT_BYTES {
                    return true;
                }
            }
        }
        false
    }
}

/// The distance between the classes around a size, which is not 0.
fn step(size: usize) -> usize {
    ((1 << size.ilog2()) / STEPS).max(1)
}

fn class(size: usize) -> Option<usize> {
    if !(1 << SMALLEST..=1 << LARGEST).contains(&size) || !size.is_multiple_of(step(size)) {
        return None;
    }
    let power = size.ilog2();
    let above = (size - (1 << power)) / step(size);
    Some((power - SMALLEST) as usize * STEPS + above)
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
    fn a_buffer_is_at_most_a_quarter_larger_than_asked_for() {
        for bytes in [
            65_536,
            65_537,
            100_000,
            262_145,
            1 << 20,
            (4 << 20) - 1,
            4 << 20,
        ] {
            let buffer = take(bytes);
            assert!(buffer.capacity() >= bytes && buffer.capacity() <= bytes + bytes / 4);
            assert!(class(buffer.capacity()).is_some());
            assert_eq!(buffer.capacity(), size(bytes));
        }
        assert_eq!(class(4 << 20), Some(CLASSES - 1));
        assert_eq!(take(5 << 20).capacity(), 5 << 20);
    }

    #[test]
    fn what_nobody_asks_for_any_more_makes_way_for_another_size() {
        let pool = Pool::new();
        let full: Vec<_> = (0..40).map(|_| pool.take(1 << 20)).collect();
        full.into_iter().for_each(|buffer| pool.put_back(buffer));
        let size = 80 << 10;
        pool.put_back(pool.take(size));
        assert_eq!(pool.kept[class(size).unwrap()].lock().len(), 1);
        assert!(pool.bytes.load(Ordering::Relaxed) <= KEPT_BYTES);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let pool = Pool::new();
        let buffers: Vec<_> = (0..100).map(|_| pool.take(1 << 20)).collect();
        buffers.into_iter().for_each(|buffer| pool.put_back(buffer));
        pool.put_back(pool.take(10 << 20));
        pool.put_back(Vec::with_capacity(100_001));
        assert!(pool.bytes.load(Ordering::Relaxed) <= KEPT_BYTES);
    }
}
