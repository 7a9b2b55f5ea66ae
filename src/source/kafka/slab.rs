//! Records of one partition gathered into one piece of memory.

use super::{MagicByte, fetch::Record};
use crate::{
    event::{
        ByteBudget, BytePermit, Epoch, Offset, Partition, RawBatch, RecordKind, RecordSpan,
        RejectReason,
    },
    source::slab,
};
use std::{
    borrow::Cow,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

/// How records are judged as they are gathered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_event_bytes: u64,
    pub(crate) batch_bytes: u64,
    pub(crate) batch_age: Duration,
    pub(crate) keep_headers: bool,
    pub(crate) magic_byte: MagicByte,
}

/// A value framed by a schema registry's serializer, where that stops the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) offset: Offset,
    pub(crate) schema_id: u32,
}

/// What a slab grows by in the account of the budget, so that a record costs no atomic operation.
const GRAIN: u64 = 64 << 10;

/// A slab that needs less is not given a buffer that was kept: it is charged to the budget by its capacity.
const LEAST_KEPT: usize = 64 << 10;

/// The records gathered since the last cut, and the position behind them.
pub(crate) struct Slab {
    bytes: Vec<u8>,
    records: Vec<RecordSpan>,
    /// Where the next batch starts: the end of the one before.
    start: Offset,
    /// The next offset to read.
    next: Offset,
    opened: Option<Instant>,
    permit: Option<BytePermit>,
    /// The sizes of the last batch, which the next one probably has too.
    hint: (usize, usize),
    pub(crate) tombstones: u64,
}

impl Slab {
    pub(crate) fn new(start: Offset) -> Self {
        Self {
            bytes: Vec::new(),
            records: Vec::new(),
            start,
            next: start,
            opened: None,
            permit: None,
            hint: (0, 0),
            tombstones: 0,
        }
    }

    /// The next offset to read.
    pub(crate) fn next(&self) -> Offset {
        self.next
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether there is anything to hand on, be it only that offsets without a record were passed.
    pub(crate) fn has_progress(&self) -> bool {
        self.next > self.start
    }

    /// When the records held must be handed on.
    pub(crate) fn due(&self, limits: &Limits) -> Option<Instant> {
        self.opened.map(|at| at + limits.batch_age)
    }

    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.bytes.len() as u64 >= limits.batch_bytes || self.records.len() >= (1 << 20)
    }

    /// Moves past offsets that hold no record. Never backwards.
    pub(crate) fn pass(&mut self, position: Offset) {
        self.next = self.next.max(position);
    }

    /// Appends a record. One below the position was taken before and is ignored.
    pub(crate) fn append(
        &mut self,
        record: &Record<'_>,
        limits: &Limits,
        budget: &ByteBudget,
        now: Instant,
    ) -> Result<(), Framed> {
        let Ok(offset) = Offset::try_from(record.offset()) else {
            return Ok(());
        };
        if offset < self.next {
            return Ok(());
        }
        let value = record.value();
        let key = record.key();
        let kind = judge(value, limits);
        if let (Some(schema_id), MagicByte::Stop) = (framed(value), limits.magic_byte) {
            return Err(Framed { offset, schema_id });
        }
        if self.records.is_empty() {
            // A little more than last time: a slab that grows by its last record would double.
            self.bytes = buffer(self.hint.0 + self.hint.0 / 16);
            self.records.reserve(self.hint.1 + self.hint.1 / 16);
            self.opened = Some(now);
        }
        self.charge(value.len() + key.map_or(0, <[u8]>::len), budget);
        if kind == RecordKind::Tombstone {
            self.tombstones += 1;
        }
        let value = self.push(value);
        let key = key.map(|key| self.push(key));
        let headers = if limits.keep_headers {
            record.headers().map(|headers| self.push_headers(headers))
        } else {
            None
        };
        self.records.push(RecordSpan {
            offset,
            value,
            key,
            headers,
            event_time: record.millis().map_or_else(
                || chrono::Utc::now().timestamp_micros(),
                |millis| millis.saturating_mul(1_000),
            ),
            table: u32::MAX,
            kind,
        });
        self.next = offset + 1;
        Ok(())
    }

