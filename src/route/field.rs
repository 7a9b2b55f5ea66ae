//! A few fields of a JSON event, without parsing the rest into values.
//!
//! One pass of serde_json's reader that stops when all fields are found. Of a name that stands twice
//! in an object the first counts.

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

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
    for (i, slot) in found.iter().enumerate() {
        match slot {
            Slot::Absent => return Err(Missing::Absent(i)),
            Slot::NotScalar => return Err(Missing::NotScalar(i)),
            Slot::Text(_) => {}
        }
    }
    Ok(())
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
