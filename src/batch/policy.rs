//! When a table's open batch becomes a commit.

use super::OpenBatch;
use std::time::{Duration, Instant};

/// The limits of one table's batches.
#[derive(Clone, Debug)]
pub struct FlushPolicy {
    /// The longest an accepted event waits.
    pub interval: Duration,
    /// The most rows of one commit.
    pub max_rows: u64,
    /// Encoded bytes at which a commit is worth making.
    pub target_bytes: u64,
}

/// Why a flush happens: the `reason` label of `alluvium_batch_flushes_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushReason {
    Age,
    Rows,
    Bytes,
    /// Somebody waits for the commit: `ack = "commit"`, a rebalance, a shutdown.
    Asked,
    /// The process's byte budget is nearly spent and this table holds most of it.
    Pressure,
}

impl FlushReason {
    pub fn as_str(self) -> &'static str {
        match self {
            FlushReason::Age => "age",
            FlushReason::Rows => "rows",
            FlushReason::Bytes => "bytes",
            FlushReason::Asked => "asked",
            FlushReason::Pressure => "pressure",
        }
    }
}

impl FlushPolicy {
    /// Whether a flush is due at `now` without anybody asking for it.
    pub fn due(&self, open: &OpenBatch, now: Instant) -> Option<FlushReason> {
        let opened = open.opened()?;
        if open.rows() >= self.max_rows {
            Some(FlushReason::Rows)
        } else if open.encoded_bytes() + open.letter_bytes() >= self.target_bytes {
            Some(FlushReason::Bytes)
        } else if now.saturating_duration_since(opened) >= self.interval {
            Some(FlushReason::Age)
        } else {
            None
        }
    }

    /// When the batch becomes due by age; `None` while nothing is open.
    pub fn deadline(&self, open: &OpenBatch) -> Option<Instant> {
        open.opened().map(|opened| opened + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ByteBudget;

    #[test]
    fn age_counts_from_the_first_event() {
        let policy = FlushPolicy {
            interval: Duration::from_secs(10),
            max_rows: 5,
            target_bytes: 100,
        };
        let mut open = OpenBatch::new(&ByteBudget::new(1_000));
        let start = Instant::now();
        assert_eq!(policy.due(&open, start), None);
        assert_eq!(policy.deadline(&open), None);
        open.touch(start);
        open.touch(start + Duration::from_secs(9));
        assert_eq!(policy.due(&open, start + Duration::from_secs(9)), None);
        assert_eq!(
            policy.due(&open, start + Duration::from_secs(10)),
            Some(FlushReason::Age)
        );
        open.set_encoded_bytes(100);
        assert_eq!(policy.due(&open, start), Some(FlushReason::Bytes));
    }
}
