//! Columns that copy what stands elsewhere in the event.

use super::{
    column::Column,
    json::Json,
    path::{Path, Step},
    row::Row,
};

/// A declared column with `field`: a copy of what is at a path, which also lands in its own column.
pub(super) struct CopyColumn {
    pub(super) name: String,
    pub(super) path: Vec<String>,
    pub(super) column: Column,
    /// The first step of the path, among what the top level watches.
    pub(super) watch: u32,
    /// How many objects stand around the value.
    pub(super) depth: u32,
}

impl CopyColumn {
    pub(super) fn append(&mut self, json: Json<'_>, row: &mut Row, at_row: usize) {
        let mut at = Some(0);
        for name in &self.path {
            at = at.and_then(|at| json.get(at, name));
        }
        let Some(at) = at else {
            return;
        };
        let here = Path {
            parent: None,
            step: Step::Field {
                event: &self.name,
                column: &self.name,
            },
        };
        self.column.pad(at_row);
        if !self.column.append(json, at, Some(&here), row) {
            row.keep_as(&self.name, json.text(at));
        }
    }
}
