//! Where to read: the pipeline's position of each partition, held against what the topic still has.

use super::{
    KafkaOptions, StartPolicy,
    context::KafkaContext,
    error::{KafkaSourceError, reset_command, suspects},
    topic_id,
};
use crate::event::{Assignment, Epoch, Intake, Offset, Partition, SourcePartition};
use parking_lot::Mutex;
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long one question to a broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// A topic just made may be unknown to some broker for a moment; one that stays unknown is not read.
const UNKNOWN_TOPIC_TRIES: u32 = 20;
/// A broker just elected may not know the last high watermark yet; look again before refusing.
const BACKWARDS_TRIES: u32 = 4;

pub(crate) type GroupConsumer = BaseConsumer<KafkaContext>;

/// A partition that may be read from `start` on.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) partition: Arc<Partition>,
    pub(crate) epoch: Epoch,
    pub(crate) start: Offset,
}

/// Finds positions. Shared by the reader's tasks; broker calls run on blocking threads.
pub(crate) struct Positioner {
    pub(crate) consumer: Arc<GroupConsumer>,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) pipeline: Arc<str>,
    pub(crate) source: Arc<str>,
    pub(crate) start: StartPolicy,
    /// The id of each topic as this process first saw it.
    pub(crate) ids: Mutex<BTreeMap<String, String>>,
}

