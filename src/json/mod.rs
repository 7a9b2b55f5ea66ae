//! JSON text: what is a string, a number, a value, and where it ends.
//!
//! In: bytes as they were received. Out: whether they are one JSON value ([`check`], [`value`]), or a
//! flat list of what is where ([`Parser`]); for the decoder also the parts of which its one pass is
//! made. A text is what `serde_json::Value` accepts (RFC 8259 in UTF-8, 127 levels, no lone
//! surrogates), and numbers beyond a double too, since they can be kept as text.
//!
//! The room holds the crate's `unsafe` code for reading text. It rests on three small types:
//! - [`Cursor`] is always within its text, and 64 bytes behind the text are readable: a text in a
//!   larger slab is read in place, one at the slab's end is copied with padding first ([`Padded`]).
//! - [`Simd`] is a set of instructions, and a value of the type is the proof that the machine has it:
//!   AVX2 where it is detected at run time, else words of eight bytes (which Miri runs too).
//! - [`Blocks`] is a vector into whose spare room [`push_string`] writes blocks.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod check;
mod cursor;
mod fault;
mod nodes;
mod number;
mod scan;
mod simd;
mod text;

pub use check::{check, check_in, value};
pub use fault::{Fault, Kind};
pub use nodes::{Json, Parser};
pub use scan::NodeKind;

pub(crate) use cursor::{Cursor, PAD, Padded, Stop};
pub(crate) use number::{
    clock, digit_run, leading_number, millis, short_integer, short_number, skip_number,
};
pub(crate) use scan::skip_value;
pub(crate) use simd::{BLOCK, Engine, Pattern, Simd, Task};
pub(crate) use text::{Blocks, is_text, push_string, skip_string, spaces};

/// The deepest nesting of objects and arrays; as deep as `serde_json` goes.
pub const MAX_DEPTH: u32 = 127;

/// Whether the bytes are UTF-8.
pub fn is_utf8(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests;
