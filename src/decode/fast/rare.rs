//! Values of kinds that are seldom there, or in a seldom spelling.

use super::{
    null_only,
    numbers::{Found, any_number, decimal, long, null},
    pad_to, skip, take,
};
use crate::{
    decode::{
        build::Values,
        column::{Column, Times, binary, date_of_number, date_of_text},
        number,
    },
    json::{Cursor, NodeKind, Simd, Stop, Task, skip_string},
};
use std::borrow::Cow;

/// A value of a kind that is seldom there; apart, so that the frequent ones have the registers.
pub(super) struct Rare<'t, 'a> {
    pub(super) column: &'t mut Column,
    pub(super) at: usize,
    pub(super) depth: u32,
    pub(super) cursor: Cursor<'a>,
}

impl<'a> Task for Rare<'_, 'a> {
    type Out = Result<Option<Cursor<'a>>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Rare {
            column,
            at,
            depth,
            mut cursor,
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
pub(super) struct AnyTime<'t, 'a> {
    pub(super) times: &'t Times,
    pub(super) cursor: Cursor<'a>,
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
