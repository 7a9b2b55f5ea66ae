//! Reading durable events in order of sequence.

use super::{
    Shared, disk,
    error::{Result, SpoolError},
    record::{self, Flaw},
    segment::{HEADER, Segment},
};
use crate::{
    event::{BytePermit, Offset, RecordKind, RecordSpan},
    source::slab,
};
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use std::{io, sync::Arc};
use tokio::sync::watch;

/// What one read brought: the parts of a raw batch.
#[derive(Debug)]
pub struct Chunk {
    /// Where the reader stood: numbers of `[start, end)` without a record are gaps.
    pub start: Offset,
    pub end: Offset,
    /// Values lie in it, with other bytes between them.
    pub slab: Bytes,
    pub records: Vec<RecordSpan>,
    /// The tables that requests named, each once.
    pub tables: Vec<Arc<str>>,
    /// What the chunk is charged to already, if it comes from memory.
    pub permit: Option<BytePermit>,
}

/// The index of a table among those of a chunk, which it joins if it is new.
pub(super) fn index_of(tables: &mut Vec<Arc<str>>, name: &str) -> u32 {
    let known = tables.iter().position(|table| **table == *name);
    known.unwrap_or_else(|| {
        tables.push(name.into());
        tables.len() - 1
    }) as u32
}

/// A cursor over the spool.
pub struct Reader {
    shared: Arc<Shared>,
    position: Offset,
    limit: Option<Offset>,
    /// The segment last read, and where in it the next record begins.
    at: Option<(Offset, u64)>,
    durable: watch::Receiver<Offset>,
}

impl Reader {
    pub(super) fn new(
        shared: Arc<Shared>,
        position: Offset,
        limit: Option<Offset>,
    ) -> Result<Self> {
        let low_water = shared.meta.lock().low_water;
        if position < low_water {
            return Err(SpoolError::Behind {
                position,
                low_water,
                path: shared.folder.clone(),
            });
        }
        let durable = shared.durable.subscribe();
        // An earlier identity gets no new events.
        if limit.is_none() {
            shared.recent.reader_came(position);
        }
        Ok(Self {
            shared,
            position,
            limit,
            at: None,
            durable,
        })
    }

