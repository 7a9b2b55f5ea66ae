//! The newest durable requests, kept in memory for the reader: it need not read back from the disk what
//! was written a moment ago, nor check it again.
//!
//! The disk stays the truth: what is not here is read from it. A request comes in once it is
//! fsynced, if a reader is there and the byte budget has room for it, and leaves when it is handed on.
//! Small requests are copied together, so that none of them holds the buffer of its connection.

use super::reader::{Chunk, index_of};
use crate::{
    event::{ByteBudget, BytePermit, Offset, OffsetRange, RecordKind, RecordSpan, RejectReason},
    source::slab,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::VecDeque, ops::Range, sync::Arc};

/// Longer bodies are read back from the disk, in batches of the usual size; so much is copied together.
const MAX_BYTES: usize = 1 << 20;
/// Bodies of at least this size stay as they are.
const ALONE_BYTES: usize = 96 << 10;
/// The share of the budget that may lie here.
const BUDGET_SHARE: u64 = 16;

/// A request as its sender gave it.
pub(super) struct Request {
    pub(super) table: Arc<str>,
    pub(super) body: Bytes,
    pub(super) events: Vec<Range<u32>>,
    pub(super) rejected: Vec<(u32, RejectReason)>,
    pub(super) received_at: i64,
}

/// One large request, or small ones that follow each other.
struct Entry {
    range: OffsetRange,
    bytes: Held,
    records: Vec<RecordSpan>,
    tables: Vec<Arc<str>>,
    /// The segment it lies in, and where in it the next record begins.
    next: (Offset, u64),
    permit: BytePermit,
}

enum Held {
    Body(Bytes),
    Joined(Vec<u8>),
}

/// What an entry has room for, which is what it is charged for.
#[derive(Clone, Copy, Default)]
struct Capacity {
    bytes: usize,
    records: usize,
}

impl Capacity {
    fn cost(self) -> u64 {
        (self.bytes + self.records * size_of::<RecordSpan>()) as u64
    }
}

/// What [`Recent::take`] found.
pub(super) struct Taken {
    pub(super) chunk: Chunk,
    /// Where the reader would go on on the disk.
    pub(super) next: (Offset, u64),
}

pub(super) struct Recent {
    budget: Option<ByteBudget>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    readers: usize,
    /// Where the reader stands: nothing below it is kept. Of several readers, the one that moved last.
    position: Offset,
    /// Whether the reader waits for room in the budget, which is not to be spent on what lies behind it.
    waiting: bool,
    bytes: u64,
    entries: VecDeque<Entry>,
    /// What the last entry of small requests held when the reader took it: the next is given as much at once. One that
    /// grows leaves buffers of every size behind, and none where it was taken from.
    joined: Capacity,
}

impl Recent {
    /// `budget`: what the requests kept are charged to; without one nothing is kept.
    pub(super) fn new(budget: Option<ByteBudget>) -> Self {
        Self {
            budget,
            state: Mutex::default(),
        }
    }

    /// Whether a request of this size may be kept at all.
    pub(super) fn takes(&self, body: usize) -> bool {
        self.budget.is_some() && body <= MAX_BYTES
    }

    pub(super) fn reader_came(&self, position: Offset) {
        let mut state = self.state.lock();
        state.readers += 1;
        state.position = position;
        state.waiting = false;
    }

    pub(super) fn reader_left(&self) {
        let mut state = self.state.lock();
        state.readers -= 1;
        if state.readers == 0 {
            let left = state.clear();
            drop(state);
            drop(left);
        }
    }

    /// The reader waits for room: what is here is left to the disk, and what comes before its next read too.
    pub(super) fn make_room(&self) {
        let mut state = self.state.lock();
        state.waiting = true;
        let left = state.clear();
        drop(state);
        drop(left);
    }

    /// The reader has read from the disk up to `position`.
    pub(super) fn passed(&self, position: Offset) {
        let mut state = self.state.lock();
        state.waiting = false;
        state.pass(position);
    }

