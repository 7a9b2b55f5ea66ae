//! What the command line asks of the pipeline.

use std::{collections::BTreeMap, net::SocketAddr, str::FromStr};

/// `alluvium backfill --table NAME PATH|GLOB|URL…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillFiles {
    pub table: String,
    /// Paths, globs and `file:` URLs as written.
    pub inputs: Vec<String>,
    pub dry_run: bool,
    /// The run to continue or to begin; `None`: named after its inputs.
    pub run_id: Option<String>,
    /// Files at work at once; `None`: one a core.
    pub lanes: Option<usize>,
}

/// `alluvium backfill --source NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillRange {
    pub source: String,
    /// `None`: the earliest the topic still has.
    pub from: Option<Bound>,
    /// Exclusive; `None`: the end at the start of the run.
    pub to: Option<Bound>,
    pub dry_run: bool,
    pub run_id: Option<String>,
    pub lanes: Option<usize>,
}

/// Where a range of a Kafka topic begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    Earliest,
    Latest,
    /// In every partition.
    Offset(u64),
    /// By partition; those not named are not read.
    Offsets(BTreeMap<i32, u64>),
    /// The first record at or after this time, milliseconds since the epoch.
    Timestamp(i64),
}

impl FromStr for Bound {
    type Err = String;

    /// `earliest`, `latest`, `1200`, `0:100,1:200`, `2026-01-31` (midnight UTC) or an RFC 3339 time.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(offset) = offset(text) {
            return Ok(Self::Offset(offset));
        }
        if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Timestamp(time.timestamp_millis()));
        }
        if let Some(midnight) = text
            .parse::<chrono::NaiveDate>()
            .ok()
            .and_then(|date| date.and_hms_opt(0, 0, 0))
        {
            return Ok(Self::Timestamp(midnight.and_utc().timestamp_millis()));
        }
        let mut offsets = BTreeMap::new();
        for part in text.split(',') {
            let pair = part
                .trim()
                .split_once(':')
                .and_then(|(partition, at)| Some((partition_number(partition)?, offset(at)?)));
            let Some((partition, at)) = pair else {
                return Err(
                    "write an offset (1200), offsets by partition (0:100,1:200), a time (2026-01-31T00:00:00Z), a day (2026-01-31), earliest or latest".into(),
                );
            };
            if offsets.insert(partition, at).is_some() {
                return Err(format!(
                    "a partition is named twice, partition=`{partition}`"
                ));
            }
        }
        Ok(Self::Offsets(offsets))
    }
}

/// Kafka's offsets are `i64 >= 0`.
fn offset(text: &str) -> Option<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|offset| i64::try_from(*offset).is_ok())
}

fn partition_number(text: &str) -> Option<i32> {
    text.parse().ok().filter(|number| *number >= 0)
}

/// `alluvium table positions reset TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetPositions {
    pub table: String,
    /// Only positions of this source.
    pub source: String,
    /// Only positions of this topic.
    pub topic: Option<String>,
    /// Only these partitions; empty for all.
    pub partitions: Vec<i32>,
    pub to: Bound,
}

/// What a reset does, before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetPlan {
    pub request: ResetPositions,
    /// For people: each position, from where to where, and what that loses or doubles.
    pub text: String,
}

/// Where a running daemon can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// HTTP sources: name, address, whether it speaks TLS.
    pub http: Vec<(String, SocketAddr, bool)>,
    pub admin: Option<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let offsets = BTreeMap::from([(0, 100), (1, 200)]);
        for (text, bound) in [
            ("earliest", Bound::Earliest),
            ("latest", Bound::Latest),
            ("0", Bound::Offset(0)),
            ("0:100, 1:200", Bound::Offsets(offsets)),
            ("1970-01-01T00:00:01Z", Bound::Timestamp(1_000)),
            ("1970-01-01T01:00:01+01:00", Bound::Timestamp(1_000)),
            ("1970-01-02", Bound::Timestamp(86_400_000)),
        ] {
            assert_eq!(text.parse(), Ok(bound), "{text}");
        }
        for text in [
            "",
            "-1",
            "soon",
            "0:",
            "0:1,0:2",
            "1:-5",
            "-1:5",
            "9223372036854775808",
        ] {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
    }
}
