//! One object, and those within it: keys predicted, looked up where the prediction fails.

#![allow(unsafe_code)]

use super::{Pass, any_value, no_structure, ranked, skip, structure};
use crate::{
    decode::{
        column::Column,
        fields::FieldColumns,
        infer,
        keys::{HEAD, Target},
        leftovers::{NONE, Pending},
    },
    json::{BLOCK, Cursor, MAX_DEPTH, Simd, Stop, Task, skip_string, spaces},
};
use std::mem::MaybeUninit;

/// Reads an object, which begins here, into row `at_row` of its fields' columns; returns where it ends.
/// With the count of a list's objects, the objects that follow at once, too: all but the last of them
/// are counted.
#[inline(always)]
pub(super) fn object<'a, S: Simd>(
    simd: S,
    columns: &mut FieldColumns,
    rows: Option<&mut usize>,
    at_row: usize,
    pass: &mut Pass<'a, '_>,
    cursor: Cursor<'a>,
) -> Result<Cursor<'a>, Stop> {
    simd.enter(Object {
        columns,
        rows,
        at_row,
        pass,
        cursor,
    })
}

struct Object<'t, 'a, 'r> {
    columns: &'t mut FieldColumns,
    rows: Option<&'t mut usize>,
    at_row: usize,
    pass: &'t mut Pass<'a, 'r>,
    cursor: Cursor<'a>,
}

/// An object that is left for one within it.
#[derive(Clone, Copy)]
struct Frame {
    level: *mut FieldColumns,
    row: usize,
    /// The field whose value is read.
    field: u32,
    /// The field foreseen behind it.
    next: u32,
    /// Where the object begins in the event.
    open: u32,
}

/// How many objects within each other are read without a call.
const FRAMES: usize = 8;

impl<'a> Task for Object<'_, 'a, '_> {
    type Out = Result<Cursor<'a>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Object {
            columns,
            mut rows,
            at_row,
            pass,
            mut cursor,
        } = self;
        if columns.depth > MAX_DEPTH {
            return Err(Stop);
        }
        if cursor.ahead::<1, 1>() != b"\"" {
            let mut inside = cursor;
            inside.advance(1)?;
            spaces(simd, &mut inside)?;
            if inside.byte() == b'}' {
                inside.advance(1)?;
                return Ok(inside);
            }
        }
        let mut frames = [const { MaybeUninit::<Frame>::uninit() }; FRAMES];
        let mut inner = 0;
        let mut guess = columns.first;
        // The object at hand: its level, its row there, where it begins.
        let mut level: *mut FieldColumns = columns;
        let mut row = at_row;
        let mut open = pass.at(cursor);
        let mut previous = NONE;
        // The cursor is at the byte before a key, a comma where the key is predicted. 1: that byte has
        // been judged, as the brace or a space behind the comma.
        let mut judged = 1;
        'members: loop {
            // SAFETY: `level` is `columns`, which is borrowed until the end, or was taken from a struct
            // column in the fields of the level of the frame before. While a level is at hand, none of
            // the levels around it is touched, so that the reference is the only one to what it reaches;
            // it ends with this turn of the loop. Nothing takes fields from a level or adds any.
            let columns = unsafe { &mut *level };
            let (field, i) = 'found: {
                if let Some(field) = columns.fields.get_mut(guess as usize)
                    && simd.begins(cursor.bytes(), &field.pattern, judged)
                {
                    cursor.pass(&field.pattern)?;
                    break 'found (field, guess);
                }
                if judged == 0 && cursor.byte() == b'}' {
                    cursor.advance(1)?;
                    if pass.left_over {
                        settle(columns, row, pass, open)?;
                    }
                    if inner == 0 {
                        // Another object of the list, unless entries wait for their place in it.
                        if let Some(rows) = rows.as_deref_mut()
                            && !pass.left_over
                            && cursor.bytes() == b",{\""
                        {
                            cursor.advance(1)?;
                            *rows += 1;
                            row += 1;
                            guess = columns.first;
                            open = pass.at(cursor);
                            previous = NONE;
                            judged = 1;
                            continue 'members;
                        }
                        return Ok(cursor);
                    }
                    inner -= 1;
                    // SAFETY: all frames below `inner` were written.
                    let frame = unsafe { frames[inner % FRAMES].assume_init() };
                    if pass.left_over {
                        // SAFETY: the level of the frame is the one at hand again; see above.
                        ended(unsafe { &*frame.level }, frame.field, pass, open);
                    }
                    level = frame.level;
                    row = frame.row;
                    open = frame.open;
                    previous = frame.field;
                    guess = frame.next;
                    continue 'members;
                }
                // Not what was predicted: the field that the name's length and first bytes belong to.
                let length = simd.quote(cursor.ahead::<2, BLOCK>());
                let word = u64::from_le_bytes(*cursor.ahead::<2, 8>());
                let i = columns.keys.guess(word, length);
                if let Some(field) = columns.fields.get_mut(i as usize)
                    && simd.begins(cursor.bytes(), &field.pattern, judged)
                {
                    cursor.pass(&field.pattern)?;
                    follow(columns, previous, i);
                    break 'found (columns.fields.get_mut(i as usize).ok_or(Stop)?, i);
                }
                if judged == 0 {
                    spaces(simd, &mut cursor)?;
                    match *cursor.bytes() {
                        [b',', b' ', b'"'] => {
                            cursor.advance(1)?;
                            judged = 1;
                            continue 'members;
                        }
                        [b',', ..] => {}
                        [b'}', ..] => continue 'members,
                        _ => return Err(Stop),
                    }
                }
                judged = 0;
                let member = simd.enter(Member {
                    columns,
                    row,
                    pass,
                    cursor,
                    open,
                    guess,
                })?;
                cursor = member.0;
                let i = member.1;
                if i == NONE {
                    continue 'members;
                }
                follow(columns, previous, i);
                let field = columns.fields.get_mut(i as usize).ok_or(Stop)?;
                if field.watch != NONE {
                    guess = field.next;
                    previous = i;
                    continue 'members;
                }
                break 'found (field, i);
            };
            judged = 0;
            spaces(simd, &mut cursor)?;
            let fits = match &mut field.column {
                Column::Struct(column) => {
                    if column.len() == row
                        && inner < FRAMES
                        && cursor.bytes() == b"{\""
                        && column.columns.depth <= MAX_DEPTH
                    {
                        frames[inner].write(Frame {
                            level,
                            row,
                            field: i,
                            next: field.next,
                            open,
                        });
                        inner += 1;
                        column.end();
                        open = pass.at(cursor);
                        guess = column.columns.first;
                        previous = NONE;
                        level = &raw mut column.columns;
                        judged = 1;
                        continue 'members;
                    }
                    structure(simd, column, row, pass, &mut cursor)?
                }
                column => no_structure(simd, column, row, columns.depth, pass, &mut cursor)?,
            };
            // Not sooner: kept over the value, it would be kept in memory.
            guess = field.next;
            previous = i;
            if !fits {
                cursor = simd.enter(Misfit {
                    columns,
                    i,
                    row,
                    pass,
                    cursor,
                })?;
            }
        }
    }
}

