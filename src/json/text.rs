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
    *cursor = simd.enter(Spaces(*cursor))?;
    Ok(())
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

/// Passes a string, from its first quote to behind its last, and appends its text, unescaped: UTF-8
/// where the string is. After an error `out` may have grown by anything.
#[inline(always)]
pub(crate) fn push_string<S: Simd>(
    simd: S,
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Stop> {
    // The cursor stays one byte behind what is looked at, so that one step passes the last byte too.
    loop {
        let block = cursor.ahead::<1, BLOCK>();
        out.reserve(BLOCK);
        let length = out.len();
        let special = simd.special(block);
        // SAFETY: `reserve` left room for a block behind `length`; the whole block is written, so
        // what `set_len` takes in, at most a block, is initialised. A `Vec<u8>` needs no alignment.
        unsafe {
            out.as_mut_ptr()
                .add(length)
                .cast::<[u8; BLOCK]>()
                .write(*block);
            out.set_len(length + special.unwrap_or(BLOCK));
        }
        let Some(special) = special else {
            // SAFETY: BLOCK is below PAD.
            unsafe { cursor.step(BLOCK)? };
            continue;
        };
        let first = block[special % BLOCK];
        if first == b'"' {
            const { assert!(BLOCK + 2 <= PAD) };
            // SAFETY: the remainder is below BLOCK.
            return unsafe { cursor.step(special % BLOCK + 2) };
        }
        cursor.advance(special + 1)?;
        let short = SHORT[usize::from(cursor.ahead::<1, 1>()[0])];
        if first == b'\\' && short != 0 {
            cursor.advance(1)?;
            out.push(short);
            continue;
        }
        let (character, behind) = escape(*cursor)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        cursor.advance(behind.distance(*cursor) - 1)?;
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
    let mut code = 0;
    for digit in *cursor.bytes::<4>() {
        code = code << 4 | char::from(digit).to_digit(16).ok_or(Stop)?;
    }
    cursor.advance(4)?;
    Ok(code)
}