impl Positioner {
    /// Takes partitions on: identity, position, check against the topic, first offset recorded.
    /// Retries for ever what may pass; the caller cancels by dropping. Other errors stop the source.
    pub(crate) async fn take_on(
        self: Arc<Self>,
        partitions: Vec<(Arc<str>, i32)>,
    ) -> Result<Vec<Ready>, KafkaSourceError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let partitions = self.identify(partitions).await?;
        let mut retry = Retry::new(&self.source, "taking partitions on");
        let assignments = loop {
            match self.intake.assign(partitions.clone()).await {
                Ok(assignments) => break assignments,
                Err(error) => retry.wait(KafkaSourceError::Pipeline(error)).await?,
            }
        };
        let mut backwards = 0;
        let located = loop {
            let this = Arc::clone(&self);
            let asked = assignments.clone();
            match blocking(move || this.locate(&asked)).await {
                Ok(located) => break located,
                Err(KafkaSourceError::WentBackwards { .. }) if backwards < BACKWARDS_TRIES => {
                    backwards += 1;
                    tokio::time::sleep(RETRY_FIRST * 5).await;
                }
                Err(error) => retry.wait(error).await?,
            }
        };
        let new: Vec<(Assignment, Offset)> = assignments
            .iter()
            .zip(&located)
            .filter(|(assignment, _)| assignment.resume.is_none())
            .map(|(assignment, ready)| (assignment.clone(), ready.start))
            .collect();
        if !new.is_empty() {
            loop {
                match self.intake.record_start(new.clone()).await {
                    Ok(()) => break,
                    Err(error) => retry.wait(KafkaSourceError::Pipeline(error)).await?,
                }
            }
        }
        for ready in &located {
            tracing::info!(
                source = &*self.source,
                partition = %ready.partition.id,
                epoch = ready.epoch,
                start = ready.start,
                "reading"
            );
        }
        Ok(located)
    }

    /// Names partitions by their topics' ids. Partitions of topics that do not exist are left out.
    async fn identify(
        self: &Arc<Self>,
        partitions: Vec<(Arc<str>, i32)>,
    ) -> Result<Vec<Arc<Partition>>, KafkaSourceError> {
        let mut topics: Vec<String> = partitions.iter().map(|(t, _)| t.to_string()).collect();
        topics.sort();
        topics.dedup();
        let mut retry = Retry::new(&self.source, "describing topics");
        let mut tries = 0;
        let ids = loop {
            match self.current_ids(topics.clone()).await {
                Ok(ids) if ids.len() == topics.len() || tries >= UNKNOWN_TOPIC_TRIES => break ids,
                Ok(_) => {
                    tries += 1;
                    tokio::time::sleep(RETRY_FIRST * 5).await;
                }
                Err(error) => retry.wait(error).await?,
            }
        };
        self.same_ids(&ids)?;
        let mut named = Vec::with_capacity(partitions.len());
        for (topic, number) in partitions {
            match ids.get(&*topic) {
                Some(id) => named.push(Arc::new(partition(
                    &self.pipeline,
                    &self.source,
                    &topic,
                    id,
                    number,
                ))),
                None => tracing::warn!(
                    source = &*self.source,
                    topic = &*topic,
                    partition = number,
                    "the topic is not there, its partition is not read"
                ),
            }
        }
        Ok(named)
    }

    async fn current_ids(
        self: &Arc<Self>,
        topics: Vec<String>,
    ) -> Result<BTreeMap<String, String>, KafkaSourceError> {
        let this = Arc::clone(self);
        blocking(move || topic_id::fetch(this.consumer.client(), &topics, BROKER_TIMEOUT)).await
    }

    /// Refuses a topic whose id is another than before, and remembers new ones.
    fn same_ids(&self, ids: &BTreeMap<String, String>) -> Result<(), KafkaSourceError> {
        let mut known = self.ids.lock();
        for (topic, id) in ids {
            match known.get(topic) {
                Some(was) if was != id => {
                    return Err(KafkaSourceError::Recreated {
                        source_name: self.source.to_string(),
                        topic: topic.clone(),
                        was: was.clone(),
                        is: id.clone(),
                    });
                }
                Some(_) => {}
                None => {
                    if id == topic_id::NO_ID {
                        tracing::warn!(
                            source = &*self.source,
                            topic,
                            "brokers give no topic id, so a recreated topic is seen by its offsets alone"
                        );
                    }
                    known.insert(topic.clone(), id.clone());
                }
            }
        }
        Ok(())
    }

    /// Whether the topics read are still those first seen. Errors of brokers are not failures here.
    pub(crate) async fn check_ids(
        self: Arc<Self>,
        topics: Vec<String>,
    ) -> Result<(), KafkaSourceError> {
        match self.current_ids(topics).await {
            Ok(ids) => self.same_ids(&ids),
            Err(error) => {
                tracing::debug!(source = &*self.source, %error, "topic ids are not to be had now");
                Ok(())
            }
        }
    }

    /// Why a fetch was out of range, given what is read and up to where.
    pub(crate) async fn diagnose(
        self: Arc<Self>,
        read: Vec<(Arc<Partition>, Offset)>,
        reason: String,
    ) -> KafkaSourceError {
        let mut topics: Vec<String> = read.iter().map(|(p, _)| p.topic.to_string()).collect();
        topics.sort();
        topics.dedup();
        if let Err(error) = Arc::clone(&self).check_ids(topics).await {
            return error;
        }
        let meant = suspects(
            read.iter().map(|(p, next)| (&*p.topic, p.number, *next)),
            &reason,
        );
        let command = match meant[..] {
            [(topic, number, _)] => reset_command(&self.source, topic, Some(number), "earliest"),
            _ => "alluvium table positions reset".to_owned(),
        };
        let this = Arc::clone(&self);
        let found = blocking(move || {
            for (partition, next) in &read {
                this.resolve(&partition.topic, partition.number, Some(*next))?;
            }
            Ok(())
        })
        .await;
        match found {
            Err(error) => error,
            Ok(()) => KafkaSourceError::Broker {
                doing: "fetching",
                error: reason,
                code: Some(RDKafkaErrorCode::AutoOffsetReset),
                hint: format!(
                    "; start again, and if it persists reset the partition with `{command}`"
                )
                .into(),
            },
        }
    }

    /// Blocks.
    fn locate(&self, assignments: &[Assignment]) -> Result<Vec<Ready>, KafkaSourceError> {
        assignments
            .iter()
            .map(|assignment| {
                let p = &assignment.partition;
                Ok(Ready {
                    partition: Arc::clone(p),
                    epoch: assignment.epoch,
                    start: self.resolve(&p.topic, p.number, assignment.resume)?,
                })
            })
            .collect()
    }

    /// The offset to read from: the position if the topic still holds it, else by the start policy. Blocks.
    fn resolve(
        &self,
        topic: &str,
        number: i32,
        resume: Option<Offset>,
    ) -> Result<Offset, KafkaSourceError> {
        let (low, high) = watermarks(&*self.consumer, topic, number)?;
        match resume {
            Some(position) if position > high => Err(KafkaSourceError::WentBackwards {
                source_name: self.source.to_string(),
                topic: topic.into(),
                partition: number,
                position,
                high,
            }),
            Some(position) if position < low => Err(KafkaSourceError::RetentionOverrun {
                source_name: self.source.to_string(),
                topic: topic.into(),
                partition: number,
                position,
                low,
                lost: low - position,
            }),
            Some(position) => Ok(position),
            None => match self.start {
                StartPolicy::Earliest => Ok(low),
                StartPolicy::Latest => Ok(high),
                StartPolicy::Timestamp(millis) => {
                    Ok(offset_at(&*self.consumer, topic, number, millis)?.unwrap_or(high))
                }
            },
        }
    }
}

