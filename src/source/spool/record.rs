//! One record of a segment: a request, or one chunk of a large one.
//!
//! ```text
//! prefix   magic u32 · header length u32 · payload length u32 · crc32(payload) · crc32(prefix so far + header)
//! header   flags u8 · first sequence u64 · synced u64 · received µs i64 · events u32 · table (u8 length + bytes)
//!          [key 16 · body 16 · accepted u32 · rejected u32]                       with KEY, in the first chunk
//!          rejections u32 × (event u32 · code u8 · detail (u16 length + bytes))
//!          events × (skip u32 · length u32)
//! payload  the events as received; `skip` bytes stand before each (separators)
//! ```
//! All little endian. A request counts only when its LAST chunk is there. `synced` is how much of the
//! segment was durable before the record was written: a bad record below any later record's `synced`
//! was once acknowledged, one above is a write that a crash cut short.

use super::keys::{BodyHash, KeyHash};
use crate::event::{Offset, RejectReason};
use bytes::Bytes;
use std::{ops::Range, sync::Arc};

pub(super) const MAGIC: [u8; 4] = *b"\xA1SPR";
pub(super) const PREFIX: usize = 20;
/// No record is longer; a longer length is a broken one.
pub(super) const MAX_RECORD: u64 = 1 << 31;
/// A chunk is closed at this many bytes, so that readers stay near their own limits.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNK_EVENTS: usize = 32 << 10;

const FIRST: u8 = 1;
const LAST: u8 = 2;
const KEY: u8 = 4;

/// The reject codes that sources give, by their number on disk. Only ever appended to.
const CODES: [&str; 6] = [
    "malformed",
    "not_an_object",
    "too_large",
    "too_deep",
    "invalid_utf8",
    "unroutable",
];

/// A request on its way to the disk: everything but the numbers the writer gives.
pub(super) struct Encoded {
    pub(super) chunks: Vec<Chunk>,
    pub(super) events: u64,
    /// Bytes on disk.
    pub(super) len: u64,
}

pub(super) struct Chunk {
    /// Prefix and header.
    pub(super) head: Vec<u8>,
    pub(super) payload: Bytes,
    events: u32,
}

/// What the record of a keyed request says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyPart {
    pub(super) key: KeyHash,
    pub(super) body: BodyHash,
    pub(super) accepted: u32,
    pub(super) rejected: u32,
}

/// Encodes a request. `events` are ascending ranges of `body`; `rejected` ascending by event.
pub(super) fn encode(
    table: &str,
    body: &Bytes,
    events: &[Range<u32>],
    rejected: &[(u32, RejectReason)],
    received: i64,
    key: Option<KeyPart>,
) -> Encoded {
    let mut chunks = Vec::new();
    let mut from = 0;
    let mut rejected = rejected;
    loop {
        let mut to = from;
        let begin = events.get(from).map_or(0, |event| event.start);
        let mut end = begin;
        while to < events.len()
            && to - from < CHUNK_EVENTS
            && (to == from || (events[to].end - begin) as usize <= CHUNK_BYTES)
        {
            end = events[to].end;
            to += 1;
        }
        let mine = rejected.partition_point(|(event, _)| (*event as usize) < to);
        let (now, later) = rejected.split_at(mine);
        let mut flags = 0;
        if from == 0 {
            flags |= FIRST;
        }
        if to == events.len() {
            flags |= LAST;
        }
        let key = key.filter(|_| from == 0);
        let payload = body.slice(begin as usize..end as usize);
        chunks.push(chunk(
            flags,
            table,
            &events[from..to],
            begin,
            now.iter()
                .map(|(event, reason)| (event - from as u32, reason)),
            received,
            key,
            payload,
        ));
        rejected = later;
        from = to;
        if from >= events.len() {
            break;
        }
    }
    let len = chunks
        .iter()
        .map(|chunk| (chunk.head.len() + chunk.payload.len()) as u64)
        .sum();
    Encoded {
        chunks,
        events: events.len() as u64,
        len,
    }
}

/// A record of no events, which only says how much before it is durable.
pub(super) fn marker() -> Chunk {
    chunk(
        FIRST | LAST,
        "",
        &[],
        0,
        std::iter::empty(),
        0,
        None,
        Bytes::new(),
    )
}

