//! What a worker holds.

use super::{super::lane::Lane, Control, engine::Engine};
use crate::{
    batch::{FlushReason, OpenBatch},
    commit::TableState,
    event::{ByteBudget, Epoch, Offset, RoutedBatch, SourcePartition, WriteSpec},
    schema::TableSchema,
    write::EncodedFile,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

pub(crate) struct State {
    pub(super) lanes: HashMap<SourcePartition, Lane>,
    /// Epochs that were dropped: their batches are not taken any more.
    pub(super) dropped: HashMap<SourcePartition, Epoch>,
    /// The table as last seen; `None` until it exists.
    pub(super) table: Option<Arc<TableState>>,
    /// Whether the table was looked at, and has the columns that rows need.
    pub(super) loaded: bool,
    pub(super) schema: Option<Arc<TableSchema>>,
    pub(super) spec: Option<Arc<WriteSpec>>,
    /// One a core, used in order. Behind a lock only because the encoder is not `Sync`; nobody else
    /// holds it.
    pub(super) engines: Mutex<Vec<Engine>>,
    /// Batches taken and not decoded yet: a round's worth, or, while the table does not exist, those
    /// that its schema is inferred from.
    pub(super) waiting: Vec<RoutedBatch>,
    /// Bytes of the waiting batches' events.
    pub(super) waiting_bytes: u64,
    /// Bytes of the whole slabs that they keep in memory: of a table that gets one event in a hundred,
    /// a hundred times as many.
    pub(super) waiting_slabs: u64,
    /// Bytes of events decoded since the last flush.
    pub(super) decoded_bytes: u64,
    /// Bytes of events decoded since the schema changed.
    pub(super) settled_bytes: u64,
    pub(super) open: OpenBatch,
    /// Microseconds since the epoch: the oldest event taken since the last flush.
    pub(super) oldest_event: Option<i64>,
    pub(super) closed: Vec<EncodedFile>,
    /// Schemas that files of this flush were encoded for before columns were added.
    pub(super) earlier: Vec<Arc<TableSchema>>,
    /// Jobs handed to the flusher of which nothing was heard yet.
    pub(super) in_flight: usize,
    /// Partitions given up while flushes under way held something of them: all below is settled.
    pub(super) left: Vec<(SourcePartition, Epoch, Offset)>,
    /// A flush was given up, and the store has answered nothing since; when to ask it next.
    pub(super) ask_store: Option<Instant>,
    pub(super) asked: Option<FlushReason>,
    pub(super) urges: Vec<(SourcePartition, Offset)>,
    /// What was asked in the middle of something else.
    pub(super) postponed: VecDeque<Control>,
    /// How often what was held was dropped.
    pub(super) cleared: u64,
}

impl State {
    /// `cores`: how many batches may be decoded side by side.
    pub(crate) fn new(budget: &ByteBudget, cores: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            dropped: HashMap::new(),
            table: None,
            loaded: false,
            schema: None,
            spec: None,
            engines: Mutex::new((0..cores.max(1)).map(|_| Engine::default()).collect()),
            waiting: Vec::new(),
            waiting_bytes: 0,
            waiting_slabs: 0,
            decoded_bytes: 0,
            settled_bytes: 0,
            open: OpenBatch::new(budget),
            oldest_event: None,
            closed: Vec::new(),
            earlier: Vec::new(),
            in_flight: 0,
            left: Vec::new(),
            ask_store: None,
            asked: None,
            urges: Vec::new(),
            postponed: VecDeque::new(),
            cleared: 0,
        }
    }

    /// Drops everything that is not handed to the flusher, and the lanes with something uncommitted,
    /// which are returned. What is in flight stays counted.
    pub(super) fn clear(&mut self, budget: &ByteBudget) -> Vec<(SourcePartition, Epoch)> {
        self.cleared += 1;
        self.asked = None;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.waiting_slabs = 0;
        self.closed.clear();
        self.earlier.clear();
        self.oldest_event = None;
        self.decoded_bytes = 0;
        for engine in self.engines.get_mut() {
            engine.writer = None;
        }
        drop(self.open.reset(budget));
        let open: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_open())
            .map(|(partition, lane)| (partition.clone(), lane.epoch))
            .collect();
        for (partition, epoch) in &open {
            self.lanes.remove(partition);
            self.dropped.insert(partition.clone(), *epoch);
        }
        open
    }
}
