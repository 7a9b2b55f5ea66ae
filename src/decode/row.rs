//! What one event left over: values for `_rescued_data`, and whether it is to be rejected.

use super::{
    build::Texts,
    infer,
    json::Json,
    leftovers::Leftovers,
    path::{Path, Step},
};
use crate::{
    event::{Counts, RejectReason},
    schema::{Evolution, EvolutionPolicy, Kind, OnConflict, Seen, Shape, sibling_name},
};
use arrow::datatypes::DataType;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Distinct paths by which one batch counts rescued values; the rest share one name, so that the
/// commit metadata stays small whatever events send.
const MAX_COUNTED_FIELDS: usize = 200;
const OTHER_FIELDS: &str = "(other)";

/// The key of a whole event's text in `_rescued_data`.
pub(super) const WHOLE_RECORD: &str = "_record";
/// The same for bytes that are no text, in base64.
pub(super) const WHOLE_RECORD_BASE64: &str = "_record_base64";

/// A record's key that is no text. No field's place is spelled so.
const RECORD_KEY: &str = "[_key]";

/// The state of the event at hand, and what the batch has gathered.
pub(super) struct Row {
    pub(super) policy: EvolutionPolicy,
    /// The table has as many columns as it may: the sibling rung is past.
    full: bool,
    /// Whether the event must become a row whatever it holds (rule 11).
    pub(super) forced: bool,
    entries: Vec<Entry>,
    bytes: usize,
    pub(super) limit: usize,
    rejected: Option<RejectReason>,
    pub(super) seen: Seen,
    pub(super) counted: Counted,
    /// What the fast pass leaves over.
    pub(super) left: Leftovers,
}

/// How many values were rescued, by the path that counts them.
#[derive(Default)]
pub(super) struct Counted {
    index: HashMap<String, usize>,
    counts: Vec<u64>,
    /// Those for which there was no name left.
    other: u64,
}

impl Counted {
    /// The counter of a path, the same until [`Counted::take`]; `None` where all names are taken.
    pub(super) fn counter(&mut self, path: &str) -> Option<usize> {
        match self.index.get(path) {
            Some(&counter) => Some(counter),
            None if self.counts.len() < MAX_COUNTED_FIELDS => {
                self.index.insert(path.to_string(), self.counts.len());
                self.counts.push(0);
                Some(self.counts.len() - 1)
            }
            None => None,
        }
    }

    pub(super) fn count(&mut self, counter: Option<usize>) {
        match counter.and_then(|counter| self.counts.get_mut(counter)) {
            Some(count) => *count += 1,
            None => self.other += 1,
        }
    }

    /// The counts of a batch; begins anew.
    pub(super) fn take(&mut self) -> BTreeMap<String, u64> {
        let counted = std::mem::take(self);
        let count = |counter: usize| counted.counts.get(counter).copied().unwrap_or(0);
        let mut fields: BTreeMap<String, u64> = counted
            .index
            .iter()
            .map(|(path, &counter)| (path.clone(), count(counter)))
            .filter(|(_, count)| *count > 0)
            .collect();
        if counted.other > 0 {
            *fields.entry(OTHER_FIELDS.to_string()).or_default() += counted.other;
        }
        fields
    }
}

struct Entry {
    /// JSON text.
    key: String,
    counted: String,
    /// JSON text.
    value: String,
}

impl Row {
    pub(super) fn new(policy: EvolutionPolicy, columns: usize) -> Self {
        Self {
            full: columns >= policy.max_columns,
            left: Leftovers::new(&policy),
            counted: Counted::default(),
            policy,
            forced: false,
            entries: Vec::new(),
            bytes: 0,
            limit: 0,
            rejected: None,
            seen: Seen::default(),
        }
    }

    /// Begins an event whose `_rescued_data` may take so many bytes.
    #[inline(always)]
    pub(super) fn begin(&mut self, forced: bool, limit: usize) {
        self.forced = forced;
        self.entries.clear();
        self.bytes = 0;
        self.limit = limit;
        self.rejected = None;
    }

    /// Keeps a value as it was sent.
    pub(super) fn rescue(&mut self, json: Json<'_>, at: u32, path: &Path<'_>) {
        // Past the limit the event is kept whole; long paths need not be spelled out for it.
        if !self.overflows() {
            self.keep(quoted(&path.key()), path.counted(), json.text(at));
        }
    }

    fn keep(&mut self, key: String, counted: String, value: &str) {
        self.bytes += weight(key.len(), value.len());
        if self.bytes <= self.limit {
            self.entries.push(Entry {
                key,
                counted,
                value: value.to_string(),
            });
        }
    }

    /// Keeps a value under a name of the top level, unless the event's own field of that name is
    /// kept there.
    pub(super) fn keep_as(&mut self, name: &str, value: &str) {
        let path = Path {
            parent: None,
            step: Step::Field {
                event: name,
                column: name,
            },
        };
        let key = quoted(&path.key());
        if self.entries.iter().all(|entry| entry.key != key) {
            self.keep(key, path.counted(), value);
        }
    }

