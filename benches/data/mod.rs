//! The events that every bench and every peer reads: generated from a seed, the same for the same seed.
//!
//! Pages, users and countries are skewed (log-uniform ranks), users come back in sessions, times ascend with jitter:
//! what a dictionary, a prediction of keys or a compressor gains here it gains on real streams too.
#![allow(dead_code, reason = "each bench uses a part of it")]

pub mod batch;
pub mod cpu;
mod flat;
mod hostile;
mod mixed;
mod nested;
pub mod schema;
mod world;

use world::World;

/// The seed of the benches.
pub const SEED: u64 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Clickstream: 15 fields, about 340 bytes.
    Flat,
    /// A track call as Segment's: objects, a map, a list of objects, a list of text; about 1.4 kilobytes.
    Nested,
    /// `Flat` with a context: keys in random order, 30 % of the fields missing, one value of a wrong type in 5 % of
    /// the events, unknown fields, unicode and escapes.
    Hostile,
    /// Short deep events of several kinds, with unicode and escapes.
    Mixed,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Flat, Self::Nested, Self::Hostile, Self::Mixed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Nested => "nested",
            Self::Hostile => "hostile",
            Self::Mixed => "mixed",
        }
    }

    /// The columns of the events that are no strangers: one a line, its name and its type as a configuration of
    /// Alluvium writes it.
    pub fn columns(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let text = match self {
            Self::Flat => include_str!("flat.columns"),
            Self::Nested => include_str!("nested.columns"),
            Self::Hostile => include_str!("hostile.columns"),
            Self::Mixed => include_str!("mixed.columns"),
        };
        text.lines().filter_map(|line| line.split_once(' '))
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("no such events, kind=`{name}`"))
    }
}

/// An endless stream of events.
pub struct Events {
    pub kind: Kind,
    world: World,
}

impl Events {
    pub fn new(kind: Kind, seed: u64) -> Self {
        Self {
            kind,
            world: World::new(seed),
        }
    }

    /// Appends one event, without a line end.
    pub fn push(&mut self, out: &mut String) {
        match self.kind {
            Kind::Flat => flat::push(&mut self.world, out),
            Kind::Nested => nested::push(&mut self.world, out),
            Kind::Hostile => hostile::push(&mut self.world, out),
            Kind::Mixed => mixed::push(&mut self.world, out),
        }
    }
}

/// Whole lines of events, at least `bytes` of them.
pub fn ndjson(kind: Kind, bytes: usize, seed: u64) -> String {
    let mut events = Events::new(kind, seed);
    let mut out = String::with_capacity(bytes + (8 << 10));
    while out.len() < bytes {
        events.push(&mut out);
        out.push('\n');
    }
    out
}

/// A configuration's table `events` with the columns of a kind; hostile events change nothing of it.
pub fn toml(kind: Kind) -> String {
    let mut text = String::from("[tables.events]\n");
    if kind == Kind::Hostile {
        text += "evolution = \"none\"\non_conflict = [\"rescue\"]\n";
    }
    for (name, data_type) in kind.columns() {
        text += &format!("[[tables.events.columns]]\nname = \"{name}\"\ntype = \"{data_type}\"\n");
    }
    text
}
