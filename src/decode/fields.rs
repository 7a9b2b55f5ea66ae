//! One level of fields: which member of an object feeds which column, and what becomes of the rest.

use super::{
    DecodeError,
    column::{Column, ColumnRules},
    infer,
    json::Json,
    keys::{Keys, Target},
    leftovers::{KINDS, Leftovers, NONE},
    path::{Path, Place, Step},
    row::{Row, last_of_each},
};
use crate::{
    json::{BLOCK, Pattern},
    schema::{names, sibling_name},
};
use arrow::{array::ArrayRef, datatypes::FieldRef};
use std::{collections::HashMap, sync::Arc};

/// One field of a struct and the column it feeds.
pub(super) struct FieldColumn {
    /// The key as most events spell it: the comma before it, the quotes and the colon included. Nothing
    /// agrees with it where that is longer than a block, needs escapes or is another field's too, or
    /// where the value is watched.
    pub(super) pattern: Pattern,
    /// The field that followed this one last.
    pub(super) next: u32,
    /// Its place in the order in which fields are judged, from 1.
    pub(super) rank: u32,
    /// What wants a copy of the value, by [`Leftovers::watched`].
    pub(super) watch: u32,
    pub(super) column: Column,
    /// Where its own values are left over, and where those of another field whose sibling it is.
    spots: [u32; 2],
    /// Its siblings by the kind of what they take.
    siblings: [u32; KINDS.len()],
    /// Its name in events.
    event: Arc<str>,
    /// Its name and type in the table.
    column_field: FieldRef,
    /// Whether the event's field of its name is its own: the first of two that claim one has it.
    claims: bool,
    /// Whether it does, and the name stands in events as it is.
    plain: bool,
    /// Whether it is another field's sibling.
    pub(super) sibling: bool,
}

/// Fields are found by their index: a shift.
const _: () = assert!(size_of::<FieldColumn>() <= 256);

impl FieldColumn {
    /// The length of the key with all around it where the text goes on with it behind one byte; for
    /// those that have no pattern, unless they need escapes.
    pub(super) fn spelled(&self, text: &[u8]) -> Option<usize> {
        let quoted = text.get(1..)?.strip_prefix(b"\"")?;
        let rest = quoted.strip_prefix(self.event.as_bytes())?;
        (self.plain && rest.starts_with(b"\":")).then_some(self.event.len() + 4)
    }

    /// The sibling that takes values of this kind.
    pub(super) fn sibling_for(&self, kind: crate::schema::Kind) -> Option<usize> {
        let sibling = *self.siblings.get(kind as usize)?;
        (sibling != NONE).then_some(sibling as usize)
    }
}

/// The fields of one level: matches an object's keys to columns. Columns may have fewer rows than the
/// level: what they lack is null.
pub(super) struct FieldColumns {
    pub(super) fields: Vec<FieldColumn>,
    pub(super) keys: Keys,
    /// The field that came first last.
    pub(super) first: u32,
    /// How many objects and lists stand around the fields' values.
    pub(super) depth: u32,
    /// Whether copies are wanted of what stands here: the top level alone.
    pub(super) watches: Vec<(String, u32)>,
    place: Place,
    by_event: HashMap<Arc<str>, usize>,
    by_name: HashMap<String, usize>,
    /// Siblings last, so that they are free when their field's value does not fit.
    order: Vec<usize>,
    /// For each field the value it gets, and the field whose value it is.
    slots: Vec<(u32, usize)>,
    unknown: Vec<(u32, u32)>,
}

