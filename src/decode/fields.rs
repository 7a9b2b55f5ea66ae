//! One level of fields: which member of an object feeds which column, and what becomes of the rest.

use super::{
    DecodeError,
    column::{Column, ColumnRules},
    infer,
    json::Json,
    path::{Path, Step},
    row::{Row, last_of_each},
};
use crate::schema::{names, sibling_name};
use arrow::{
    array::ArrayRef,
    datatypes::{DataType, FieldRef},
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
        for field in &mut fields {
            field.sibling =
                crate::schema::is_sibling_name(&field.name, |base| by_name.contains_key(base));
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

    /// The arrays of all columns, in the fields' order.
    pub(super) fn finish_all(&mut self) -> Result<Vec<ArrayRef>, DecodeError> {
        self.fields
            .iter_mut()
            .map(|field| field.column.finish())
            .collect()
    }

    pub(super) fn append_null(&mut self) {
        for field in &mut self.fields {
            field.column.append_null();
        }
    }
}