#[allow(clippy::too_many_arguments)] // One call a field of the format.
fn chunk<'a>(
    flags: u8,
    table: &str,
    events: &[Range<u32>],
    begin: u32,
    rejected: impl ExactSizeIterator<Item = (u32, &'a RejectReason)>,
    received: i64,
    key: Option<KeyPart>,
    payload: Bytes,
) -> Chunk {
    let mut head = Vec::with_capacity(PREFIX + 96 + table.len() + events.len() * 8);
    head.resize(PREFIX, 0);
    head.push(flags | if key.is_some() { KEY } else { 0 });
    head.extend_from_slice(&[0; 16]); // first sequence, synced: `seal` fills them in
    head.extend_from_slice(&received.to_le_bytes());
    head.extend_from_slice(&(events.len() as u32).to_le_bytes());
    // Names of tables are at most 128 bytes (checked where they come in).
    let table = &table.as_bytes()[..table.len().min(255)];
    head.push(table.len() as u8);
    head.extend_from_slice(table);
    if let Some(key) = key {
        head.extend_from_slice(&key.key.0);
        head.extend_from_slice(&key.body.0);
        head.extend_from_slice(&key.accepted.to_le_bytes());
        head.extend_from_slice(&key.rejected.to_le_bytes());
    }
    head.extend_from_slice(&(rejected.len() as u32).to_le_bytes());
    for (event, reason) in rejected {
        head.extend_from_slice(&event.to_le_bytes());
        head.push(
            CODES
                .iter()
                .position(|code| *code == reason.code)
                .unwrap_or(0) as u8,
        );
        let mut cut = reason.detail.len().min(1_024);
        while !reason.detail.is_char_boundary(cut) {
            cut -= 1;
        }
        head.extend_from_slice(&(cut as u16).to_le_bytes());
        head.extend_from_slice(&reason.detail.as_bytes()[..cut]);
    }
    let mut at = begin;
    for event in events {
        head.extend_from_slice(&(event.start - at).to_le_bytes());
        head.extend_from_slice(&(event.end - event.start).to_le_bytes());
        at = event.end;
    }
    let header = (head.len() - PREFIX) as u32;
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&header.to_le_bytes());
    head[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[12..16].copy_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    Chunk {
        head,
        payload,
        events: events.len() as u32,
    }
}

impl Chunk {
    /// Gives the chunk its numbers and closes its checksum. Returns the sequence after it.
    pub(super) fn seal(&mut self, sequence: Offset, synced: u64) -> Offset {
        self.head[PREFIX + 1..PREFIX + 9].copy_from_slice(&sequence.to_le_bytes());
        self.head[PREFIX + 9..PREFIX + 17].copy_from_slice(&synced.to_le_bytes());
        let crc = head_crc(&self.head);
        self.head[16..20].copy_from_slice(&crc.to_le_bytes());
        sequence + u64::from(self.events)
    }
}

fn head_crc(head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[..16]);
    crc.update(&head[PREFIX..]);
    crc.finalize()
}

/// A record as read, checked whole.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) first_chunk: bool,
    pub(super) last_chunk: bool,
    pub(super) sequence: Offset,
    pub(super) synced: u64,
    pub(super) received: i64,
    pub(super) events: u32,
    pub(super) table: &'a str,
    pub(super) key: Option<KeyPart>,
    /// By event of this chunk, ascending.
    pub(super) rejected: Vec<(u32, RejectReason)>,
    spans: &'a [u8],
    /// Where the payload begins in what was given to [`decode`].
    payload_at: usize,
    /// Bytes of the whole record.
    pub(super) len: usize,
}

impl Record<'_> {
    pub(super) fn end(&self) -> Offset {
        self.sequence + u64::from(self.events)
    }

    /// Where each event lies in what was given to [`decode`].
    pub(super) fn spans(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut at = self.payload_at;
        self.spans.chunks_exact(8).map(move |pair| {
            let start = at + le_u32(&pair[..4]) as usize;
            at = start + le_u32(&pair[4..]) as usize;
            start..at
        })
    }
}

/// Why bytes are no record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The record would be this long in all.
    Short(u64),
    Bad(&'static str),
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |n, &byte| (n << 8) | u32::from(byte))
}

