//! The durable queue of accepted HTTP events (exactly-once.md, rules 17 to 19).
//!
//! What enters: whole requests ([`Append`]). What leaves: their events in order of sequence, once
//! fsynced ([`Reader`]). One folder a spool:
//!
//! - `spool.json`: its identity and what must outlive segments
//! - `<first sequence>.seg`: append-only records (`record.rs`), let go when their events are committed
//! - `<first sequence>.keys`: the idempotency keys of a segment that is gone, for the rest of their window
//! - `<first sequence>.torn`: the end of a write that a crash cut short, kept to look at; safe to delete
//! - `lock`: held by the one process that may use it
//!
//! What holds:
//! - An append is acknowledged only after an fsync that covers it, and only then handed on.
//! - The sequence counts events and never goes back: not over a crash, not over a failed write.
//! - A segment whose write or fsync failed is never written again: it is cut to what was durable.
//! - A flaw in anything once acknowledged is an error, never skipped. The one exception is the very
//!   last group of writes before a crash, which cannot be told from a torn one; it is kept as `.torn`.
//! - On disk it stays within `max_bytes`, keys and the last request's rounding apart.
//!
//! # Identity
//! A spool is the source partition `<pipeline>/<source>/spool-<uuid>`. If a table stands above what the
//! disk held when it was opened, the disk lost records (restored copy, lost file) and numbers given out
//! anew would be taken for old ones. Then [`Spool::adopt_new_identity`] starts another UUID at the first
//! number given out since; what lay below is still read **under the old identity**, so that tables ahead of
//! it skip what they have and tables behind take the rest: nothing twice, nothing left behind.

mod disk;
mod error;
mod keys;
mod look;
mod meta;
mod queue;
mod reader;
mod recent;
mod record;
mod recover;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use disk::{Disk, LocalDisk};
pub use error::SpoolError;
pub use keys::{Answer, Begin, BodyHash, Claim, KeyHash, Keys};
pub use look::{Look, LookIdentity, look};
pub use reader::{Chunk, Reader};

use crate::event::{ByteBudget, BytePermit, Offset, OffsetRange, Partition, RejectReason};
use bytes::Bytes;
use error::Result;
use meta::Meta;
use parking_lot::Mutex;
use queue::Queue;
use recent::{Recent, Request};
use record::KeyPart;
use segment::Segment;
use std::{
    collections::VecDeque,
    future::Future,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{oneshot, watch};
use writer::{Command, Job};

/// How a spool behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most bytes it keeps on disk.
    pub max_bytes: u64,
    /// The size at which a segment is closed; at most a quarter of `max_bytes` is used.
    pub segment_bytes: u64,
    /// How long an append waits for others to share its fsync, at most; waits only under load.
    pub group_commit: Duration,
    /// The most idempotency keys held, about 100 bytes of memory each; the oldest go first.
    pub max_keys: usize,
    /// How long a key is known.
    pub key_window: Duration,
    /// What the newest requests are charged to, so that the reader gets them from memory; a
    /// sixteenth of it at most. `None`: all are read back from the disk.
    pub recent: Option<ByteBudget>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 8 << 30,
            segment_bytes: 64 << 20,
            group_commit: Duration::from_millis(2),
            max_keys: 500_000,
            key_window: Duration::from_secs(24 * 60 * 60),
            recent: None,
        }
    }
}

/// One request to be stored, all of it or nothing.
#[derive(Debug)]
pub struct Append {
    /// The table the path names; at most 128 bytes.
    pub table: Arc<str>,
    /// The decompressed body; at most `u32::MAX` bytes.
    pub body: Bytes,
    /// Where its events lie in it: ascending, not overlapping.
    pub events: Vec<Range<u32>>,
    /// Events that are dead letters, ascending by index into `events`.
    pub rejected: Vec<(u32, RejectReason)>,
    /// Microseconds since the epoch.
    pub received_at: i64,
    /// The request's idempotency key, if it carries one.
    pub claim: Option<Claim>,
    /// Held until the request is durable.
    pub permit: Option<BytePermit>,
}

impl Append {
    /// Whether this can be written so that it reads back.
    fn check(&self) -> Result<()> {
        let mut end = 0;
        for event in &self.events {
            if event.start < end || event.end < event.start || event.end as usize > self.body.len()
            {
                return Err(SpoolError::Unfit {
                    what: "its events overlap or leave the body",
                });
            }
            if u64::from(event.end - event.start) > record::MAX_RECORD / 2 {
                return Err(SpoolError::Unfit {
                    what: "an event is longer than 1 GiB",
                });
            }
            end = event.end;
        }
        let ascending = self.rejected.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let last = self.rejected.last();
        if !ascending || last.is_some_and(|(event, _)| *event as usize >= self.events.len()) {
            return Err(SpoolError::Unfit {
                what: "its rejections do not name its events in order",
            });
        }
        if self.table.len() > 128 || self.events.is_empty() {
            return Err(SpoolError::Unfit {
                what: "it has no events, or a table name longer than 128 bytes",
            });
        }
        Ok(())
    }
}

