//! The statistics of one leaf column.

use super::bounds::Bounds;
use crate::write::encode::Extremes;
use arrow::datatypes::DataType;

/// Nulls and bounds of the column at a path of child indices.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    path: Vec<usize>,
    nulls: u64,
    bounds: Bounds,
}

impl Leaf {
    pub(super) fn new(path: Vec<usize>, data_type: &DataType) -> Self {
        Self {
            path,
            nulls: 0,
            bounds: Bounds::of(data_type),
        }
    }

    pub(super) fn is_at(&self, path: &[usize]) -> bool {
        self.path == path
    }

    pub(super) fn merge(&mut self, nulls: u64, extremes: Extremes<'_>) {
        self.nulls += nulls;
        self.bounds.merge(extremes);
    }

    pub(super) fn nulls(&self) -> u64 {
        self.nulls
    }

    /// The lower bound as JSON.
    pub(super) fn min(&self) -> Option<String> {
        self.bounds.min()
    }

    /// The upper bound as JSON.
    pub(super) fn max(&self) -> Option<String> {
        self.bounds.max()
    }
}
