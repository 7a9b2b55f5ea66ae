//! A member of an object whose key was not found at a glance.

use super::{Pass, any_value, misfit::Misfit, skip};
use crate::{
    decode::{
        fields::FieldColumns,
        keys::{HEAD, Target},
        leftovers::NONE,
    },
    json::{Cursor, Simd, Stop, Task, skip_string, spaces},
};

/// A key that was not found at a glance. Returns the place behind it and its field, or, with [`NONE`]
/// for an unknown one, the place behind its value; a watched field's value is passed too.
pub(super) struct Member<'t, 'a, 'r> {
    pub(super) columns: &'t mut FieldColumns,
    pub(super) row: usize,
    pub(super) pass: &'t mut Pass<'a, 'r>,
    /// At the byte before the key, which has been judged.
    pub(super) cursor: Cursor<'a>,
    /// Where the object begins in the event.
    pub(super) open: u32,
    pub(super) guess: u32,
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
