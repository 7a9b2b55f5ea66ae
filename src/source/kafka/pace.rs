//! How many records are taken together.

/// Enough that what a batch costs by itself does not show.
const MOST_RECORDS: usize = 512;
/// A batch is taken whole, whatever a partition or the budget says meanwhile, so long records come fewer at a time.
const BATCH_BYTES: usize = 256 << 10;

/// Learns the length of records from the batch before.
#[derive(Debug)]
pub(crate) struct Pace {
    records: usize,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { records: 16 }
    }

    /// The records to take next.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// A batch of so many records had so many bytes.
    pub(crate) fn learn(&mut self, records: usize, bytes: usize) {
        if let Some(mean) = bytes.checked_div(records) {
            self.records = (BATCH_BYTES / mean.max(1)).clamp(1, MOST_RECORDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_records_come_in_hundreds_and_long_ones_singly() {
        let mut pace = Pace::new();
        pace.learn(16, 16 * 344);
        assert_eq!(pace.records(), MOST_RECORDS);
        pace.learn(512, 512 * 4_096);
        assert_eq!(pace.records(), 64);
        pace.learn(64, 64 << 20);
        assert_eq!(pace.records(), 1);
        pace.learn(0, 0);
        assert_eq!(pace.records(), 1);
        pace.learn(1, 0);
        assert_eq!(pace.records(), MOST_RECORDS);
    }
}
