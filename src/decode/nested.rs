//! Structs, lists and maps under construction.

use super::{
    DecodeError,
    column::{Column, ColumnRules},
    infer,
    json::{Json, NodeKind},
    path::{Path, Step},
    row::{Row, last_of_each},
};
use crate::schema::{names, sibling_name};
use arrow::{
    array::{ArrayRef, ListArray, MapArray, NullBufferBuilder, StringBuilder, StructArray},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, FieldRef, Fields},
};
use std::{collections::HashMap, sync::Arc};

/// No value.
const NONE: u32 = u32::MAX;

/// One field of a struct and the column it feeds.
struct FieldColumn {
    /// Its name in events.
    event: Arc<str>,
    name: String,
    data_type: DataType,
    column: Column,
    /// Whether it is another field's sibling.
    sibling: bool,
}

/// The fields of one level: matches an object's keys to columns.
pub(super) struct FieldColumns {
    fields: Vec<FieldColumn>,
    by_event: HashMap<Arc<str>, usize>,
    by_name: HashMap<String, usize>,
    /// Siblings last, so that they are free when their field's value does not fit.
    order: Vec<usize>,
    /// For each field the value it gets, and the field whose value it is.
    slots: Vec<(u32, usize)>,
    unknown: Vec<(u32, u32)>,
}

impl FieldColumns {
    pub(super) fn new(fields: impl Iterator<Item = (FieldRef, ColumnRules)>) -> Self {
        let mut fields: Vec<FieldColumn> = fields
            .map(|(field, rules)| FieldColumn {
                event: Arc::from(names::event_field(&field)),
                name: field.name().clone(),
                data_type: field.data_type().clone(),
                column: Column::new(field.data_type(), rules),
                sibling: false,
            })
            .collect();
        let by_name: HashMap<String, usize> = fields
            .iter()
            .enumerate()
            .map(|(i, field)| (field.name.clone(), i))
            .collect();
        for i in 0..fields.len() {
            fields[i].sibling =
                crate::schema::is_sibling_name(&fields[i].name, |base| by_name.contains_key(base));
        }
        let mut by_event = HashMap::new();
        for (i, field) in fields.iter().enumerate() {
            // The first of two columns that claim one field gets it.
            by_event.entry(field.event.clone()).or_insert(i);
        }
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_by_key(|&i| fields[i].sibling);
        Self {
            slots: vec![(NONE, 0); fields.len()],
            fields,
            by_event,
            by_name,
            order,
            unknown: Vec::new(),
        }
    }

    /// The array of one column, which starts anew.
    pub(super) fn finish(&mut self, i: usize) -> Result<ArrayRef, DecodeError> {
        self.fields[i].column.finish()
    }

    /// Appends one value to each column from the members of an object.
    pub(super) fn append(
        &mut self,
        json: Json<'_>,
        at: u32,
        path: Option<&Path<'_>>,
        row: &mut Row,
    ) {
        self.assign(json, at);
        if !self.unknown.is_empty() {
            last_of_each(json, &mut self.unknown);
            for &(key, value) in &self.unknown {
                if let Some(name) = json.string(key) {
                    row.unknown(json, value, path, &name);
                }
            }
        }
        for o in 0..self.order.len() {
            let i = self.order[o];
            let (value, origin) = self.slots[i];
            if value == NONE {
                self.fields[i].column.append_null();
                continue;
            }
            // What a sibling holds is named as in the event, by its field.
            let renamed = (origin != i).then(|| Arc::clone(&self.fields[origin].event));
            let field = &mut self.fields[i];
            let here = Path {
                parent: path,
                step: Step::Field {
                    event: renamed.as_deref().unwrap_or(&field.event),
                    column: &field.name,
                },
            };
            if field.column.append(json, value, Some(&here), row) {
                continue;
            }
            field.column.append_null();
            self.misfit(json, value, i, origin, path, row);
        }
    }

