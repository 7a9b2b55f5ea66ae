//! Which tables a batch's records belong to.

use super::{
    MAX_NAME_BYTES, RouteError, Template, clean,
    field::{Finder, Missing, Slot},
    template::Part,
};
use crate::event::{RawBatch, RecordKind, RecordSpan, RejectReason};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// `[tables.TABLE]` with `source` set to the router's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub table: String,
    /// Only these topics; `None`: all records of the source.
    pub topics: Option<Vec<String>>,
}

/// Texts remembered while a batch is routed.
const MAX_MET: usize = 16;

/// Where the records of one batch go. A record is in at least one table, or in `unroutable`, or in
/// `skipped`; in several tables only where several are bound to its topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// Each table once, with indexes into `RawBatch::records`, ascending; `None`: all of them.
    pub tables: Vec<(Arc<str>, Option<Vec<u32>>)>,
    /// Dead letters that belong to no table, by index, ascending.
    pub unroutable: Vec<(u32, RejectReason)>,
    /// Tombstones that belong to no table, by index, ascending.
    pub skipped: Vec<u32>,
}

/// Routes the batches of one source.
#[derive(Debug)]
pub struct Router {
    template: Template,
    bound: Vec<(Arc<str>, Option<Vec<String>>)>,
    max_tables: usize,
    reserved: Option<Arc<str>>,
    /// Every table this router has named, bound ones included.
    known: HashSet<Arc<str>>,
    /// What a template gave to the name it became.
    cleaned: HashMap<String, Arc<str>>,
    finder: Finder,
}

impl Router {
    /// `source`: the configuration's name of it, for messages. `template`: the source's `table` key.
    /// `max_tables`: `lake.max_tables`; records for further tables are unroutable.
    pub fn new(
        source: &str,
        template: &str,
        bindings: Vec<Binding>,
        max_tables: usize,
    ) -> Result<Self, RouteError> {
        let mut known = HashSet::new();
        let mut bound = Vec::with_capacity(bindings.len());
        for Binding { table, topics } in bindings {
            let table: Arc<str> = table.into();
            if !known.insert(table.clone()) {
                return Err(RouteError::BoundTwice {
                    origin: source.to_owned(),
                    table: table.to_string(),
                });
            }
            bound.push((table, topics));
        }
        Ok(Self {
            template: Template::parse(source, template)?,
            bound,
            max_tables,
            reserved: None,
            known,
            cleaned: HashMap::new(),
            finder: Finder::default(),
        })
    }

    /// Keeps events out of a table that is not theirs: the dead-letter table. What a template routes
    /// there is unroutable.
    pub fn with_reserved(mut self, table: &str) -> Self {
        self.reserved = Some(table.into());
        self
    }

    /// Whether one partition may feed several tables: then reading resumes at the low-water mark.
    pub fn is_fan_out(&self) -> bool {
        let all = self.bound.iter().filter(|(_, t)| t.is_none()).count();
        let mut topics: HashMap<&str, usize> = HashMap::new();
        for topic in self.bound.iter().filter_map(|(_, t)| t.as_ref()).flatten() {
            *topics.entry(topic).or_insert(all) += 1;
        }
        all > 1
            || topics.values().any(|&tables| tables > 1)
            || (all == 0 && !self.template.is_by_topic())
    }

    /// The one table that takes every record of the topic, if that is certain.
    pub fn fixed_table(&self, topic: &str) -> Option<Arc<str>> {
        match self.bound_to(topic).as_slice() {
            [table] => Some(table.clone()),
            [] if self.template.is_by_topic() => {
                let mut text = String::new();
                self.by_topic(topic, &mut text);
                let name = clean(&text).ok()?;
                (self.reserved.as_deref() != Some(name.as_str())).then(|| name.into())
            }
            _ => None,
        }
    }

    /// The one table that takes every record of every topic, if the configuration says so.
    pub fn only_table(&self) -> Option<Arc<str>> {
        match self.bound.as_slice() {
            [(table, None)] => Some(table.clone()),
            _ => None,
        }
    }