/// Whether the name stands in an event as it is.
fn is_plain(name: &str) -> bool {
    !name
        .bytes()
        .any(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
}

impl FieldColumns {
    /// Those of the objects at `place`.
    pub(super) fn new(
        fields: impl Iterator<Item = (FieldRef, ColumnRules)>,
        place: &Place,
    ) -> Self {
        let mut fields: Vec<FieldColumn> = fields
            .map(|(field, rules)| {
                let event = names::event_field(&field);
                let within = place.field(event, field.name());
                FieldColumn {
                    pattern: Pattern::never(),
                    next: NONE,
                    rank: 0,
                    watch: NONE,
                    column: Column::new(field.data_type(), rules, &within),
                    spots: [NONE; 2],
                    siblings: [NONE; KINDS.len()],
                    event: Arc::from(event),
                    column_field: field,
                    claims: false,
                    plain: false,
                    sibling: false,
                }
            })
            .collect();
        let by_name: HashMap<String, usize> = fields
            .iter()
            .enumerate()
            .map(|(i, field)| (field.column_field.name().clone(), i))
            .collect();
        let (mut by_event, mut keys) = (HashMap::new(), Keys::default());
        let (mut first, mut previous) = (NONE, NONE);
        for i in 0..fields.len() {
            let event = fields[i].event.clone();
            // The first of two columns that claim one field gets it.
            if !by_event.contains_key(&event) {
                by_event.insert(event.clone(), i);
                fields[i].claims = true;
                keys.insert(event.as_bytes(), Target::Field(i as u32));
                if is_plain(&event) {
                    fields[i].plain = true;
                    let spelled = format!(",\"{event}\":");
                    if spelled.len() <= BLOCK {
                        fields[i].pattern = Pattern::new(spelled.as_bytes());
                    }
                    match fields.get_mut(previous as usize) {
                        Some(previous) => previous.next = i as u32,
                        None => first = i as u32,
                    }
                    previous = i as u32;
                }
            }
            let name = fields[i].column_field.name().clone();
            fields[i].sibling =
                crate::schema::is_sibling_name(&name, |base| by_name.contains_key(base));
            for kind in KINDS {
                if let Some(&sibling) = sibling_name(&name, kind).and_then(|n| by_name.get(&n)) {
                    fields[i].siblings[kind as usize] = sibling as u32;
                }
            }
        }
        keys.learn_guesses();
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_by_key(|&i| fields[i].sibling);
        for (rank, &i) in order.iter().enumerate() {
            fields[i].rank = rank as u32 + 1;
            fields[i].column.set_rank(rank as u32 + 1);
        }
        Self {
            slots: vec![(NONE, 0); fields.len()],
            fields,
            keys,
            first,
            depth: place.depth() + 1,
            watches: Vec::new(),
            place: place.clone(),
            by_event,
            by_name,
            order,
            unknown: Vec::new(),
        }
    }

    /// Wants the values of a name; returns the index in [`Leftovers::watched`].
    pub(super) fn watch(&mut self, name: &str) -> u32 {
        if let Some((_, watch)) = self.watches.iter().find(|(watched, _)| watched == name) {
            return *watch;
        }
        let watch = self.watches.len() as u32;
        self.watches.push((name.to_string(), watch));
        if let Some(&i) = self.by_event.get(name) {
            self.fields[i].watch = watch;
            self.fields[i].pattern = Pattern::never();
        }
        watch
    }

    /// The spot of an unknown field, new to this level. `None` where there are too many, and for names
    /// longer than a column's can be, which are not worth remembering.
    #[cold]
    pub(super) fn unknown_spot(&mut self, name: &[u8], left: &mut Leftovers) -> Option<u32> {
        if name.len() > names::MAX_NAME_BYTES {
            return None;
        }
        let text = str::from_utf8(name).ok()?;
        let watch = self.watches.iter().find(|(watched, _)| watched == text);
        let watch = watch.map_or(NONE, |(_, watch)| *watch);
        let spot = left.spot(self.place.field(text, text), true, watch)?;
        self.keys.insert(name, Target::Spot(spot));
        Some(spot)
    }

    /// The spot of values of field `origin` that the column of field `i` does not take.
    pub(super) fn conflict_spot(
        &mut self,
        i: usize,
        origin: usize,
        left: &mut Leftovers,
    ) -> Option<u32> {
        let event = self.fields.get(origin)?.event.clone();
        let field = self.fields.get_mut(i)?;
        let spot = field.spots.get_mut(usize::from(i != origin))?;
        if *spot == NONE {
            *spot = left.spot(
                self.place.field(&event, field.column_field.name()),
                false,
                NONE,
            )?;
        }
        Some(*spot)
    }

    /// Forgets all spots, here and below.
    pub(super) fn forget_spots(&mut self) {
        self.keys.forget_spots();
        for field in &mut self.fields {
            field.spots = [NONE; 2];
            field.column.forget_spots();
        }
    }

    /// The array of one column, which starts anew.
    pub(super) fn finish(&mut self, i: usize, rows: usize) -> Result<ArrayRef, DecodeError> {
        self.fields[i].column.finish(rows)
    }

    /// Takes back the rows from this one on.
    pub(super) fn truncate(&mut self, rows: usize) {
        for field in &mut self.fields {
            field.column.truncate(rows);
        }
    }

    /// Makes row `at_row` of all columns from the members of an object. The reference for what the
    /// fast pass ([`super::fast`]) makes, and the way of events that it gives up on.
    pub(super) fn append(
        &mut self,
        json: Json<'_>,
        at: u32,
        path: Option<&Path<'_>>,
        row: &mut Row,
        at_row: usize,
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
                continue;
            }
            // What a sibling holds is named as in the event, by its field.
            let renamed = (origin != i).then(|| Arc::clone(&self.fields[origin].event));
            let field = &mut self.fields[i];
            let here = Path {
                parent: path,
                step: Step::Field {
                    event: renamed.as_deref().unwrap_or(&field.event),
                    column: field.column_field.name(),
                },
            };
            field.column.pad(at_row);
            if field.column.append(json, value, Some(&here), row) {
                continue;
            }
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
                Some(field) if field.claims && *field.event == *name => Some(expected),
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
            && let Some(name) =
                sibling_name(self.fields[i].column_field.name(), infer::kind(json, value))
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
                column: self.fields[i].column_field.name(),
            },
        };
        row.conflict(
            json,
            value,
            &here,
            self.fields[i].column_field.data_type(),
            has_sibling,
        );
    }

    /// The arrays of all columns, in the fields' order.
    pub(super) fn finish_all(&mut self, rows: usize) -> Result<Vec<ArrayRef>, DecodeError> {
        self.fields
            .iter_mut()
            .map(|field| field.column.finish(rows))
            .collect()
    }
}
