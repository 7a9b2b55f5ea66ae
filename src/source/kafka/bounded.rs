//! Reading given ranges of topics, for a backfill (exactly-once.md, rules 15 and 16).
//!
//! Partitions are assigned by hand; no group is joined and no group offset stored. A range ends when a record
//! at or behind its end was seen, the position passed it, or the partition's end was reached: not by seeing
//! the last offset, which may hold no record.

use super::{
    KafkaOptions,
    error::{KafkaSourceError, is_unreadable, unreadable},
    fetch::{Failure, FetchQueue, Record},
    pace::Pace,
    positions::{GroupConsumer, consumer, watermarks},
    properties::Use,
    slab::{Limits, Slab},
    topic_id,
};
use crate::{
    error::{Error, Result},
    event::{ByteBudget, Epoch, Offset, Partition, RawBatch},
};
use rdkafka::{
    TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Batches read but not yet received.
const AHEAD: usize = 4;
const POLL: Duration = Duration::from_millis(100);
/// Events served in a turn without records; one where there are records.
const EVENTS: usize = 16;
/// How often a silent partition's position is looked at.
const SILENCE: Duration = Duration::from_millis(500);
const BROKER_TIMEOUT: Duration = Duration::from_secs(15);
/// A broker that gives nothing for so long is reported, not waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A range to read, and the identity its batches bear.
#[derive(Clone, Debug)]
pub struct BoundedPartition {
    pub topic: Arc<str>,
    /// As captured; a topic of another id is refused.
    pub topic_id: Arc<str>,
    pub number: i32,
    /// The next offset to read: the range's start, or where an earlier run ended.
    pub from: Offset,
    /// Immutable end, as [`resolve`](super::resolve) captured it.
    pub to: Offset,
    pub partition: Arc<Partition>,
    pub epoch: Epoch,
}

/// A bounded read under way. Dropping it ends the read.
pub struct BoundedKafka {
    batches: mpsc::Receiver<Result<RawBatch>>,
}

impl BoundedKafka {
    /// Reads on a thread of its own, waiting for room in `budget`. Topics are read one after another, the
    /// partitions of one together.
    pub fn start(
        options: &KafkaOptions,
        source: &str,
        ranges: Vec<BoundedPartition>,
        budget: ByteBudget,
    ) -> Result<Self> {
        if let Some(error) = super::validate(source, options).into_iter().next() {
            return Err(error.into());
        }
        let (send, batches) = mpsc::channel(AHEAD);
        let reader = RangeReader {
            source: source.into(),
            options: options.clone(),
            limits: Limits {
                max_event_bytes: options.max_event_bytes,
                batch_bytes: options.batch_bytes,
                batch_age: Duration::from_secs(1),
                keep_headers: options.keep_headers,
                magic_byte: options.magic_byte,
            },
            budget,
            send,
        };
        std::thread::Builder::new()
            .name(format!("kafka-range-{source}"))
            .spawn(move || {
                if let Err(Some(error)) = reader.run(ranges) {
                    let _ = reader.send.blocking_send(Err(error.into()));
                }
            })
            .map_err(|e| {
                Error::new(
                    crate::error::Kind::Unavailable,
                    "no thread for a kafka range",
                )
                .with_source(e)
            })?;
        Ok(Self { batches })
    }

    /// The next batch. Batches of a partition are in order and join; its last one ends at `to`. `None`
    /// when every range is read; after an error nothing more comes. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<RawBatch>> {
        self.batches.recv().await
    }
}

struct RangeReader {
    source: Arc<str>,
    options: KafkaOptions,
    limits: Limits,
    budget: ByteBudget,
    send: mpsc::Sender<Result<RawBatch>>,
}

/// One range under way.
struct Lane {
    range: BoundedPartition,
    slab: Slab,
}

/// `Err(None)`: the receiver is gone.
type Ended<T = ()> = std::result::Result<T, Option<KafkaSourceError>>;

impl RangeReader {
    fn run(&self, ranges: Vec<BoundedPartition>) -> Ended {
        let mut topics: BTreeMap<Arc<str>, Vec<BoundedPartition>> = BTreeMap::new();
        for range in ranges.into_iter().filter(|r| r.from < r.to) {
            topics
                .entry(Arc::clone(&range.topic))
                .or_default()
                .push(range);
        }
        // One topic a consumer, so that a lane is known by its partition's number alone.
        for ranges in topics.into_values() {
            self.read_topic(ranges)?;
        }
        Ok(())
    }

