//! One object: keys predicted, looked up where the prediction fails.

use super::{Pass, skip, value};
use crate::{
    decode::{
        column::Column,
        fields::FieldColumns,
        infer,
        keys::{HEAD, Target},
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
        let open = cursor;
        if cursor.ahead::<1, 1>() != b"\"" {
            let mut inside = cursor;
            inside.advance(1)?;
            spaces(simd, &mut inside)?;
            if inside.byte() == b'}' {
                inside.advance(1)?;
                return Ok(inside);
            }
        }
        let entries = pass.row.left.entries.len();
        let pending = pass.row.left.pending.len();
        let mut guess = columns.first;
        let mut previous = NONE;
        // The cursor is at the byte before a key, a comma where the key is predicted. 1: that byte has
        // been judged, as the brace or a space behind the comma.
        let mut judged = 1;
        loop {
            let (field, i) = match columns.fields.get_mut(guess as usize) {
                Some(field)
                    if simd.begins(cursor.bytes(), &field.pattern, judged)
                        && (!field.is_long() || field.goes_on(cursor)) =>
                {
                    cursor.advance(field.key_length as usize)?;
                    (field, guess)
                }
                _ => {
                    if judged == 0 {
                        spaces(simd, &mut cursor)?;
                        match *cursor.bytes() {
                            [b',', b' ', b'"'] => {
                                cursor.advance(1)?;
                                judged = 1;
                                continue;
                            }
                            [b',', ..] => {}
                            [b'}', ..] => {
                                cursor.advance(1)?;
                                break;
                            }
                            _ => return Err(Stop),
                        }
                    }
                    cursor.advance(1)?;
                    spaces(simd, &mut cursor)?;
                    judged = 0;
                    match key(simd, columns, pass, &mut cursor)? {
                        Target::Field(i) => {
                            match columns.fields.get_mut(previous as usize) {
                                Some(previous) => previous.next = i,
                                None => columns.first = i,
                            }
                            (columns.fields.get_mut(i as usize).ok_or(Stop)?, i)
                        }
                        Target::Spot(spot) => {
                            spaces(simd, &mut cursor)?;
                            let start = cursor;
                            let kind;
                            (cursor, kind) = skip(simd, cursor, depth)?;
                            let place = pass.at(open);
                            let watch = pass.row.left.first_in(spot, place).ok_or(Stop)?;
                            if watch != NONE {
                                watched(pass, watch, start, cursor);
                            }
                            let span = (pass.at(start), pass.at(cursor));
                            pass.row.left.push_unknown(spot, span, kind);
                            continue;
                        }
                    }
                }
            };
            judged = 0;
            spaces(simd, &mut cursor)?;
            let start = cursor;
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
            if field.is_watched {
                watched(pass, field.watch, start, cursor);
            }
            previous = i;
            guess = field.next;
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
    match columns.keys.find_at(start.ahead::<1, HEAD>(), name) {
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
