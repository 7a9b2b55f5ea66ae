//! What the events of a batch showed beyond the table's schema.

use std::collections::{BTreeMap, HashMap};

/// The kind of a JSON value, as far as a column's type depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Null,
    Boolean,
    /// An integer that fits 64 bits with its sign.
    Long,
    /// A larger integer of at most 38 digits.
    BigInteger,
    /// A number with a fraction or an exponent.
    Double,
    /// A number that no type holds exactly: more than 38 digits, or beyond a double.
    Huge,
    String,
    /// Text that is an RFC 3339 time with a zone.
    Timestamp,
    Struct,
    List,
}

impl Kind {
    /// The end of a sibling column's name: `price__string`. `None` where no column could help.
    pub fn suffix(self) -> Option<&'static str> {
        Some(match self {
            Kind::Boolean => "boolean",
            Kind::Long => "long",
            Kind::BigInteger => "decimal",
            Kind::Double => "double",
            Kind::String | Kind::Timestamp => "string",
            Kind::Struct => "struct",
            Kind::List => "list",
            Kind::Null | Kind::Huge => return None,
        })
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Huge => "number",
            Kind::Timestamp => "timestamp",
            other => other.suffix().unwrap_or("null"),
        }
    }
}

/// The values one field had: how many of each kind, and what was inside objects and lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// How many values of each kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// The fields of the objects.
    pub fields: Fields,
    /// The elements of the lists.
    pub element: Option<Box<Shape>>,
}

impl Shape {
    pub fn count(&mut self, kind: Kind) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    pub fn of(&self, kind: Kind) -> u64 {
        self.kinds.get(&kind).copied().unwrap_or(0)
    }

    /// The shape of this field's list elements.
    pub fn element_mut(&mut self) -> &mut Shape {
        self.element.get_or_insert_default()
    }

    fn merge(&mut self, other: Shape, room: &mut Room) {
        for (kind, n) in other.kinds {
            *self.kinds.entry(kind).or_default() += n;
        }
        self.fields.merge(other.fields, room);
        if let Some(element) = other.element {
            self.element_mut().merge(*element, room);
        }
    }
}

/// Fields by their names in the events, in the order first seen.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    list: Vec<(String, Shape)>,
    index: HashMap<String, usize>,
}

impl PartialEq for Fields {
    /// Order does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.list.len() == other.list.len()
            && self
                .list
                .iter()
                .all(|(name, shape)| other.get(name) == Some(shape))
    }
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.list.iter().map(|(name, shape)| (name.as_str(), shape))
    }

    pub fn get(&self, name: &str) -> Option<&Shape> {
        let &i = self.index.get(name)?;
        self.list.get(i).map(|(_, shape)| shape)
    }

    /// The field's shape; `None`, and counted, where it is new and there is no room for it.
    pub fn entry(&mut self, name: &str, room: &mut Room) -> Option<&mut Shape> {
        let i = match self.index.get(name) {
            Some(&i) => i,
            None if room.take() => {
                self.index.insert(name.to_string(), self.list.len());
                self.list.push((name.to_string(), Shape::default()));
                self.list.len() - 1
            }
            None => return None,
        };
        self.list.get_mut(i).map(|(_, shape)| shape)
    }

    fn merge(&mut self, other: Fields, room: &mut Room) {
        for (name, shape) in other.list {
            if let Some(mine) = self.entry(&name, room) {
                mine.merge(shape, room);
            }
        }
    }
}

/// How many more distinct fields are kept, and how often there was none left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    left: usize,
    overflow: u64,
}

impl Room {
    fn take(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.overflow += 1;
                false
            }
        }
    }
}

/// What one batch showed beyond the schema. Merging several is the same as seeing all at once, in
/// any order, as long as the distinct fields stay within [`Seen::MAX_FIELDS`].
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Unknown fields by the struct that lacks them: its path as in
    /// [`super::SchemaChange::AddColumn`].
    pub unknown: BTreeMap<Vec<String>, Fields>,
    /// Values that did not fit their column, by the column's path.
    pub conflicts: BTreeMap<Vec<String>, Shape>,
    room: Room,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            unknown: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            room: Room {
                left: Self::MAX_FIELDS,
                overflow: 0,
            },
        }
    }
}

impl Seen {
    /// The most distinct fields and conflicting columns kept; further ones are only counted.
    pub const MAX_FIELDS: usize = 10_000;

    pub fn is_empty(&self) -> bool {
        self.unknown.is_empty() && self.conflicts.is_empty()
    }

    /// How often a field was met for which there was no room.
    pub fn overflow(&self) -> u64 {
        self.room.overflow
    }

    /// The shape of the field `name` that the struct at `parent` lacks, with the room for what is
    /// inside it.
    pub fn unknown(&mut self, parent: &[String], name: &str) -> Option<(&mut Shape, &mut Room)> {
        let fields = match self.unknown.contains_key(parent) {
            true => self.unknown.get_mut(parent)?,
            false => self.unknown.entry(parent.to_vec()).or_default(),
        };
        let shape = fields.entry(name, &mut self.room)?;
        Some((shape, &mut self.room))
    }

    /// The shape of the values that did not fit the column at `path`.
    pub fn conflict(&mut self, path: &[String]) -> Option<(&mut Shape, &mut Room)> {
        if !self.conflicts.contains_key(path) {
            if !self.room.take() {
                return None;
            }
            self.conflicts.insert(path.to_vec(), Shape::default());
        }
        let shape = self.conflicts.get_mut(path)?;
        Some((shape, &mut self.room))
    }

    /// Adds what another batch showed.
    pub fn merge(&mut self, other: Seen) {
        self.room.overflow += other.room.overflow;
        for (parent, fields) in other.unknown {
            self.unknown
                .entry(parent)
                .or_default()
                .merge(fields, &mut self.room);
        }
        for (path, shape) in other.conflicts {
            if let Some((mine, room)) = self.conflict(&path) {
                mine.merge(shape, room);
            }
        }
    }
}
