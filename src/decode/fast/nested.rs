//! Lists and maps: taken whole, or the pass gives up.

use super::{Pass, object, value};
use crate::{
    decode::{
        column::Column,
        nested::{ListColumn, MapColumn, StructColumn},
        path::Within,
    },
    json::{BLOCK, Cursor, MAX_DEPTH, Pattern, Simd, Stop, Task, spaces},
};
use std::sync::Arc;

/// The most keys of a map that are compared with each other.
const MAX_COMPARED: usize = 64;

/// Reads a list, which begins here; returns where it ends.
#[inline(always)]
pub(super) fn list<'a, S: Simd>(
    simd: S,
    column: &mut ListColumn,
    pass: &mut Pass<'a, '_>,
    cursor: Cursor<'a>,
) -> Result<Cursor<'a>, Stop> {
    simd.enter(List {
        column,
        pass,
        cursor,
    })
}

/// Reads a map, which begins here; returns where it ends.
#[inline(always)]
pub(super) fn map<'a, S: Simd>(
    simd: S,
    column: &mut MapColumn,
    pass: &mut Pass<'a, '_>,
    cursor: Cursor<'a>,
) -> Result<Cursor<'a>, Stop> {
    simd.enter(Map {
        column,
        pass,
        cursor,
    })
}

/// What was left over of the element that begins at `start` stands there.
#[inline(never)]
fn placed(pass: &mut Pass<'_, '_>, start: u32, within: &Within) {
    for entry in pass.within(start) {
        entry.within.push(within.clone());
    }
}

struct List<'t, 'a, 'r> {
    column: &'t mut ListColumn,
    pass: &'t mut Pass<'a, 'r>,
    cursor: Cursor<'a>,
}

impl<'a> Task for List<'_, 'a, '_> {
    type Out = Result<Cursor<'a>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let List {
            column,
            pass,
            mut cursor,
        } = self;
        let depth = column.depth;
        if depth > MAX_DEPTH {
            return Err(Stop);
        }
        let nullable = column.element.is_nullable();
        let first = column.lists.elements();
        let mut at = first;
        cursor.advance(1)?;
        spaces(simd, &mut cursor)?;
        if cursor.byte() == b']' {
            cursor.advance(1)?;
        } else {
            loop {
                if cursor.byte() == b'n' && !nullable {
                    return Err(Stop);
                }
                let start = pass.at(cursor);
                match &mut column.column {
                    // Objects that follow one another at once are one call.
                    Column::Struct(column) if cursor.byte() == b'{' && column.len() == at => {
                        let StructColumn { columns, rows, .. } = &mut **column;
                        cursor = object(simd, columns, Some(rows), at, pass, cursor)?;
                        at = *rows;
                        *rows += 1;
                    }
                    column => {
                        if !value(simd, column, at, depth, pass, &mut cursor)? {
                            return Err(Stop);
                        }
                    }
                }
                if pass.left_over {
                    placed(pass, start, &Within::Index(at - first));
                }
                at += 1;
                spaces(simd, &mut cursor)?;
                let next = cursor.byte();
                cursor.advance(1)?;
                match next {
                    b',' => spaces(simd, &mut cursor)?,
                    b']' => break,
                    _ => return Err(Stop),
                }
            }
        }
        column.lists.push(at);
        Ok(cursor)
    }
}

/// Every so many maps, the keys of one that differ are foreseen in the next ones.
const LEARNS: usize = 8;

/// Remembers the key that came in this place, with its quotes and its colon; those before it differ from
/// it and from each other.
#[cold]
fn foresee(foreseen: &mut Vec<Pattern>, place: usize, spelled: &[u8]) {
    foreseen.truncate(place);
    // Behind a key that was foreseen one byte is passed: its colon.
    let close = spelled.ends_with(b"\":");
    if foreseen.len() == place && spelled.len() <= BLOCK && close {
        foreseen.push(Pattern::new(spelled));
    }
}

struct Map<'t, 'a, 'r> {
    column: &'t mut MapColumn,
    pass: &'t mut Pass<'a, 'r>,
    cursor: Cursor<'a>,
}

impl<'a> Task for Map<'_, 'a, '_> {
    type Out = Result<Cursor<'a>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Map {
            column,
            pass,
            mut cursor,
        } = self;
        let depth = column.depth;
        if depth > MAX_DEPTH {
            return Err(Stop);
        }
        let nullable = column.value.is_nullable();
        let first = column.lists.elements();
        let mut at = first;
        // Whether all keys so far are those foreseen.
        let mut foreseen = true;
        cursor.advance(1)?;
        spaces(simd, &mut cursor)?;
        if cursor.byte() == b'}' {
            cursor.advance(1)?;
        } else {
            loop {
                if cursor.byte() != b'"' {
                    return Err(Stop);
                }
                let open = cursor;
                column.keys.push_string(simd, &mut cursor)?;
                foreseen = match column.foreseen.get(at - first) {
                    Some(pattern) => foreseen && simd.begins(open.bytes(), pattern, 0),
                    None => false,
                };
                if foreseen {
                    cursor.advance(1)?;
                } else {
                    let key = column.keys.value(at);
                    if at - first >= MAX_COMPARED
                        || (first..at).any(|other| column.keys.value(other) == key)
                    {
                        return Err(Stop);
                    }
                    spaces(simd, &mut cursor)?;
                    if cursor.byte() != b':' {
                        return Err(Stop);
                    }
                    cursor.advance(1)?;
                    if column.lists.len().is_multiple_of(LEARNS) {
                        foresee(&mut column.foreseen, at - first, cursor.since(open));
                    }
                }
                spaces(simd, &mut cursor)?;
                if cursor.byte() == b'n' && !nullable {
                    return Err(Stop);
                }
                let start = pass.at(cursor);
                if !value(simd, &mut column.values, at, depth, pass, &mut cursor)? {
                    return Err(Stop);
                }
                if pass.left_over && !pass.within(start).is_empty() {
                    // One copy of the key, however many entries stand below it.
                    let key: Arc<str> = String::from_utf8_lossy(column.keys.value(at)).into();
                    placed(pass, start, &Within::Key(key));
                }
                at += 1;
                spaces(simd, &mut cursor)?;
                let next = cursor.byte();
                cursor.advance(1)?;
                match next {
                    b',' => spaces(simd, &mut cursor)?,
                    b'}' => break,
                    _ => return Err(Stop),
                }
            }
        }
        column.lists.push(at);
        Ok(cursor)
    }
}
