//! Rows of one table between decoding and the next commit, and when that commit is due.
//!
//! In: decoded record batches. Out: chunks worth encoding, and the moment to flush. Rows not yet
//! encoded are kept as Arrow, so that a schema change can still re-project them (invariant 5, rule 4).

mod policy;

pub use policy::{FlushPolicy, FlushReason};

use crate::event::{ByteBudget, BytePermit};
use arrow::record_batch::RecordBatch;
use std::time::Instant;

/// What a table has accepted since its last flush.
#[derive(Debug)]
pub struct OpenBatch {
    pieces: Vec<RecordBatch>,
    /// Bytes of `pieces` in memory.
    piece_bytes: u64,
    /// Rows since the last flush, encoded ones included.
    rows: u64,
    /// Bytes of Parquet made since the last flush, as the writer reports them.
    encoded_bytes: u64,
    /// Bytes of dead letters that wait to be committed with the rows.
    letter_bytes: u64,
    opened: Option<Instant>,
    permit: BytePermit,
}

impl OpenBatch {
    pub fn new(budget: &ByteBudget) -> Self {
        Self {
            pieces: Vec::new(),
            piece_bytes: 0,
            rows: 0,
            encoded_bytes: 0,
            letter_bytes: 0,
            opened: None,
            permit: budget.charge(0),
        }
    }

    /// Notes that something was accepted at `now`, rows or not: the age of the batch begins.
    pub fn touch(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
    }

    pub fn push(&mut self, rows: RecordBatch) {
        if rows.num_rows() == 0 {
            return;
        }
        self.rows += rows.num_rows() as u64;
        self.piece_bytes += rows.get_array_memory_size() as u64;
        self.pieces.push(rows);
        self.recharge();
    }

    /// Counts rows that were encoded at once.
    pub fn add_rows(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Takes the rows that are not encoded yet.
    pub fn take_pieces(&mut self) -> Vec<RecordBatch> {
        self.piece_bytes = 0;
        self.recharge();
        std::mem::take(&mut self.pieces)
    }

    /// What the writer holds for this batch now.
    pub fn set_encoded_bytes(&mut self, bytes: u64) {
        self.encoded_bytes = bytes;
        self.recharge();
    }

    /// Notes dead letters that are held beside the rows.
    pub fn add_letters(&mut self, bytes: u64) {
        self.letter_bytes += bytes;
        self.recharge();
    }

    fn recharge(&mut self) {
        self.permit.resize(self.bytes());
    }

    pub fn letter_bytes(&self) -> u64 {
        self.letter_bytes
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn piece_bytes(&self) -> u64 {
        self.piece_bytes
    }

    pub fn encoded_bytes(&self) -> u64 {
        self.encoded_bytes
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> u64 {
        self.piece_bytes + self.encoded_bytes + self.letter_bytes
    }

    pub fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// Whether anything at all was accepted.
    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Empties the batch for the next; the permit for what was encoded goes with the files.
    pub fn reset(&mut self, budget: &ByteBudget) -> BytePermit {
        let fresh = OpenBatch::new(budget);
        std::mem::replace(self, fresh).permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, Int64Array},
        record_batch::RecordBatch,
    };
    use std::sync::Arc;

    fn rows(n: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..n));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    #[test]
    fn the_budget_knows_what_is_held() {
        let budget = ByteBudget::new(1 << 20);
        let mut open = OpenBatch::new(&budget);
        open.touch(Instant::now());
        open.push(rows(1_000));
        assert_eq!(budget.used(), open.bytes());
        assert!(open.bytes() >= 8_000);
        assert_eq!(open.take_pieces().len(), 1);
        open.set_encoded_bytes(100);
        assert_eq!(budget.used(), 100);
        assert_eq!(open.rows(), 1_000);
        let permit = open.reset(&budget);
        assert!(!open.is_open());
        assert_eq!(budget.used(), 100, "the files still count");
        drop(permit);
        assert_eq!(budget.used(), 0);
    }
}
