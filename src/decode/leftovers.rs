//! What the fast pass finds no column for: remembered while an event is read, settled when it is
//! whole, and told to the batch's account once a batch where it can be.

use super::{
    build::Texts,
    infer,
    json::{NodeKind, Parser},
    path::{Place, Within},
    row::{Row, quoted, weight},
};
use crate::{
    event::Counts,
    schema::{Evolution, EvolutionPolicy, Kind, OnConflict},
};

/// No index.
pub(super) const NONE: u32 = u32::MAX;

/// The kinds of values; `Kind as usize` is the index.
pub(super) const KINDS: [Kind; 10] = [
    Kind::Null,
    Kind::Boolean,
    Kind::Long,
    Kind::BigInteger,
    Kind::Double,
    Kind::Huge,
    Kind::String,
    Kind::Timestamp,
    Kind::Struct,
    Kind::List,
];

/// The most spots, and the most bytes of their names; past either, names that no event brought before
/// take the reference pass, and the next batch begins with none.
const MAX_SPOTS: usize = 2_048;
const MAX_SPOT_BYTES: usize = 1 << 20;

/// Past so many entries, their room is not kept for the next batch.
const MAX_KEPT_ENTRIES: usize = 4_096;

/// A field whose values are left over: it has no column, or a column that does not take them.
struct Spot {
    place: Place,
    /// Whether there is no column.
    unknown: bool,
    /// The column's path, or that of the struct without one.
    columns: Vec<String>,
    /// The name of the field that has no column.
    name: String,
    /// The key in `_rescued_data` as JSON, where no list or map lies on the way.
    key: Option<Box<str>>,
    /// The path by which its values are counted.
    counted: Box<str>,
    /// Of `counted`, in this batch.
    counter: Option<Option<usize>>,
    /// How many values of each kind this batch had since it was first seen, which it was if `met`.
    tally: [u64; KINDS.len()],
    met: bool,
    /// The event and the object that had it last: a second time there, it is a doubled key.
    last: (u64, u32),
    /// What of the event's top level a copying column wants of it.
    pub(super) watch: u32,
}

/// A value left over by the event at hand.
pub(super) struct Entry {
    /// In which order entries of one object are told: by its fields' order, unknown fields first.
    pub(super) rank: u32,
    spot: u32,
    start: u32,
    end: u32,
    kind: NodeKind,
    /// Where in lists and maps it stands, the innermost first.
    pub(super) within: Vec<Within>,
    /// The key as JSON, where the spot has none.
    key: String,
}

/// A value that did not fit its column, until its object is whole and the sibling known to be free.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) field: u32,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) kind: NodeKind,
}

pub(super) struct Leftovers {
    /// Of the event at hand.
    pub(super) entries: Vec<Entry>,
    pub(super) pending: Vec<Pending>,
    /// The value of each watched name, where the event has it.
    pub(super) watched: Vec<Option<(u32, u32)>>,
    pub(super) parser: Parser,
    /// Counts the events.
    pub(super) event: u64,
    /// Whether values of unknown fields are told.
    observes: bool,
    /// Whether a conflict can make a dead letter.
    rejects: bool,
    spots: Vec<Spot>,
    /// What the spots' names take.
    spot_bytes: usize,
    /// Those that this batch has met.
    touched: Vec<u32>,
}

impl Leftovers {
    pub(super) fn new(policy: &EvolutionPolicy) -> Self {
        Self {
            entries: Vec::new(),
            pending: Vec::new(),
            watched: Vec::new(),
            parser: Parser::default(),
            event: 0,
            observes: policy.evolution != Evolution::None,
            rejects: policy.on_conflict.contains(&OnConflict::Reject),
            spots: Vec::new(),
            spot_bytes: 0,
            touched: Vec::new(),
        }
    }

