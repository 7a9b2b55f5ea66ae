//! White space and strings.

#![allow(unsafe_code)]

use super::{
    cursor::{Cursor, PAD, Stop},
    simd::{BLOCK, Simd, Task},
};

/// Passes white space.
#[inline(always)]
pub(crate) fn spaces<S: Simd>(simd: S, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    let [first, second] = *cursor.bytes();
    if first > b' ' {
        return Ok(());
    }
    // One space is what many encoders write behind a colon or a comma.
    if first == b' ' && second > b' ' && cursor.left() > 0 {
        return cursor.advance(1);
    }
    *cursor = blank(simd, *cursor)?;
    Ok(())
}

/// As a call of its own, or the constants for [`Spaces`] would be loaded in the loops around it.
#[cold]
#[inline(never)]
fn blank<S: Simd>(simd: S, cursor: Cursor<'_>) -> Result<Cursor<'_>, Stop> {
    simd.enter(Spaces(cursor))
}

/// Passes white space of any length; apart, since it is seldom there.
struct Spaces<'a>(Cursor<'a>);

impl<'a> Task for Spaces<'a> {
    type Out = Result<Cursor<'a>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Spaces(mut cursor) = self;
        loop {
            let solid = simd.solid(cursor.bytes()).unwrap_or(BLOCK);
            // What stands behind the end is none of this text.
            cursor.advance(solid.min(cursor.left()))?;
            if solid < BLOCK || cursor.left() == 0 {
                return Ok(cursor);
            }
        }
    }
}

/// Passes a string, from its first quote to behind its last; whether it has escapes.
#[inline(always)]
pub(crate) fn skip_string<S: Simd>(simd: S, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
    let mut escaped = false;
    // The cursor stays one byte behind what is looked at, so that one step passes the last byte too.
    loop {
        let block = cursor.ahead::<1, BLOCK>();
        let Some(special) = simd.special(block) else {
            cursor.advance(BLOCK)?;
            continue;
        };
        if block[special % BLOCK] == b'"' {
            cursor.advance(special + 2)?;
            return Ok(escaped);
        }
        cursor.advance(special + 1)?;
        let (_, behind) = escape(*cursor)?;
        cursor.advance(behind.distance(*cursor) - 1)?;
        escaped = true;
    }
}

/// How many bytes memory is fetched by.
const CACHE_LINE: usize = 64;

/// Bytes under construction, to which strings are appended by whole blocks.
///
/// Invariant: behind each length below `room` there is room for a block. Nothing takes capacity
/// from the vector but [`Blocks::replace`], which makes `room` zero.
#[derive(Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    room: usize,
}

impl Blocks {
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// The bytes; goes on with those of `next`.
    pub(crate) fn replace(&mut self, next: Vec<u8>) -> Vec<u8> {
        self.room = 0;
        std::mem::replace(&mut self.bytes, next)
    }

    /// Makes room for a block.
    #[cold]
    fn grow(&mut self) {
        self.bytes.reserve(BLOCK);
        self.room = self.bytes.capacity() - BLOCK + 1;
    }

    /// Writes a block behind `length`, which stays the length.
    ///
    /// # Safety
    /// There must be room for a block behind `length`.
    #[inline(always)]
    unsafe fn write(&mut self, length: usize, block: &[u8; BLOCK]) {
        // SAFETY: within the capacity (the caller's word); a `Vec<u8>` needs no alignment.
        unsafe {
            let to = self.bytes.as_mut_ptr().add(length);
            to.cast::<[u8; BLOCK]>().write(*block);
        }
    }
}

/// Passes a string, from its first quote to behind its last, and appends its text, unescaped: UTF-8,
/// whatever the text around it is. After an error `out` may have grown by anything.
#[inline(always)]
pub(crate) fn push_string<S: Simd>(
    simd: S,
    cursor: &mut Cursor<'_>,
    out: &mut Blocks,
) -> Result<(), Stop> {
    let mut length = out.bytes.len();
    // Nearly all strings are plain. The cursor stays one byte behind what is looked at, so that one step passes the last byte too.
    while length < out.room {
        let block = cursor.ahead::<1, BLOCK>();
        let unplain = simd.unplain(block);
        // SAFETY: there is room for a block behind the length (invariant).
        unsafe { out.write(length, block) };
        let Some(unplain) = unplain else {
            length += BLOCK;
            // SAFETY: BLOCK is below PAD.
            unsafe { cursor.step(BLOCK)? };
            continue;
        };
        if block[unplain % BLOCK] != b'"' {
            break;
        }
        const { assert!(BLOCK + 2 <= PAD) };
        // The columns of a batch are more streams than the processor foresees by itself.
        simd.fetch(out.bytes.as_ptr(), length + 2 * CACHE_LINE);
        // SAFETY: what comes into the length was written above: whole blocks, and less than one. The
        // remainder is below BLOCK.
        return unsafe {
            out.bytes.set_len(length + unplain);
            cursor.step(unplain % BLOCK + 2)
        };
    }
    // SAFETY: whole blocks that were written above.
    unsafe { out.bytes.set_len(length) };
    *cursor = simd.enter(Rest {
        cursor: *cursor,
        out,
    })?;
    Ok(())
}

