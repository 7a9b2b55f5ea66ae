//! Answers that come a page at a time.

use serde::de::DeserializeOwned;

/// One page: its items, and what to send as `page_token` for the next. An absent or empty token ends the list; a page may
/// be empty and not be the last.
pub trait Page: DeserializeOwned {
    type Item;

    fn into_parts(self) -> (Vec<Self::Item>, Option<String>);
}
