//! Tables that number distinct values in the order of their first appearance.
//!
//! Open addressing with linear probing. Hashes are keyed by secrets drawn when the process starts, so that nobody can
//! send values that all collide; files do not depend on them.

mod bytes;
mod fixed;
mod key;

pub(super) use bytes::BytesDictionary;
pub(super) use fixed::FixedDictionary;
pub(super) use key::Key;

use std::sync::LazyLock;

/// Slots of a new table; there are twice as many as entries at least.
const FIRST_SLOTS: usize = 32;

/// Values whose hashes are computed before the first of them is looked up.
const TOGETHER: usize = 32;

static SECRETS: LazyLock<[u64; 2]> =
    LazyLock::new(|| [fastrand::u64(..) | 1, fastrand::u64(..) | 1]);

/// The high and the low half of a product, folded: every bit of the result depends on every bit of both.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests;
