//! JSON events into rows of a table's schema.
//!
//! In: a [`RoutedBatch`](crate::event::RoutedBatch) of one table and the verdicts passed on its
//! offsets before. Out: a [`Decoded`]: rows with exactly the columns of the schema, dead letters,
//! the account of every record, and what the events showed beyond the schema. Invariant 3: a value
//! that does not fit its column is kept whole in `_rescued_data`.
//!
//! `_rescued_data` is a JSON object of place to original value: `a.b` for a field, `a[3].b` within a
//! list, `m.key` within a map; a name that is empty or holds one of `` .[]` `` stands between
//! backticks. A struct keeps its other fields when one does not fit; lists and maps are kept whole
//! when an element is of the wrong kind. `_record` holds the text of a whole event that must become
//! a row and is no JSON object (`_record_base64` if it is not even text); `[_key]` a record's key that
//! is no text.
//!
//! Limits: [`MAX_BATCH_BYTES`] a batch; 127 levels an event; what is kept of one event in
//! `_rescued_data` is at most four times its length and 1 KiB: past that, the whole event is kept
//! there instead, once, and its columns are null.

mod build;
mod column;
mod copies;
mod dead_letters;
mod decoder;
mod error;
mod extent;
mod fast;
mod fields;
mod guesses;
mod infer;
mod json;
mod keys;
mod leftovers;
mod metadata;
mod nested;
mod number;
mod path;
mod reproject;
mod row;
mod time;

pub use dead_letters::dead_letter_batch;
#[doc(hidden)]
pub use decoder::Way;
pub use decoder::{DecodeOptions, Decoded, Decoder, MAX_BATCH_BYTES, MAX_EVENT_BYTES, Verdicts};
pub use error::DecodeError;
pub use reproject::reproject;

#[cfg(test)]
mod tests;