/// Reads the record at the front of `bytes`, checking both checksums and every length in it.
pub(super) fn decode(bytes: &[u8]) -> Result<Record<'_>, Flaw> {
    let (header, len) = header(bytes)?;
    if (bytes.len() as u64) < len {
        return Err(Flaw::Short(len));
    }
    let payload_at = PREFIX + header.len();
    let payload = &bytes[payload_at..len as usize];
    if crc32fast::hash(payload) != le_u32(&bytes[12..16]) {
        return Err(Flaw::Bad("the checksum of a payload does not match"));
    }
    let mut record = parse(header).ok_or(Flaw::Bad("a header does not parse"))?;
    record.payload_at = payload_at;
    record.len = len as usize;
    let span: u64 = record
        .spans
        .chunks_exact(4)
        .map(|part| u64::from(le_u32(part)))
        .sum();
    if span != payload.len() as u64 {
        return Err(Flaw::Bad("the lengths of events do not add up"));
    }
    Ok(record)
}

/// The length that a prefix claims, not yet believed; `None` where it cannot be one.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let prefix = bytes.get(..PREFIX)?;
    let len = PREFIX as u64 + u64::from(le_u32(&prefix[4..8])) + u64::from(le_u32(&prefix[8..12]));
    (prefix[..4] == MAGIC && len <= MAX_RECORD).then_some(len as usize)
}

/// The header with its checksum checked, and the length of the record.
fn header(bytes: &[u8]) -> Result<(&[u8], u64), Flaw> {
    let Some(prefix) = bytes.get(..PREFIX) else {
        return Err(Flaw::Short(PREFIX as u64));
    };
    if prefix[..4] != MAGIC {
        return Err(Flaw::Bad("no record begins here"));
    }
    let header = u64::from(le_u32(&prefix[4..8]));
    let len = PREFIX as u64 + header + u64::from(le_u32(&prefix[8..12]));
    if len > MAX_RECORD {
        return Err(Flaw::Bad("a length is out of bounds"));
    }
    let end = PREFIX + header as usize;
    if bytes.len() < end {
        return Err(Flaw::Short(len));
    }
    if head_crc(&bytes[..end]) != le_u32(&prefix[16..20]) {
        return Err(Flaw::Bad("the checksum of a header does not match"));
    }
    Ok((&bytes[PREFIX..end], len))
}

/// `synced` of a header at the front of `bytes` whose own checksum holds, whatever its payload.
pub(super) fn synced_at(bytes: &[u8]) -> Option<u64> {
    let (header, _) = header(bytes).ok()?;
    parse(header).map(|record| record.synced)
}

/// Takes the fields of a header one by one; `None` where it ends too early.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

fn parse(header: &[u8]) -> Option<Record<'_>> {
    let mut fields = Fields(header);
    let [flags] = fields.array()?;
    let sequence = fields.u64()?;
    let synced = fields.u64()?;
    let received = i64::from_le_bytes(fields.array()?);
    let events = fields.u32()?;
    let [table] = fields.array()?;
    let table = std::str::from_utf8(fields.take(table.into())?).ok()?;
    let key = if flags & KEY == 0 {
        None
    } else {
        Some(KeyPart {
            key: KeyHash(fields.array()?),
            body: BodyHash(fields.array()?),
            accepted: fields.u32()?,
            rejected: fields.u32()?,
        })
    };
    let mut rejected = Vec::new();
    for _ in 0..fields.u32()? {
        let event = fields.u32()?;
        let [code] = fields.array()?;
        let detail = u16::from_le_bytes(fields.array()?);
        let detail: Arc<str> = std::str::from_utf8(fields.take(detail.into())?)
            .ok()?
            .into();
        let code = *CODES.get(usize::from(code))?;
        rejected.push((event, RejectReason { code, detail }));
    }
    let spans = fields.take((events as usize).checked_mul(8)?)?;
    sequence.checked_add(events.into())?;
    fields.0.is_empty().then_some(Record {
        first_chunk: flags & FIRST != 0,
        last_chunk: flags & LAST != 0,
        sequence,
        synced,
        received,
        events,
        table,
        key,
        rejected,
        spans,
        payload_at: 0,
        len: 0,
    })
}

#[cfg(test)]
mod tests;
