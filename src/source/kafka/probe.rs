//! What brokers tell of a source without reading a record or joining its group, for `alluvium check`.

use super::{
    KafkaOptions,
    bounds::{topics, wake},
    error::KafkaSourceError,
    positions::{blocking, consumer, partition, watermarks},
    properties::Use,
    topic_id,
};
use crate::event::{Offset, Partition};
use rdkafka::{
    TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What brokers answered.
#[derive(Debug)]
pub struct Facts {
    pub brokers: usize,
    pub partitions: Vec<PartitionFacts>,
    /// Whether the group's offsets can be asked for, which takes the right to read the group.
    pub group: Result<(), KafkaSourceError>,
}

/// One partition of one topic.
#[derive(Debug)]
pub struct PartitionFacts {
    /// Its identity in positions.
    pub partition: Partition,
    /// The oldest offset kept and the end.
    pub ends: Result<(Offset, Offset), KafkaSourceError>,
}

/// Asks for topics, their ids, their ends and the group, each question within `patience`.
///
/// # Errors
/// Those of making the client and of listing topics; Bounds where a topic is not there.
pub async fn probe(
    options: &KafkaOptions,
    pipeline: &str,
    source: &str,
    patience: Duration,
) -> Result<Facts, KafkaSourceError> {
    let (options, pipeline, source) = (options.clone(), pipeline.to_owned(), Arc::from(source));
    blocking(move || {
        let consumer = consumer(&source, &options, Use::Range, 0)?;
        wake(&consumer, &options);
        let described = consumer
            .fetch_metadata(None, patience)
            .map_err(|error| reason(&consumer, "asking brokers", &error))?;
        let brokers = described.brokers().len();
        let topics = topics(&consumer, &options.topics)?;
        let names: Vec<String> = topics.iter().map(|(name, _)| name.clone()).collect();
        let ids = topic_id::fetch(consumer.client(), &names, patience)?;
        let mut partitions = Vec::new();
        let mut list = TopicPartitionList::new();
        let started = Instant::now();
        for (topic, numbers) in topics {
            let id = ids.get(&topic).map_or(topic_id::NO_ID, String::as_str);
            for number in numbers {
                list.add_partition(&topic, number);
                // Leaders that do not answer cost a time-out each.
                let ends = match started.elapsed() < patience {
                    true => watermarks(&consumer, &topic, number),
                    false => Err(KafkaSourceError::broker(
                        "asking for the ends of a partition",
                        &KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut),
                    )),
                };
                partitions.push(PartitionFacts {
                    partition: partition(&pipeline, &source, &topic, id, number),
                    ends,
                });
            }
        }
        let group = match list.count() {
            0 => Ok(()),
            _ => consumer
                .committed_offsets(list, patience)
                .and_then(|offsets| {
                    offsets
                        .elements()
                        .iter()
                        .try_for_each(|element| element.error())
                })
                .map_err(|error| reason(&consumer, "asking for the group's offsets", &error)),
        };
        Ok(Facts {
            brokers,
            partitions,
            group,
        })
    })
    .await
}

/// An error with what librdkafka's callbacks said of it: a refused login is told only there.
fn reason(
    consumer: &super::positions::GroupConsumer,
    doing: &'static str,
    error: &KafkaError,
) -> KafkaSourceError {
    // Callbacks run when the client is polled.
    let _ = consumer.poll(Duration::from_millis(100));
    match consumer.context().last_error() {
        Some((code, text)) => KafkaSourceError::told(doing, code, text),
        None => KafkaSourceError::broker(doing, error),
    }
}
