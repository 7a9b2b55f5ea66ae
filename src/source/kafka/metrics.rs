//! What the Kafka sources count. Labels are the source and its topics, never partitions.

use crate::error::Kind;
use rdkafka::Statistics;
use std::sync::Arc;

const RECORDS: &str = "alluvium_source_records_total";
const BYTES: &str = "alluvium_source_bytes_total";
const TOMBSTONES: &str = "alluvium_source_tombstones_total";
const LAG: &str = "alluvium_source_lag_records";
const REBALANCES: &str = "alluvium_source_rebalances_total";
const PAUSES: &str = "alluvium_source_pauses_total";
const REWINDS: &str = "alluvium_source_rewinds_total";
const PARTITIONS: &str = "alluvium_source_assigned_partitions";
const ERRORS: &str = "alluvium_errors_total";
const POLLS: &str = "alluvium_source_polls_total";

/// The counters of one topic, resolved once so that a batch costs no lookup.
#[derive(Clone)]
pub(crate) struct TopicCounters {
    pub(crate) records: metrics::Counter,
    pub(crate) bytes: metrics::Counter,
    pub(crate) tombstones: metrics::Counter,
}

impl TopicCounters {
    pub(crate) fn new(source: &Arc<str>, topic: &Arc<str>) -> Self {
        let (s, t) = (source.to_string(), topic.to_string());
        Self {
            records: metrics::counter!(RECORDS, "source" => s.clone(), "topic" => t.clone()),
            bytes: metrics::counter!(BYTES, "source" => s.clone(), "topic" => t.clone()),
            tombstones: metrics::counter!(TOMBSTONES, "source" => s, "topic" => t),
        }
    }
}

/// The counters of one source.
pub(crate) struct SourceCounters {
    source: String,
    pub(crate) assigned: metrics::Gauge,
    pub(crate) polls: metrics::Counter,
    /// Pauses of all partitions for the byte budget, and of one whose batch found no room.
    pub(crate) paused_for_budget: metrics::Counter,
    pub(crate) paused_for_room: metrics::Counter,
}

impl SourceCounters {
    pub(crate) fn new(source: &str) -> Self {
        let paused = |reason: &'static str| metrics::counter!(PAUSES, "source" => source.to_owned(), "reason" => reason);
        Self {
            source: source.into(),
            paused_for_budget: paused("budget"),
            paused_for_room: paused("full"),
            assigned: metrics::gauge!(PARTITIONS, "source" => source.to_owned()),
            polls: metrics::counter!(POLLS, "source" => source.to_owned()),
        }
    }

    /// `event`: `assign`, `revoke` or `lost`.
    pub(crate) fn rebalance(&self, event: &'static str) {
        metrics::counter!(REBALANCES, "source" => self.source.clone(), "event" => event)
            .increment(1);
    }

    pub(crate) fn rewind(&self) {
        metrics::counter!(REWINDS, "source" => self.source.clone()).increment(1);
    }
}

/// Counts an error, each repetition that the log holds back included.
pub(crate) fn error(kind: Kind) {
    metrics::counter!(ERRORS, "stage" => "source", "kind" => kind.as_str()).increment(1);
}

/// Sets the lag of each topic: the records between what was read and the end, over the partitions
/// this process reads.
pub(crate) fn lag(source: &Arc<str>, statistics: &Statistics) {
    for (name, topic) in &statistics.topics {
        let lag: i64 = topic
            .partitions
            .values()
            .filter(|p| p.partition >= 0 && p.fetch_state == "active" && p.consumer_lag >= 0)
            .map(|p| p.consumer_lag)
            .sum();
        metrics::gauge!(LAG, "source" => source.to_string(), "topic" => name.clone())
            .set(lag as f64);
    }
}
