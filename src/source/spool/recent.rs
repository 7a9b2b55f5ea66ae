//! The newest durable requests, kept in memory for the reader: it need not read back from the disk what
//! was written a moment ago, nor check it again.
//!
//! The disk stays the truth: what is not here is read from it. A request comes in once it is
//! fsynced, if a reader is there and the byte budget has room for it, and leaves when it is handed on.

use super::reader::Chunk;
use crate::{
    event::{ByteBudget, BytePermit, Offset, OffsetRange, RecordKind, RecordSpan, RejectReason},
    source::slab,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::VecDeque, ops::Range, sync::Arc};

/// Longer bodies are read back from the disk, in batches of the usual size.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;
/// Bodies of at least this size are a batch as they are; smaller ones are copied together.
const ALONE_BYTES: usize = 96 << 10;
/// The share of the budget that may lie here.
const BUDGET_SHARE: u64 = 8;

/// A request as its sender gave it.
pub(super) struct Request {
    pub(super) table: Arc<str>,
    pub(super) body: Bytes,
    pub(super) events: Vec<Range<u32>>,
    pub(super) rejected: Vec<(u32, RejectReason)>,
    pub(super) received_at: i64,
}

impl Request {
    /// Bytes it holds, its records' spans included.
    fn cost(&self) -> u64 {
        (self.body.len() + self.events.len() * size_of::<RecordSpan>()) as u64
    }

    /// The part of the body in which its events lie.
    fn used(&self) -> Range<usize> {
        let start = self.events.first().map_or(0, |event| event.start);
        let end = self.events.last().map_or(0, |event| event.end);
        start as usize..end as usize
    }
}

struct Entry {
    range: OffsetRange,
    request: Request,
    /// The segment it lies in, and where in it the next record begins.
    next: (Offset, u64),
    permit: BytePermit,
}

/// What [`Recent::take`] found.
pub(super) struct Taken {
    pub(super) chunk: Chunk,
    /// Where the reader would go on on the disk.
    pub(super) next: (Offset, u64),
}

#[derive(Default)]
pub(super) struct Recent {
    budget: Option<ByteBudget>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    readers: usize,
    bytes: u64,
    entries: VecDeque<Entry>,
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
        self.budget.is_some() && body <= MAX_BODY_BYTES
    }

    pub(super) fn reader_came(&self) {
        self.state.lock().readers += 1;
    }

    pub(super) fn reader_left(&self) {
        let mut state = self.state.lock();
        state.readers -= 1;
        if state.readers == 0 {
            let left = std::mem::take(&mut state.entries);
            state.bytes = 0;
            drop(state);
            drop(left);
        }
    }

    /// Keeps a durable request, if there is room and somebody to read it. Requests come in order.
    pub(super) fn keep(&self, range: OffsetRange, request: Request, next: (Offset, u64)) -> bool {
        let Some(budget) = &self.budget else {
            return false;
        };
        let cost = request.cost();
        let mut state = self.state.lock();
        if state.readers == 0 || state.bytes + cost > budget.limit() / BUDGET_SHARE {
            return false;
        }
        let Some(permit) = budget.try_acquire(cost) else {
            return false;
        };
        state.bytes += cost;
        state.entries.push_back(Entry {
            range,
            request,
            next,
            permit,
        });
        true
    }

    /// The events from `position` on, if they are here: one large request, or small ones together of
    /// at most `max_bytes`. Forgets everything below `position`.
    pub(super) fn take(&self, position: Offset, max_bytes: u64) -> Option<Taken> {
        let mut entries = Vec::new();
        {
            let mut state = self.state.lock();
            while state
                .entries
                .front()
                .is_some_and(|entry| entry.range.end <= position)
            {
                state.pop();
            }
            let mut at = position;
            let mut bytes = 0;
            while let Some(entry) = state.entries.front() {
                let more = entry.request.body.len();
                let joins = match entries.is_empty() {
                    true => entry.range.start <= at,
                    false => {
                        entry.range.start == at
                            && more < ALONE_BYTES
                            && (bytes + more) as u64 <= max_bytes
                    }
                };
                if !joins {
                    break;
                }
                at = entry.range.end;
                bytes += more;
                entries.extend(state.pop());
                if more >= ALONE_BYTES {
                    break;
                }
            }
        }
        join(position, entries)
    }
}

impl State {
    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.request.cost();
        Some(entry)
    }
}

/// Requests that follow each other as one chunk, without their events below `position`.
fn join(position: Offset, mut entries: Vec<Entry>) -> Option<Taken> {
    let last = entries.last()?;
    let (end, next) = (last.range.end, last.next);
    let events = entries.iter().map(|entry| entry.request.events.len()).sum();
    let cost = entries.iter().map(|entry| entry.request.cost()).sum();
    let mut chunk = Chunk {
        start: position,
        end,
        slab: Bytes::new(),
        records: Vec::with_capacity(events),
        tables: Vec::new(),
        permit: None,
    };
    if let [only] = entries.as_slice() {
        chunk.slab = only.request.body.clone();
        add(&mut chunk, only, 0, position);
    } else {
        let bytes = entries.iter().map(|entry| entry.request.used().len()).sum();
        let mut slab = slab::take(bytes);
        for entry in &entries {
            let used = entry.request.used();
            // Spans count from the front of the body, of which only this part is copied.
            let base = slab.len() as i64 - used.start as i64;
            slab.extend_from_slice(&entry.request.body[used]);
            add(&mut chunk, entry, base, position);
        }
        chunk.slab = slab::share(slab);
    }
    // One permit for all: it grows before the others go.
    let mut permit = entries.swap_remove(0).permit;
    permit.resize(cost);
    chunk.permit = Some(permit);
    Some(Taken { chunk, next })
}

/// Adds a request's records; `base` is what is added to its spans.
fn add(chunk: &mut Chunk, entry: &Entry, base: i64, position: Offset) {
    let request = &entry.request;
    let table = chunk.table(&request.table);
    let mut rejected = request.rejected.iter().peekable();
    for ((offset, index), event) in (entry.range.start..).zip(0u32..).zip(&request.events) {
        let reason = rejected.next_if(|(event, _)| *event == index);
        if offset < position {
            continue;
        }
        // A slab is shorter than 4 GiB, so neither end leaves 32 bits.
        let at = |place: u32| (i64::from(place) + base) as u32;
        chunk.records.push(RecordSpan {
            offset,
            value: at(event.start)..at(event.end),
            key: None,
            headers: None,
            event_time: request.received_at,
            table,
            kind: reason.map_or(RecordKind::Event, |(_, reason)| {
                RecordKind::Rejected(reason.clone())
            }),
        });
    }
}