    fn read_topic(&self, ranges: Vec<BoundedPartition>) -> Ended {
        let consumer = consumer(&self.source, &self.options, Use::Range, self.budget.limit())?;
        let consumer = Arc::new(consumer);
        let queue = FetchQueue::new(Arc::clone(&consumer))?;
        consumer.context().close();
        super::bounds::wake(&consumer, &self.options);
        self.check(&consumer, &ranges)?;
        let mut list = TopicPartitionList::new();
        let mut lanes = BTreeMap::new();
        for range in ranges {
            let start = rdkafka::Offset::Offset(i64::try_from(range.from).unwrap_or(i64::MAX));
            list.add_partition_offset(&range.topic, range.number, start)
                .map_err(|e| KafkaSourceError::broker("assigning a range", &e))?;
            queue.attach(&range.topic, range.number);
            let slab = Slab::new(range.from);
            lanes.insert(range.number, Lane { range, slab });
        }
        consumer
            .assign(&list)
            .map_err(|e| KafkaSourceError::broker("assigning a range", &e))?;
        let (mut heard, mut looked) = (Instant::now(), Instant::now());
        let (mut pace, mut idle) = (Pace::new(), true);
        while !lanes.is_empty() {
            if self.send.is_closed() {
                return Err(None);
            }
            // Events: errors of brokers, log lines, statistics, tokens. Records come by the queue.
            for _ in 0..if idle { EVENTS } else { 1 } {
                match consumer.poll(Duration::ZERO) {
                    None => {}
                    Some(Err(error)) => self.failed(&consumer, &lanes, &error)?,
                    // Cannot be, as partitions are attached first; what came behind it may have been taken already.
                    Some(Ok(_)) => {
                        let error = KafkaError::MessageConsumption(RDKafkaErrorCode::Fail);
                        return Err(Some(KafkaSourceError::broker("reading a range", &error)));
                    }
                }
            }
            let batch = queue.take(pace.records(), POLL);
            idle = batch.is_empty();
            let (now, mut bytes, mut records) = (Instant::now(), 0, 0);
            for record in batch.iter() {
                match record {
                    Ok(record) => {
                        records += 1;
                        bytes += record.value().len();
                        self.take(&consumer, &mut lanes, &record, now)?;
                    }
                    Err(failure) => {
                        let error = queue.tell(&failure);
                        self.fetch_failed(&consumer, &mut lanes, &failure, &error)?;
                        if matches!(error, KafkaError::PartitionEOF(_)) {
                            heard = now;
                        }
                    }
                }
            }
            pace.learn(records, bytes);
            if self.budget.is_spent() {
                self.wait_for_room(&mut lanes)?;
            }
            if records > 0 {
                // Waiting for the receiver or for room is no silence of the broker's.
                heard = Instant::now();
            }
            if looked.elapsed() >= SILENCE {
                looked = Instant::now();
                for number in passed(&consumer, &lanes) {
                    self.end(&consumer, &mut lanes, number)?;
                    heard = Instant::now();
                }
                if heard.elapsed() > PATIENCE {
                    return Err(Some(KafkaSourceError::broker(
                        "reading a range",
                        &KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut),
                    )));
                }
            }
        }
        Ok(())
    }

    fn take(
        &self,
        consumer: &GroupConsumer,
        lanes: &mut BTreeMap<i32, Lane>,
        record: &Record<'_>,
        now: Instant,
    ) -> Ended {
        let Some(lane) = lanes.get_mut(&record.partition()) else {
            return Ok(());
        };
        let behind = Offset::try_from(record.offset()).is_ok_and(|o| o >= lane.range.to);
        if !behind {
            lane.slab
                .append(record, &self.limits, &self.budget, now)
                .map_err(|framed| KafkaSourceError::MagicByte {
                    source_name: self.source.to_string(),
                    topic: lane.range.topic.to_string(),
                    partition: lane.range.number,
                    offset: framed.offset,
                    schema_id: framed.schema_id,
                })?;
        }
        if behind || lane.slab.next() >= lane.range.to {
            self.end(consumer, lanes, record.partition())
        } else if lane.slab.is_full(&self.limits) {
            self.hand_on(lane)
        } else {
            Ok(())
        }
    }

    fn fetch_failed(
        &self,
        consumer: &GroupConsumer,
        lanes: &mut BTreeMap<i32, Lane>,
        failure: &Failure,
        error: &KafkaError,
    ) -> Ended {
        // Everything before the partition's end was returned by now, and `to` is not behind that end.
        if let KafkaError::PartitionEOF(number) = error {
            return self.end(consumer, lanes, *number);
        }
        self.failed(consumer, lanes, error)?;
        // Seek before `passed` takes the record for a gap.
        if let Some(lane) = lanes.get(&failure.partition)
            && failure.passes_over(lane.slab.next())
        {
            let next = i64::try_from(lane.slab.next()).unwrap_or(i64::MAX);
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(
                &lane.range.topic,
                lane.range.number,
                rdkafka::Offset::Offset(next),
            )
            .and_then(|()| consumer.seek_partitions(list, BROKER_TIMEOUT))
            .and_then(|list| list.elements().iter().try_for_each(|e| e.error()))
            .map_err(|e| KafkaSourceError::broker("reading a range again", &e))?;
        }
        Ok(())
    }

    /// Refuses ranges the topic no longer holds: an end of partition short of `to` would otherwise pass for gaps.
    fn check(&self, consumer: &GroupConsumer, ranges: &[BoundedPartition]) -> Ended {
        let Some(first) = ranges.first() else {
            return Ok(());
        };
        let topic = [first.topic.to_string()];
        let ids = topic_id::fetch(consumer.client(), &topic, BROKER_TIMEOUT)?;
        for range in ranges {
            let is = ids.get(&topic[0]).map_or("absent", String::as_str);
            if *range.topic_id != *is {
                return Err(Some(KafkaSourceError::Bounds(format!(
                    "the topic was recreated since its bounds were captured, begin a new backfill, topic=`{}` \
                     was=`{}` is=`{is}`",
                    range.topic, range.topic_id
                ))));
            }
            let (low, high) = watermarks(consumer, &range.topic, range.number)?;
            if range.from < low || range.to > high {
                return Err(Some(KafkaSourceError::Bounds(format!(
                    "the topic no longer holds the range, begin a new backfill with --from earliest, topic=`{}` \
                     partition=`{}` from=`{}` to=`{}` oldest=`{low}` end=`{high}`",
                    range.topic, range.number, range.from, range.to
                ))));
            }
        }
        Ok(())
    }

    /// Hands on the rest of a range; offsets up to its end that were not seen hold no record.
    fn end(&self, consumer: &GroupConsumer, lanes: &mut BTreeMap<i32, Lane>, number: i32) -> Ended {
        let Some(mut lane) = lanes.remove(&number) else {
            return Ok(());
        };
        lane.slab.pass(lane.range.to);
        let mut list = TopicPartitionList::new();
        list.add_partition(&lane.range.topic, number);
        consumer
            .pause(&list)
            .map_err(|e| KafkaSourceError::broker("ending a range", &e))?;
        self.hand_on(&mut lane)
    }

    /// Waits until the budget has room. First hands on what every lane holds: the part-filled slabs of many lanes
    /// may be all that spends it, and only this thread can give their bytes away. The rest is the receiver's.
    fn wait_for_room(&self, lanes: &mut BTreeMap<i32, Lane>) -> Ended {
        for lane in lanes.values_mut() {
            self.hand_on(lane)?;
        }
        while self.budget.is_spent() && !self.send.is_closed() {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn hand_on(&self, lane: &mut Lane) -> Ended {
        let Lane { range, slab } = lane;
        let Some(batch) = slab.cut(&range.partition, range.epoch, &self.budget) else {
            return Ok(());
        };
        self.send.blocking_send(Ok(batch)).map_err(|_| None)
    }

    fn failed(
        &self,
        consumer: &GroupConsumer,
        lanes: &BTreeMap<i32, Lane>,
        error: &KafkaError,
    ) -> Ended {
        if let Some(code) = error
            .rdkafka_error_code()
            .filter(|code| is_unreadable(*code))
        {
            let read = lanes
                .values()
                .map(|lane| (&*lane.range.topic, lane.range.number, lane.slab.next()));
            let reason = consumer.context().reason(code);
            let reason = reason.unwrap_or_else(|| code.to_string());
            return Err(Some(unreadable(&self.source, read, reason)));
        }
        let error = KafkaSourceError::broker("reading a range", error);
        if error.kind().is_retryable() {
            // librdkafka tries again by itself; PATIENCE ends it.
            return Ok(());
        }
        Err(Some(error))
    }
}

/// The partitions whose position has passed their end without a record to show for it.
fn passed(consumer: &GroupConsumer, lanes: &BTreeMap<i32, Lane>) -> Vec<i32> {
    let Ok(positions) = consumer.position() else {
        return Vec::new();
    };
    positions
        .elements()
        .iter()
        .filter_map(|element| match element.offset() {
            rdkafka::Offset::Offset(position) => {
                let lane = lanes.get(&element.partition())?;
                (Offset::try_from(position).ok()? >= lane.range.to).then_some(element.partition())
            }
            _ => None,
        })
        .collect()
}
