//! What is asked of brokers, against librdkafka's mock cluster.

use super::*;
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use std::time::Duration;

fn produce(brokers: &str, topic: &str, values: &[Option<&str>]) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "1")
        .create()
        .unwrap();
    for value in values {
        let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(0).key("k");
        let record = match value {
            Some(value) => record.payload(*value),
            None => record,
        };
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

fn kafka_config(folder: &Path, brokers: &str, table: &str) -> Config {
    let source = format!(
        "[sources.k]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\ntopics = [\"t\"]\ntable = \"{table}\"\n"
    );
    config(folder, &source)
}

async fn identity(config: &Config) -> String {
    let Some(crate::config::SourceOptions::Kafka(options)) = config.sources.get("k") else {
        panic!("the source is there");
    };
    let facts = crate::source::kafka::probe(options, "default", "k", Duration::from_secs(20));
    facts.await.unwrap().partitions[0]
        .partition
        .id
        .app_id()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_21_what_counts_leave_open_is_read_again() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("t", 1, 1).unwrap();
    let brokers = mock.bootstrap_servers();
    // Offsets 0 to 5; 2 is a tombstone that belongs to no table.
    let values = [
        Some("{}"),
        Some("{}"),
        None,
        Some("{}"),
        Some("{}"),
        Some("{}"),
    ];
    produce(&brokers, "t", &values);
    let dir = tempfile::tempdir().unwrap();
    let config = kafka_config(dir.path(), &brokers, "{kind}");
    let id = identity(&config).await;

    land(
        &config,
        "a",
        vec![range(&id, None, 6, records(5, 1))],
        &[],
        &[],
    )
    .await;
    let report = audit_source(&config, "k").await.unwrap();
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report.text.contains("read again: 5 records"),
        "{}",
        report.text
    );
    assert!(report.text.contains("PROVED: 6 offsets"), "{}", report.text);

    // A table that lacks one of them.
    let dir = tempfile::tempdir().unwrap();
    let config = kafka_config(dir.path(), &brokers, "{kind}");
    land(
        &config,
        "a",
        vec![range(&id, None, 6, records(4, 2))],
        &[],
        &[],
    )
    .await;
    let report = audit_source(&config, "k").await.unwrap();
    assert_eq!(report.faults, 1, "{}", report.text);
    assert!(
        report.text.contains("but only 4 are accounted for"),
        "{}",
        report.text
    );
    assert!(
        report.text.contains("NOT PROVED: 1 finding"),
        "{}",
        report.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_held_against_the_topic() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("t", 1, 1).unwrap();
    let brokers = mock.bootstrap_servers();
    produce(&brokers, "t", &[Some("{}"), Some("{}")]);
    let dir = tempfile::tempdir().unwrap();
    let config = kafka_config(dir.path(), &brokers, "t");
    let report = preflight(&config, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report.text.contains("the start policy applies"),
        "{}",
        report.text
    );

    let id = identity(&config).await;
    land(
        &config,
        "t",
        vec![range(&id, None, 1, records(1, 0))],
        &[],
        &[],
    )
    .await;
    let report = preflight(&config, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert!(
        report
            .text
            .contains("t/0 goes on at 1, 1 offset behind its end"),
        "{}",
        report.text
    );

    land(
        &config,
        "t",
        vec![range(&id, Some(1), 9, records(8, 0))],
        &[],
        &[],
    )
    .await;
    let report = preflight(&config, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert_eq!(
        (report.faults, report.kind),
        (1, Kind::InvalidData),
        "{}",
        report.text
    );
    assert!(
        report.text.contains("offsets went backwards"),
        "{}",
        report.text
    );
    assert!(
        report
            .text
            .contains("table positions reset t --source k --topic t --partition 0 --to earliest"),
        "{}",
        report.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_a_fault() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("other", 1, 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = kafka_config(dir.path(), &mock.bootstrap_servers(), "x");
    let report = preflight(&config, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert_eq!(
        (report.faults, report.kind),
        (1, Kind::Config),
        "{}",
        report.text
    );
    assert!(
        report.text.contains("the topic is not there"),
        "{}",
        report.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_is_told_by_its_id() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("t", 1, 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = kafka_config(dir.path(), &mock.bootstrap_servers(), "t");
    let old = "default/k/t#old/0";
    land(
        &config,
        "t",
        vec![range(old, None, 5, records(5, 0))],
        &[],
        &[],
    )
    .await;
    let report = preflight(&config, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert_eq!(
        (report.faults, report.kind),
        (1, Kind::InvalidData),
        "{}",
        report.text
    );
    assert!(
        report.text.contains("the topic was recreated"),
        "{}",
        report.text
    );
    // What it held cannot be read again.
    land(
        &config,
        "t",
        vec![range(old, Some(5), 7, records(1, 1))],
        &[],
        &[],
    )
    .await;
    let report = audit_source(&config, "k").await.unwrap();
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report.text.contains("the topic is gone or was made anew"),
        "{}",
        report.text
    );
}