/// The identity of a Kafka partition (exactly-once.md, Identity).
pub fn partition(
    pipeline: &str,
    source: &str,
    topic: &str,
    topic_id: &str,
    number: i32,
) -> Partition {
    Partition {
        id: SourcePartition::new(format!("{pipeline}/{source}/{topic}#{topic_id}/{number}")),
        source: source.into(),
        label: format!("{source}/{topic}").into(),
        topic: topic.into(),
        number,
    }
}

/// The oldest offset kept and the end; under `read_committed` the end is the last stable offset. Blocks.
pub(crate) fn watermarks<C: Consumer<KafkaContext>>(
    consumer: &C,
    topic: &str,
    number: i32,
) -> Result<(Offset, Offset), KafkaSourceError> {
    let (low, high) = consumer
        .fetch_watermarks(topic, number, BROKER_TIMEOUT)
        .map_err(|e| KafkaSourceError::broker("asking for the ends of a partition", &e))?;
    match (Offset::try_from(low), Offset::try_from(high)) {
        (Ok(low), Ok(high)) => Ok((low, high)),
        _ => Err(unavailable("asking for the ends of a partition")),
    }
}

/// The first offset at or after a time in milliseconds; `None` where there is none yet. Blocks.
pub(crate) fn offset_at<C: Consumer<KafkaContext>>(
    consumer: &C,
    topic: &str,
    number: i32,
    millis: i64,
) -> Result<Option<Offset>, KafkaSourceError> {
    let doing = "asking for the offset of a time";
    let mut ask = TopicPartitionList::new();
    ask.add_partition_offset(topic, number, rdkafka::Offset::Offset(millis.max(0)))
        .map_err(|e| KafkaSourceError::broker(doing, &e))?;
    let answer = consumer
        .offsets_for_times(ask, BROKER_TIMEOUT)
        .map_err(|e| KafkaSourceError::broker(doing, &e))?;
    let element = answer
        .find_partition(topic, number)
        .ok_or_else(|| unavailable(doing))?;
    element
        .error()
        .map_err(|e| KafkaSourceError::broker(doing, &e))?;
    match element.offset() {
        rdkafka::Offset::Offset(offset) => Ok(Offset::try_from(offset).ok()),
        rdkafka::Offset::End => Ok(None),
        _ => Err(unavailable(doing)),
    }
}

fn unavailable(doing: &'static str) -> KafkaSourceError {
    KafkaSourceError::broker(
        doing,
        &KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable),
    )
}

/// Runs a blocking question off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, KafkaSourceError> + Send + 'static,
) -> Result<T, KafkaSourceError> {
    match tokio::task::spawn_blocking(question).await {
        Ok(answer) => answer,
        Err(_) => Err(unavailable("asking a broker")),
    }
}

/// Waits longer and longer between tries of what may pass.
struct Retry<'a> {
    source: &'a str,
    doing: &'static str,
    delay: Duration,
}

impl<'a> Retry<'a> {
    fn new(source: &'a str, doing: &'static str) -> Self {
        Self {
            source,
            doing,
            delay: RETRY_FIRST,
        }
    }

    /// Sleeps if `error` may pass, else returns it.
    async fn wait(&mut self, error: KafkaSourceError) -> Result<(), KafkaSourceError> {
        if !error.kind().is_retryable() {
            return Err(error);
        }
        tracing::warn!(source = self.source, %error, "{} failed, trying again", self.doing);
        tokio::time::sleep(self.delay.mul_f64(0.5 + fastrand::f64() * 0.5)).await;
        self.delay = (self.delay * 2).min(RETRY_MOST);
        Ok(())
    }
}

/// Makes the consumer of a source.
pub(crate) fn group_consumer(
    source: &Arc<str>,
    options: &KafkaOptions,
    budget_bytes: u64,
) -> Result<GroupConsumer, KafkaSourceError> {
    consumer(source, options, super::properties::Use::Group, budget_bytes)
}

pub(crate) fn consumer(
    source: &Arc<str>,
    options: &KafkaOptions,
    purpose: super::properties::Use,
    budget_bytes: u64,
) -> Result<GroupConsumer, KafkaSourceError> {
    let config = super::properties::client_config(source, options, purpose, budget_bytes)?;
    let context = KafkaContext::new(
        Arc::clone(source),
        options.oauth.clone(),
        super::properties::secrets(options),
    );
    config.create_with_context(context).map_err(|e| match &e {
        // What librdkafka cannot make a client of is a matter of its properties.
        KafkaError::ClientCreation(why) => KafkaSourceError::Option {
            source_name: source.to_string(),
            key: "properties".into(),
            what: why.clone(),
        },
        e => KafkaSourceError::broker("making a client", e),
    })
}
