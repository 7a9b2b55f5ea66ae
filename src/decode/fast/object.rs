//! One object, and those within it: keys predicted, and guessed where the prediction fails.

#![allow(unsafe_code)]

use super::{
    Pass,
    member::Member,
    misfit::{Misfit, settle},
    no_structure, ranked, structure,
};
use crate::{
    decode::{column::Column, fields::FieldColumns, leftovers::NONE},
    json::{BLOCK, Cursor, MAX_DEPTH, Simd, Stop, Task, spaces},
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
            // Most values are text behind the colon: found out without the jump by the column's type.
            if let Column::Text(column) = &mut field.column
                && cursor.byte() == b'"'
                && column.len() == row
            {
                column.push_string(simd, &mut cursor)?;
                guess = field.next;
                previous = i;
                continue 'members;
            }
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
