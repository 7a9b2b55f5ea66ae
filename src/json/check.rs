//! Whether a text is one JSON value.

use super::{
    cursor::{Cursor, Padded},
    fault::{Fault, Kind},
    is_utf8,
    nodes::Document,
    scan::scan,
    simd::{Engine, Simd, Task},
};
use std::ops::Range;

/// Judges one text: its kind where it is one JSON value with nothing but white space around it.
pub fn check(text: &[u8]) -> Result<Kind, Fault> {
    check_in(text, 0..text.len(), false)
}

/// Judges the text at `slab[span]`: cheaper than [`check`] where 64 bytes of the slab lie behind it,
/// since it is read in place. `utf8`: whether the text is known to be UTF-8. A span that is not in
/// the slab is a [`Fault::Syntax`].
pub fn check_in(slab: &[u8], span: Range<usize>, utf8: bool) -> Result<Kind, Fault> {
    let text = slab.get(span.clone()).ok_or(Fault::Syntax)?;
    if !utf8 && !is_utf8(text) {
        return Err(Fault::Utf8);
    }
    let mut padded = Padded::default();
    let cursor = padded.cursor(slab, span).ok_or(Fault::Syntax)?;
    Engine::best().run(Document { cursor, sink: () })
}

/// Judges the value that begins at `slab[span.start]`, whatever follows it up to the span's end: its
/// kind, and the index behind its last byte. White space before it is not passed, and UTF-8 is not
/// looked at.
pub fn value(slab: &[u8], span: Range<usize>) -> Result<(Kind, usize), Fault> {
    let start = span.start;
    if start >= span.end {
        return Err(Fault::Syntax);
    }
    let mut padded = Padded::default();
    let cursor = padded.cursor(slab, span).ok_or(Fault::Syntax)?;
    let (kind, length) = Engine::best().run(One(cursor))?;
    Ok((kind, start + length))
}

struct One<'a>(Cursor<'a>);

impl Task for One<'_> {
    type Out = Result<(Kind, usize), Fault>;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Self::Out {
        let start = self.0;
        let kind = scan(simd, &mut self.0, 0, &mut ())?;
        Ok((kind.into(), self.0.distance(start)))
    }
}
