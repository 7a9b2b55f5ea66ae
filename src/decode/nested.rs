//! Structs, lists and maps under construction.

use super::{
    DecodeError,
    column::{Column, ColumnRules},
    fields::FieldColumns,
    json::{Json, NodeKind},
    path::{Path, Step},
    row::{Row, last_of_each},
};
use arrow::{
    array::{ListArray, MapArray, NullBufferBuilder, StringBuilder, StructArray},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, FieldRef, Fields},
};
use std::sync::Arc;

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
        Ok(StructArray::try_new(
            self.fields.clone(),
            self.columns.finish_all()?,
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