    /// The next number to be read.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Waits until there is something to read and says how many bytes of it lie together; `None`
    /// when the reader's end is reached. Cancel safe.
    pub async fn ready(&mut self) -> Option<u64> {
        loop {
            // Seen before the look, so that what comes after the look wakes the wait.
            self.durable.borrow_and_update();
            if let Some((segment, offset)) = self.locate() {
                return Some(segment.len - offset.unwrap_or(HEADER));
            }
            if self.limit.is_some() {
                // An earlier identity: nothing is added to it.
                return None;
            }
            if self.durable.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The next events if they are still in memory: those of one request, or of small ones together,
    /// about a mebibyte at most. Does not wait.
    pub fn recent(&mut self) -> Option<Chunk> {
        if self.limit.is_some() {
            return None;
        }
        let taken = self.shared.recent.take(self.position)?;
        self.at = Some(taken.next);
        self.position = taken.chunk.end;
        Some(taken.chunk)
    }

    /// Has nothing kept in memory until the next read: a reader that waits for room in the budget must not hold any, or
    /// readers of many spools wait for each other.
    pub fn make_room(&self) {
        if self.limit.is_none() {
            self.shared.recent.make_room();
        }
    }

    /// Reads at least one record and otherwise at most `max_bytes`. Waits as [`Reader::ready`] does;
    /// cancel safe: a read that is given up leaves the cursor where it was.
    ///
    /// # Errors
    /// [`SpoolError::Corrupt`] if bytes do not read back as they were written, or [`SpoolError::Io`].
    pub async fn next(&mut self, max_bytes: u64) -> Result<Option<Chunk>> {
        loop {
            if self.ready().await.is_none() {
                return Ok(None);
            }
            let Some((segment, offset)) = self.locate() else {
                continue;
            };
            let first = segment.first;
            let position = self.position;
            let read =
                tokio::task::spawn_blocking(move || read(&segment, offset, position, max_bytes))
                    .await
                    .map_err(|_| SpoolError::Closed)??;
            self.at = Some((first, read.next));
            self.position = read.chunk.end;
            if self.limit.is_none() {
                self.shared.recent.passed(self.position);
            }
            if !read.chunk.records.is_empty() {
                return Ok(Some(read.chunk));
            }
        }
    }

    /// The segment that holds the next event, and where in it that is, if known.
    fn locate(&self) -> Option<(Segment, Option<u64>)> {
        let log = self.shared.log.lock();
        let from = log
            .segments
            .partition_point(|segment| segment.end <= self.position);
        // One just begun holds nothing yet.
        let segment = log
            .segments
            .get(from)
            .filter(|segment| segment.end > segment.first)?;
        if self.limit.is_some_and(|limit| segment.first >= limit) {
            return None;
        }
        let offset = self
            .at
            .filter(|(first, _)| *first == segment.first)
            .map(|(_, at)| at);
        Some((segment.clone(), offset))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.limit.is_none() {
            self.shared.recent.reader_left();
        }
    }
}

struct Read {
    chunk: Chunk,
    /// Where the next record begins.
    next: u64,
}

/// Reads records from `offset`, or from the front when unknown, leaving out events below `position`.
fn read(segment: &Segment, offset: Option<u64>, position: Offset, max_bytes: u64) -> Result<Read> {
    let at = match offset {
        Some(offset) => offset,
        None => seek(segment, position)?,
    };
    let corrupt = |offset, what: &str| SpoolError::Corrupt {
        path: segment.path.clone(),
        offset,
        what: what.into(),
    };
    let mut size = max_bytes.max(record::PREFIX as u64);
    let mut chunk = Chunk {
        start: position,
        end: position,
        slab: Bytes::new(),
        records: Vec::new(),
        tables: Vec::new(),
        permit: None,
    };
    let mut bytes = Vec::new();
    loop {
        slab::put_back(bytes);
        bytes = pread(segment, at, size)?;
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            if rest.is_empty() {
                break;
            }
            match record::decode(rest) {
                Ok(record) => {
                    add(&mut chunk, &record, used, position);
                    used += record.len;
                }
                Err(Flaw::Short(len)) if at + used as u64 + len > segment.len => {
                    return Err(corrupt(at + used as u64, "a segment ends inside a record"));
                }
                Err(Flaw::Short(len)) => {
                    // The first record is longer than asked for: read it alone.
                    size = size.max(len);
                    break;
                }
                Err(Flaw::Bad(what)) => return Err(corrupt(at + used as u64, what)),
            }
        }
        if used > 0 {
            bytes.truncate(used);
            chunk.slab = slab::share(bytes);
            let next = at + used as u64;
            // From further back, because the system keeps bytes in pieces of up to this size.
            disk::forget(&segment.file, at.saturating_sub(2 << 20)..next);
            return Ok(Read { chunk, next });
        }
        if at >= segment.len {
            return Err(corrupt(at, "a segment holds fewer events than it counted"));
        }
    }
}

fn pread(segment: &Segment, at: u64, size: u64) -> Result<Vec<u8>> {
    let size = size.min(segment.len.saturating_sub(at)) as usize;
    let mut bytes = slab::take(size);
    while bytes.len() < size {
        let (from, left) = (at + bytes.len() as u64, size - bytes.len());
        // Into memory that nobody cleared before: the spare room, of which there may be more than asked for.
        let read = rustix::io::pread(&segment.file, spare_capacity(&mut bytes), from);
        match read.map_err(io::Error::from) {
            Ok(0) => {
                let error = io::ErrorKind::UnexpectedEof.into();
                return Err(SpoolError::io("read", &segment.path)(error));
            }
            Ok(n) => bytes.truncate(bytes.len() - n + n.min(left)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SpoolError::io("read", &segment.path)(error)),
        }
    }
    Ok(bytes)
}

/// Where the record that holds `position` begins.
fn seek(segment: &Segment, position: Offset) -> Result<u64> {
    let mut at = HEADER;
    if position <= segment.first {
        return Ok(at);
    }
    while at < segment.len {
        let mut size = 64 << 10;
        let len = loop {
            let bytes = pread(segment, at, size)?;
            match record::decode(&bytes) {
                Ok(record) if record.end() > position => return Ok(at),
                Ok(record) => break record.len as u64,
                Err(Flaw::Short(len)) if at + len <= segment.len => size = len,
                Err(flaw) => {
                    return Err(SpoolError::Corrupt {
                        path: segment.path.clone(),
                        offset: at,
                        what: match flaw {
                            Flaw::Bad(what) => what.into(),
                            Flaw::Short(_) => "a segment ends inside a record".into(),
                        },
                    });
                }
            }
        };
        at += len;
    }
    Ok(at)
}

fn add(chunk: &mut Chunk, record: &record::Record<'_>, base: usize, position: Offset) {
    chunk.end = chunk.end.max(record.end());
    if record.events == 0 {
        return;
    }
    let table = index_of(&mut chunk.tables, record.table);
    chunk.records.reserve(record.events as usize);
    let mut rejected = record.rejected.iter().peekable();
    for (index, span) in record.spans().enumerate() {
        let reason = rejected.next_if(|(event, _)| *event as usize == index);
        let offset = record.sequence + index as u64;
        if offset < position {
            continue;
        }
        chunk.records.push(RecordSpan {
            offset,
            value: (base + span.start) as u32..(base + span.end) as u32,
            key: None,
            headers: None,
            event_time: record.received,
            table,
            kind: reason.map_or(RecordKind::Event, |(_, reason)| {
                RecordKind::Rejected(reason.clone())
            }),
        });
    }
}
