//! Buffers of slabs that were let go, kept for the next ones. Fresh memory costs the kernel a cleared page every 4 KiB:
//! without this, half of the reading thread's time.

use bytes::Bytes;
use parking_lot::Mutex;

/// A shorter buffer is not worth keeping, and a slab that needs a short one must not be given a long one: it is charged
/// to the budget by its capacity.
const LEAST_BYTES: usize = 64 << 10;
const MOST_BYTES: usize = 4 << 20;
/// Buffers kept, all sources together; outside of the budget.
const MOST: usize = 8;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer with room for `bytes`, and not for more than twice as many.
pub(crate) fn buffer(bytes: usize) -> Vec<u8> {
    if bytes < LEAST_BYTES {
        return Vec::with_capacity(bytes);
    }
    let bytes = bytes.next_multiple_of(LEAST_BYTES);
    let mut spare = SPARE.lock();
    let fit = spare
        .iter()
        .position(|b| (bytes..=2 * bytes).contains(&b.capacity()));
    match fit {
        Some(i) => spare.swap_remove(i),
        None => {
            // None fits: the sizes have changed, and the oldest makes room for what comes back.
            if spare.len() >= MOST {
                spare.remove(0);
            }
            drop(spare);
            Vec::with_capacity(bytes)
        }
    }
}

/// The bytes as they are; when the last reference is dropped, the buffer is kept.
pub(crate) fn lend(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < LEAST_BYTES {
        Bytes::from(buffer)
    } else {
        Bytes::from_owner(Lent(buffer))
    }
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        if buffer.capacity() <= MOST_BYTES {
            buffer.clear();
            let mut spare = SPARE.lock();
            if spare.len() < MOST {
                spare.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_only_to_slabs_of_its_size() {
        // A size that no other test of the process uses.
        let size = 3 << 20;
        let mut first = buffer(size);
        let address = first.as_ptr();
        first.extend_from_slice(&[7; 100]);
        let lent = lend(first);
        let slice = lent.slice(10..20);
        drop(lent);
        let other = buffer(size);
        assert_ne!(other.as_ptr(), address, "still lent");
        assert_eq!(&slice[..], [7; 10]);
        drop(slice);
        let (short, half) = (buffer(100), buffer(1 << 20));
        assert!(short.as_ptr() != address && half.as_ptr() != address);
        let again = buffer(size);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        for _ in 0..2 * MOST {
            drop(lend(Vec::with_capacity(size)));
            drop(lend(Vec::with_capacity(MOST_BYTES + 1)));
        }
        assert!(SPARE.lock().len() <= MOST);
    }
}
