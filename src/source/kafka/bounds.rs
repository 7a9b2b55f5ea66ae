//! The bounds of a backfill from Kafka (`--from`, `--to`), captured once and then immutable.

use super::{
    KafkaOptions,
    error::KafkaSourceError,
    positions::{GroupConsumer, blocking, consumer, offset_at, watermarks},
    properties::Use,
    topic_id,
};
use crate::{error::Result, event::Offset};
use rdkafka::consumer::Consumer;
use std::{str::FromStr, sync::Arc, time::Duration};

const BROKER_TIMEOUT: Duration = Duration::from_secs(15);

/// One end of a range, as the command line gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Earliest,
    /// The end at the moment of asking; under `read_committed` the last stable offset.
    Latest,
    Offset(Offset),
    /// Milliseconds since the epoch: the first record at or after it.
    Time(i64),
}

impl FromStr for Bound {
    type Err = String;

    /// An offset, an RFC 3339 time, `earliest` or `latest`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Ok(offset) = text.parse() {
            return Ok(Self::Offset(offset));
        }
        chrono::DateTime::parse_from_rfc3339(text)
            .map(|time| Self::Time(time.timestamp_millis()))
            .map_err(|_| {
                format!("give an offset, a time like 2026-01-31T00:00:00Z, `earliest` or `latest`, not `{text}`")
            })
    }
}

/// What a backfill may read of one partition: `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRange {
    pub topic: Arc<str>,
    /// As in the identity of a live source; `-` where brokers give none.
    pub topic_id: Arc<str>,
    pub partition: i32,
    pub from: Offset,
    pub to: Offset,
}

/// Captures the bounds of every partition of the source's topics. Ranges may be empty (`from == to`).
///
/// An offset below what retention kept is refused with the number of records lost; one past the end is
/// cut to the end.
pub async fn resolve(
    options: &KafkaOptions,
    source: &str,
    from: Bound,
    to: Bound,
) -> Result<Vec<TopicRange>> {
    let (options, source): (KafkaOptions, Arc<str>) = (options.clone(), source.into());
    let ranges = blocking(move || {
        let consumer = consumer(&source, &options, Use::Range, 0)?;
        wake(&consumer, &options);
        let mut ranges = Vec::new();
        for (topic, partitions) in topics(&consumer, &options.topics)? {
            let ids = topic_id::fetch(
                consumer.client(),
                std::slice::from_ref(&topic),
                BROKER_TIMEOUT,
            )?;
            let topic_id: Arc<str> = ids
                .get(&topic)
                .map_or(topic_id::NO_ID, String::as_str)
                .into();
            let topic: Arc<str> = topic.into();
            for partition in partitions {
                let (from, to) = ends(&consumer, &source, &topic, partition, from, to)?;
                ranges.push(TopicRange {
                    topic: Arc::clone(&topic),
                    topic_id: Arc::clone(&topic_id),
                    partition,
                    from,
                    to,
                });
            }
        }
        Ok(ranges)
    })
    .await?;
    Ok(ranges)
}

/// A client outside a group answers token requests only when polled.
pub(super) fn wake(consumer: &GroupConsumer, options: &KafkaOptions) {
    if options.oauth.is_some() {
        for _ in 0..10 {
            let _ = consumer.poll(Duration::from_millis(20));
        }
    }
}

fn ends(
    consumer: &GroupConsumer,
    source: &str,
    topic: &str,
    partition: i32,
    from: Bound,
    to: Bound,
) -> Result<(Offset, Offset), KafkaSourceError> {
    let (low, high) = watermarks(consumer, topic, partition)?;
    let place = |bound| match bound {
        Bound::Earliest => Ok(low),
        Bound::Latest => Ok(high),
        Bound::Offset(offset) => Ok(offset),
        Bound::Time(millis) => Ok(offset_at(consumer, topic, partition, millis)?.unwrap_or(high)),
    };
    let (from, to) = (place(from)?, place(to)?.min(high));
    if from < low {
        return Err(KafkaSourceError::Bounds(format!(
            "{} offsets were deleted by the topic's retention, begin with --from earliest or {low}, source=`{source}` \
             topic=`{topic}` partition=`{partition}` from=`{from}`",
            low - from
        )));
    }
    // A partition shorter than `from` has nothing of the range.
    Ok((from.min(to), to))
}

/// The topics of a source, patterns resolved, with their partitions.
pub(super) fn topics(
    consumer: &GroupConsumer,
    wanted: &[String],
) -> Result<Vec<(String, Vec<i32>)>, KafkaSourceError> {
    let doing = "listing topics";
    let mut patterns = Vec::new();
    for pattern in wanted.iter().filter(|t| t.starts_with('^')) {
        patterns.push(regex::Regex::new(pattern).map_err(|e| {
            KafkaSourceError::Bounds(format!(
                "a topic pattern does not parse: {e}, pattern=`{pattern}`"
            ))
        })?);
    }
    let all = consumer
        .fetch_metadata(None, BROKER_TIMEOUT)
        .map_err(|e| KafkaSourceError::broker(doing, &e))?;
    let mut found = Vec::new();
    for topic in all.topics() {
        let name = topic.name();
        if wanted.iter().any(|w| w == name) || patterns.iter().any(|p| p.is_match(name)) {
            let mut partitions: Vec<i32> = topic.partitions().iter().map(|p| p.id()).collect();
            partitions.sort_unstable();
            found.push((name.to_owned(), partitions));
        }
    }
    for name in wanted.iter().filter(|w| !w.starts_with('^')) {
        if !found.iter().any(|(topic, _)| topic == name) {
            return Err(KafkaSourceError::Bounds(format!(
                "the topic is not there, or may not be described with these credentials, topic=`{name}`"
            )));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_parse() {
        assert_eq!("earliest".parse(), Ok(Bound::Earliest));
        assert_eq!("latest".parse(), Ok(Bound::Latest));
        assert_eq!("42".parse(), Ok(Bound::Offset(42)));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Bound::Time(1_000)));
        assert!("-1".parse::<Bound>().is_err());
        assert!("yesterday".parse::<Bound>().is_err());
    }
}