    /// Begins an event, whatever became of the one before.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.event += 1;
        self.entries.clear();
        self.pending.clear();
        self.watched.fill(None);
    }

    /// Whether a conflict can make a dead letter, unless the event must become a row.
    pub(super) fn rejects(&self) -> bool {
        self.rejects
    }

    /// A new spot at `place`, whose last step is the field; `None` where there are too many.
    pub(super) fn spot(&mut self, place: Place, unknown: bool, watch: u32) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let (key, counted, mut columns) =
            place.with_path(&[], |path| (path.key(), path.counted(), path.columns()))?;
        let name = match unknown {
            true => columns.pop().unwrap_or_default(),
            false => String::new(),
        };
        let key: Option<Box<str>> = place.is_fixed().then(|| quoted(&key).into());
        // The same names once more in the place and, of the last, among its level's keys.
        let columns_bytes: usize = columns.iter().map(String::len).sum();
        let spelled = key.as_ref().map_or(0, |key| key.len());
        self.spot_bytes += 3 * (columns_bytes + name.len()) + counted.len() + spelled;
        self.spots.push(Spot {
            place,
            unknown,
            columns,
            name,
            key,
            counted: counted.into(),
            counter: None,
            tally: [0; KINDS.len()],
            met: false,
            last: (0, 0),
            watch,
        });
        Some(self.spots.len() as u32 - 1)
    }

    /// Whether `object` of the event at hand has the unknown field for the first time; if so, what
    /// watches it.
    #[inline]
    pub(super) fn first_in(&mut self, spot: u32, object: u32) -> Option<u32> {
        let here = (self.event, object);
        let spot = self.spots.get_mut(spot as usize)?;
        (std::mem::replace(&mut spot.last, here) != here).then_some(spot.watch)
    }

    /// Remembers a value of an unknown field. A null says nothing where nobody asks for its kind.
    #[inline]
    pub(super) fn push_unknown(&mut self, spot: u32, span: (u32, u32), kind: NodeKind) {
        if kind != NodeKind::Null || self.observes {
            self.push_conflict(spot, 0, span, kind);
        }
    }

    /// Remembers a value that neither its column nor a sibling takes.
    pub(super) fn push_conflict(&mut self, spot: u32, rank: u32, span: (u32, u32), kind: NodeKind) {
        self.entries.push(Entry {
            rank,
            spot,
            start: span.0,
            end: span.1,
            kind,
            within: Vec::new(),
            key: String::new(),
        });
    }

    /// The entries from `base` on whose values begin at `start` of the event or behind: those of the
    /// object, list or map that begins there, as long as it is the last that was read.
    pub(super) fn within(&mut self, base: usize, start: u32) -> &mut [Entry] {
        let mut first = self.entries.len();
        while first > base
            && self
                .entries
                .get(first - 1)
                .is_some_and(|e| e.start >= start)
        {
            first -= 1;
        }
        self.entries.get_mut(first..).unwrap_or_default()
    }

    /// Whether the event's entries take more than `limit` bytes of `_rescued_data`. No path is spelled
    /// past the limit: many may lead through one long name.
    fn outweighs(&mut self, limit: usize) -> bool {
        let mut bytes = 0;
        for entry in &mut self.entries {
            let Some(spot) = self.spots.get(entry.spot as usize) else {
                continue;
            };
            if entry.kind == NodeKind::Null {
                continue;
            }
            let key = match &spot.key {
                Some(key) => key.len(),
                None => {
                    let key = spot.place.with_path(&entry.within, |path| path.key());
                    entry.key = quoted(&key.unwrap_or_default());
                    entry.key.len()
                }
            };
            bytes += weight(key, (entry.end - entry.start) as usize);
            if bytes > limit {
                return true;
            }
        }
        false
    }

    /// Whether there is no room for another spot.
    pub(super) fn is_full(&self) -> bool {
        self.spots.len() >= MAX_SPOTS || self.spot_bytes >= MAX_SPOT_BYTES
    }

    /// Forgets all spots; nobody may hold one any more.
    pub(super) fn forget(&mut self) {
        self.spots = Vec::new();
        self.spot_bytes = 0;
    }
}

impl Row {
    /// Settles the entries of an event that is a row otherwise: writes its `_rescued_data` and tells
    /// what was seen. `false`, and nothing done, where what is to be kept is out of proportion.
    #[inline(always)]
    pub(super) fn settle(&mut self, event: &[u8], out: &mut Texts, counts: &mut Counts) -> bool {
        if self.left.entries.is_empty() {
            counts.rows += 1;
            return true;
        }
        self.settle_entries(event, out, counts)
    }

