//! A stretch of an object as bytes to read, fetched ahead.

use super::{
    super::{FilesError, input::Reading},
    Object,
};
use bytes::{Bytes, BytesMut};
use std::{
    collections::VecDeque,
    io::{self, Read},
    ops::Range,
    sync::Arc,
};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How much is held of what a reader has not taken: the block at hand and those being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadAhead {
    pub(crate) block_bytes: u64,
    /// Blocks being fetched while one is read.
    pub(crate) blocks: usize,
}

impl ReadAhead {
    /// For telling a format by its first bytes.
    pub(crate) const HEAD: Self = Self {
        block_bytes: 64 << 10,
        blocks: 0,
    };

    /// For a lane that may hold so many bytes.
    pub(crate) fn within(bytes: u64) -> Self {
        // Blocks of this size come from buffers that are used again.
        let block = (bytes / 5).clamp(64 << 10, 4 << 20) & !0xffff;
        Self {
            block_bytes: block,
            blocks: 4,
        }
    }

    pub(crate) fn total_bytes(self) -> u64 {
        self.block_bytes * (self.blocks as u64 + 1)
    }
}

struct Coming {
    range: Range<u64>,
    bytes: AbortOnDropHandle<Result<Bytes, FilesError>>,
}

/// Bytes of one object from a position on. Blocking: for threads that may wait, of a runtime.
pub(crate) struct Ahead {
    object: Arc<Object>,
    runtime: Handle,
    halt: CancellationToken,
    ahead: ReadAhead,
    /// What may be read ends here.
    end: u64,
    position: u64,
    /// The block at hand, and where it begins in the object.
    now: Bytes,
    now_at: u64,
    /// The blocks behind it, in order; those up to `asked` are here.
    coming: VecDeque<Coming>,
    asked: u64,
}

impl Ahead {
    pub(crate) fn new(
        object: Arc<Object>,
        range: Range<u64>,
        ahead: ReadAhead,
        reading: &Reading,
    ) -> Result<Self, FilesError> {
        let runtime = Handle::try_current().map_err(|e| FilesError::Task(e.to_string()))?;
        Ok(Self {
            object,
            runtime,
            halt: reading.halt.clone(),
            ahead,
            end: range.end,
            position: range.start,
            now: Bytes::new(),
            now_at: range.start,
            coming: VecDeque::new(),
            asked: range.start,
        })
    }

    /// The whole of an object. One that is empty is looked at, for no byte of it will be read.
    pub(crate) fn open(object: Arc<Object>, reading: &Reading) -> Result<Self, FilesError> {
        let ahead = Self::new(object.clone(), 0..object.size(), reading.ahead, reading)?;
        if object.size() == 0 {
            ahead.wait(object.check())?;
        }
        Ok(ahead)
    }

    /// Begins to fetch what will be read first.
    pub(crate) fn start(&mut self) {
        self.top_up(1);
    }

    /// The bytes at hand from the position on; none at the end alone.
    pub(crate) fn fill(&mut self) -> Result<&[u8], FilesError> {
        while !self.is_at_hand() && self.position < self.end {
            let position = self.position;
            if self.coming.iter().any(|c| c.range.contains(&position)) {
                self.coming.retain(|c| c.range.end > position);
            } else {
                self.coming.clear();
                self.asked = position;
            }
            // The old block goes before another one comes.
            self.now = Bytes::new();
            self.top_up(1);
            let Some(Coming { range, bytes }) = self.coming.pop_front() else {
                break;
            };
            self.top_up(self.ahead.blocks);
            let fetched = async { bytes.await.map_err(|e| FilesError::Task(e.to_string()))? };
            self.now = self.wait(fetched)?;
            self.now_at = range.start;
        }
        match self.is_at_hand() {
            true => Ok(&self.now[(self.position - self.now_at) as usize..]),
            false => Ok(&[]),
        }
    }

    /// Passes bytes that [`Self::fill`] showed.
    pub(crate) fn advance(&mut self, n: usize) {
        self.position += n as u64;
    }

    /// Reads on from here. What is at hand or being fetched stays.
    pub(crate) fn seek(&mut self, position: u64) {
        self.position = position;
    }

    pub(crate) fn is_at_hand(&self) -> bool {
        self.position
            .checked_sub(self.now_at)
            .is_some_and(|into| into < self.now.len() as u64)
    }

    /// So many bytes from the position on, in one piece; fewer if the end comes first.
    pub(crate) fn bytes(&mut self, n: usize) -> Result<Bytes, FilesError> {
        let there = self.fill()?.len();
        if there >= n {
            let from = (self.position - self.now_at) as usize;
            self.advance(n);
            return Ok(self.now.slice(from..from + n));
        }
        let mut all = BytesMut::with_capacity(n);
        while all.len() < n {
            let more = self.fill()?;
            if more.is_empty() {
                break;
            }
            let take = more.len().min(n - all.len());
            all.extend_from_slice(&more[..take]);
            self.advance(take);
        }
        Ok(all.freeze())
    }

    /// Asks for blocks until so many are being fetched.
    fn top_up(&mut self, blocks: usize) {
        while self.coming.len() < blocks && self.asked < self.end {
            let end = self.end.min(self.asked + self.ahead.block_bytes);
            let range = self.asked..end;
            let (object, wanted) = (self.object.clone(), range.clone());
            let fetch = self
                .runtime
                .spawn(async move { object.fetch(wanted).await });
            self.coming.push_back(Coming {
                range,
                bytes: AbortOnDropHandle::new(fetch),
            });
            self.asked = end;
        }
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, FilesError>>) -> Result<T, FilesError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.halt.cancelled() => Err(FilesError::Halted),
                done = work => done,
            }
        })
    }
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let here = self.fill().map_err(FilesError::into_io)?;
        let n = here.len().min(out.len());
        out[..n].copy_from_slice(&here[..n]);
        self.advance(n);
        Ok(n)
    }
}