    /// Takes what is held as a batch, if the position moved since the last cut.
    pub(crate) fn cut(
        &mut self,
        partition: &Arc<Partition>,
        epoch: Epoch,
        budget: &ByteBudget,
    ) -> Option<RawBatch> {
        if !self.has_progress() {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let records = std::mem::take(&mut self.records);
        let held = bytes.capacity() + records.capacity() * size_of::<RecordSpan>();
        let mut permit = self.permit.take().unwrap_or_else(|| budget.charge(0));
        permit.resize(held as u64);
        self.hint = (bytes.len(), records.len());
        self.opened = None;
        let start = std::mem::replace(&mut self.start, self.next);
        Some(RawBatch {
            partition: Arc::clone(partition),
            epoch,
            start,
            end: self.next,
            slab: slab::share(bytes),
            records,
            tables: Vec::new(),
            permit,
        })
    }

    /// Keeps the account of the budget at or above what is held, in grains.
    fn charge(&mut self, more: usize, budget: &ByteBudget) {
        let held = self.bytes.len() + more + (self.records.len() + 1) * size_of::<RecordSpan>();
        let held = held as u64;
        match &mut self.permit {
            Some(permit) if permit.bytes() >= held => {}
            Some(permit) => permit.resize(held.next_multiple_of(GRAIN)),
            // A record in hand cannot be put back: charge it, and let the reader pause.
            None => self.permit = Some(budget.charge(held.max(self.hint.0 as u64))),
        }
    }

    /// `batch_bytes` and the brokers' message limit keep a slab far below `u32::MAX`.
    fn push(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len() as u32
    }

    /// Headers as a JSON object of name to text; of a repeated name the last stands, as Kafka's
    /// `lastHeader` has it. Bytes that are not UTF-8 are replaced; an absent value is null.
    fn push_headers(&mut self, headers: Vec<(Cow<'_, str>, Option<&[u8]>)>) -> Range<u32> {
        let mut object = serde_json::Map::new();
        for (name, value) in headers {
            let value = value.map_or(serde_json::Value::Null, |bytes| {
                String::from_utf8_lossy(bytes).into_owned().into()
            });
            object.insert(name.into_owned(), value);
        }
        let text = serde_json::Value::Object(object).to_string();
        self.push(text.as_bytes())
    }
}

fn buffer(bytes: usize) -> Vec<u8> {
    if bytes < LEAST_KEPT {
        Vec::with_capacity(bytes)
    } else {
        slab::take(bytes)
    }
}

/// The schema id of a value in a schema registry's wire format: a zero byte, four of id.
fn framed(value: &[u8]) -> Option<u32> {
    match value {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

fn judge(value: &[u8], limits: &Limits) -> RecordKind {
    let rejected = |code, detail: String| {
        RecordKind::Rejected(RejectReason {
            code,
            detail: detail.into(),
        })
    };
    if value.is_empty() {
        RecordKind::Tombstone
    } else if value.len() as u64 > limits.max_event_bytes {
        rejected(
            "too_large",
            format!(
                "value is longer than max_event_bytes, bytes=`{}` max_event_bytes=`{}`",
                value.len(),
                limits.max_event_bytes
            ),
        )
    } else if let Some(id) = framed(value) {
        rejected(
            "malformed",
            format!("value is framed by a schema registry's serializer, schema_id=`{id}`"),
        )
    } else {
        RecordKind::Event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_event_bytes: 8,
            batch_bytes: 1 << 20,
            batch_age: Duration::from_millis(50),
            keep_headers: false,
            magic_byte: MagicByte::DeadLetter,
        }
    }

    #[test]
    fn values_are_judged_by_length_and_first_byte() {
        assert_eq!(judge(b"", &limits()), RecordKind::Tombstone);
        assert_eq!(judge(b"{}", &limits()), RecordKind::Event);
        assert_eq!(
            judge(&[0, 0, 0, 1], &limits()),
            RecordKind::Event,
            "too short to be framed"
        );
        assert!(
            matches!(judge(&[0, 0, 0, 1, 7], &limits()), RecordKind::Rejected(r) if r.code == "malformed")
        );
        assert!(
            matches!(judge(b"123456789", &limits()), RecordKind::Rejected(r) if r.code == "too_large")
        );
        assert_eq!(framed(&[0, 0, 0, 1, 7, 9]), Some(263));
    }

    #[test]
    fn rule_15_passed_offsets_alone_make_an_empty_batch_and_batches_join() {
        let budget = ByteBudget::new(1 << 20);
        let partition = Arc::new(Partition {
            id: crate::event::SourcePartition::new("p/s/t#-/0"),
            source: "s".into(),
            label: "s/t".into(),
            topic: "t".into(),
            number: 0,
        });
        let mut slab = Slab::new(10);
        assert!(slab.cut(&partition, 1, &budget).is_none());
        slab.pass(15);
        slab.pass(12);
        let batch = slab.cut(&partition, 1, &budget).unwrap();
        assert_eq!((batch.start, batch.end, batch.records.len()), (10, 15, 0));
        assert!(slab.cut(&partition, 1, &budget).is_none());
        slab.pass(16);
        assert_eq!(slab.cut(&partition, 1, &budget).unwrap().start, 15);
        drop(batch);
        assert_eq!(budget.used(), 0);
    }
}