    fn settle_entries(&mut self, event: &[u8], out: &mut Texts, counts: &mut Counts) -> bool {
        let limit = self.limit;
        if self.left.outweighs(limit) {
            return false;
        }
        counts.rows += 1;
        let entries = std::mem::take(&mut self.left.entries);
        for entry in &entries {
            self.tell(entry, event);
        }
        if entries.iter().any(|entry| entry.kind != NodeKind::Null) {
            counts.rescued += 1;
            self.write(&entries, event, out, counts);
        }
        self.left.entries = entries;
        true
    }

    fn write(&mut self, entries: &[Entry], event: &[u8], out: &mut Texts, counts: &Counts) {
        // The rows before without any are null.
        let row = (counts.rows - 1) as usize;
        if out.len() < row {
            out.pad(row);
        }
        let mut separator = "{";
        for entry in entries.iter().filter(|entry| entry.kind != NodeKind::Null) {
            let Some(spot) = self.left.spots.get_mut(entry.spot as usize) else {
                continue;
            };
            out.part(separator);
            separator = ",";
            out.part(spot.key.as_deref().unwrap_or(&entry.key));
            out.part(":");
            // The event is UTF-8, and a value begins and ends at ASCII bytes.
            out.part(str::from_utf8(value(event, entry)).unwrap_or("null"));
            let counter = match spot.counter {
                Some(counter) => counter,
                None => {
                    let counter = self.counted.counter(&spot.counted);
                    spot.counter = Some(counter);
                    self.left.touched.push(entry.spot);
                    counter
                }
            };
            self.counted.count(counter);
        }
        out.part("}");
        out.end();
    }

    /// Adds a value to what the batch has seen.
    fn tell(&mut self, entry: &Entry, event: &[u8]) {
        let Some(spot) = self.left.spots.get_mut(entry.spot as usize) else {
            return;
        };
        if spot.unknown && !self.left.observes {
            return;
        }
        let value = value(event, entry);
        let leaf = !matches!(entry.kind, NodeKind::Object | NodeKind::Array);
        if leaf && spot.met {
            let kind = infer::kind_of(entry.kind, str::from_utf8(value).unwrap_or_default());
            if let Some(tally) = spot.tally.get_mut(kind as usize) {
                *tally += 1;
            }
            return;
        }
        let shape = match spot.unknown {
            true => self.seen.unknown(&spot.columns, &spot.name),
            false => self.seen.conflict(&spot.columns),
        };
        if let Some((shape, room)) = shape {
            if !std::mem::replace(&mut spot.met, true) {
                self.left.touched.push(entry.spot);
            }
            if let Ok(json) = self.left.parser.parse_in(value, 0..value.len()) {
                infer::observe(json, 0, shape, room);
            }
        }
    }

    /// Ends a batch: what was tallied goes to what was seen.
    pub(super) fn end_batch(&mut self) {
        self.left.entries.clear();
        self.left.entries.shrink_to(MAX_KEPT_ENTRIES);
        for spot in std::mem::take(&mut self.left.touched) {
            let Some(spot) = self.left.spots.get_mut(spot as usize) else {
                continue;
            };
            spot.counter = None;
            if !std::mem::take(&mut spot.met) {
                continue;
            }
            let tally = std::mem::take(&mut spot.tally);
            if tally == [0; KINDS.len()] {
                continue;
            }
            let shape = match spot.unknown {
                true => self.seen.unknown(&spot.columns, &spot.name),
                false => self.seen.conflict(&spot.columns),
            };
            if let Some((shape, _)) = shape {
                for (kind, count) in KINDS.into_iter().zip(tally).filter(|(_, n)| *n > 0) {
                    *shape.kinds.entry(kind).or_default() += count;
                }
            }
        }
    }
}

/// The text of an entry's value.
fn value<'a>(event: &'a [u8], entry: &Entry) -> &'a [u8] {
    event
        .get(entry.start as usize..entry.end as usize)
        .unwrap_or_default()
}

#[test]
fn kinds_are_their_own_index() {
    for (i, kind) in KINDS.into_iter().enumerate() {
        assert_eq!(kind as usize, i);
    }
}
