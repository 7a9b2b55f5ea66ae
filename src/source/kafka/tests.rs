//! The source against librdkafka's mock cluster, and against a broker at `ALLUVIUM_TEST_KAFKA` where one is.

mod bounded;
mod fake;
mod group;
mod positions;
mod reading;
mod real;
mod room;
mod trouble;

use super::*;
use crate::{
    error::Kind,
    event::{ByteBudget, Intake, Offset, RecordKind, SourceEvent},
};
use fake::{Fake, Table};
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(40);

struct Cluster {
    // Dropped with the test: the brokers live in it.
    _mock: MockCluster<'static, DefaultProducerContext>,
    brokers: String,
}

fn cluster(topic: &str, partitions: i32) -> Cluster {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(topic, partitions, 1).unwrap();
    let brokers = mock.bootstrap_servers();
    Cluster {
        _mock: mock,
        brokers,
    }
}

fn options(brokers: &str, topic: &str) -> KafkaOptions {
    // `RUST_LOG=debug` shows what librdkafka says.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    KafkaOptions {
        brokers: brokers.into(),
        topics: vec![topic.into()],
        batch_milliseconds: 10,
        drain_timeout_seconds: 5.0,
        ..KafkaOptions::default()
    }
}

fn start(options: &KafkaOptions, fake: &Arc<Fake>, budget: &ByteBudget) -> Running {
    let intake: Arc<dyn Intake> = Arc::clone(fake) as _;
    KafkaSource::start(
        options,
        "p",
        "s",
        intake,
        budget.clone(),
        CancellationToken::new(),
    )
    .unwrap()
}

fn budget() -> ByteBudget {
    ByteBudget::new(64 << 20)
}

fn producer(brokers: &str) -> ThreadedProducer<DefaultProducerContext> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "1")
        .create()
        .unwrap()
}

/// `count` records on each partition; values are their numbers.
fn produce(brokers: &str, topic: &str, partitions: i32, from: usize, count: usize) {
    let producer = producer(brokers);
    for partition in 0..partitions {
        for n in from..from + count {
            let (key, value) = (format!("k{n}"), format!("{{\"n\":{n}}}"));
            let record = BaseRecord::to(topic)
                .partition(partition)
                .key(&key)
                .payload(&value);
            producer.send(record).map_err(|(e, _)| e).unwrap();
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// `count` records of `bytes` each on each partition, in batches so small that a fetch, to which the mock cluster answers
/// with one batch a partition, lets all partitions advance together.
fn produce_long(brokers: &str, topic: &str, partitions: i32, count: usize, bytes: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("batch.size", "65536")
        .create()
        .unwrap();
    let value = format!("{{\"x\":\"{}\"}}", "y".repeat(bytes));
    for _ in 0..count {
        for partition in 0..partitions {
            let record = BaseRecord::<str, str>::to(topic)
                .partition(partition)
                .payload(&value);
            producer.send(record).map_err(|(e, _)| e).unwrap();
        }
    }
    producer.flush(PATIENCE).unwrap();
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ascending(count: usize) -> Vec<Offset> {
    (0..count as u64).collect()
}
