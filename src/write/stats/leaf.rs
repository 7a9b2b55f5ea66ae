//! The statistics of one leaf column.

use super::bounds::Bounds;
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, make_array},
    buffer::NullBuffer,
    datatypes::DataType,
};

/// Nulls and bounds of the column at a path of child indices.
#[derive(Debug)]
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

    /// A value below a null struct counts as null, whatever stands in its place.
    pub(super) fn update(&mut self, batch: &RecordBatch) {
        let Some((&first, below)) = self.path.split_first() else {
            return;
        };
        let mut column: ArrayRef = batch.column(first).clone();
        let mut above: Option<NullBuffer> = None;
        for &index in below {
            let parent = column.as_struct();
            above = NullBuffer::union(above.as_ref(), parent.nulls());
            column = parent.column(index).clone();
        }
        let nulls = NullBuffer::union(above.as_ref(), column.logical_nulls().as_ref());
        let count = nulls.as_ref().map_or(0, NullBuffer::null_count);
        self.nulls += count as u64;
        if count == column.len() || !self.bounds.are_kept() {
            return;
        }
        if above.is_some() {
            match column.to_data().into_builder().nulls(nulls).build() {
                Ok(masked) => column = make_array(masked),
                Err(_) => {
                    self.bounds = Bounds::None;
                    return;
                }
            }
        }
        self.bounds.update(&column);
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
