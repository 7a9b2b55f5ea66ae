//! librdkafka's mock brokers, reachable by processes of this machine, and a producer.

use super::{PATIENCE, home::Home, lake};
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

pub(crate) struct Cluster {
    // The brokers live in it.
    _mock: MockCluster<'static, DefaultProducerContext>,
    pub(crate) brokers: String,
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl Cluster {
    pub(crate) fn start(topic: &str, partitions: i32) -> Self {
        let mock = MockCluster::new(1).expect("mock brokers");
        mock.create_topic(topic, partitions, 1).expect("a topic");
        let brokers = mock.bootstrap_servers();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "200000")
            .create()
            .expect("a producer");
        Self {
            _mock: mock,
            brokers,
            producer,
        }
    }

    /// Values in this order to one partition; `None` is a tombstone.
    pub(crate) fn produce<'a>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) {
        for value in values {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic)
                .partition(partition)
                .key(b"k");
            if let Some(value) = value {
                record = record.payload(value);
            }
            self.producer
                .send(record)
                .map_err(|(e, _)| e)
                .expect("room to produce");
        }
        self.producer.flush(PATIENCE).expect("everything produced");
    }
}

pub(crate) const PARTITIONS: i32 = 4;
/// What stands at an offset of every partition: mostly events of three kinds, some malformed, some tombstones.
pub(crate) fn value(offset: usize) -> Option<Vec<u8>> {
    match offset {
        o if o % 501 == 500 => None,
        o if o % 250 == 249 => Some(format!("{{\"n\": {o}, broken").into_bytes()),
        o => Some(format!("{{\"n\":{o},\"kind\":\"{}\"}}", ["a", "b", "c"][o % 3]).into_bytes()),
    }
}

pub(crate) fn produce(cluster: &Cluster, offsets: std::ops::Range<usize>) {
    for partition in 0..PARTITIONS {
        let values: Vec<Option<Vec<u8>>> = offsets.clone().map(value).collect();
        cluster.produce("events", partition, values.iter().map(Option::as_deref));
    }
}

pub(crate) fn home(brokers: &str, source: &str, rest: &str) -> Home {
    let home = Home::bare();
    configure(&home, brokers, source, rest);
    home
}

pub(crate) fn configure(home: &Home, brokers: &str, source: &str, rest: &str) {
    home.configure(&format!(
        "[lake]\nurl = \"{}\"\n[admin]\nlisten = \"\"\n[table_defaults]\nflush_interval_seconds = 0.2\n\
         [sources.k]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\ntopics = [\"events\"]\n{source}\n\
         [sources.k.properties]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n{rest}",
        home.lake().display()
    ));
}

pub(crate) type Spot = (i64, i64);

/// Where each row of a table came from; a spot that stands twice fails.
pub(crate) fn spots(table: &lake::Table, name: &str) -> BTreeSet<Spot> {
    let mut spots = BTreeSet::new();
    for row in table.rows() {
        let spot = (
            row["_partition"].as_i64().unwrap(),
            row["_offset"].as_i64().unwrap(),
        );
        assert!(spots.insert(spot), "{spot:?} stands twice in {name}");
        if let Some(n) = row.get("n") {
            assert_eq!(n.as_i64(), Some(spot.1), "another record's value");
        }
    }
    spots
}

pub(crate) fn expected(count: usize, wanted: impl Fn(usize) -> bool) -> BTreeSet<Spot> {
    let offsets = |partition| {
        (0..count)
            .filter(|o| wanted(*o))
            .map(move |o| (i64::from(partition), o as i64))
            .collect::<Vec<_>>()
    };
    (0..PARTITIONS).flat_map(offsets).collect()
}

pub(crate) fn is_event(offset: usize) -> bool {
    value(offset).is_some_and(|v| v.ends_with(b"}"))
}

pub(crate) fn is_malformed(offset: usize) -> bool {
    value(offset).is_some_and(|v| !v.ends_with(b"}"))
}

/// Rows in a table by its statistics, which is quicker than reading it.
pub(crate) fn count(home: &Home, table: &str) -> u64 {
    let adds = home.table(table).adds;
    let of = |add: &serde_json::Value| -> u64 {
        let stats: serde_json::Value =
            serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
        stats["numRecords"].as_u64().unwrap()
    };
    adds.values().map(of).sum()
}

pub(crate) async fn until_rows(home: &Home, table: &str, rows: usize) {
    let begun = Instant::now();
    while count(home, table) < rows as u64 {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} of {rows} rows in {table}",
            count(home, table)
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