    /// Finds each field's value: the last, where a key is doubled.
    fn assign(&mut self, json: Json<'_>, at: u32) {
        for (i, slot) in self.slots.iter_mut().enumerate() {
            *slot = (NONE, i);
        }
        self.unknown.clear();
        let mut expected = 0;
        for (key, value) in json.members(at) {
            let Some(name) = json.string(key) else {
                continue;
            };
            let found = match self.fields.get(expected) {
                Some(field) if *field.event == *name => Some(expected),
                _ => self.by_event.get(name.as_ref()).copied(),
            };
            match found {
                Some(i) => {
                    self.slots[i].0 = value;
                    expected = i + 1;
                }
                None => self.unknown.push((key, value)),
            }
        }
    }

    /// Puts a value that does not fit field `i` into its sibling, or hands it to `row`.
    fn misfit(
        &mut self,
        json: Json<'_>,
        value: u32,
        i: usize,
        origin: usize,
        path: Option<&Path<'_>>,
        row: &mut Row,
    ) {
        let mut has_sibling = self.fields[i].sibling;
        if !has_sibling
            && let Some(name) = sibling_name(&self.fields[i].name, infer::kind(json, value))
            && let Some(&sibling) = self.by_name.get(&name)
        {
            has_sibling = true;
            if self.slots[sibling].0 == NONE {
                self.slots[sibling] = (value, i);
                return;
            }
        }
        let here = Path {
            parent: path,
            step: Step::Field {
                // A value that not even the sibling takes is kept under its own name.
                event: &self.fields[origin].event,
                column: &self.fields[i].name,
            },
        };
        row.conflict(json, value, &here, &self.fields[i].data_type, has_sibling);
    }

    pub(super) fn append_null(&mut self) {
        for field in &mut self.fields {
            field.column.append_null();
        }
    }
}

pub(super) struct StructColumn {
    fields: Fields,
    columns: FieldColumns,
    validity: NullBufferBuilder,
}

impl StructColumn {
    pub(super) fn new(fields: Fields, rules: ColumnRules) -> Self {
        let rules = rules.within();
        Self {
            columns: FieldColumns::new(fields.iter().map(|field| (field.clone(), rules))),
            fields,
            validity: NullBufferBuilder::new(0),
        }
    }

    pub(super) fn append(
        &mut self,
        json: Json<'_>,
        at: u32,
        path: Option<&Path<'_>>,
        row: &mut Row,
    ) -> bool {
        if json.kind(at) != NodeKind::Object {
            return false;
        }
        self.columns.append(json, at, path, row);
        self.validity.append_non_null();
        true
    }

    pub(super) fn append_null(&mut self) {
        self.columns.append_null();
        self.validity.append_null();
    }

    pub(super) fn finish(&mut self) -> Result<StructArray, DecodeError> {
        let arrays: Result<Vec<_>, _> = self
            .columns
            .fields
            .iter_mut()
            .map(|field| field.column.finish())
            .collect();
        Ok(StructArray::try_new(
            self.fields.clone(),
            arrays?,
            self.validity.finish(),
        )?)
    }
}

/// Ends of lists in their elements, beginning with 0.
struct Offsets(Vec<i32>);

impl Offsets {
    fn new() -> Self {
        Self(vec![0])
    }

    /// Ends a list of so many more elements. A batch is far smaller than `i32::MAX` bytes, and an
    /// element takes one at least.
    fn push(&mut self, elements: usize) {
        let last = self.0.last().copied().unwrap_or(0);
        let more = i32::try_from(elements).unwrap_or(0);
        self.0.push(last.saturating_add(more));
    }

    fn finish(&mut self) -> OffsetBuffer<i32> {
        let offsets = std::mem::replace(&mut self.0, vec![0]);
        OffsetBuffer::new(ScalarBuffer::from(offsets))
    }
}

pub(super) struct ListColumn {
    element: FieldRef,
    column: Column,
    offsets: Offsets,
    validity: NullBufferBuilder,
}

impl ListColumn {
    pub(super) fn new(element: FieldRef, rules: ColumnRules) -> Self {
        let rules = rules.within();
        Self {
            column: Column::new(element.data_type(), rules),
            element,
            offsets: Offsets::new(),
            validity: NullBufferBuilder::new(0),
        }
    }

