//! librdkafka's mock brokers, reachable by processes of this machine, and a producer.

use super::PATIENCE;
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
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
