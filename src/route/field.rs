//! A few fields of a JSON event, without parsing the rest into values.
//!
//! The rule is one pass of serde_json's reader that stops when all fields are found ([`extract`]). Of
//! a name that stands twice in an object the first counts. [`Finder`] gives the same by passing over
//! the values in between, and leaves what is unusual to the rule.

use crate::json::{self, Kind, PAD};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::{fmt, ops::Range};

/// Why a record has no value for its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Index of the field that is absent or null.
    Absent(usize),
    /// Index of the field that is an object or array.
    NotScalar(usize),
    /// The record does not parse.
    Malformed(String),
}

/// Finds the values at `paths` (objects only, no array steps), one text each into `found`, which has
/// as many places. Strings are unescaped, numbers and booleans as JSON prints them.
pub(super) fn extract(
    json: &[u8],
    paths: &[Vec<String>],
    found: &mut Vec<Slot>,
) -> Result<(), Missing> {
    found.clear();
    found.resize(paths.len(), Slot::Absent);
    let mut search = Search {
        paths,
        left: paths.len(),
        found,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let parsed = Node {
        search: &mut search,
        depth: 0,
        active: (0..paths.len()).collect(),
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end());
    let left = search.left;
    if let Err(e) = parsed
        && left > 0
    {
        return Err(Missing::Malformed(e.to_string()));
    }
    verdict(found)
}

fn verdict(found: &[Slot]) -> Result<(), Missing> {
    for (i, slot) in found.iter().enumerate() {
        match slot {
            Slot::Absent => return Err(Missing::Absent(i)),
            Slot::NotScalar => return Err(Missing::NotScalar(i)),
            Slot::Text(_) => {}
        }
    }
    Ok(())
}

/// Finds fields of events, one event after the other.
#[derive(Debug, Default)]
pub(super) struct Finder {
    pub(super) found: Vec<Slot>,
    /// An event with too little behind it to be read in place.
    padded: Vec<u8>,
}

impl Finder {
    /// As [`extract`] of `slab[span]`, into `found`.
    pub(super) fn find(
        &mut self,
        slab: &[u8],
        span: Range<usize>,
        paths: &[Vec<String>],
    ) -> Result<(), Missing> {
        let Self { found, padded } = self;
        let event = &slab[span.clone()];
        found.clear();
        found.resize(paths.len(), Slot::Absent);
        let mut search = Search {
            paths,
            left: paths.len(),
            found,
        };
        let passed = if paths.len() > MAX_FIELDS {
            None
        } else if span.end + PAD <= slab.len() {
            Walk::new(slab, span.end, &mut search).event(span.start)
        } else {
            padded.clear();
            padded.extend_from_slice(event);
            padded.resize(event.len() + PAD, 0);
            Walk::new(padded, event.len(), &mut search).event(0)
        };
        match passed {
            Some(()) => verdict(found),
            None => extract(event, paths, found),
        }
    }
}

/// More fields than this are left to [`extract`].
const MAX_FIELDS: usize = 64;

/// Which fields a value may still belong to, one bit each.
type Fields = u64;

/// A pass over an event. Every step gives `None` where the text is unusual or no JSON.
struct Walk<'w, 'a> {
    slab: &'w [u8],
    end: usize,
    search: &'w mut Search<'a>,
}

impl<'w, 'a> Walk<'w, 'a> {
    fn new(slab: &'w [u8], end: usize, search: &'w mut Search<'a>) -> Self {
        Self { slab, end, search }
    }

    fn event(&mut self, start: usize) -> Option<()> {
        let at = self.past_spaces(start);
        if self.byte(at)? != b'{' {
            return None;
        }
        let all = u64::MAX.checked_shr(64 - self.search.paths.len() as u32)?;
        let at = self.object(at + 1, 0, all)?;
        (self.search.left == 0 || self.past_spaces(at) == self.end).then_some(())
    }

    /// The members of an object, `depth` steps along the paths of `fields`; where it ends, or anywhere
    /// once all fields are found.
    fn object(&mut self, start: usize, depth: usize, fields: Fields) -> Option<usize> {
        let mut at = self.past_spaces(start);
        if self.byte(at)? == b'}' {
            return Some(at + 1);
        }
        loop {
            let (kind, key_end) = self.value(at)?;
            let key = self.slab.get(at + 1..key_end - 1)?;
            if kind != Kind::String || !is_plain(key) {
                return None;
            }
            at = self.past_spaces(key_end);
            if self.byte(at)? != b':' {
                return None;
            }
            at = self.past_spaces(at + 1);
            at = match self.steps(key, depth, fields) {
                0 => self.value(at)?.1,
                matching => self.found(at, depth + 1, matching)?,
            };
            if self.search.left == 0 {
                return Some(at);
            }
            at = self.past_spaces(at);
            match self.byte(at)? {
                b',' => at = self.past_spaces(at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// A value that is `depth` steps along the paths of `fields`; where it ends.
    fn found(&mut self, at: usize, depth: usize, fields: Fields) -> Option<usize> {
        if self.byte(at)? == b'{' {
            self.set(depth, fields, || Some(Slot::NotScalar))?;
            return match self.search.left {
                0 => Some(at),
                _ => self.object(at + 1, depth, fields),
            };
        }
        let (kind, end) = self.value(at)?;
        let text = self.slab.get(at..end)?;
        // The rule reads every value on the way to a field, as text.
        std::str::from_utf8(text).ok()?;
        match kind {
            Kind::Null => {}
            Kind::Array | Kind::Object => self.set(depth, fields, || Some(Slot::NotScalar))?,
            Kind::String => self.set(depth, fields, || {
                let inner = text.get(1..text.len() - 1)?;
                let inner = inner.iter().all(|&byte| byte != b'\\').then_some(inner)?;
                Some(Slot::Text(std::str::from_utf8(inner).ok()?.to_owned()))
            })?,
            // A number that needs no second thought how it is printed.
            Kind::Number => self.set(depth, fields, || {
                let digits = text.strip_prefix(b"-").unwrap_or(text);
                let is_integer = digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
                let text = (is_integer && text != b"-0").then_some(text)?;
                Some(Slot::Text(std::str::from_utf8(text).ok()?.to_owned()))
            })?,
            Kind::Boolean => self.set(depth, fields, || {
                Some(Slot::Text(std::str::from_utf8(text).ok()?.to_owned()))
            })?,
        }
        Some(end)
    }

    /// Gives the fields whose path ends at `depth` their value.
    fn set(&mut self, depth: usize, fields: Fields, slot: impl Fn() -> Option<Slot>) -> Option<()> {
        for (field, path) in self.search.paths.iter().enumerate() {
            if fields & (1 << field) != 0 && path.len() == depth {
                self.search.set(field, slot()?);
            }
        }
        Some(())
    }

    /// Those of `fields` whose next step is `key`.
    fn steps(&self, key: &[u8], depth: usize, fields: Fields) -> Fields {
        let mut matching = 0;
        for (field, path) in self.search.paths.iter().enumerate() {
            let next = path.get(depth).is_some_and(|step| step.as_bytes() == key);
            matching |= u64::from(next) << field;
        }
        matching & fields
    }

    fn value(&self, at: usize) -> Option<(Kind, usize)> {
        json::value(self.slab, at..self.end).ok()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        (at < self.end).then(|| self.slab[at])
    }

    fn past_spaces(&self, mut at: usize) -> usize {
        while at < self.end && matches!(self.slab[at], b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
        }
        at
    }
}

/// Whether a key reads as it stands.
fn is_plain(key: &[u8]) -> bool {
    key.iter().all(|&byte| byte.is_ascii() && byte != b'\\')
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Absent,
    NotScalar,
    Text(String),
}

struct Search<'a> {
    paths: &'a [Vec<String>],
    /// Fields whose value, of whatever kind, was not met yet.
    left: usize,
    found: &'a mut Vec<Slot>,
}

impl Search<'_> {
    fn set(&mut self, field: usize, slot: Slot) {
        if let Some(place) = self.found.get_mut(field)
            && *place == Slot::Absent
        {
            self.left -= 1;
            *place = slot;
        }
    }
}

/// A value at `depth` steps along the paths in `active`.
struct Node<'s, 'a> {
    search: &'s mut Search<'a>,
    depth: usize,
    active: Vec<usize>,
}

impl Node<'_, '_> {
    /// Those that end here get the text; those that go on find nothing in a scalar.
    fn scalar(self, text: impl fmt::Display) {
        let text = text.to_string();
        for field in self.ending() {
            self.search.set(field, Slot::Text(text.clone()));
        }
    }

    fn ending(&self) -> Vec<usize> {
        let ends = |&field: &usize| {
            self.search
                .paths
                .get(field)
                .is_some_and(|p| p.len() == self.depth)
        };
        self.active.iter().copied().filter(ends).collect()
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    /// Null is absent.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for field in self.ending() {
            self.search.set(field, Slot::NotScalar);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        for field in self.ending() {
            self.search.set(field, Slot::NotScalar);
        }
        loop {
            if self.search.left == 0 {
                // Leaves the reader in mid-object on purpose: the rest is decoding's to judge.
                return Err(A::Error::custom("all fields found"));
            }
            let seed = Key {
                paths: self.search.paths,
                depth: self.depth,
                active: &self.active,
            };
            match map.next_key_seed(seed)? {
                None => return Ok(()),
                Some(active) if active.is_empty() => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(active) => map.next_value_seed(Node {
                    search: self.search,
                    depth: self.depth + 1,
                    active,
                })?,
            }
        }
    }
}

/// An object's key: gives the fields whose next step it is.
struct Key<'k> {
    paths: &'k [Vec<String>],
    depth: usize,
    active: &'k [usize],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Vec<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Vec<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object's key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Vec<usize>, E> {
        let steps = |&field: &usize| {
            self.paths
                .get(field)
                .and_then(|path| path.get(self.depth))
                .is_some_and(|step| step == key)
        };
        Ok(self.active.iter().copied().filter(steps).collect())
    }
}
