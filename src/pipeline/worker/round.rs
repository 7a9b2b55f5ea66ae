//! How much is decoded at once, on how many cores, and what is worth encoding.

use super::{Worker, engine::Portion};
use crate::{decode::Verdicts, event::RoutedBatch};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Bytes of events that are worth a call of the encoder.
const ENCODE_BYTES: u64 = 256 << 10;
/// The same while the schema is young: rows not encoded yet can be given more columns, files cannot. With hundreds of
/// new tables this is most of the memory.
const ENCODE_YOUNG_BYTES: u64 = 512 << 10;
/// A schema is young until so many bytes of events have brought nothing new.
const YOUNG_BYTES: u64 = 4 << 20;
/// A further engine, and so a further file, for every so many bytes of events in one flush.
const SPREAD_BYTES: u64 = 16 << 20;
/// What one engine is given to decode in one round.
const ROUND_BYTES: u64 = 1 << 20;
/// A round ends early when what waits for it keeps so many rounds' worth of slabs in memory.
const PINNED_ROUNDS: u64 = 4;
/// Less work than this is not worth another thread.
pub(super) const INLINE_BYTES: u64 = 32 << 10;
/// Bytes of the selected events of a batch.
pub(super) fn event_bytes(batch: &RoutedBatch) -> u64 {
    match &batch.select {
        None => batch.raw.slab.len() as u64,
        Some(_) => batch.records().map(|r| r.value.len() as u64).sum(),
    }
}

impl Worker {
    /// Whether what waits is a round's worth.
    pub(super) fn has_round(&self) -> bool {
        let round = ROUND_BYTES * self.width() as u64;
        self.state.waiting_bytes >= round || self.state.waiting_slabs >= round * PINNED_ROUNDS
    }

    /// How many engines the open batch is worth: few events make one file, not one a core.
    pub(super) fn width(&self) -> usize {
        let cores = self.state.engines.lock().len();
        let worth = 1 + self.state.decoded_bytes / SPREAD_BYTES;
        usize::try_from(worth).map_or(cores, |worth| worth.min(cores))
    }

    /// Whether the pieces, with so many bytes of events more, should be encoded.
    pub(super) fn is_worth_encoding(&self, bytes: u64) -> bool {
        let worth = match self.state.settled_bytes < YOUNG_BYTES {
            true => ENCODE_YOUNG_BYTES,
            false => ENCODE_BYTES,
        };
        self.state.open.piece_bytes() + bytes >= worth
    }
}

/// Deals pieces and batches out to so many engines, neighbours together, by the bytes of batches.
pub(super) fn portions(
    pieces: Vec<RecordBatch>,
    batches: Vec<(RoutedBatch, Arc<Verdicts>)>,
    width: usize,
) -> Vec<Portion> {
    let width = width.clamp(1, pieces.len().max(batches.len()).max(1));
    let mut portions: Vec<Portion> = (0..width).map(|_| Portion::default()).collect();
    let per_engine = pieces.len().div_ceil(width).max(1);
    for (i, piece) in pieces.into_iter().enumerate() {
        portions[i / per_engine].pieces.push(piece);
    }
    let total: u64 = batches.iter().map(|(batch, _)| event_bytes(batch)).sum();
    let mut before = 0;
    for (batch, verdicts) in batches {
        let at = (before * width as u64 / total.max(1)) as usize;
        before += event_bytes(&batch);
        portions[at.min(width - 1)].batches.push((batch, verdicts));
    }
    portions.retain(|portion| !portion.pieces.is_empty() || !portion.batches.is_empty());
    portions
}

pub(super) fn weight(portion: &Portion) -> u64 {
    let pieces = portion.pieces.iter();
    let pieces: usize = pieces.map(RecordBatch::get_array_memory_size).sum();
    let batches = portion.batches.iter();
    pieces as u64 + batches.map(|(batch, _)| event_bytes(batch)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::raw_batch;
    use arrow::{array::Int64Array, record_batch::RecordBatch};
    use proptest::prelude::*;

    fn batch(records: u64) -> (RoutedBatch, Arc<Verdicts>) {
        let mut raw = raw_batch(1, 0..records, 0, records);
        raw.slab = vec![b' '; records as usize * 10].into();
        let raw = Arc::new(raw);
        (RoutedBatch { raw, select: None }, Arc::default())
    }

    fn piece(i: i64) -> RecordBatch {
        let column = Arc::new(Int64Array::from(vec![i]));
        RecordBatch::try_from_iter([("i", column as _)]).unwrap()
    }

    proptest! {
        #[test]
        fn everything_is_dealt_once_in_order(
            pieces in 0..7i64,
            records in prop::collection::vec(0..9u64, 0..9),
            width in 1..5usize,
        ) {
            let dealt_pieces: Vec<_> = (0..pieces).map(piece).collect();
            let batches: Vec<_> = records.iter().map(|n| batch(*n)).collect();
            let dealt = portions(dealt_pieces.clone(), batches.clone(), width);
            prop_assert!(dealt.len() <= width);
            let pieces: Vec<_> = dealt.iter().flat_map(|p| p.pieces.clone()).collect();
            prop_assert_eq!(pieces, dealt_pieces);
            let given: Vec<_> = batches.iter().map(|(b, _)| Arc::as_ptr(&b.raw)).collect();
            let taken = dealt.iter().flat_map(|p| &p.batches);
            let taken: Vec<_> = taken.map(|(b, _)| Arc::as_ptr(&b.raw)).collect();
            prop_assert_eq!(taken, given);
        }
    }

    #[test]
    fn equal_batches_are_shared_out_evenly() {
        let batches = (0..8).map(|_| batch(5)).collect();
        let dealt = portions(Vec::new(), batches, 4);
        let shares: Vec<_> = dealt.iter().map(|portion| portion.batches.len()).collect();
        assert_eq!(shares, [2; 4]);
    }
}
