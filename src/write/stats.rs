//! Statistics of a file, gathered chunk by chunk while it is written.
//!
//! Protocol section "Per-file Statistics": `nullCount` for the leaf columns the
//! table wants, `minValues` and `maxValues` where they help skipping and can be stated without lying. A bound
//! that cannot be stated is left out, which readers take as unknown.

mod bounds;
mod leaf;
mod text;

use super::encode::Extremes;
use arrow::datatypes::{Fields, Schema};
use leaf::Leaf;
use std::fmt::Write;

/// Accumulates the `stats` of one file.
#[derive(Clone, Debug)]
pub(super) struct FileStats {
    rows: u64,
    leaves: Vec<Leaf>,
    shape: Vec<Node>,
}

/// The nesting of the columns that have statistics, in file order.
#[derive(Clone, Debug)]
struct Node {
    /// The name as a JSON string.
    name: String,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// Index in [`FileStats::leaves`].
    Leaf(usize),
    Struct(Vec<Node>),
}

impl FileStats {
    /// For a file of schema `physical`. `columns` are physical paths; those that lead nowhere in the file
    /// (partition columns) or into a list or map are passed over.
    pub(super) fn new(physical: &Schema, columns: &[Vec<String>]) -> Self {
        let mut leaves = Vec::new();
        let paths: Vec<&[String]> = columns.iter().map(Vec::as_slice).collect();
        let shape = shape(physical.fields(), &paths, &mut Vec::new(), &mut leaves);
        Self {
            rows: 0,
            leaves,
            shape,
        }
    }

    /// How many leaves there are.
    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// The leaf of the column at a path of child indices, if it has statistics.
    pub(super) fn leaf_at(&self, path: &[usize]) -> Option<usize> {
        self.leaves.iter().position(|leaf| leaf.is_at(path))
    }

    /// Takes in what a part of the rows holds in the column of a leaf. A value below a null struct counts as null.
    pub(super) fn merge(&mut self, leaf: usize, nulls: u64, extremes: Extremes<'_>) {
        if let Some(leaf) = self.leaves.get_mut(leaf) {
            leaf.merge(nulls, extremes);
        }
    }

    /// Takes in a number of rows.
    pub(super) fn count(&mut self, rows: u64) {
        self.rows += rows;
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The JSON of the `add` action's `stats`.
    pub(super) fn to_json(&self) -> String {
        let mut json = format!("{{\"numRecords\":{}", self.rows);
        self.section(&mut json, "minValues", |leaf| leaf.min());
        self.section(&mut json, "maxValues", |leaf| leaf.max());
        self.section(&mut json, "nullCount", |leaf| {
            Some(leaf.nulls().to_string())
        });
        json.push_str(",\"tightBounds\":true}");
        json
    }

    fn section(&self, json: &mut String, name: &str, value: impl Fn(&Leaf) -> Option<String>) {
        // Writing to a string cannot fail.
        let _ = write!(json, ",\"{name}\":");
        if !self.object(json, &self.shape, &value) {
            json.push_str("{}");
        }
    }

    /// Writes the object of `nodes`; returns false and writes nothing if it would be empty.
    fn object(
        &self,
        json: &mut String,
        nodes: &[Node],
        value: &impl Fn(&Leaf) -> Option<String>,
    ) -> bool {
        let start = json.len();
        for node in nodes {
            let here = json.len();
            json.push(if here == start { '{' } else { ',' });
            let _ = write!(json, "{}:", node.name);
            let written = match &node.content {
                Content::Leaf(index) => match self.leaves.get(*index).and_then(value) {
                    Some(value) => {
                        json.push_str(&value);
                        true
                    }
                    None => false,
                },
                Content::Struct(children) => self.object(json, children, value),
            };
            if !written {
                json.truncate(here);
            }
        }
        let any = json.len() > start;
        if any {
            json.push('}');
        }
        any
    }
}

fn shape(
    fields: &Fields,
    paths: &[&[String]],
    above: &mut Vec<usize>,
    leaves: &mut Vec<Leaf>,
) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let below: Vec<&[String]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(name, _)| *name == field.name())
            .map(|(_, rest)| rest)
            .collect();
        if below.is_empty() {
            continue;
        }
        above.push(index);
        let content = match field.data_type() {
            // A path may also end at a struct that readers see as one value (variant).
            arrow::datatypes::DataType::Struct(children) if !below.iter().any(|p| p.is_empty()) => {
                let children = shape(children, &below, above, leaves);
                (!children.is_empty()).then_some(Content::Struct(children))
            }
            data_type if below.iter().any(|p| p.is_empty()) => {
                leaves.push(Leaf::new(above.clone(), data_type));
                Some(Content::Leaf(leaves.len() - 1))
            }
            _ => None,
        };
        above.pop();
        if let Some(content) = content {
            let name = text::json_string(field.name());
            nodes.push(Node { name, content });
        }
    }
    nodes
}

#[cfg(test)]
mod tests;
