//! Memory that is needed only while a batch is written, shared by all writers of the process.
//!
//! Fresh memory is cleared by the kernel before it is used, which costs a good part of an encoder's time if each column of
//! each file gets its own. A writer takes a [`Scratch`] for one call and gives it back.

use super::codec::Compressor;
use parking_lot::Mutex;

/// Idle ones kept: as many as threads are likely to write at once. Each is a few megabytes, most of it zstd's context.
const MOST_IDLE: usize = 16;

/// One that grew past this is not kept: a page of very long strings made it so.
const LARGEST_KEPT: usize = 8 << 20;

static IDLE: Mutex<Vec<Box<Scratch>>> = Mutex::new(Vec::new());

#[derive(Default)]
pub(super) struct Scratch {
    pub(super) compressor: Compressor,
    /// A page before compression.
    pub(super) page: Vec<u8>,
    pub(super) buffers: Buffers,
}

/// Values without nulls, and in the width that files hold.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) i32: Vec<i32>,
    pub(super) i64: Vec<i64>,
    pub(super) f32: Vec<f32>,
    pub(super) f64: Vec<f64>,
    pub(super) i128: Vec<i128>,
}

impl Scratch {
    fn memory(&self) -> usize {
        let Buffers {
            i32,
            i64,
            f32,
            f64,
            i128,
        } = &self.buffers;
        self.page.capacity()
            + self.compressor.memory()
            + 4 * (i32.capacity() + f32.capacity())
            + 8 * (i64.capacity() + f64.capacity())
            + 16 * i128.capacity()
    }
}

/// A [`Scratch`] that goes back when dropped.
pub(in crate::write) struct Lease(Box<Scratch>);

impl Lease {
    pub(in crate::write) fn take() -> Self {
        let idle = IDLE.lock().pop();
        Lease(idle.unwrap_or_default())
    }

    pub(super) fn scratch(&mut self) -> &mut Scratch {
        &mut self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.memory() <= LARGEST_KEPT {
            let mut idle = IDLE.lock();
            if idle.len() < MOST_IDLE {
                idle.push(std::mem::take(&mut self.0));
            }
        }
    }
}