    /// Keeps a record's key that is no text, whatever else is kept.
    pub(super) fn keep_record_key(&mut self, key: &[u8]) {
        self.entries.push(Entry {
            key: quoted(RECORD_KEY),
            counted: RECORD_KEY.into(),
            value: format!("{{\"base64\":\"{}\"}}", STANDARD.encode(key)),
        });
    }

    /// A field that the struct at `parent` has no column for.
    pub(super) fn unknown(
        &mut self,
        json: Json<'_>,
        at: u32,
        parent: Option<&Path<'_>>,
        name: &str,
    ) {
        let path = Path {
            parent,
            step: Step::Field {
                event: name,
                column: name,
            },
        };
        if !json.is_null(at) {
            self.rescue(json, at, &path);
        }
        if self.policy.evolution != Evolution::None {
            let parent = parent.map(Path::columns).unwrap_or_default();
            if let Some((shape, room)) = self.seen.unknown(&parent, name) {
                infer::observe(json, at, shape, room);
            }
        }
    }

    /// A value that neither its column nor a sibling takes. `has_sibling`: the struct has the
    /// sibling already, or cannot have one.
    pub(super) fn conflict(
        &mut self,
        json: Json<'_>,
        at: u32,
        path: &Path<'_>,
        column: &DataType,
        has_sibling: bool,
    ) {
        let kind = infer::kind(json, at);
        if let Some((shape, room)) = self.seen.conflict(&path.columns()) {
            infer::observe(json, at, shape, room);
        }
        if !self.forced && self.rejects(kind, column, has_sibling) {
            self.rejected.get_or_insert_with(|| RejectReason {
                code: "type_conflict",
                detail: Arc::from(format!(
                    "a value does not fit its column: field=`{}` type=`{}` found=`{}`",
                    path.counted(),
                    crate::schema::types::to_sql(column).unwrap_or_else(|_| column.to_string()),
                    kind.name()
                )),
            });
        }
        self.rescue(json, at, path);
    }

    /// Whether the ladder comes to `reject` with no rung before it that may still help.
    fn rejects(&self, kind: Kind, column: &DataType, has_sibling: bool) -> bool {
        let evolves = self.policy.evolution == Evolution::Auto;
        for rung in &self.policy.on_conflict {
            match rung {
                OnConflict::Widen => {
                    let mut shape = Shape::default();
                    shape.count(kind);
                    if evolves && self.policy.widens(column, &shape).is_some() {
                        return false;
                    }
                }
                OnConflict::Sibling => {
                    if evolves && !has_sibling && !self.full && sibling_name("", kind).is_some() {
                        return false;
                    }
                }
                OnConflict::Rescue => return false,
                OnConflict::Reject => return true,
            }
        }
        false
    }

    pub(super) fn take_rejected(&mut self) -> Option<RejectReason> {
        self.rejected.take()
    }

    /// Whether what is to be kept is out of proportion to the event.
    pub(super) fn overflows(&self) -> bool {
        self.bytes > self.limit
    }

    /// Writes the row's `_rescued_data` and counts it.
    pub(super) fn finish(&mut self, out: &mut Texts, counts: &mut Counts) {
        // The rows before without any, and this one without, are null once `out` is padded.
        let row = counts.rows as usize;
        counts.rows += 1;
        if self.entries.is_empty() {
            return;
        }
        if out.len() < row {
            out.pad(row);
        }
        counts.rescued += 1;
        let mut text = String::with_capacity(self.bytes + 2);
        let mut separator = '{';
        for entry in self.entries.drain(..) {
            text.push(separator);
            separator = ',';
            text.push_str(&entry.key);
            text.push(':');
            text.push_str(&entry.value);
            let counter = self.counted.counter(&entry.counted);
            self.counted.count(counter);
        }
        text.push('}');
        out.push(&text);
    }

    /// Keeps the whole event in place of what was kept of it, without a limit.
    pub(super) fn keep_whole(&mut self, bytes: &[u8]) {
        self.entries.clear();
        let (key, text) = match std::str::from_utf8(bytes) {
            Ok(text) => (WHOLE_RECORD, quoted(text)),
            Err(_) => (WHOLE_RECORD_BASE64, quoted(&STANDARD.encode(bytes))),
        };
        self.entries.push(Entry {
            key: quoted(key),
            counted: key.into(),
            value: text,
        });
    }
}

/// What a value takes of `_rescued_data`: both texts as they are written, a colon, a comma and braces.
pub(super) fn weight(key: usize, value: usize) -> usize {
    key + value + 4
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Drops all but the last of doubled keys, keeping the order of the rest.
pub(super) fn last_of_each(json: Json<'_>, members: &mut Vec<(u32, u32)>) {
    if members.len() < 2 {
        return;
    }
    let mut names = HashSet::with_capacity(members.len());
    members.reverse();
    members.retain(|&(key, _)| names.insert(json.string(key)));
    members.reverse();
}
