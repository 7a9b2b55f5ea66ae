//! A partition and its batches, for the unit tests of this room.

use crate::{
    config::{Config, Environment, Flags},
    event::{
        ByteBudget, Epoch, Offset, Partition, RawBatch, RecordKind, RecordSpan, SourcePartition,
    },
};
use std::sync::Arc;

pub(super) fn partition() -> Arc<Partition> {
    Arc::new(Partition {
        id: SourcePartition::new("p/s/t#1/0"),
        source: "s".into(),
        label: "s/t".into(),
        topic: "t".into(),
        number: 0,
    })
}

/// A batch of empty events at `offsets`, within `[start, end)`.
pub(super) fn raw_batch(
    epoch: Epoch,
    offsets: impl IntoIterator<Item = Offset>,
    start: Offset,
    end: Offset,
) -> RawBatch {
    let span = |offset| RecordSpan {
        offset,
        value: 0..0,
        key: None,
        headers: None,
        event_time: 0,
        table: u32::MAX,
        kind: RecordKind::Event,
    };
    RawBatch {
        partition: partition(),
        epoch,
        start,
        end,
        slab: bytes::Bytes::new(),
        records: offsets.into_iter().map(span).collect(),
        tables: Vec::new(),
        permit: ByteBudget::new(0).charge(0),
    }
}

/// A pipeline without sources over a new lake; it opens what it is asked for and nothing else.
pub(super) async fn pipeline() -> (super::Pipeline, Arc<Config>, tempfile::TempDir) {
    let lake = tempfile::tempdir().unwrap();
    let text = format!(
        "[lake]\nurl = {:?}\n[sources.web]\ntype = \"http\"\n",
        lake.path().display().to_string()
    );
    let nothing = Environment::fixed([], []);
    let config = Arc::new(Config::parse(&text, &nothing, &Flags::default()).unwrap());
    let pipeline = super::Pipeline::open(config.clone(), Arc::default()).await;
    (pipeline.unwrap(), config, lake)
}