/// A block before which there is nothing that goes on in it.
const NOTHING: [u8; BLOCK] = [0; BLOCK];

/// Whether what is between two places of a text is UTF-8.
#[inline(always)]
pub(crate) fn is_text<S: Simd>(simd: S, mut from: Cursor<'_>, to: Cursor<'_>) -> bool {
    let mut before = &NOTHING;
    loop {
        let left = to.distance(from);
        if !simd.utf8(from.bytes(), left.min(BLOCK), before) {
            return false;
        }
        // A whole block may end within a character: one of no bytes finds that.
        if left < BLOCK {
            return true;
        }
        before = from.bytes();
        if from.advance(BLOCK).is_err() {
            return false;
        }
    }
}

/// The rest of a string that is not plain or has too little room; the cursor is one byte behind.
struct Rest<'a, 'o> {
    cursor: Cursor<'a>,
    out: &'o mut Blocks,
}

impl<'a> Task for Rest<'a, '_> {
    type Out = Result<Cursor<'a>, Stop>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let Rest { mut cursor, out } = self;
        let mut before = &NOTHING;
        loop {
            let block = cursor.ahead::<1, BLOCK>();
            if out.bytes.len() >= out.room {
                out.grow();
            }
            let length = out.bytes.len();
            let special = simd.special(block);
            if !simd.utf8(block, special.unwrap_or(BLOCK), before) {
                return Err(Stop);
            }
            // SAFETY: there is room for a block behind the length (invariant), and what comes into it, at most
            // a block, is written.
            unsafe {
                out.write(length, block);
                out.bytes.set_len(length + special.unwrap_or(BLOCK));
            }
            let Some(special) = special else {
                cursor.advance(BLOCK)?;
                before = block;
                continue;
            };
            before = &NOTHING;
            if block[special % BLOCK] == b'"' {
                cursor.advance(special + 2)?;
                return Ok(cursor);
            }
            cursor.advance(special + 1)?;
            let short = SHORT[usize::from(cursor.ahead::<1, 1>()[0])];
            if block[special % BLOCK] == b'\\' && short != 0 {
                cursor.advance(1)?;
                out.bytes.push(short);
                continue;
            }
            let (character, behind) = escape(cursor)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            cursor.advance(behind.distance(cursor) - 1)?;
        }
    }
}

/// What the second byte of a two-byte escape stands for; 0 where there is no such escape.
const SHORT: [u8; 256] = {
    let mut short = [0; 256];
    let pairs = *b"\"\"\\\\//b\x08f\x0cn\nr\rt\t";
    let mut i = 0;
    while i < pairs.len() {
        short[pairs[i] as usize] = pairs[i + 1];
        i += 2;
    }
    short
};

/// What each byte is worth as a hexadecimal digit; above 15 where it is none.
const HEX: [u8; 256] = {
    let mut hex = [u8::MAX; 256];
    let digits = *b"0123456789abcdef";
    let mut i = 0;
    while i < digits.len() {
        hex[digits[i] as usize] = i as u8;
        hex[digits[i].to_ascii_uppercase() as usize] = i as u8;
        i += 1;
    }
    hex
};

/// Passes an escape, a surrogate pair as one; a control character is an error. By value, as all calls
/// of a pass: what a call has the address of cannot stay in a register.
#[inline(never)]
fn escape(mut cursor: Cursor<'_>) -> Result<(char, Cursor<'_>), Stop> {
    let [first, second] = *cursor.bytes();
    if first != b'\\' {
        return Err(Stop);
    }
    cursor.advance(2)?;
    let character = match second {
        b'u' => match hex(&mut cursor)? {
            high @ 0xd800..=0xdbff => {
                if *cursor.bytes() != *b"\\u" {
                    return Err(Stop);
                }
                cursor.advance(2)?;
                let low @ 0xdc00..=0xdfff = hex(&mut cursor)? else {
                    return Err(Stop);
                };
                char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or(Stop)?
            }
            // A low surrogate alone is no character.
            code => char::from_u32(code).ok_or(Stop)?,
        },
        _ => match SHORT[usize::from(second)] {
            0 => return Err(Stop),
            short => char::from(short),
        },
    };
    Ok((character, cursor))
}

fn hex(cursor: &mut Cursor<'_>) -> Result<u32, Stop> {
    let [a, b, c, d] = cursor.bytes::<4>().map(|digit| HEX[usize::from(digit)]);
    if (a | b | c | d) > 0xf {
        return Err(Stop);
    }
    cursor.advance(4)?;
    Ok(u32::from_be_bytes([0, 0, a << 4 | b, c << 4 | d]))
}
