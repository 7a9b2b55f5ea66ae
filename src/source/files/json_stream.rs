//! The elements of one JSON array, or JSON values one after another, without holding the file.
//!
//! Elements are found by brackets and strings alone; whether one is JSON is judged by decoding, as
//! for a line. What breaks the sequence itself (an array that does not end, text after it) is damage
//! of the file.

use super::{
    FilesError,
    records::{Chunk, RecordReader},
    text::{TextFile, is_space},
};
use crate::event::{RecordKind, RejectReason};
use memchr::memchr2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[a, b, …]`
    Array,
    /// `a b …`, such as objects printed over several lines.
    Sequence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the `[`.
    Open,
    /// Before a value; in an array, after a `,` or the `[`.
    Before { after_comma: bool },
    /// After the array's `]`.
    Closed,
}

pub(crate) struct JsonStreamReader {
    text: TextFile,
    layout: Layout,
    state: State,
    scratch: Vec<u8>,
}

enum Next {
    Value,
    /// `,` without a value before it.
    Empty,
    End,
}

impl JsonStreamReader {
    pub(crate) fn new(text: TextFile, layout: Layout) -> Self {
        let state = match layout {
            Layout::Array => State::Open,
            Layout::Sequence => State::Before { after_comma: false },
        };
        Self {
            text,
            layout,
            state,
            scratch: Vec::new(),
        }
    }

    /// The next byte that is not whitespace, left unread.
    fn peek(&mut self) -> Result<Option<u8>, FilesError> {
        loop {
            let bytes = self.text.fill()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            match bytes.iter().position(|&b| !is_space(b)) {
                Some(at) => {
                    let byte = bytes[at];
                    self.text.consume(at);
                    return Ok(Some(byte));
                }
                None => {
                    let n = bytes.len();
                    self.text.consume(n);
                }
            }
        }
    }

    /// Appends the next value's bytes to `out`.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Next, FilesError> {
        if self.layout == Layout::Sequence {
            return match self.peek()? {
                None => Ok(Next::End),
                Some(_) => self.sequence_value(out).map(|()| Next::Value),
            };
        }
        if self.state == State::Open {
            match self.peek()? {
                Some(b'[') => self.text.consume(1),
                _ => return Err(self.text.damaged("the file does not begin with an array")),
            }
            self.state = State::Before { after_comma: false };
        }
        match (self.state, self.peek()?) {
            (State::Closed, None) => Ok(Next::End),
            (State::Closed, Some(_)) => Err(self.text.damaged(
                "text follows the end of the array; several values belong on lines of their own (.ndjson)",
            )),
            (_, None) => Err(self.text.damaged("the file ends inside the array")),
            (State::Before { after_comma }, Some(b']')) => {
                self.text.consume(1);
                self.state = State::Closed;
                Ok(if after_comma { Next::Empty } else { Next::End })
            }
            (_, Some(b',')) => {
                self.text.consume(1);
                self.state = State::Before { after_comma: true };
                Ok(Next::Empty)
            }
            _ => self.element(out).map(|()| Next::Value),
        }
    }

    /// An element up to its `,` or the array's `]`, which is consumed.
    fn element(&mut self, out: &mut Vec<u8>) -> Result<(), FilesError> {
        let start = out.len();
        let mut depth = 0usize;
        loop {
            let byte = self.run(out, start, |b| {
                matches!(b, b'"' | b',' | b'[' | b']' | b'{' | b'}')
            })?;
            match byte {
                None => return Err(self.text.damaged("the file ends inside the array")),
                Some(b'"') => self.string(out, start)?,
                Some(end @ (b',' | b']')) if depth == 0 => {
                    self.text.consume(1);
                    self.state = match end {
                        b',' => State::Before { after_comma: true },
                        _ => State::Closed,
                    };
                    while out.len() > start && out.last().is_some_and(|&b| is_space(b)) {
                        out.pop();
                    }
                    return Ok(());
                }
                Some(byte) => {
                    match byte {
                        b'[' | b'{' => depth += 1,
                        b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.take(out, byte);
                }
            }
        }
    }

    /// One value of a sequence: brackets until they close, or a word until whitespace or a bracket.
    fn sequence_value(&mut self, out: &mut Vec<u8>) -> Result<(), FilesError> {
        let start = out.len();
        let mut depth = 0usize;
        loop {
            let byte = self.run(out, start, |b| {
                matches!(b, b'"' | b'[' | b']' | b'{' | b'}') || is_space(b)
            })?;
            match byte {
                None if depth == 0 => return Ok(()),
                None => return Err(self.text.damaged("the file ends inside a value")),
                Some(b'"') => {
                    if depth == 0 && out.len() > start {
                        return Ok(());
                    }
                    self.string(out, start)?;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Some(byte) if is_space(byte) => {
                    if depth == 0 {
                        return Ok(());
                    }
                    self.take(out, byte);
                }
                Some(byte @ (b'[' | b'{')) => {
                    if depth == 0 && out.len() > start {
                        return Ok(());
                    }
                    depth += 1;
                    self.take(out, byte);
                }
                Some(byte) => {
                    self.take(out, byte);
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Copies bytes up to the first that `stop` names, which is left unread; `None` at the end.
    fn run(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        stop: impl Fn(u8) -> bool,
    ) -> Result<Option<u8>, FilesError> {
        loop {
            let bytes = self.text.fill()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let at = bytes.iter().position(|&b| stop(b));
            let part = &bytes[..at.unwrap_or(bytes.len())];
            let found = at.map(|at| bytes[at]);
            out.extend_from_slice(part);
            let n = part.len();
            self.text.consume(n);
            self.text.check_length(out.len() - start)?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// A string with its quotes.
    fn string(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FilesError> {
        self.take(out, b'"');
        loop {
            let bytes = self.text.fill()?;
            if bytes.is_empty() {
                return Err(self.text.damaged("the file ends inside a string"));
            }
            let at = memchr2(b'"', b'\\', bytes);
            let end = at.map_or(bytes.len(), |at| at + 1);
            out.extend_from_slice(&bytes[..end]);
            let found = at.map(|at| bytes[at]);
            self.text.consume(end);
            self.text.check_length(out.len() - start)?;
            match found {
                Some(b'"') => return Ok(()),
                Some(_) => {
                    // The escaped byte, which may be a quote.
                    let Some(&escaped) = self.text.fill()?.first() else {
                        return Err(self.text.damaged("the file ends inside a string"));
                    };
                    self.take(out, escaped);
                }
                None => {}
            }
        }
    }

    fn take(&mut self, out: &mut Vec<u8>, byte: u8) {
        out.push(byte);
        self.text.consume(1);
    }
}

impl RecordReader for JsonStreamReader {
    fn read(&mut self, chunk: &mut Chunk, target_bytes: usize) -> Result<bool, FilesError> {
        while !chunk.is_full(target_bytes) {
            let start = chunk.slab.len();
            let kind = match self.next(&mut chunk.slab)? {
                Next::End => return Ok(false),
                Next::Value => RecordKind::Event,
                Next::Empty => RecordKind::Rejected(RejectReason {
                    code: "malformed",
                    detail: "no value beside a comma of the array".into(),
                }),
            };
            chunk.push(start, kind);
            self.text.records += 1;
        }
        Ok(true)
    }

    fn skip(&mut self, n: u64) -> Result<u64, FilesError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        for skipped in 0..n {
            scratch.clear();
            if let Next::End = self.next(&mut scratch)? {
                return Ok(skipped);
            }
            self.text.records += 1;
        }
        self.scratch = scratch;
        Ok(n)
    }
}