/// A stretch of sequence numbers that belongs to one source partition.
#[derive(Clone, Debug)]
pub struct Generation {
    pub partition: Arc<Partition>,
    pub first: Offset,
    /// `None` for the current one.
    pub end: Option<Offset>,
}

/// What the writer thread and readers share.
struct Shared {
    folder: PathBuf,
    options: Options,
    log: Mutex<Log>,
    meta: Mutex<Meta>,
    keys: Arc<Keys>,
    recent: Recent,
    /// The sequence after the last durable event.
    durable: watch::Sender<Offset>,
    health: watch::Sender<std::result::Result<(), SpoolError>>,
}

struct Log {
    /// Oldest first; the last may be the one being written.
    segments: VecDeque<Segment>,
    low_water: Offset,
}

impl Log {
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

/// An open spool. Dropping it ends the writer as a crash would, only without losing what was
/// acknowledged; [`Spool::close`] also notes on disk that nothing is missing at the end.
pub struct Spool {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("folder", &self.shared.folder)
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens or creates the spool in `folder`, checking every byte of it (about a second a GiB from a
    /// cold disk). Blocks.
    ///
    /// # Errors
    /// [`SpoolError::Locked`], [`SpoolError::Foreign`] for another source's folder,
    /// [`SpoolError::Corrupt`] and [`SpoolError::NoIdentity`] where acknowledged bytes are damaged.
    pub fn open(folder: &Path, pipeline: &str, source: &str, options: Options) -> Result<Self> {
        Self::open_on(Arc::new(LocalDisk), folder, pipeline, source, options)
    }

    /// [`Spool::open`] on another [`Disk`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        pipeline: &str,
        source: &str,
        mut options: Options,
    ) -> Result<Self> {
        options.segment_bytes = options.segment_bytes.min(options.max_bytes / 4).max(1);
        let found = recover::recover(folder, pipeline, source, &options, &*disk)?;
        let durable = found
            .segments
            .back()
            .map_or(found.next, |segment| segment.end);
        let shared = Arc::new(Shared {
            folder: folder.into(),
            recent: Recent::new(options.recent.take()),
            options,
            log: Mutex::new(Log {
                segments: found.segments,
                low_water: found.meta.low_water,
            }),
            meta: Mutex::new(found.meta),
            keys: found.keys,
            durable: watch::Sender::new(durable),
            health: watch::Sender::new(Ok(())),
        });
        let queue = Arc::new(Queue::default());
        let writer = writer::Writer::new(
            disk,
            Arc::clone(&shared),
            Arc::clone(&queue),
            found.next,
            found.key_files,
            found.lock,
        );
        let thread = std::thread::Builder::new()
            .name("spool-writer".into())
            .spawn(move || writer.run())
            .map_err(SpoolError::io("start its writer", folder))?;
        Ok(Self {
            shared,
            queue,
            thread: Some(thread),
        })
    }

    /// Stores a request; resolves when it is durable, with its sequence numbers. Checksums are made
    /// in the caller; the request is queued by the call itself, not by polling what it returns, and
    /// is stored even if that is dropped.
    ///
    /// # Errors
    /// [`SpoolError::Full`], [`SpoolError::TooLarge`], [`SpoolError::Unfit`]: nothing was stored. [`SpoolError::Io`]: not acknowledged.
    pub fn append(
        &self,
        append: Append,
    ) -> impl Future<Output = Result<OffsetRange>> + Send + use<> {
        let sent = self.queue(append);
        async move { sent?.await.unwrap_or(Err(SpoolError::Closed)) }
    }

    fn queue(&self, append: Append) -> Result<oneshot::Receiver<Result<OffsetRange>>> {
        append.check()?;
        let key = append.claim.as_ref().map(|claim| KeyPart {
            key: claim.key,
            body: claim.body,
            accepted: (append.events.len() - append.rejected.len()) as u32,
            rejected: append.rejected.len() as u32,
        });
        let request = record::encode(
            &append.table,
            &append.body,
            &append.events,
            &append.rejected,
            append.received_at,
            key,
        );
        let (done, answer) = oneshot::channel();
        let recent = self.shared.recent.takes(append.body.len());
        self.send(Command::Append(Job {
            request,
            key,
            received_at: append.received_at,
            claim: append.claim,
            permit: append.permit,
            recent: recent.then_some(Request {
                table: append.table,
                body: append.body,
                events: append.events,
                rejected: append.rejected,
                received_at: append.received_at,
            }),
            done,
        }))?;
        Ok(answer)
    }

