//! One value into its column.

use super::{
    Pass,
    nested::{list, map},
    null_only,
    numbers::{double, long, time},
    object, pad_to,
    rare::{AnyTime, Rare},
    take,
};
use crate::{
    decode::{column::Column, nested::StructColumn},
    json::{Cursor, Simd, Stop, Task},
};

/// Reads the value that begins here into row `at` of a column; `depth` objects and lists stand around
/// it. `false`, the cursor where it was and nothing appended, where it does not fit.
#[inline(always)]
pub(super) fn value<'a, S: Simd>(
    simd: S,
    column: &mut Column,
    at: usize,
    depth: u32,
    pass: &mut Pass<'a, '_>,
    cursor: &mut Cursor<'a>,
) -> Result<bool, Stop> {
    match column {
        Column::Struct(column) => structure(simd, column, at, pass, cursor),
        other => no_structure(simd, other, at, depth, pass, cursor),
    }
}

/// As [`value`], for all columns but structs.
#[inline(always)]
pub(super) fn no_structure<'a, S: Simd>(
    simd: S,
    column: &mut Column,
    at: usize,
    depth: u32,
    pass: &mut Pass<'a, '_>,
    cursor: &mut Cursor<'a>,
) -> Result<bool, Stop> {
    match column {
        Column::Text(column) => {
            pad_to!(at, column);
            if cursor.byte() == b'"' {
                column.push_string(simd, cursor)?;
                return Ok(true);
            }
            null_only!(cursor, column)
        }
        Column::Long(column) => {
            pad_to!(at, column);
            take!(column, long(cursor)?)
        }
        Column::Double(column) => {
            pad_to!(at, column);
            take!(column, double(cursor)?)
        }
        Column::Boolean(column) => {
            pad_to!(at, column);
            // No branch on which of the two it is: nobody could foresee it.
            let word = cursor.word();
            let not_true = word << 32 ^ u64::from_le_bytes(*b"\0\0\0\0true");
            let not_false = word << 24 ^ u64::from_le_bytes(*b"\0\0\0false");
            if not_true.min(not_false) == 0 {
                let yes = not_true == 0;
                cursor.advance(5 - usize::from(yes))?;
                column.push(yes);
                return Ok(true);
            }
            null_only!(cursor, column)
        }
        Column::Timestamp(times) => {
            pad_to!(at, times.values);
            if let Some((micros, length)) = time(times, *cursor) {
                cursor.advance(length)?;
                times.values.push(micros);
                return Ok(true);
            }
            let found;
            (found, *cursor) = simd.enter(AnyTime {
                times,
                cursor: *cursor,
            })?;
            take!(times.values, found)
        }
        Column::List(column) => {
            pad_to!(at, column);
            if cursor.byte() == b'[' {
                let start = pass.at(*cursor);
                *cursor = list(simd, column, pass, *cursor)?;
                if pass.left_over {
                    ranked(pass, start, column.rank);
                }
                return Ok(true);
            }
            null_only!(cursor, column)
        }
        Column::Map(column) => {
            pad_to!(at, column);
            if cursor.byte() == b'{' {
                let start = pass.at(*cursor);
                *cursor = map(simd, column, pass, *cursor)?;
                if pass.left_over {
                    ranked(pass, start, column.rank);
                }
                return Ok(true);
            }
            null_only!(cursor, column)
        }
        _ => match simd.enter(Rare {
            column,
            at,
            depth,
            cursor: *cursor,
        })? {
            Some(behind) => {
                *cursor = behind;
                Ok(true)
            }
            None => Ok(false),
        },
    }
}

/// A struct, as a call where it is one.
#[inline(always)]
pub(super) fn structure<'a, S: Simd>(
    simd: S,
    column: &mut StructColumn,
    at: usize,
    pass: &mut Pass<'a, '_>,
    cursor: &mut Cursor<'a>,
) -> Result<bool, Stop> {
    pad_to!(at, column);
    if cursor.byte() == b'{' {
        let start = pass.at(*cursor);
        *cursor = object(simd, &mut column.columns, None, at, pass, *cursor)?;
        column.end();
        if pass.left_over {
            ranked(pass, start, column.rank);
        }
        return Ok(true);
    }
    null_only!(cursor, column)
}

/// As [`value`], as a call; returns the place behind the value, `None` where it does not fit.
#[inline(always)]
pub(super) fn any_value<'a, S: Simd>(
    simd: S,
    column: &mut Column,
    at: usize,
    depth: u32,
    pass: &mut Pass<'a, '_>,
    cursor: Cursor<'a>,
) -> Result<Option<Cursor<'a>>, Stop> {
    simd.enter(Any {
        column,
        at,
        depth,
        pass,
        cursor,
    })
}

struct Any<'t, 'a, 'r> {
    column: &'t mut Column,
    at: usize,
    depth: u32,
    pass: &'t mut Pass<'a, 'r>,
    cursor: Cursor<'a>,
}

impl<'a> Task for Any<'_, 'a, '_> {
    type Out = Result<Option<Cursor<'a>>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Any {
            column,
            at,
            depth,
            pass,
            mut cursor,
        } = self;
        let fits = value(simd, column, at, depth, pass, &mut cursor)?;
        Ok(fits.then_some(cursor))
    }
}

/// What was left over within a field's value, which begins at `start`, is told in the field's place.
#[inline(never)]
pub(super) fn ranked(pass: &mut Pass<'_, '_>, start: u32, rank: u32) {
    for entry in pass.within(start) {
        entry.rank = rank;
    }
}
