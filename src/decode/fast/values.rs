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
        number,
    },
    json::{Cursor, NodeKind, Simd, Stop, skip_string},
};
use std::borrow::Cow;

/// Makes `rows` the column's next row; a column that is past it has met its key before.
macro_rules! pad_to {
    ($rows:expr, $column:expr) => {
        if $column.len() != $rows {
            if $column.len() > $rows {
                return Err(Stop);
            }
            match $column.len() + 1 == $rows {
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
        Column::Text(column) => {
            pad_to!(at, column);
            if cursor.byte() == b'"' {
                column.push_string(simd, cursor, pass.utf8)?;
                return Ok(true);
            }
            null_only(cursor, || column.push_null())
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
            null_only(cursor, || column.push_null())
        }
        Column::Timestamp(times) => {
            pad_to!(at, times.values);
            if let Some((micros, length)) = time(times, *cursor) {
                cursor.advance(length)?;
                times.values.push(micros);
                return Ok(true);
            }
            take!(times.values, any_time(simd, times, cursor)?)
        }
        Column::Struct(column) => {
            pad_to!(at, column);
            if cursor.byte() == b'{' {
                let before = pass.row.left.entries.len();
                *cursor = object(simd, &mut column.columns, at, pass, *cursor)?;
                column.end();
                ranked(pass, before, column.rank);
                return Ok(true);
            }
            null_only(cursor, || column.push_null())
        }
        Column::List(column) => {
            pad_to!(at, column);
            if cursor.byte() == b'[' {
                let before = pass.row.left.entries.len();
                *cursor = list(simd, column, pass, *cursor)?;
                ranked(pass, before, column.rank);
                return Ok(true);
            }
            null_only(cursor, || column.push_null())
        }
        Column::Map(column) => {
            pad_to!(at, column);
            if cursor.byte() == b'{' {
                let before = pass.row.left.entries.len();
                *cursor = map(simd, column, pass, *cursor)?;
                ranked(pass, before, column.rank);
                return Ok(true);
            }
            null_only(cursor, || column.push_null())
        }
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
                return null_only(cursor, || column.push_null());
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
            null_only(cursor, || *rows = at + 1)
        }
    }
}

/// What was left over within a field's value is told in the field's place.
#[inline(always)]
fn ranked(pass: &mut Pass<'_, '_>, before: usize, rank: u32) {
    if let Some(entries) = pass.row.left.entries.get_mut(before..) {
        entries.iter_mut().for_each(|entry| entry.rank = rank);
    }
}

#[inline(always)]
fn null_only(cursor: &mut Cursor<'_>, append: impl FnOnce()) -> Result<bool, Stop> {
    match null::<()>(cursor)? {
        Found::Null => {
            append();
            Ok(true)
        }
        _ => Ok(false),
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
#[inline(always)]
fn any_time<S: Simd>(simd: S, times: &Times, cursor: &mut Cursor<'_>) -> Result<Found<i64>, Stop> {
    let start = *cursor;
    let Some(text) = text(simd, cursor)? else {
        return any_number(cursor, |text, _| times.unit.micros(text));
    };
    let micros = times.read(&text);
    if micros.is_none() {
        *cursor = start;
    }
    Ok(micros.into())
}
