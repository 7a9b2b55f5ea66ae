//! Nested arrays to the levels and values of columns, as Dremel does it.
//!
//! A *slot* is one entry of a column's levels: a value, a null, or a list that is empty or null. A *frame* is a stretch of
//! the schema between two lists: there all arrays are of one length, and an element of theirs is *live*; every other slot
//! of the frame was ended by a list above.

use super::{
    column::Column,
    levels::deepen,
    plan::{Content, Node},
    scratch::Scratch,
};
use crate::write::encode::Failure;
use arrow::{
    array::{Array, ArrayRef, AsArray, UInt32Array},
    buffer::NullBuffer,
    datatypes::DataType,
};

/// Slots between two lists of the schema, or above the first.
struct Frame {
    /// Elements of the frame's arrays.
    live: usize,
    /// The definition level of a live slot whose parents within the frame are all there; for other slots the level that
    /// they ended at, always below. `None`: all slots are live.
    ended: Option<Vec<u8>>,
    level: u8,
    /// Of each slot; empty above the first list.
    repetition: Vec<u8>,
    /// The greatest repetition level in use.
    lists: u8,
}

/// What is known of the parents of an array within its frame.
#[derive(Clone, Copy)]
struct Scope<'a> {
    frame: &'a Frame,
    /// The definition level of a live slot whose parents are all there.
    depth: u8,
    /// For each live slot the level at which a parent was null, or `depth`. `None`: all are at `depth`.
    levels: Option<&'a [u8]>,
    /// Where a parent is null.
    nulls: Option<&'a NullBuffer>,
}

/// Where the parts of rows go.
pub(super) struct Shredder<'a> {
    pub(super) columns: &'a mut [Column],
    /// Nulls of lists, maps and structs, by leaf of the file's statistics.
    pub(super) nulls: &'a mut [u64],
    pub(super) scratch: &'a mut Scratch,
}

impl Shredder<'_> {
    /// Adds the rows of one column of the table.
    pub(super) fn column(&mut self, node: &Node, array: &ArrayRef) -> Result<(), Failure> {
        let frame = Frame {
            live: array.len(),
            ended: None,
            level: 0,
            repetition: Vec::new(),
            lists: 0,
        };
        let scope = Scope {
            frame: &frame,
            depth: 0,
            levels: None,
            nulls: None,
        };
        self.node(node, array, scope)
    }

    fn node(&mut self, node: &Node, array: &ArrayRef, above: Scope<'_>) -> Result<(), Failure> {
        let own = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let joined = match (above.nulls, own) {
            (Some(_), Some(_)) => NullBuffer::union(above.nulls, own),
            _ => None,
        };
        let nulls = joined.as_ref().or(own).or(above.nulls);
        let count = |nulls: Option<&NullBuffer>| nulls.map_or(0, NullBuffer::null_count);
        if !node.nullable && count(nulls) > count(above.nulls) {
            return Err(Failure::Null(node.name.clone()));
        }
        if let (Some(stat), false) = (node.stat, matches!(node.content, Content::Leaf(_))) {
            self.nulls[stat] += count(nulls) as u64;
        }
        if let Content::Leaf(index) = node.content {
            return self.leaf(index, node.nullable, array, own, nulls, above);
        }
        let deeper;
        let scope = if node.nullable {
            let levels = (own.is_some() || above.levels.is_some())
                .then(|| deepen(above.levels, above.depth, own, array.len()));
            deeper = levels;
            Scope {
                depth: above.depth + 1,
                levels: deeper.as_deref(),
                nulls,
                ..above
            }
        } else {
            above
        };
        match &node.content {
            Content::Struct(children) => {
                let parent = array.as_struct();
                for (child, column) in children.iter().zip(parent.columns()) {
                    self.node(child, column, scope)?;
                }
                Ok(())
            }
            Content::List(element) => {
                let list = array.as_list::<i32>();
                let (frame, elements) = scope.open(list.value_offsets());
                let values = elements.of(list.values())?;
                self.node(element, &values, frame.scope())
            }
            Content::Map(children) => {
                let map = array.as_map();
                let (frame, elements) = scope.open(map.value_offsets());
                let (key, value) = children.as_ref();
                self.node(key, &elements.of(map.keys())?, frame.scope())?;
                self.node(value, &elements.of(map.values())?, frame.scope())
            }
            Content::Leaf(_) => Ok(()),
        }
    }

    fn leaf(
        &mut self,
        index: usize,
        nullable: bool,
        array: &ArrayRef,
        own: Option<&NullBuffer>,
        nulls: Option<&NullBuffer>,
        above: Scope<'_>,
    ) -> Result<(), Failure> {
        let Some(column) = self.columns.get_mut(index) else {
            return Ok(());
        };
        let frame = above.frame;
        if frame.lists > 0 {
            column.repetition().extend(&frame.repetition);
        }
        let depth = above.depth + u8::from(nullable);
        match (above.levels, own, &frame.ended) {
            (None, None, None) => column.definition().push_run(depth, frame.live),
            (None, Some(own), None) if own.null_count() == own.len() => {
                column.definition().push_run(above.depth, frame.live);
            }
            (levels, own, ended) => {
                let deeper = if nullable && (own.is_some() || levels.is_some()) {
                    Some(deepen(levels, above.depth, own, array.len()))
                } else {
                    None
                };
                let live = deeper.as_deref().or(levels);
                match ended {
                    None => column.definition().extend(live.unwrap_or_default()),
                    Some(ended) => {
                        let mut live = live.map(|live| live.iter().copied());
                        let mut next = || match &mut live {
                            Some(live) => live.next().unwrap_or_default(),
                            None => depth,
                        };
                        let slot = |level: &u8| {
                            if *level == frame.level {
                                next()
                            } else {
                                *level
                            }
                        };
                        let slots: Vec<u8> = ended.iter().map(slot).collect();
                        column.definition().extend(&slots);
                    }
                }
            }
        }
        let other;
        let array = match array.data_type() {
            DataType::LargeUtf8 | DataType::Utf8View => {
                other = arrow::compute::cast(array, &DataType::Utf8)?;
                &other
            }
            DataType::LargeBinary | DataType::BinaryView => {
                other = arrow::compute::cast(array, &DataType::Binary)?;
                &other
            }
            _ => array,
        };
        column.add(array, nulls, &mut self.scratch.buffers)?;
        Ok(column.end_row(self.scratch)?)
    }
}

