//! Structs, lists and maps under construction.

use super::{
    DecodeError,
    build::{Lists, Texts, Validity},
    column::{Column, ColumnRules},
    fields::FieldColumns,
    json::{Json, NodeKind},
    path::{Path, Place, PlaceStep, Step},
    row::{Row, last_of_each},
};
use crate::json::Pattern;
use arrow::{
    array::{ListArray, MapArray, StructArray},
    datatypes::{DataType, FieldRef, Fields},
};
use std::sync::Arc;

/// Its fields' columns may have fewer rows than it has: what they lack is null.
pub(super) struct StructColumn {
    /// Its field's, in the order in which fields are judged.
    pub(super) rank: u32,
    fields: Fields,
    pub(super) columns: FieldColumns,
    pub(super) rows: usize,
    pub(super) validity: Validity,
}

impl StructColumn {
    pub(super) fn new(fields: Fields, rules: ColumnRules, place: &Place) -> Self {
        let rules = rules.within();
        let columns = fields.iter().map(|field| (field.clone(), rules));
        Self {
            rank: 0,
            columns: FieldColumns::new(columns, place),
            fields,
            rows: 0,
            validity: Validity::default(),
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
        self.columns.append(json, at, path, row, self.rows);
        self.end();
        true
    }

    /// Ends a row that is a struct.
    #[inline(always)]
    pub(super) fn end(&mut self) {
        self.rows += 1;
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        self.validity.null(self.rows);
        self.rows += 1;
    }

    #[inline(never)]
    pub(super) fn pad(&mut self, rows: usize) {
        self.validity.nulls(self.rows..rows);
        self.rows = rows;
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.validity.truncate(rows);
        self.columns.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> Result<StructArray, DecodeError> {
        let rows = std::mem::take(&mut self.rows);
        Ok(StructArray::try_new(
            self.fields.clone(),
            self.columns.finish_all(rows)?,
            self.validity.finish(rows),
        )?)
    }
}

pub(super) struct ListColumn {
    /// Its field's, in the order in which fields are judged.
    pub(super) rank: u32,
    pub(super) element: FieldRef,
    pub(super) column: Column,
    pub(super) lists: Lists,
    /// How many objects and lists stand around its elements.
    pub(super) depth: u32,
}

impl ListColumn {
    pub(super) fn new(element: FieldRef, rules: ColumnRules, place: &Place) -> Self {
        let rules = rules.within();
        let within = place.then(PlaceStep::Element);
        Self {
            rank: 0,
            column: Column::new(element.data_type(), rules, &within),
            element,
            lists: Lists::default(),
            depth: within.depth(),
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
                self.column.pad(self.lists.elements() + count + 1);
                row.rescue(json, element, &here);
            }
            count += 1;
        }
        self.lists.push(self.lists.elements() + count);
        true
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        self.lists.push_null();
    }

    pub(super) fn pad(&mut self, rows: usize) {
        self.lists.pad(rows);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.lists.truncate(rows);
        self.column.truncate(self.lists.elements());
    }

    pub(super) fn finish(&mut self) -> Result<ListArray, DecodeError> {
        let values = self.column.finish(self.lists.elements())?;
        let (offsets, nulls) = self.lists.finish();
        Ok(ListArray::try_new(
            self.element.clone(),
            offsets,
            values,
            nulls,
        )?)
    }
}

pub(super) struct MapColumn {
    /// Its field's, in the order in which fields are judged.
    pub(super) rank: u32,
    entries: FieldRef,
    pair: Fields,
    pub(super) value: FieldRef,
    sorted: bool,
    pub(super) keys: Texts,
    pub(super) values: Column,
    pub(super) lists: Lists,
    /// How many objects and lists stand around its values.
    pub(super) depth: u32,
    members: Vec<(u32, u32)>,
    /// The keys foreseen in the next map, as most events spell them, with quotes and colon: those of one
    /// map or more, from its first on, that differ from each other.
    pub(super) foreseen: Vec<Pattern>,
}

impl MapColumn {
    /// `None` for keys other than strings, which JSON has not.
    pub(super) fn new(
        entries: FieldRef,
        sorted: bool,
        rules: ColumnRules,
        place: &Place,
    ) -> Option<Self> {
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
        let within = place.then(PlaceStep::Value);
        Some(Self {
            rank: 0,
            values: Column::new(value.data_type(), rules, &within),
            value: value.clone(),
            pair,
            entries,
            sorted,
            keys: Texts::default(),
            lists: Lists::default(),
            depth: within.depth(),
            members: Vec::new(),
            foreseen: Vec::new(),
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
            self.keys.push(&name);
            if !self.values.append(json, value, Some(&here), row) {
                self.values.pad(self.keys.len());
                row.rescue(json, value, &here);
            }
        }
        self.lists.push(self.keys.len());
        true
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        self.lists.push_null();
    }

    pub(super) fn pad(&mut self, rows: usize) {
        self.lists.pad(rows);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.lists.truncate(rows);
        self.keys.truncate(self.lists.elements());
        self.values.truncate(self.lists.elements());
    }

    pub(super) fn finish(&mut self) -> Result<MapArray, DecodeError> {
        let values = self.values.finish(self.lists.elements())?;
        let entries = StructArray::try_new(
            self.pair.clone(),
            vec![Arc::new(self.keys.finish()?), values],
            None,
        )?;
        let (offsets, nulls) = self.lists.finish();
        Ok(MapArray::try_new(
            self.entries.clone(),
            offsets,
            entries,
            nulls,
            self.sorted,
        )?)
    }
}