/// A struct that was read without a call has ended: what was left over within is told in its place.
#[inline(never)]
fn ended(columns: &FieldColumns, field: u32, pass: &mut Pass<'_, '_>, open: u32) {
    if let Some(field) = columns.fields.get(field as usize)
        && let Column::Struct(column) = &field.column
    {
        ranked(pass, open, column.rank);
    }
}

/// Remembers which field came behind another, [`NONE`] for the object's begin.
#[inline(always)]
fn follow(columns: &mut FieldColumns, previous: u32, i: u32) {
    match columns.fields.get_mut(previous as usize) {
        Some(previous) => previous.next = i,
        None => columns.first = i,
    }
}

/// A key that was not found at a glance. Returns the place behind it and its field, or, with [`NONE`]
/// for an unknown one, the place behind its value; a watched field's value is passed too.
struct Member<'t, 'a, 'r> {
    columns: &'t mut FieldColumns,
    row: usize,
    pass: &'t mut Pass<'a, 'r>,
    /// At the byte before the key, which has been judged.
    cursor: Cursor<'a>,
    /// Where the object begins in the event.
    open: u32,
    guess: u32,
}

impl<'a> Task for Member<'_, 'a, '_> {
    type Out = Result<(Cursor<'a>, u32), Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Member {
            columns,
            row,
            pass,
            mut cursor,
            open,
            guess,
        } = self;
        let depth = columns.depth;
        let foreseen = columns.fields.get(guess as usize);
        let target = match foreseen.and_then(|field| field.spelled(cursor.rest())) {
            Some(length) => {
                cursor.advance(length)?;
                Target::Field(guess)
            }
            None => {
                cursor.advance(1)?;
                spaces(simd, &mut cursor)?;
                key(simd, columns, pass, &mut cursor)?
            }
        };
        match target {
            Target::Field(i) => {
                let field = columns.fields.get_mut(i as usize).ok_or(Stop)?;
                if field.watch == NONE {
                    return Ok((cursor, i));
                }
                let watch = field.watch;
                spaces(simd, &mut cursor)?;
                let start = cursor;
                cursor = match any_value(simd, &mut field.column, row, depth, pass, cursor)? {
                    Some(behind) => behind,
                    None => simd.enter(Misfit {
                        columns,
                        i,
                        row,
                        pass,
                        cursor,
                    })?,
                };
                watched(pass, watch, start, cursor);
                Ok((cursor, i))
            }
            Target::Spot(spot) => {
                spaces(simd, &mut cursor)?;
                let start = cursor;
                let kind;
                (cursor, kind) = skip(simd, cursor, depth)?;
                let watch = pass.row.left.first_in(spot, open).ok_or(Stop)?;
                if watch != NONE {
                    watched(pass, watch, start, cursor);
                }
                let span = (pass.at(start), pass.at(cursor));
                pass.left_over = true;
                pass.row.left.push_unknown(spot, span, kind);
                Ok((cursor, NONE))
            }
        }
    }
}

/// A value that does not fit its field's column: it is passed, and remembered until the object ends.
struct Misfit<'t, 'a, 'r> {
    columns: &'t mut FieldColumns,
    i: u32,
    row: usize,
    pass: &'t mut Pass<'a, 'r>,
    cursor: Cursor<'a>,
}

impl<'a> Task for Misfit<'_, 'a, '_> {
    type Out = Result<Cursor<'a>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Misfit {
            columns,
            i,
            row,
            pass,
            cursor: start,
        } = self;
        if pass.rejecting {
            return Err(Stop);
        }
        let (cursor, kind) = skip(simd, start, columns.depth)?;
        let field = columns.fields.get_mut(i as usize).ok_or(Stop)?;
        field.column.pad(row + 1);
        pass.left_over = true;
        pass.row.left.pending.push(Pending {
            field: i,
            start: pass.at(start),
            end: pass.at(cursor),
            kind,
        });
        Ok(cursor)
    }
}

/// Passes a key and its colon.
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
    open: u32,
) -> Result<(), Stop> {
    let event = pass.start.rest();
    let inside = |pending: &mut Pending| pending.start >= open;
    while let Some(Pending {
        field,
        start,
        end,
        kind,
    }) = pass.row.left.pending.pop_if(inside)
    {
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
    pass.within(open).sort_by_key(|entry| entry.rank);
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
