//! Values that do not fit their columns: remembered, and settled when their object ends.

use super::{Pass, skip};
use crate::{
    decode::{column::Column, fields::FieldColumns, infer, leftovers::Pending},
    json::{Cursor, Simd, Stop, Task},
};

/// A value that does not fit its field's column: it is passed, and remembered until the object ends.
pub(super) struct Misfit<'t, 'a, 'r> {
    pub(super) columns: &'t mut FieldColumns,
    pub(super) i: u32,
    pub(super) row: usize,
    pub(super) pass: &'t mut Pass<'a, 'r>,
    pub(super) cursor: Cursor<'a>,
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

/// Ends an object in which something was left over: values that did not fit go to their siblings
/// where the event has none of its own for them, and entries get the reference pass's order.
#[inline(never)]
pub(super) fn settle(
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