    /// Whether every element fits: a list is taken whole or not at all.
    pub(super) fn fits(&self, json: Json<'_>, at: u32) -> bool {
        json.kind(at) == NodeKind::Array
            && json.elements(at).all(|element| {
                self.column.fits(json, element)
                    && (self.element.is_nullable() || !json.is_null(element))
            })
    }

    pub(super) fn append(
        &mut self,
        json: Json<'_>,
        at: u32,
        path: Option<&Path<'_>>,
        row: &mut Row,
    ) -> bool {
        if !self.fits(json, at) {
            return false;
        }
        let mut count = 0;
        for element in json.elements(at) {
            let here = Path {
                parent: path,
                step: Step::Index(count),
            };
            if !self.column.append(json, element, Some(&here), row) {
                // `fits` and `append` agree; should they ever not, the value is kept all the same.
                self.column.append_null();
                row.rescue(json, element, &here);
            }
            count += 1;
        }
        self.offsets.push(count);
        self.validity.append_non_null();
        true
    }

    pub(super) fn append_null(&mut self) {
        self.offsets.push(0);
        self.validity.append_null();
    }

    pub(super) fn finish(&mut self) -> Result<ListArray, DecodeError> {
        Ok(ListArray::try_new(
            self.element.clone(),
            self.offsets.finish(),
            self.column.finish()?,
            self.validity.finish(),
        )?)
    }
}

pub(super) struct MapColumn {
    entries: FieldRef,
    pair: Fields,
    value: FieldRef,
    sorted: bool,
    keys: StringBuilder,
    values: Column,
    offsets: Offsets,
    validity: NullBufferBuilder,
    members: Vec<(u32, u32)>,
}

impl MapColumn {
    /// `None` for keys other than strings, which JSON has not.
    pub(super) fn new(entries: FieldRef, sorted: bool, rules: ColumnRules) -> Option<Self> {
        let DataType::Struct(pair) = entries.data_type() else {
            return None;
        };
        let pair = pair.clone();
        let [key, value] = pair.as_ref() else {
            return None;
        };
        if *key.data_type() != DataType::Utf8 {
            return None;
        }
        let rules = rules.within();
        Some(Self {
            values: Column::new(value.data_type(), rules),
            value: value.clone(),
            pair,
            entries,
            sorted,
            keys: StringBuilder::new(),
            offsets: Offsets::new(),
            validity: NullBufferBuilder::new(0),
            members: Vec::new(),
        })
    }

    /// Whether every value fits: a map is taken whole or not at all.
    pub(super) fn fits(&self, json: Json<'_>, at: u32) -> bool {
        json.kind(at) == NodeKind::Object
            && json.members(at).all(|(_, value)| {
                self.values.fits(json, value) && (self.value.is_nullable() || !json.is_null(value))
            })
    }

    pub(super) fn append(
        &mut self,
        json: Json<'_>,
        at: u32,
        path: Option<&Path<'_>>,
        row: &mut Row,
    ) -> bool {
        if !self.fits(json, at) {
            return false;
        }
        self.members.clear();
        self.members.extend(json.members(at));
        last_of_each(json, &mut self.members);
        for &(key, value) in &self.members {
            let name = json.string(key).unwrap_or_default();
            let here = Path {
                parent: path,
                step: Step::Key(&name),
            };
            self.keys.append_value(&name);
            if !self.values.append(json, value, Some(&here), row) {
                self.values.append_null();
                row.rescue(json, value, &here);
            }
        }
        self.offsets.push(self.members.len());
        self.validity.append_non_null();
        true
    }

    pub(super) fn append_null(&mut self) {
        self.offsets.push(0);
        self.validity.append_null();
    }

    pub(super) fn finish(&mut self) -> Result<MapArray, DecodeError> {
        let entries = StructArray::try_new(
            self.pair.clone(),
            vec![Arc::new(self.keys.finish()), self.values.finish()?],
            None,
        )?;
        Ok(MapArray::try_new(
            self.entries.clone(),
            self.offsets.finish(),
            entries,
            self.validity.finish(),
            self.sorted,
        )?)
    }
}
