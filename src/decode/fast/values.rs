//! One value into its column.

use super::{
    Pass,
    nested::{list, map},
    numbers::{Found, any_number, decimal, double, long, null, time},
    object, skip,
};
use crate::{
    decode::{
        build::Values,
        column::{Column, Times, binary, date_of_number, date_of_text},
        nested::StructColumn,
        number,
    },
    json::{Cursor, NodeKind, Simd, Stop, Task, skip_string},
};
use std::borrow::Cow;

/// Makes `rows` the column's next row; a column that is past it has met its key before.
macro_rules! pad_to {
    ($rows:expr, $column:expr) => {
        if $column.len() != $rows {
            if $column.len() > $rows {
                return Err(Stop);
            }
            // Unseen, or the place of the null's bit would be computed for every row, nulls or not.
            match std::hint::black_box($column.len()) + 1 == $rows {
                true => $column.push_null(),
                false => $column.pad($rows),
            }
        }
    };
}

/// Appends what was found, or a null, or says that it does not fit.
macro_rules! take {
    ($column:expr, $found:expr) => {
        match $found {
            Found::Value(value) => {
                $column.push(value);
                Ok(true)
            }
            Found::Null => {
                $column.push_null();
                Ok(true)
            }
            Found::Misfit => Ok(false),
        }
    };
}

/// Appends a null, if one stands here; nothing else fits. No closure: it would not be compiled for the
/// instructions at hand, and be a call.
macro_rules! null_only {
    ($cursor:expr, $column:expr) => {
        match null::<()>($cursor)? {
            Found::Null => {
                $column.push_null();
                Ok(true)
            }
            _ => Ok(false),
        }
    };
}

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
                column.push_string(simd, cursor, pass.utf8)?;
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
            let text = cursor.bytes::<5>();
            let (yes, no) = (text.starts_with(b"true"), text == b"false");
            if yes | no {
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
            pass,
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
    simd.enter(Any(Rare {
        column,
        at,
        depth,
        pass,
        cursor,
    }))
}

struct Any<'t, 'a, 'r>(Rare<'t, 'a, 'r>);

impl<'a> Task for Any<'_, 'a, '_> {
    type Out = Result<Option<Cursor<'a>>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Rare {
            column,
            at,
            depth,
            pass,
            mut cursor,
        } = self.0;
        let fits = value(simd, column, at, depth, pass, &mut cursor)?;
        Ok(fits.then_some(cursor))
    }
}

/// A value of a kind that is seldom there; apart, so that the frequent ones have the registers.
struct Rare<'t, 'a, 'r> {
    column: &'t mut Column,
    at: usize,
    depth: u32,
    pass: &'t mut Pass<'a, 'r>,
    cursor: Cursor<'a>,
}

impl<'a> Task for Rare<'_, 'a, '_> {
    type Out = Result<Option<Cursor<'a>>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Rare {
            column,
            at,
            depth,
            mut cursor,
            ..
        } = self;
        let fits = rare(simd, column, at, depth, &mut cursor)?;
        Ok(fits.then_some(cursor))
    }
}

#[inline(always)]
fn rare<S: Simd>(
    simd: S,
    column: &mut Column,
    at: usize,
    depth: u32,
    cursor: &mut Cursor<'_>,
) -> Result<bool, Stop> {
    match column {
        Column::Integer(column) => narrow(column, at, cursor),
        Column::Short(column) => narrow(column, at, cursor),
        Column::Byte(column) => narrow(column, at, cursor),
        Column::Float(column) => {
            pad_to!(at, column);
            take!(column, any_number(cursor, number::float)?)
        }
        Column::Decimal(column, precision, scale) => {
            pad_to!(at, column);
            take!(column, decimal(cursor, *precision, *scale)?)
        }
        Column::Json(column) => {
            pad_to!(at, column);
            let start = *cursor;
            let kind;
            (*cursor, kind) = skip(simd, *cursor, depth)?;
            match kind {
                NodeKind::Null => column.push_null(),
                _ => {
                    column.push(str::from_utf8(cursor.since(start)).map_err(|_| Stop)?);
                }
            }
            Ok(true)
        }
        Column::Binary(column) => {
            pad_to!(at, column);
            let start = *cursor;
            let Some(text) = text(simd, cursor)? else {
                return null_only!(cursor, column);
            };
            let bytes = binary(&text);
            if let Some(bytes) = &bytes {
                column.push(bytes);
            } else {
                *cursor = start;
            }
            Ok(bytes.is_some())
        }
        Column::Date(column, rules) => {
            pad_to!(at, column);
            let start = *cursor;
            let found = match text(simd, cursor)? {
                Some(text) => Found::from(date_of_text(&text, *rules)),
                None => any_number(cursor, |text, _| date_of_number(text, *rules))?,
            };
            if matches!(found, Found::Misfit) {
                *cursor = start;
            }
            take!(column, found)
        }
        Column::Never(_, rows) => {
            if *rows > at {
                return Err(Stop);
            }
            *rows = at;
            match null::<()>(cursor)? {
                Found::Null => *rows = at + 1,
                _ => return Ok(false),
            }
            Ok(true)
        }
        // The others are not rare.
        _ => Err(Stop),
    }
}

/// What was left over within a field's value, which begins at `start`, is told in the field's place.
#[inline(never)]
pub(super) fn ranked(pass: &mut Pass<'_, '_>, start: u32, rank: u32) {
    for entry in pass.within(start) {
        entry.rank = rank;
    }
}

#[inline(always)]
fn narrow<T: TryFrom<i64> + arrow::datatypes::ArrowNativeType>(
    column: &mut Values<T>,
    at: usize,
    cursor: &mut Cursor<'_>,
) -> Result<bool, Stop> {
    pad_to!(at, column);
    let start = *cursor;
    let found = match long(cursor)? {
        Found::Value(value) => Found::from(T::try_from(value).ok()),
        Found::Null => Found::Null,
        Found::Misfit => Found::Misfit,
    };
    if matches!(found, Found::Misfit) {
        *cursor = start;
    }
    take!(column, found)
}

/// Passes a string and returns its text; `None`, and nothing passed, for what is none.
#[inline(always)]
fn text<'a, S: Simd>(simd: S, cursor: &mut Cursor<'a>) -> Result<Option<Cow<'a, str>>, Stop> {
    if cursor.byte() != b'"' {
        return Ok(None);
    }
    let start = *cursor;
    let escaped = skip_string(simd, cursor)?;
    let quoted = str::from_utf8(cursor.since(start)).map_err(|_| Stop)?;
    if escaped {
        let text = serde_json::from_str::<String>(quoted).map_err(|_| Stop)?;
        return Ok(Some(Cow::Owned(text)));
    }
    let text = quoted.get(1..quoted.len().saturating_sub(1)).ok_or(Stop)?;
    Ok(Some(Cow::Borrowed(text)))
}

/// A time of any spelling.
struct AnyTime<'t, 'a> {
    times: &'t Times,
    cursor: Cursor<'a>,
}

impl<'a> Task for AnyTime<'_, 'a> {
    type Out = Result<(Found<i64>, Cursor<'a>), Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let AnyTime { times, mut cursor } = self;
        let start = cursor;
        let found = match text(simd, &mut cursor)? {
            Some(text) => Found::from(times.read(&text)),
            None => any_number(&mut cursor, |text, _| times.unit.micros(text))?,
        };
        let behind = match found {
            Found::Misfit => start,
            _ => cursor,
        };
        Ok((found, behind))
    }
}
