//! Headers of version 1 pages.
//!
//! The Parquet crate keeps its own writer of them private; they are a few fields of Thrift's compact protocol
//! (`PageHeader` in <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).

use super::hybrid::varint;
use parquet::basic::Encoding;

const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;

/// A page of `values` values, nulls counted. `raw` and `stored` are bytes before and after compression.
pub(super) fn data_page(raw: usize, stored: usize, values: usize, encoding: Encoding) -> Vec<u8> {
    let mut out = start(DATA_PAGE, raw, stored);
    structure(5, 3, &mut out);
    integer(1, values as i64, &mut out);
    integer(1, id(encoding), &mut out);
    // Definition and repetition levels.
    integer(1, id(Encoding::RLE), &mut out);
    integer(1, id(Encoding::RLE), &mut out);
    out.extend_from_slice(&[0, 0]);
    out
}

/// A page of `entries` plain values.
pub(super) fn dictionary_page(raw: usize, stored: usize, entries: usize) -> Vec<u8> {
    let mut out = start(DICTIONARY_PAGE, raw, stored);
    structure(7, 3, &mut out);
    integer(1, entries as i64, &mut out);
    integer(1, id(Encoding::PLAIN), &mut out);
    out.extend_from_slice(&[0, 0]);
    out
}

fn start(page_type: i32, raw: usize, stored: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    integer(1, page_type.into(), &mut out);
    integer(1, raw as i64, &mut out);
    integer(1, stored as i64, &mut out);
    out
}

/// An i32 whose field id is `step` above the one before.
fn integer(step: u8, value: i64, out: &mut Vec<u8>) {
    out.push(step << 4 | 5);
    varint(((value << 1) ^ (value >> 63)) as u64, out);
}

/// The beginning of the structure of field `id`, after field `previous`.
fn structure(id: u8, previous: u8, out: &mut Vec<u8>) {
    out.push((id - previous) << 4 | 12);
}

/// The number of an encoding that this room writes.
fn id(encoding: Encoding) -> i64 {
    match encoding {
        Encoding::RLE => 3,
        Encoding::DELTA_BINARY_PACKED => 5,
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 6,
        Encoding::RLE_DICTIONARY => 8,
        _ => 0,
    }
}