    /// Where a record that names `table` itself goes, if that does not depend on its fields.
    pub fn table_named(&self, table: &str) -> Option<Arc<str>> {
        match self.bound_to("").as_slice() {
            [bound] => return Some(bound.clone()),
            [] => {}
            _ => return None,
        }
        let mut text = String::new();
        for part in &self.template.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Table => text.push_str(table),
                Part::Topic | Part::Field(_) => return None,
            }
        }
        clean(&text).ok().map(Into::into)
    }

    /// The tables that take every record of the topic by configuration; empty where the template decides.
    pub fn bound_to(&self, topic: &str) -> Vec<Arc<str>> {
        self.bound
            .iter()
            .filter(|(_, topics)| topics.as_ref().is_none_or(|t| t.iter().any(|t| t == topic)))
            .map(|(table, _)| table.clone())
            .collect()
    }

    /// No work per record where the topic decides. Elsewhere one pass over each event, up to the
    /// template's fields.
    pub fn route(&mut self, raw: &RawBatch) -> Routed {
        let bound = self.bound_to(&raw.partition.topic);
        if !bound.is_empty() {
            return Routed {
                tables: bound.into_iter().map(|table| (table, None)).collect(),
                ..Routed::default()
            };
        }
        if self.template.is_by_topic() {
            let mut text = String::new();
            self.by_topic(&raw.partition.topic, &mut text);
            return match self.name(&text) {
                Ok(table) => Routed {
                    tables: vec![(table, None)],
                    ..Routed::default()
                },
                Err(reason) => nowhere(raw, &reason),
            };
        }
        self.by_record(raw)
    }

    fn by_topic(&self, topic: &str, out: &mut String) {
        for part in &self.template.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Topic => out.push_str(topic),
                Part::Table | Part::Field(_) => {}
            }
        }
    }

    /// The whole batch's table where the template takes no field and all records name the same one.
    fn one_table(&mut self, raw: &RawBatch) -> Option<Routed> {
        let first = raw.records.first()?;
        if !raw.records.iter().all(|record| record.table == first.table) {
            return None;
        }
        let mut text = String::new();
        self.render(raw, first, &mut text).ok()?;
        let table = self.name(&text).ok()?;
        Some(Routed {
            tables: vec![(table, None)],
            ..Routed::default()
        })
    }

    fn by_record(&mut self, raw: &RawBatch) -> Routed {
        let by_field = !self.template.fields.is_empty();
        if !by_field && let Some(one) = self.one_table(raw) {
            return one;
        }
        let mut routed = Routed::default();
        let mut slots: HashMap<Arc<str>, usize> = HashMap::new();
        let mut chosen: Vec<(Arc<str>, Vec<u32>)> = Vec::new();
        // Texts met in this batch and where they led, the latest last: few tables make most batches.
        let mut met: Vec<(String, usize)> = Vec::new();
        let mut text = String::new();
        for (index, record) in (0u32..).zip(&raw.records) {
            text.clear();
            let rendered = match &record.kind {
                RecordKind::Tombstone if by_field => {
                    routed.skipped.push(index);
                    continue;
                }
                // It cannot be read for its fields, but may say itself where it was meant for.
                RecordKind::Rejected(reason) if by_field => match named(raw, record) {
                    Some(table) => {
                        text.push_str(table);
                        Ok(())
                    }
                    None => Err(reason.clone()),
                },
                _ => self.render(raw, record, &mut text),
            };
            let slot = rendered.and_then(|()| {
                if let Some((_, slot)) = met.iter().rev().find(|(known, _)| *known == text) {
                    return Ok(*slot);
                }
                let table = self.name(&text)?;
                let slot = *slots.entry(table.clone()).or_insert_with(|| {
                    chosen.push((table, Vec::new()));
                    chosen.len() - 1
                });
                if met.len() == MAX_MET {
                    met.clear();
                }
                met.push((text.clone(), slot));
                Ok(slot)
            });
            match slot {
                Ok(slot) => {
                    if let Some((_, indexes)) = chosen.get_mut(slot) {
                        indexes.push(index);
                    }
                }
                Err(reason) => routed.unroutable.push((index, reason)),
            }
        }
        routed.tables = chosen
            .into_iter()
            .map(|(table, indexes)| {
                let all = indexes.len() == raw.records.len();
                (table, (!all).then_some(indexes))
            })
            .collect();
        routed
    }

    /// The template's text for one record.
    fn render(
        &mut self,
        raw: &RawBatch,
        record: &RecordSpan,
        out: &mut String,
    ) -> Result<(), RejectReason> {
        let fields = &self.template.fields;
        if !fields.is_empty() {
            let path = |i: usize| fields.get(i).map(|p| p.join(".")).unwrap_or_default();
            let span = record.value.start as usize..record.value.end as usize;
            let found = self.finder.find(&raw.slab, span, fields);
            found.map_err(|missing| match missing {
                Missing::Absent(i) => unroutable(format!(
                    "the field that names the table is missing or null field=`{}`",
                    path(i)
                )),
                Missing::NotScalar(i) => unroutable(format!(
                    "the field that names the table is an object or array field=`{}`",
                    path(i)
                )),
                Missing::Malformed(e) => RejectReason {
                    code: "malformed",
                    detail: e.into(),
                },
            })?;
        }
        for part in &self.template.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Topic => out.push_str(&raw.partition.topic),
                Part::Table => match named(raw, record) {
                    Some(table) => out.push_str(table),
                    None => return Err(unroutable("the record names no table".to_owned())),
                },
                Part::Field(field) => match self.finder.found.get(*field) {
                    Some(Slot::Text(value)) if !value.is_empty() => out.push_str(value),
                    _ => {
                        let path = fields.get(*field).map(|p| p.join(".")).unwrap_or_default();
                        return Err(unroutable(format!(
                            "the field that names the table is empty field=`{path}`"
                        )));
                    }
                },
            }
        }
        Ok(())
    }

    /// The table of a rendered text, if it makes a name and there is room for one more.
    fn name(&mut self, text: &str) -> Result<Arc<str>, RejectReason> {
        if let Some(table) = self.cleaned.get(text) {
            return Ok(table.clone());
        }
        // A character takes at most four bytes, so a longer text makes too long a name whatever it is.
        let name = match text.len() > 4 * MAX_NAME_BYTES {
            true => Err("the name is longer than 128 bytes"),
            false => clean(text),
        };
        let name = name.map_err(|problem| {
            let shown: String = text.chars().take(40).collect();
            unroutable(format!(
                "no table can have this name; {problem} name=`{shown}`"
            ))
        })?;
        if self.reserved.as_deref() == Some(name.as_str()) {
            return Err(unroutable(format!(
                "the dead-letter table takes no events; rename one of the two, see dead_letters.table table=`{name}`"
            )));
        }
        let table: Arc<str> = match self.known.get(name.as_str()) {
            Some(table) => table.clone(),
            None if self.known.len() >= self.max_tables => {
                return Err(unroutable(format!(
                    "one table more than the limit; raise lake.max_tables table=`{name}` limit=`{}`",
                    self.max_tables
                )));
            }
            None => {
                let table: Arc<str> = name.into();
                self.known.insert(table.clone());
                table
            }
        };
        // Many texts may clean to one name, so the cache has a limit of its own.
        if self.cleaned.len() >= 4 * self.max_tables + 1_024 {
            self.cleaned.clear();
        }
        self.cleaned.insert(text.to_owned(), table.clone());
        Ok(table)
    }
}

fn named<'a>(raw: &'a RawBatch, record: &RecordSpan) -> Option<&'a str> {
    raw.tables.get(record.table as usize).map(|table| &**table)
}

/// The whole batch has no table.
fn nowhere(raw: &RawBatch, reason: &RejectReason) -> Routed {
    let mut routed = Routed::default();
    for (index, record) in (0u32..).zip(&raw.records) {
        match &record.kind {
            RecordKind::Tombstone => routed.skipped.push(index),
            RecordKind::Event => routed.unroutable.push((index, reason.clone())),
            RecordKind::Rejected(own) => routed.unroutable.push((index, own.clone())),
        }
    }
    routed
}

fn unroutable(detail: String) -> RejectReason {
    RejectReason {
        code: "unroutable",
        detail: detail.into(),
    }
}
