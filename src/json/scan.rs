//! One value from its first byte to its last, every byte of it judged.

use super::{
    MAX_DEPTH,
    cursor::{Cursor, Stop},
    fault::Fault,
    number::skip_number,
    simd::Simd,
    text::{skip_string, spaces},
};

/// What a node of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    Null,
    True,
    False,
    /// A number of digits alone.
    Integer,
    /// A number with a fraction or an exponent.
    Float,
    /// Text without escapes.
    Plain,
    /// Text with escapes.
    Escaped,
    /// Followed by its keys and values in turn.
    Object,
    /// Followed by its elements.
    Array,
}

/// Who is told what the scan finds, in the order of the text. Keys are leaves too.
pub(super) trait Sink<'a> {
    fn leaf(&mut self, kind: NodeKind, start: Cursor<'a>, end: Cursor<'a>);
    fn open(&mut self, kind: NodeKind, start: Cursor<'a>);
    fn close(&mut self, end: Cursor<'a>);
}

/// Nobody.
impl Sink<'_> for () {
    #[inline(always)]
    fn leaf(&mut self, _: NodeKind, _: Cursor<'_>, _: Cursor<'_>) {}
    #[inline(always)]
    fn open(&mut self, _: NodeKind, _: Cursor<'_>) {}
    #[inline(always)]
    fn close(&mut self, _: Cursor<'_>) {}
}

impl From<Stop> for Fault {
    #[inline(always)]
    fn from(_: Stop) -> Self {
        Fault::Syntax
    }
}

/// Passes one value, which begins here and stands within `depth` objects and arrays.
#[inline(always)]
pub(crate) fn skip_value<S: Simd>(
    simd: S,
    cursor: &mut Cursor<'_>,
    depth: u32,
) -> Result<NodeKind, Fault> {
    scan(simd, cursor, depth, &mut ())
}

/// Passes one value, which begins here and stands within `depth` objects and arrays, and tells `sink`
/// of all in it.
#[inline(always)]
pub(super) fn scan<'a, S: Simd, K: Sink<'a>>(
    simd: S,
    cursor: &mut Cursor<'a>,
    depth: u32,
    sink: &mut K,
) -> Result<NodeKind, Fault> {
    // Those open here, the innermost in the lowest bit: whether it is an object.
    let mut objects = 0u128;
    let mut open = 0;
    loop {
        let start = *cursor;
        let kind = match cursor.byte() {
            b'"' => match skip_string(simd, cursor)? {
                false => NodeKind::Plain,
                true => NodeKind::Escaped,
            },
            b'-' | b'0'..=b'9' => skip_number(cursor)?,
            first @ (b'{' | b'[') => {
                if depth + open >= MAX_DEPTH {
                    // A bracket behind the end is none of this text.
                    let inside = cursor.left() > 0;
                    return Err(if inside { Fault::Deep } else { Fault::Syntax });
                }
                cursor.advance(1)?;
                spaces(simd, cursor)?;
                let is_object = first == b'{';
                let kind = match is_object {
                    true => NodeKind::Object,
                    false => NodeKind::Array,
                };
                sink.open(kind, start);
                if cursor.byte() != first + 2 {
                    open += 1;
                    objects = objects << 1 | u128::from(is_object);
                    if is_object {
                        key(simd, cursor, sink)?;
                    }
                    continue;
                }
                cursor.advance(1)?;
                sink.close(*cursor);
                if open == 0 {
                    return Ok(kind);
                }
                kind
            }
            b't' => literal(cursor, b"true", NodeKind::True)?,
            b'f' => literal(cursor, b"false", NodeKind::False)?,
            b'n' => literal(cursor, b"null", NodeKind::Null)?,
            _ => return Err(Fault::Syntax),
        };
        if !matches!(kind, NodeKind::Object | NodeKind::Array) {
            sink.leaf(kind, start, *cursor);
            if open == 0 {
                return Ok(kind);
            }
        }
        // A value has ended: what follows it, and which containers end with it.
        loop {
            spaces(simd, cursor)?;
            let is_object = objects & 1 == 1;
            match cursor.byte() {
                b',' => {
                    cursor.advance(1)?;
                    spaces(simd, cursor)?;
                    if is_object {
                        key(simd, cursor, sink)?;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return Err(Fault::Syntax),
            }
            cursor.advance(1)?;
            sink.close(*cursor);
            open -= 1;
            objects >>= 1;
            if open == 0 {
                return Ok(match is_object {
                    true => NodeKind::Object,
                    false => NodeKind::Array,
                });
            }
        }
    }
}

/// Passes a key and its colon.
#[inline(always)]
fn key<'a, S: Simd, K: Sink<'a>>(
    simd: S,
    cursor: &mut Cursor<'a>,
    sink: &mut K,
) -> Result<(), Fault> {
    if cursor.byte() != b'"' {
        return Err(Fault::Syntax);
    }
    let start = *cursor;
    let kind = match skip_string(simd, cursor)? {
        false => NodeKind::Plain,
        true => NodeKind::Escaped,
    };
    sink.leaf(kind, start, *cursor);
    spaces(simd, cursor)?;
    if cursor.byte() != b':' {
        return Err(Fault::Syntax);
    }
    cursor.advance(1)?;
    Ok(spaces(simd, cursor)?)
}

#[inline(always)]
fn literal<const N: usize>(
    cursor: &mut Cursor<'_>,
    word: &[u8; N],
    kind: NodeKind,
) -> Result<NodeKind, Stop> {
    if cursor.bytes::<N>() != word {
        return Err(Stop);
    }
    cursor.advance(N)?;
    Ok(kind)
}
