//! One object: keys predicted, looked up where the prediction fails.

use super::{Pass, skip, value};
use crate::{
    decode::{
        column::Column,
        fields::FieldColumns,
        infer,
        keys::Target,
        leftovers::{NONE, Pending},
    },
    json::{Cursor, MAX_DEPTH, Simd, Stop, Task, skip_string, spaces},
};

/// Reads an object, which begins here, into row `at_row` of its fields' columns; returns where it ends.
#[inline(always)]
pub(super) fn object<'a, S: Simd>(
    simd: S,
    columns: &mut FieldColumns,
    at_row: usize,
    pass: &mut Pass<'a, '_>,
    cursor: Cursor<'a>,
) -> Result<Cursor<'a>, Stop> {
    simd.enter(Object {
        columns,
        at_row,
        pass,
        cursor,
    })
}

struct Object<'t, 'a, 'r> {
    columns: &'t mut FieldColumns,
    at_row: usize,
    pass: &'t mut Pass<'a, 'r>,
    cursor: Cursor<'a>,
}

impl<'a> Task for Object<'_, 'a, '_> {
    type Out = Result<Cursor<'a>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Object {
            columns,
            at_row,
            pass,
            mut cursor,
        } = self;
        let depth = columns.depth;
        if depth > MAX_DEPTH {
            return Err(Stop);
        }
        let place = pass.at(cursor);
        cursor.advance(1)?;
        spaces(simd, &mut cursor)?;
        if cursor.byte() == b'}' {
            cursor.advance(1)?;
            return Ok(cursor);
        }
        let entries = pass.row.left.entries.len();
        let pending = pass.row.left.pending.len();
        let mut guess = columns.first;
        let mut previous = NONE;
        loop {
            let predicted = match columns.fields.get(guess as usize) {
                Some(field) => {
                    simd.begins(cursor.bytes(), &field.pattern)
                        && (!field.is_long() || field.goes_on(cursor))
                }
                None => false,
            };
            let target = match predicted {
                true => {
                    let length = columns
                        .fields
                        .get(guess as usize)
                        .map_or(0, |f| f.key_length);
                    cursor.advance(length as usize)?;
                    Target::Field(guess)
                }
                false => key(simd, columns, pass, &mut cursor)?,
            };
            spaces(simd, &mut cursor)?;
            let start = cursor;
            match target {
                Target::Field(i) => {
                    if !predicted {
                        match columns.fields.get_mut(previous as usize) {
                            Some(previous) => previous.next = i,
                            None => columns.first = i,
                        }
                    }
                    let field = columns.fields.get_mut(i as usize).ok_or(Stop)?;
                    if !value(simd, &mut field.column, at_row, depth, pass, &mut cursor)? {
                        if pass.rejecting {
                            return Err(Stop);
                        }
                        let kind;
                        (cursor, kind) = skip(simd, cursor, depth)?;
                        field.column.pad(at_row + 1);
                        pass.row.left.pending.push(Pending {
                            field: i,
                            start: pass.at(start),
                            end: pass.at(cursor),
                            kind,
                        });
                    }
                    if field.watch != NONE {
                        watched(pass, field.watch, start, cursor);
                    }
                    previous = i;
                    guess = field.next;
                }
                Target::Spot(spot) => {
                    let kind;
                    (cursor, kind) = skip(simd, cursor, depth)?;
                    let watch = pass.row.left.first_in(spot, place).ok_or(Stop)?;
                    if watch != NONE {
                        watched(pass, watch, start, cursor);
                    }
                    let span = (pass.at(start), pass.at(cursor));
                    pass.row.left.push_unknown(spot, span, kind);
                }
            }
            if *cursor.bytes() == *b",\"" {
                cursor.advance(1)?;
                continue;
            }
            spaces(simd, &mut cursor)?;
            match cursor.byte() {
                b',' => {
                    cursor.advance(1)?;
                    spaces(simd, &mut cursor)?;
                }
                b'}' => {
                    cursor.advance(1)?;
                    break;
                }
                _ => return Err(Stop),
            }
        }
        let left = &pass.row.left;
        if left.pending.len() > pending || left.entries.len() > entries {
            settle(columns, at_row, pass, pending, entries)?;
        }
        Ok(cursor)
    }
}