    /// Keeps a durable request, if there is room and somebody to read it, who may have read it from the disk already:
    /// there it is seen first. Requests come in order.
    pub(super) fn keep(&self, range: OffsetRange, request: Request, next: (Offset, u64)) {
        let Some(budget) = &self.budget else {
            return;
        };
        let mut state = self.state.lock();
        if state.readers == 0 || state.waiting || range.end <= state.position {
            return;
        }
        let room = (budget.limit() / BUDGET_SHARE).saturating_sub(state.bytes);
        let small = request.body.len() < ALONE_BYTES;
        if small
            && let Some(last) = state.entries.back_mut()
            && last.range.end == range.start
            && let Some(capacity) = last.grown(&request)
        {
            let more = capacity.cost().saturating_sub(last.permit.bytes());
            if more > 0 {
                if more > room || budget.try_acquire(more).is_none() {
                    return;
                }
                last.permit.resize(capacity.cost());
            }
            last.add(range, request, next, capacity);
            state.bytes += more;
            return;
        }
        let capacity = |like: Capacity| Capacity {
            bytes: match small {
                true => slab::size(request.body.len().max(like.bytes)),
                false => request.body.len(),
            },
            records: request.events.len().max(like.records),
        };
        let permit = |capacity: Capacity| {
            let cost = capacity.cost();
            let permit = (cost <= room).then(|| budget.try_acquire(cost))?;
            Some((capacity, permit?))
        };
        let like = match small {
            true => state.joined,
            false => Capacity::default(),
        };
        let granted = permit(capacity(like)).or_else(|| permit(capacity(Capacity::default())));
        let Some((capacity, permit)) = granted else {
            return;
        };
        let cost = capacity.cost();
        let mut entry = Entry {
            range: OffsetRange {
                start: range.start,
                end: range.start,
            },
            bytes: match small {
                true => Held::Joined(slab::take(capacity.bytes)),
                false => Held::Body(request.body.clone()),
            },
            records: Vec::new(),
            tables: Vec::new(),
            next,
            permit,
        };
        entry.add(range, request, next, capacity);
        state.bytes += cost;
        state.entries.push_back(entry);
    }

    /// The events from `position` on, if they are here. Forgets everything below.
    pub(super) fn take(&self, position: Offset) -> Option<Taken> {
        let mut entry = {
            let mut state = self.state.lock();
            state.pass(position);
            if state.entries.front()?.range.start > position {
                return None;
            }
            let entry = state.pop()?;
            state.position = entry.range.end;
            entry
        };
        if entry.range.start < position {
            entry.records.retain(|record| record.offset >= position);
        }
        let chunk = Chunk {
            start: position,
            end: entry.range.end,
            slab: match entry.bytes {
                Held::Body(body) => body,
                Held::Joined(bytes) => slab::share(bytes),
            },
            records: entry.records,
            tables: entry.tables,
            permit: Some(entry.permit),
        };
        Some(Taken {
            chunk,
            next: entry.next,
        })
    }
}

impl State {
    /// Forgets what lies below the reader's position.
    fn pass(&mut self, position: Offset) {
        self.position = position;
        while self
            .entries
            .front()
            .is_some_and(|entry| entry.range.end <= position)
        {
            self.pop();
        }
    }

    fn clear(&mut self) -> VecDeque<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.permit.bytes();
        if let Held::Joined(bytes) = &entry.bytes {
            self.joined = Capacity {
                bytes: bytes.len(),
                records: entry.records.len(),
            };
        }
        Some(entry)
    }
}

impl Entry {
    /// The room it needs to take in a small request too, if it may.
    fn grown(&self, request: &Request) -> Option<Capacity> {
        let Held::Joined(bytes) = &self.bytes else {
            return None;
        };
        let needed = bytes.len() + request.body.len();
        let twice = |capacity: usize, needed: usize, most: usize| match needed <= capacity {
            true => capacity,
            false => needed.max(most.min(2 * capacity)),
        };
        let records = self.records.len() + request.events.len();
        (needed <= MAX_BYTES).then(|| Capacity {
            bytes: slab::size(twice(bytes.capacity(), needed, MAX_BYTES)),
            records: twice(self.records.capacity(), records, usize::MAX),
        })
    }

    /// Takes in a request, growing to `capacity` first.
    fn add(
        &mut self,
        range: OffsetRange,
        request: Request,
        next: (Offset, u64),
        capacity: Capacity,
    ) {
        let records = self.records.len();
        self.records
            .reserve_exact(capacity.records.saturating_sub(records));
        let mut base = 0;
        if let Held::Joined(bytes) = &mut self.bytes {
            if capacity.bytes > bytes.capacity() {
                let mut larger = slab::take(capacity.bytes);
                larger.extend_from_slice(bytes);
                slab::put_back(std::mem::replace(bytes, larger));
            }
            base = bytes.len() as u32;
            bytes.extend_from_slice(&request.body);
        }
        let table = index_of(&mut self.tables, &request.table);
        let mut rejected = request.rejected.into_iter().peekable();
        for ((offset, index), event) in (range.start..).zip(0u32..).zip(request.events) {
            let reason = rejected.next_if(|(event, _)| *event == index);
            self.records.push(RecordSpan {
                offset,
                value: base + event.start..base + event.end,
                key: None,
                headers: None,
                event_time: request.received_at,
                table,
                kind: reason.map_or(RecordKind::Event, |(_, reason)| {
                    RecordKind::Rejected(reason)
                }),
            });
        }
        self.range.end = range.end;
        self.next = next;
    }
}