impl Frame {
    fn scope(&self) -> Scope<'_> {
        Scope {
            frame: self,
            depth: self.level,
            levels: None,
            nulls: None,
        }
    }
}

impl Scope<'_> {
    /// The frame of the elements of lists that lie at `offsets`, and which elements these are. Lists that are null, or
    /// whose parents are, have none, whatever their offsets say.
    fn open(&self, offsets: &[i32]) -> (Frame, Elements) {
        let lists = self.frame.lists + 1;
        let outer = offsets.len() - 1;
        let total = (offsets[outer] - offsets[0]) as usize;
        let mut ended = Vec::with_capacity(total + outer);
        let mut repetition = Vec::with_capacity(total + outer);
        let mut elements = Elements::Range(offsets[0] as usize, 0);
        let full = self.depth + 1;
        let mut empty_or_ended = false;
        let mut live = 0;
        let slots = self.frame.ended.as_ref().map_or(outer, Vec::len);
        for slot in 0..slots {
            let first = self.frame.repetition.get(slot).copied().unwrap_or(0);
            let level = match &self.frame.ended {
                Some(ended) if ended[slot] != self.frame.level => {
                    ended.get(slot).copied().unwrap_or(0)
                }
                _ => {
                    let at = live;
                    live += 1;
                    let level = self.levels.map_or(self.depth, |levels| levels[at]);
                    let (start, end) = (offsets[at] as usize, offsets[at + 1] as usize);
                    if level == self.depth && end > start {
                        elements.push(start, end);
                        ended.resize(ended.len() + end - start, full);
                        repetition.push(first);
                        repetition.resize(repetition.len() + end - start - 1, lists);
                        continue;
                    }
                    level
                }
            };
            empty_or_ended = true;
            ended.push(level);
            repetition.push(first);
        }
        let frame = Frame {
            live: elements.len(),
            ended: empty_or_ended.then_some(ended),
            level: full,
            repetition,
            lists,
        };
        (frame, elements)
    }
}

/// The elements of lists, in order.
enum Elements {
    /// Start and length: nothing lies between them.
    Range(usize, usize),
    Picked(Vec<u32>),
}

impl Elements {
    fn len(&self) -> usize {
        match self {
            Elements::Range(_, length) => *length,
            Elements::Picked(picked) => picked.len(),
        }
    }

    fn push(&mut self, start: usize, end: usize) {
        match self {
            Elements::Range(first, length) if *length == 0 => {
                (*first, *length) = (start, end - start)
            }
            Elements::Range(first, length) if *first + *length == start => *length += end - start,
            Elements::Range(first, length) => {
                let mut picked: Vec<u32> = (*first as u32..(*first + *length) as u32).collect();
                picked.extend(start as u32..end as u32);
                *self = Elements::Picked(picked);
            }
            Elements::Picked(picked) => picked.extend(start as u32..end as u32),
        }
    }

    fn of(&self, values: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
        match self {
            Elements::Range(0, length) if *length == values.len() => Ok(values.clone()),
            Elements::Range(start, length) => Ok(values.slice(*start, *length)),
            Elements::Picked(picked) => {
                arrow::compute::take(values, &UInt32Array::from(picked.clone()), None)
            }
        }
    }
}
