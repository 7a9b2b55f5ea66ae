//! One text as a flat list of nodes: what is where, nothing copied.

use super::{
    cursor::{Cursor, Padded},
    fault::{Fault, Kind},
    is_utf8,
    scan::{NodeKind, Sink, scan},
    simd::{Engine, Simd, Task},
    text::spaces,
};
use std::{borrow::Cow, ops::Range};

/// No index.
const NONE: u32 = u32::MAX;

/// A value or a key: its span in the text, quotes included, and where the next one stands.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: NodeKind,
    start: u32,
    end: u32,
    /// The index after this node and all within it; while it is open, the index of the one around it.
    next: u32,
}

/// A parsed text. Nodes are named by index; 0 is the whole.
#[derive(Clone, Copy)]
pub struct Json<'a> {
    text: &'a [u8],
    nodes: &'a [Node],
}

impl<'a> Json<'a> {
    pub fn kind(self, at: u32) -> NodeKind {
        self.node(at).kind
    }

    fn node(self, at: u32) -> Node {
        // Indexes come from this list alone; the fallback keeps a mistake from being a panic.
        self.nodes.get(at as usize).copied().unwrap_or(Node {
            kind: NodeKind::Null,
            start: 0,
            end: 0,
            next: NONE,
        })
    }

    /// The value as it was sent.
    pub fn text(self, at: u32) -> &'a str {
        let node = self.node(at);
        self.text
            .get(node.start as usize..node.end as usize)
            .and_then(|bytes| str::from_utf8(bytes).ok())
            .unwrap_or("null")
    }

    /// Where in the text the value begins.
    pub fn start(self, at: u32) -> u32 {
        self.node(at).start
    }

    /// The text of a string or a key, unescaped; `None` for another kind.
    pub fn string(self, at: u32) -> Option<Cow<'a, str>> {
        let quoted = self.text(at);
        match self.kind(at) {
            NodeKind::Plain => quoted
                .get(1..quoted.len().saturating_sub(1))
                .map(Cow::Borrowed),
            NodeKind::Escaped => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
            _ => None,
        }
    }

    pub fn is_null(self, at: u32) -> bool {
        self.kind(at) == NodeKind::Null
    }

    /// The keys and values of an object, doubled keys included; nothing for another kind.
    pub fn members(self, at: u32) -> impl Iterator<Item = (u32, u32)> + use<'a> {
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
    pub fn elements(self, at: u32) -> impl Iterator<Item = u32> + use<'a> {
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
    pub fn get(self, at: u32, key: &str) -> Option<u32> {
        self.members(at)
            .filter(|&(k, _)| self.string(k).is_some_and(|name| name == key))
            .map(|(_, value)| value)
            .last()
    }
}

/// Parses texts one after the other into the same memory.
#[derive(Default)]
pub struct Parser {
    nodes: Vec<Node>,
    padded: Padded,
}

impl Parser {
    /// Parses one text.
    pub fn parse<'a>(&'a mut self, text: &'a [u8]) -> Result<Json<'a>, Fault> {
        self.parse_in(text, 0..text.len())
    }

    /// Parses the text at `slab[span]`, in place where [`PAD`](super::PAD) bytes of the slab lie
    /// behind it. A span that is not in the slab is a [`Fault::Syntax`].
    pub fn parse_in<'a>(
        &'a mut self,
        slab: &'a [u8],
        span: Range<usize>,
    ) -> Result<Json<'a>, Fault> {
        let text = slab.get(span.clone()).ok_or(Fault::Syntax)?;
        if !is_utf8(text) {
            return Err(Fault::Utf8);
        }
        if u32::try_from(text.len()).is_err() {
            return Err(Fault::Syntax);
        }
        self.nodes.clear();
        let cursor = self.padded.cursor(slab, span).ok_or(Fault::Syntax)?;
        Engine::best().run(Document {
            cursor,
            sink: Nodes {
                nodes: &mut self.nodes,
                start: cursor,
                open: NONE,
            },
        })?;
        Ok(Json {
            text,
            nodes: &self.nodes,
        })
    }
}

/// A whole text: one value with white space around it.
pub(super) struct Document<'a, K> {
    pub(super) cursor: Cursor<'a>,
    pub(super) sink: K,
}

impl<'a, K: Sink<'a>> Task for Document<'a, K> {
    type Out = Result<Kind, Fault>;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Self::Out {
        let cursor = &mut self.cursor;
        spaces(simd, cursor)?;
        if cursor.left() == 0 {
            return Err(Fault::Syntax);
        }
        let kind = scan(simd, cursor, 0, &mut self.sink)?;
        spaces(simd, cursor)?;
        match cursor.left() {
            0 => Ok(kind.into()),
            _ => Err(Fault::Syntax),
        }
    }
}

impl From<NodeKind> for Kind {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Null => Kind::Null,
            NodeKind::True | NodeKind::False => Kind::Boolean,
            NodeKind::Integer | NodeKind::Float => Kind::Number,
            NodeKind::Plain | NodeKind::Escaped => Kind::String,
            NodeKind::Object => Kind::Object,
            NodeKind::Array => Kind::Array,
        }
    }
}

struct Nodes<'a, 'n> {
    nodes: &'n mut Vec<Node>,
    start: Cursor<'a>,
    /// The innermost that is open.
    open: u32,
}

impl<'a> Sink<'a> for Nodes<'a, '_> {
    #[inline(always)]
    fn leaf(&mut self, kind: NodeKind, start: Cursor<'a>, end: Cursor<'a>) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node {
            kind,
            start: start.distance(self.start) as u32,
            end: end.distance(self.start) as u32,
            next,
        });
    }

    #[inline(always)]
    fn open(&mut self, kind: NodeKind, start: Cursor<'a>) {
        let index = self.nodes.len() as u32;
        let start = start.distance(self.start) as u32;
        self.nodes.push(Node {
            kind,
            start,
            end: start,
            next: self.open,
        });
        self.open = index;
    }

    #[inline(always)]
    fn close(&mut self, end: Cursor<'a>) {
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(self.open as usize) {
            node.end = end.distance(self.start) as u32;
            self.open = std::mem::replace(&mut node.next, next);
        }
    }
}
