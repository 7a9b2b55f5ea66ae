//! One event's text as a flat list of nodes: what is where, every byte checked, nothing copied.
//!
//! Accepts what `serde_json::Value` accepts (RFC 8259, 127 levels, no lone surrogates), and numbers
//! beyond a double too, since they can be kept as text. `RawValue` would not do: it passes lone
//! surrogates and any depth.

use crate::event::RejectReason;
use std::{borrow::Cow, sync::Arc};

/// As deep as serde_json goes.
const MAX_DEPTH: u32 = 127;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Null,
    True,
    False,
    /// A number of digits alone.
    Integer,
    /// A number with a fraction or an exponent.
    Float,
    /// Text without escapes.
    Plain,
    /// Text with escapes.
    Escaped,
    /// Followed by its keys and values in turn.
    Object,
    /// Followed by its elements.
    Array,
}

/// A value or a key: its span in the text, quotes included, and where the next one stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    start: u32,
    end: u32,
    /// The index after this node and all within it.
    next: u32,
}

/// A parsed text. Nodes are named by index; 0 is the whole.
#[derive(Clone, Copy)]
pub(super) struct Json<'a> {
    text: &'a str,
    nodes: &'a [Node],
}

impl<'a> Json<'a> {
    pub(super) fn kind(self, at: u32) -> NodeKind {
        self.node(at).kind
    }

    fn node(self, at: u32) -> Node {
        // Indexes come from this list alone; the fallback keeps a mistake from being a panic.
        self.nodes.get(at as usize).copied().unwrap_or(Node {
            kind: NodeKind::Null,
            start: 0,
            end: 0,
            next: u32::MAX,
        })
    }

    /// The value as it was sent.
    pub(super) fn text(self, at: u32) -> &'a str {
        let node = self.node(at);
        self.text
            .get(node.start as usize..node.end as usize)
            .unwrap_or("null")
    }

    /// The text of a string or a key, unescaped; `None` for another kind.
    pub(super) fn string(self, at: u32) -> Option<Cow<'a, str>> {
        let quoted = self.text(at);
        match self.kind(at) {
            NodeKind::Plain => quoted
                .get(1..quoted.len().saturating_sub(1))
                .map(Cow::Borrowed),
            NodeKind::Escaped => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
            _ => None,
        }
    }

    pub(super) fn is_null(self, at: u32) -> bool {
        self.kind(at) == NodeKind::Null
    }

    /// The keys and values of an object, doubled keys included; nothing for another kind.
    pub(super) fn members(self, at: u32) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let node = self.node(at);
        let mut i = at + 1;
        let end = match node.kind {
            NodeKind::Object => node.next,
            _ => i,
        };
        std::iter::from_fn(move || {
            (i < end).then(|| {
                let pair = (i, i + 1);
                i = self.node(i + 1).next;
                pair
            })
        })
    }

    /// The elements of an array; nothing for another kind.
    pub(super) fn elements(self, at: u32) -> impl Iterator<Item = u32> + use<'a> {
        let node = self.node(at);
        let mut i = at + 1;
        let end = match node.kind {
            NodeKind::Array => node.next,
            _ => i,
        };
        std::iter::from_fn(move || {
            (i < end).then(|| {
                let element = i;
                i = self.node(i).next;
                element
            })
        })
    }

    /// The value of a key of an object; the last, where it is doubled.
    pub(super) fn get(self, at: u32, key: &str) -> Option<u32> {
        self.members(at)
            .filter(|&(k, _)| self.string(k).is_some_and(|name| name == key))
            .map(|(_, value)| value)
            .last()
    }
}

/// Parses texts one after the other into the same memory.
#[derive(Default)]
pub(super) struct Parser {
    nodes: Vec<Node>,
}

