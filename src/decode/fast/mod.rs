//! The fast pass: one event from its text straight into the columns.
//!
//! Each level predicts which key comes next and compares its bytes at once; a value goes into its
//! column as it is read. What has no column, or does not fit it, is remembered and settled when the
//! event is whole ([`super::leftovers`]). The pass gives up on what is rare, by [`Stop`]: what is no
//! JSON, a key that is twice in an object, a list or a map with an element that does not fit,
//! a conflict that may make a dead letter, more left over than there is room for. Then the rows begun are taken back and
//! the event takes the reference pass ([`FieldColumns::append`](super::fields::FieldColumns::append)),
//! which decides. So whatever this pass makes must be what that one would have made; the tests hold
//! them together (`tests/passes.rs`).

mod append;
mod member;
mod misfit;
mod nested;
mod numbers;
mod object;
mod rare;
mod values;

use super::{
    copies::CopyColumn,
    fields::FieldColumns,
    leftovers::{Entry, NONE},
    row::Row,
};
use crate::json::{Cursor, NodeKind, Simd, Stop, Task, is_text, skip_value, spaces};
use append::{null_only, pad_to, take};
use object::object;
use values::{any_value, no_structure, ranked, structure, value};

/// What is at hand while one event is read.
struct Pass<'a, 'r> {
    /// The event's first byte, to which spans are relative.
    start: Cursor<'a>,
    row: &'r mut Row,
    /// Whether a conflict may make the event a dead letter.
    rejecting: bool,
    /// Whether anything is left over of the event so far.
    left_over: bool,
    /// How many entries were left over before the value at hand was read for its copy.
    base: usize,
}

impl<'a> Pass<'a, '_> {
    #[inline(always)]
    fn at(&self, cursor: Cursor<'a>) -> u32 {
        cursor.distance(self.start) as u32
    }

    /// What was left over of what begins at `start`, the last that was read.
    fn within(&mut self, start: u32) -> &mut [Entry] {
        self.row.left.within(self.base, start)
    }
}

/// Reads the event at `cursor` into row `at_row` of all columns. After an error the
/// columns must be cut back to the rows before. `row` has begun the event.
pub(super) struct Event<'t, 'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) fields: &'t mut FieldColumns,
    pub(super) copies: &'t mut [CopyColumn],
    pub(super) row: &'t mut Row,
    pub(super) at_row: usize,
}

impl Task for Event<'_, '_> {
    type Out = Result<(), Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Result<(), Stop> {
        let mut cursor = self.cursor;
        let rejecting = self.row.left.rejects() && !self.row.forced;
        let mut pass = Pass {
            start: cursor,
            row: self.row,
            rejecting,
            left_over: false,
            base: 0,
        };
        pass.row.left.begin();
        spaces(simd, &mut cursor)?;
        if cursor.left() == 0 || cursor.byte() != b'{' {
            return Err(Stop);
        }
        cursor = object(simd, self.fields, None, self.at_row, &mut pass, cursor)?;
        if cursor.left() > 0 {
            spaces(simd, &mut cursor)?;
            if cursor.left() > 0 {
                return Err(Stop);
            }
        }
        for copy in self.copies {
            if copy.watch != NONE {
                copied(simd, copy, self.at_row, &mut pass)?;
            }
        }
        Ok(())
    }
}

/// Passes a value that goes into no column as it is, within `depth` objects and lists; its text is UTF-8.
#[inline(always)]
fn skip<'a, S: Simd>(
    simd: S,
    cursor: Cursor<'a>,
    depth: u32,
) -> Result<(Cursor<'a>, NodeKind), Stop> {
    simd.enter(Skip { cursor, depth })
}

struct Skip<'a> {
    cursor: Cursor<'a>,
    depth: u32,
}

impl<'a> Task for Skip<'a> {
    type Out = Result<(Cursor<'a>, NodeKind), Stop>;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Self::Out {
        let start = self.cursor;
        let kind = skip_value(simd, &mut self.cursor, self.depth).map_err(|_| Stop)?;
        // What goes into a column as text is judged there, and outside of strings all is ASCII.
        let ascii = !matches!(
            kind,
            NodeKind::Plain | NodeKind::Escaped | NodeKind::Object | NodeKind::Array
        );
        if ascii || is_text(simd, start, self.cursor) {
            return Ok((self.cursor, kind));
        }
        Err(Stop)
    }
}

/// Copies a value that stands in the event into a column of its own.
#[inline(always)]
fn copied<S: Simd>(
    simd: S,
    copy: &mut CopyColumn,
    at_row: usize,
    pass: &mut Pass<'_, '_>,
) -> Result<(), Stop> {
    let watched = pass.row.left.watched.get(copy.watch as usize);
    let Some(&(mut start, end)) = watched.and_then(Option::as_ref) else {
        return Ok(());
    };
    if let [_, inner @ ..] = copy.path.as_slice()
        && !inner.is_empty()
    {
        let text = pass.start.rest().get(start as usize..end as usize);
        let text = text.ok_or(Stop)?;
        let parser = &mut pass.row.left.parser;
        let json = parser.parse_in(text, 0..text.len()).map_err(|_| Stop)?;
        let found = inner
            .iter()
            .try_fold(0, |at, name| json.get(at, name))
            .map(|at| json.start(at));
        match found {
            Some(within) => start += within,
            None => return Ok(()),
        }
    }
    let mut cursor = pass.start;
    cursor.advance(start as usize)?;
    pass.base = pass.row.left.entries.len();
    let (column, depth) = (&mut copy.column, copy.depth);
    match any_value(simd, column, at_row, depth, pass, cursor)? {
        Some(_) => Ok(()),
        None => Err(Stop),
    }
}
