//! Why a text is not JSON, and what kind of value it is.

use std::fmt;

/// Why a text is not one JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not UTF-8, wherever in it.
    Utf8,
    /// It nests deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    Deep,
    /// It is no JSON, or text follows the value.
    Syntax,
}

impl Fault {
    /// The code of a dead letter: `invalid_utf8`, `too_deep` or `malformed`.
    pub fn code(self) -> &'static str {
        match self {
            Fault::Utf8 => "invalid_utf8",
            Fault::Deep => "too_deep",
            Fault::Syntax => "malformed",
        }
    }

    /// For people: `serde_json`'s message about the same bytes, with line and column.
    #[cold]
    pub fn detail(self, bytes: &[u8]) -> String {
        match serde_json::from_slice::<serde_json::Value>(bytes) {
            Err(error) => error.to_string(),
            Ok(_) => "the text is not JSON".into(),
        }
    }
}

/// What a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl fmt::Display for Kind {
    /// With its article: `an array`, `null`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        })
    }
}