impl Parser {
    /// Parses one text. The reason's detail is serde_json's message, with line and column.
    pub(super) fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Json<'a>, RejectReason> {
        self.nodes.clear();
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(reason(bytes, Fault::Utf8));
        };
        let mut scan = Scan {
            bytes,
            at: 0,
            nodes: &mut self.nodes,
        };
        scan.document().map_err(|fault| reason(bytes, fault))?;
        Ok(Json {
            text,
            nodes: &self.nodes,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Utf8,
    Deep,
    Syntax,
}

#[cold]
fn reason(bytes: &[u8], fault: Fault) -> RejectReason {
    let detail = match serde_json::from_slice::<serde_json::Value>(bytes) {
        Err(error) => error.to_string(),
        Ok(_) => "the text is not JSON".into(),
    };
    RejectReason {
        code: match fault {
            Fault::Utf8 => "invalid_utf8",
            Fault::Deep => "too_deep",
            Fault::Syntax => "malformed",
        },
        detail: Arc::from(detail),
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), Fault> {
        if u32::try_from(self.bytes.len()).is_err() {
            return Err(Fault::Syntax);
        }
        self.spaces();
        self.value(0)?;
        self.spaces();
        if self.at < self.bytes.len() {
            return Err(Fault::Syntax);
        }
        Ok(())
    }

    fn peek(&self) -> u8 {
        // A zero byte is no JSON anywhere, so it can stand for the end.
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    /// A leaf, from `start` to here.
    fn leaf(&mut self, kind: NodeKind, start: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node {
            kind,
            start: start as u32,
            end: self.at as u32,
            next,
        });
    }

    fn value(&mut self, depth: u32) -> Result<(), Fault> {
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.container(NodeKind::Object, b'}', depth),
            b'[' => self.container(NodeKind::Array, b']', depth),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true", NodeKind::True),
            b'f' => self.literal(b"false", NodeKind::False),
            b'n' => self.literal(b"null", NodeKind::Null),
            _ => Err(Fault::Syntax),
        }
    }

    fn container(&mut self, kind: NodeKind, close: u8, depth: u32) -> Result<(), Fault> {
        if depth >= MAX_DEPTH {
            return Err(Fault::Deep);
        }
        let (index, start) = (self.nodes.len(), self.at);
        self.leaf(kind, start);
        self.at += 1;
        self.spaces();
        if self.peek() != close {
            loop {
                if kind == NodeKind::Object {
                    if self.peek() != b'"' {
                        return Err(Fault::Syntax);
                    }
                    self.string()?;
                    self.spaces();
                    if self.peek() != b':' {
                        return Err(Fault::Syntax);
                    }
                    self.at += 1;
                    self.spaces();
                }
                self.value(depth + 1)?;
                self.spaces();
                match self.peek() {
                    b',' => self.at += 1,
                    c if c == close => break,
                    _ => return Err(Fault::Syntax),
                }
                self.spaces();
            }
        }
        self.at += 1;
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(index) {
            node.end = self.at as u32;
            node.next = next;
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8], kind: NodeKind) -> Result<(), Fault> {
        let start = self.at;
        if !self.bytes[start..].starts_with(word) {
            return Err(Fault::Syntax);
        }
        self.at += word.len();
        self.leaf(kind, start);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_ascii_digit() {
            return Err(Fault::Syntax);
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let mut kind = NodeKind::Integer;
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
            if self.peek().is_ascii_digit() {
                return Err(Fault::Syntax);
            }
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            kind = NodeKind::Float;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            kind = NodeKind::Float;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        self.leaf(kind, start);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let mut kind = NodeKind::Plain;
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(plain) = rest
                .iter()
                .position(|&b| b == b'"' || b == b'\\' || b < 0x20)
            else {
                return Err(Fault::Syntax);
            };
            self.at += plain;
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    self.leaf(kind, start);
                    return Ok(());
                }
                b'\\' => {
                    kind = NodeKind::Escaped;
                    self.escape()?;
                }
                _ => return Err(Fault::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let escaped = self.peek();
        self.at += 1;
        match escaped {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.hex()? {
                0xD800..=0xDBFF => {
                    if !self.bytes[self.at..].starts_with(b"\\u") {
                        return Err(Fault::Syntax);
                    }
                    self.at += 2;
                    match self.hex()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Fault::Syntax),
                    }
                }
                0xDC00..=0xDFFF => Err(Fault::Syntax),
                _ => Ok(()),
            },
            _ => Err(Fault::Syntax),
        }
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()).to_digit(16).ok_or(Fault::Syntax)?;
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }
}