    /// Notes that everything below `low_water` is committed and lets go of segments that hold nothing
    /// else. Returns at once; an error is logged and tried again with the next call.
    pub fn truncate_below(&self, low_water: Offset) {
        {
            let mut log = self.shared.log.lock();
            log.low_water = log.low_water.max(low_water);
        }
        // The writer is gone only when the spool is closed, and then segments stay as they are.
        let _ = self.send(Command::Truncate(low_water));
    }

    /// The stretches that are not yet committed, oldest first; the last is the current identity's.
    pub fn generations(&self) -> Vec<Generation> {
        let low_water = self.shared.log.lock().low_water;
        let meta = self.shared.meta.lock();
        let ends = meta
            .identities
            .iter()
            .skip(1)
            .map(|next| Some(next.first))
            .chain([None]);
        meta.identities
            .iter()
            .zip(ends)
            .filter(|(_, end)| end.is_none_or(|end| end > low_water))
            .map(|(identity, end)| Generation {
                partition: meta.partition(identity),
                first: identity.first,
                end,
            })
            .collect()
    }

    /// The source partition that a sequence number is an offset of.
    pub fn partition_of(&self, sequence: Offset) -> Option<Arc<Partition>> {
        let meta = self.shared.meta.lock();
        let identity = meta
            .identities
            .iter()
            .rev()
            .find(|identity| identity.first <= sequence)?;
        Some(meta.partition(identity))
    }

    /// The number above which no table may stand, while that has not been asked since the spool was
    /// opened. Nothing at or above it may be read before [`Spool::confirm_identity`] or
    /// [`Spool::adopt_new_identity`].
    pub fn unconfirmed_from(&self) -> Option<Offset> {
        self.shared.meta.lock().unconfirmed_from
    }

    /// No table stands above [`Spool::unconfirmed_from`]: the identity holds.
    pub async fn confirm_identity(&self) -> Result<()> {
        self.ask(Command::Confirm).await
    }

    /// A table stands above [`Spool::unconfirmed_from`]: numbers from there on belong to a new source
    /// partition. What lies below keeps the old one (see the module's words on identity).
    pub async fn adopt_new_identity(&self) -> Result<()> {
        self.ask(Command::Adopt).await
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command,
    ) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(command(done))?;
        answer.await.unwrap_or(Err(SpoolError::Closed))
    }

    /// Reads from `position` up to `end` (or for ever).
    ///
    /// # Errors
    /// [`SpoolError::Behind`] if events from `position` on have been let go as committed.
    pub fn reader(&self, position: Offset, end: Option<Offset>) -> Result<Reader> {
        Reader::new(Arc::clone(&self.shared), position, end)
    }

    /// Below it events were let go as committed: no reader can begin there.
    pub fn let_go(&self) -> Offset {
        self.shared.meta.lock().low_water
    }

    /// The sequence after the last durable event.
    pub fn durable(&self) -> Offset {
        *self.shared.durable.borrow()
    }

    /// Bytes of its segments on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.log.lock().bytes()
    }

    /// Where the oldest event still held is, or the next will be.
    pub fn head(&self) -> Offset {
        let first = self
            .shared
            .log
            .lock()
            .segments
            .front()
            .map(|segment| segment.first);
        first.unwrap_or_else(|| self.durable())
    }

    /// The idempotency index.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.shared.keys
    }

    /// Why appends are not taken, if so.
    pub fn trouble(&self) -> Option<SpoolError> {
        self.shared.health.borrow().as_ref().err().cloned()
    }

    /// Whether appends are taken, as it changes.
    pub fn health(&self) -> watch::Receiver<std::result::Result<(), SpoolError>> {
        self.shared.health.subscribe()
    }

    /// Finishes what is queued and marks the last segment as whole. Later appends are refused.
    pub async fn close(&self) -> Result<()> {
        self.ask(Command::Close).await
    }

    fn send(&self, command: Command) -> Result<()> {
        match self.queue.send(command) {
            true => Ok(()),
            false => Err(SpoolError::Closed),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.queue.abandon();
        if let Some(thread) = self.thread.take() {
            // Waits for one group at most, so that the lock is free when this returns.
            let _ = thread.join();
        }
    }
}