/// Passes a key that was not predicted, and its colon.
#[inline(always)]
fn key<'a, S: Simd>(
    simd: S,
    columns: &mut FieldColumns,
    pass: &mut Pass<'a, '_>,
    cursor: &mut Cursor<'a>,
) -> Result<Target, Stop> {
    if cursor.byte() != b'"' {
        return Err(Stop);
    }
    let start = *cursor;
    let escaped = skip_string(simd, cursor)?;
    let quoted = cursor.since(start);
    spaces(simd, cursor)?;
    if cursor.byte() != b':' {
        return Err(Stop);
    }
    cursor.advance(1)?;
    if escaped {
        return escaped_key(columns, pass, quoted);
    }
    let name = quoted.get(1..quoted.len().saturating_sub(1)).ok_or(Stop)?;
    match columns.keys.find(name) {
        Some(target) => Ok(target),
        None => new_key(columns, pass, name),
    }
}

#[inline(never)]
fn escaped_key(
    columns: &mut FieldColumns,
    pass: &mut Pass<'_, '_>,
    quoted: &[u8],
) -> Result<Target, Stop> {
    let name: String = serde_json::from_slice(quoted).map_err(|_| Stop)?;
    match columns.keys.find(name.as_bytes()) {
        Some(target) => Ok(target),
        None => new_key(columns, pass, name.as_bytes()),
    }
}

/// A name that this level has not met.
#[inline(never)]
fn new_key(
    columns: &mut FieldColumns,
    pass: &mut Pass<'_, '_>,
    name: &[u8],
) -> Result<Target, Stop> {
    let spot = columns.unknown_spot(name, &mut pass.row.left);
    Ok(Target::Spot(spot.ok_or(Stop)?))
}

#[cold]
fn watched<'a>(pass: &mut Pass<'a, '_>, watch: u32, start: Cursor<'a>, end: Cursor<'a>) {
    let span = (pass.at(start), pass.at(end));
    if let Some(watched) = pass.row.left.watched.get_mut(watch as usize) {
        *watched = Some(span);
    }
}

/// Ends an object in which something was left over: values that did not fit go to their siblings
/// where the event has none of its own for them, and entries get the reference pass's order.
#[inline(never)]
fn settle(
    columns: &mut FieldColumns,
    at_row: usize,
    pass: &mut Pass<'_, '_>,
    pending: usize,
    entries: usize,
) -> Result<(), Stop> {
    let event = pass.start.rest();
    while pass.row.left.pending.len() > pending {
        let Some(Pending {
            field,
            start,
            end,
            kind,
        }) = pass.row.left.pending.pop()
        else {
            break;
        };
        let origin = field as usize;
        let span = event.get(start as usize..end as usize);
        let text = span
            .and_then(|text| str::from_utf8(text).ok())
            .ok_or(Stop)?;
        let misfit = columns.fields.get(origin).ok_or(Stop)?;
        let sibling = match misfit.sibling {
            true => None,
            false => misfit.sibling_for(infer::kind_of(kind, text)),
        };
        let mut at = origin;
        if let Some(sibling) = sibling {
            let column = &mut columns.fields.get_mut(sibling).ok_or(Stop)?.column;
            if column.len() <= at_row {
                if adopted(column, text, at_row, pass.row)? {
                    continue;
                }
                column.pad(at_row + 1);
                at = sibling;
            }
        }
        let left = &mut pass.row.left;
        let spot = columns.conflict_spot(at, origin, left).ok_or(Stop)?;
        let rank = columns.fields.get(at).map_or(0, |field| field.rank);
        left.push_conflict(spot, rank, (start, end), kind);
    }
    if let Some(entries) = pass.row.left.entries.get_mut(entries..) {
        entries.sort_by_key(|entry| entry.rank);
    }
    Ok(())
}

/// Whether a sibling takes the value. What is inside of objects and lists has another place than the
/// sibling's own: the reference pass knows it.
fn adopted(
    column: &mut Column,
    text: &str,
    at_row: usize,
    row: &mut crate::decode::row::Row,
) -> Result<bool, Stop> {
    if matches!(column, Column::Struct(_) | Column::List(_) | Column::Map(_)) {
        return Err(Stop);
    }
    column.pad(at_row);
    let mut parser = std::mem::take(&mut row.left.parser);
    let taken = match parser.parse_in(text.as_bytes(), 0..text.len()) {
        Ok(json) => Ok(column.append(json, 0, None, row)),
        Err(_) => Err(Stop),
    };
    row.left.parser = parser;
    taken
}
