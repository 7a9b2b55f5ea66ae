//! The source against librdkafka's mock cluster, and against a broker at `ALLUVIUM_TEST_KAFKA` where one is.

mod fake;
mod real;

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
    collections::BTreeMap,
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

#[tokio::test(flavor = "multi_thread")]
async fn four_partitions_arrive_whole_and_in_order() {
    let cluster = cluster("clicks", 4);
    produce(&cluster.brokers, "clicks", 4, 0, 5_000);
    let table = Arc::default();
    let fake = Fake::new(&table);
    // A store that fails twice is asked again.
    fake.state.lock().assign_failures = vec![Kind::Unavailable, Kind::Conflict];
    let budget = budget();
    let running = start(&options(&cluster.brokers, "clicks"), &fake, &budget);
    until("all arrived", || fake.count() >= 20_000).await;
    for partition in 0..4 {
        assert_eq!(fake.offsets(partition), ascending(5_000));
        assert_eq!(fake.position(partition), Some(5_000));
    }
    {
        let table = table.lock();
        let records = table.records.values().next().unwrap();
        assert_eq!(records[7].value, b"{\"n\":7}");
        assert_eq!(records[7].key.as_deref(), Some(&b"k7"[..]));
        assert_eq!(records[7].headers, None);
        let id = table.positions.keys().next().unwrap().app_id().to_owned();
        assert!(id.starts_with("p/s/clicks#"), "{id}");
    }
    let mut starts = fake.state.lock().starts.clone();
    starts.sort_unstable();
    assert_eq!(starts, vec![(0, 0), (1, 0), (2, 0), (3, 0)]);
    running.stop_intake();
    running.intake_stopped().await;
    running.stop().await.unwrap();
    assert_eq!(budget.used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_long_values_headers_and_framed_values_are_told_apart() {
    let cluster = cluster("t", 1);
    let producer = producer(&cluster.brokers);
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "trace",
            value: Some("a\"b"),
        })
        .insert(Header {
            key: "none",
            value: None::<&str>,
        });
    let to = || BaseRecord::<str, [u8]>::to("t").partition(0);
    producer.send(to().key("gone")).map_err(|(e, _)| e).unwrap();
    producer
        .send(to().payload(&b""[..]))
        .map_err(|(e, _)| e)
        .unwrap();
    producer
        .send(to().payload(&[b'x'; 200]))
        .map_err(|(e, _)| e)
        .unwrap();
    producer
        .send(to().payload(b"{}").headers(headers))
        .map_err(|(e, _)| e)
        .unwrap();
    producer
        .send(to().payload(&[0, 0, 0, 0, 5, 1]))
        .map_err(|(e, _)| e)
        .unwrap();
    producer.flush(PATIENCE).unwrap();

    let mut options = options(&cluster.brokers, "t");
    options.max_event_bytes = 100;
    options.keep_headers = true;
    options.magic_byte = MagicByte::DeadLetter;
    let table: Arc<Mutex<Table>> = Arc::default();
    let fake = Fake::new(&table);
    let running = start(&options, &fake, &budget());
    until("all arrived", || fake.count() >= 5).await;
    running.stop().await.unwrap();
    {
        let table = table.lock();
        let r = table.records.values().next().unwrap();
        assert_eq!(r[0].kind, RecordKind::Tombstone);
        assert_eq!(r[0].key.as_deref(), Some(&b"gone"[..]));
        assert_eq!(r[1].kind, RecordKind::Tombstone);
        assert!(matches!(&r[2].kind, RecordKind::Rejected(x) if x.code == "too_large"));
        assert_eq!(r[2].value.len(), 200, "a dead letter keeps its bytes");
        assert_eq!(r[3].kind, RecordKind::Event);
        let headers: serde_json::Value =
            serde_json::from_slice(r[3].headers.as_ref().unwrap()).unwrap();
        assert_eq!(
            headers,
            serde_json::json!({ "trace": "a\"b", "none": null })
        );
        assert!(matches!(&r[4].kind, RecordKind::Rejected(x) if x.code == "malformed"));
    }

    options.magic_byte = MagicByte::Stop;
    let fake = Fake::new(&Arc::default());
    let mut running = start(&options, &fake, &budget());
    let error = running.finished().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let text = error.to_string();
    assert!(
        text.contains("offset=`4`") && text.contains("schema id 5"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_partition_waits_alone_and_loses_nothing() {
    let cluster = cluster("t", 2);
    produce(&cluster.brokers, "t", 2, 0, 3_000);
    let fake = Fake::new(&Arc::default());
    fake.state.lock().full.insert(0);
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 4 << 10;
    let running = start(&options, &fake, &budget());
    until("the other arrived", || fake.offsets(1).len() == 3_000).await;
    assert!(fake.offsets(0).is_empty());
    produce(&cluster.brokers, "t", 2, 3_000, 100);
    until("the other goes on", || fake.offsets(1).len() == 3_100).await;
    let partition = {
        let mut state = fake.state.lock();
        state.full.clear();
        let id = state
            .epochs
            .keys()
            .find(|p| p.app_id().ends_with("/0"))
            .unwrap();
        let topic_id = id.app_id().split(['#', '/']).nth(3).unwrap().to_owned();
        Arc::new(partition("p", "s", "t", &topic_id, 0))
    };
    fake.events.send(SourceEvent::Room(partition)).unwrap();
    until("the full one arrived", || fake.offsets(0).len() >= 3_100).await;
    assert_eq!(fake.offsets(0), ascending(3_100));
    assert_eq!(fake.offsets(1), ascending(3_100));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_a_dropped_batch_is_offered_when_reading_stops() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 3_000);
    let fake = Fake::new(&Arc::default());
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 1 << 10;
    fake.state.lock().full.insert(0);
    let budget = budget();
    let running = start(&options, &fake, &budget);
    until("a batch waits", || budget.used() > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.stop_intake();
    running.intake_stopped().await;
    fake.state.lock().full.clear();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fake.state.lock().batches, 0);
    running.stop().await.unwrap();
    assert_eq!(budget.used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_pauses_and_memory_stays_bounded() {
    let cluster = cluster("t", 2);
    produce(&cluster.brokers, "t", 2, 0, 20_000);
    let fake = Fake::new(&Arc::default());
    fake.state.lock().hold = true;
    let budget = ByteBudget::new(1 << 20);
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 64 << 10;
    let running = start(&options, &fake, &budget);
    until("spent", || budget.is_spent()).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(budget.used() < 2 << 20, "used {}", budget.used());
    let before = fake.state.lock().batches;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fake.state.lock().batches, before, "paused");
    // Room comes back again and again.
    let begun = Instant::now();
    while fake.count() < 40_000 && begun.elapsed() < PATIENCE {
        for batch in std::mem::take(&mut fake.state.lock().held) {
            fake.commit(&batch);
        }
        assert!(budget.used() < 2 << 20, "used {}", budget.used());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fake.offsets(0), ascending(20_000));
    assert_eq!(fake.offsets(1), ascending(20_000));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_reads_again_from_the_tables_position() {
    let cluster = cluster("t", 2);
    produce(&cluster.brokers, "t", 2, 0, 2_000);
    let fake = Fake::new(&Arc::default());
    let running = start(&options(&cluster.brokers, "t"), &fake, &budget());
    for round in 1..=3 {
        let upto = 2_000 + (round - 1) * 10;
        until("all arrived", || fake.count() == 2 * upto).await;
        // The table lost its last rows, as when files had to be discarded.
        let (partition, epoch) = {
            let mut table = fake.table.lock();
            let id = table
                .positions
                .keys()
                .find(|p| p.app_id().ends_with("/1"))
                .unwrap()
                .clone();
            table.positions.insert(id.clone(), 500);
            for ((_, number), records) in &mut table.records {
                if *number == 1 {
                    records.truncate(500);
                }
            }
            let topic_id = id.app_id().split(['#', '/']).nth(3).unwrap().to_owned();
            let epoch = fake.state.lock().epochs.remove(&id).unwrap();
            (Arc::new(partition("p", "s", "t", &topic_id, 1)), epoch)
        };
        fake.events
            .send(SourceEvent::Rewind {
                partition: Arc::clone(&partition),
                epoch,
            })
            .unwrap();
        // One of an older epoch is nothing to us.
        fake.events
            .send(SourceEvent::Rewind {
                partition,
                epoch: epoch.saturating_sub(1),
            })
            .unwrap();
        produce(&cluster.brokers, "t", 2, upto, 10);
    }
    until("all arrived again", || fake.count() == 2 * 2_030).await;
    assert_eq!(fake.offsets(0), ascending(2_030));
    assert_eq!(fake.offsets(1), ascending(2_030));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_the_start_policy_holds_where_no_position_is() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 100);
    let mut options = options(&cluster.brokers, "t");
    options.start = StartPolicy::Latest;
    let table = Arc::default();
    let fake = Fake::new(&table);
    let running = start(&options, &fake, &budget());
    until("started", || !fake.state.lock().starts.is_empty()).await;
    assert_eq!(fake.state.lock().starts, vec![(0, 100)]);
    produce(&cluster.brokers, "t", 1, 100, 5);
    until("the new ones arrived", || fake.count() == 5).await;
    assert_eq!(fake.offsets(0), vec![100, 101, 102, 103, 104]);
    running.stop().await.unwrap();

    // With a position, the policy and the group's offset are not asked.
    produce(&cluster.brokers, "t", 1, 105, 5);
    for position in table.lock().positions.values_mut() {
        *position = 103;
    }
    table.lock().records.clear();
    let fake = Fake::new(&table);
    let running = start(&options, &fake, &budget());
    until("the rest arrived", || fake.count() == 7).await;
    assert_eq!(fake.offsets(0), (103..110).collect::<Vec<_>>());
    assert!(fake.state.lock().starts.is_empty());
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_position_past_the_topics_end_is_refused() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 10);
    let table: Arc<Mutex<Table>> = Arc::default();
    let fake = Fake::new(&table);
    let running = start(&options(&cluster.brokers, "t"), &fake, &budget());
    until("arrived", || fake.count() == 10).await;
    running.stop().await.unwrap();
    for position in table.lock().positions.values_mut() {
        *position = 10_000;
    }
    let fake = Fake::new(&table);
    let mut running = start(&options(&cluster.brokers, "t"), &fake, &budget());
    let error = running.finished().await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidData);
    let text = error.to_string();
    assert!(
        text.contains(
            "alluvium table positions reset TABLE --source s --topic t --partition 0 --to earliest"
        ),
        "{text}"
    );
    running.finished().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_pipeline_that_cannot_pass_stops_the_source() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 1);
    let fake = Fake::new(&Arc::default());
    fake.state.lock().assign_failures = vec![Kind::Corrupt];
    let mut running = start(&options(&cluster.brokers, "t"), &fake, &budget());
    assert_eq!(running.finished().await.unwrap_err().kind(), Kind::Corrupt);
}

/// Members join and leave while records come; every record is committed once.
async fn members_join_and_leave(brokers: &str, topic: &str, strategy: &str, per_partition: usize) {
    let mut options = options(brokers, topic);
    options.group = format!("g-{topic}-{strategy}");
    options
        .properties
        .insert("partition.assignment.strategy".into(), strategy.into());
    options
        .properties
        .insert("session.timeout.ms".into(), "6000".into());
    options
        .properties
        .insert("heartbeat.interval.ms".into(), "200".into());
    let table: Arc<Mutex<Table>> = Arc::default();
    let step = per_partition / 4;
    produce(brokers, topic, 4, 0, step);
    let first = Fake::new(&table);
    let a = start(&options, &first, &budget());
    until("the first reads", || first.count() == 4 * step).await;
    let second = Fake::new(&table);
    let b = start(&options, &second, &budget());
    produce(brokers, topic, 4, step, step);
    until("both have partitions", || {
        let (x, y) = (
            first.state.lock().epochs.len(),
            second.state.lock().epochs.len(),
        );
        x == 2 && y == 2
    })
    .await;
    assert!(first.state.lock().drained >= 2);
    produce(brokers, topic, 4, 2 * step, step);
    until("both read", || first.count() == 4 * 3 * step).await;
    // An orderly leave: the other takes over.
    a.stop_intake();
    a.intake_stopped().await;
    a.stop().await.unwrap();
    produce(brokers, topic, 4, 3 * step, step);
    until("the second reads all", || second.count() == 4 * 4 * step).await;
    b.stop().await.unwrap();
    for partition in 0..4 {
        assert_eq!(
            second.offsets(partition),
            ascending(4 * step),
            "partition {partition}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_14_partitions_move_between_members_cooperatively() {
    let cluster = cluster("t", 4);
    members_join_and_leave(&cluster.brokers, "t", "cooperative-sticky", 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_14_partitions_move_between_members_eagerly() {
    let cluster = cluster("t", 4);
    members_join_and_leave(&cluster.brokers, "t", "range", 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_takes_several_topics() {
    let cluster = cluster("events.a", 1);
    cluster._mock.create_topic("events.b", 1, 1).unwrap();
    cluster._mock.create_topic("other", 1, 1).unwrap();
    for topic in ["events.a", "events.b", "other"] {
        produce(&cluster.brokers, topic, 1, 0, 10);
    }
    let fake = Fake::new(&Arc::default());
    let options = options(&cluster.brokers, "^events\\.");
    let running = start(&options, &fake, &budget());
    until("both arrived", || fake.count() == 20).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fake.count(), 20);
    running.stop().await.unwrap();
    let ranges = resolve(&options, "s", Bound::Earliest, Bound::Latest)
        .await
        .unwrap();
    let topics: Vec<&str> = ranges.iter().map(|r| &*r.topic).collect();
    assert_eq!(topics, ["events.a", "events.b"]);
}

async fn read_ranges(
    options: &KafkaOptions,
    ranges: &[TopicRange],
) -> BTreeMap<i32, (Vec<Offset>, Offset)> {
    let budget = ByteBudget::new(1 << 20);
    let wanted = ranges
        .iter()
        .map(|r| BoundedPartition {
            topic: Arc::clone(&r.topic),
            topic_id: Arc::clone(&r.topic_id),
            number: r.partition,
            from: r.from,
            to: r.to,
            partition: Arc::new(partition(
                "backfill-1",
                "b",
                &r.topic,
                &r.topic_id,
                r.partition,
            )),
            epoch: 1,
        })
        .collect();
    let mut read = BoundedKafka::start(options, "b", wanted, budget.clone()).unwrap();
    let mut seen: BTreeMap<i32, (Vec<Offset>, Offset)> = BTreeMap::new();
    while let Some(batch) = tokio::time::timeout(PATIENCE, read.next()).await.unwrap() {
        let batch = batch.unwrap();
        let range = ranges
            .iter()
            .find(|r| r.partition == batch.partition.number)
            .unwrap();
        let lane = seen
            .entry(batch.partition.number)
            .or_insert((Vec::new(), range.from));
        assert_eq!(batch.start, lane.1, "ranges join");
        assert!(batch.end <= range.to);
        lane.1 = batch.end;
        lane.0.extend(batch.records.iter().map(|r| r.offset));
    }
    assert_eq!(budget.used(), 0);
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_15_a_bounded_read_ends_at_its_bounds() {
    let cluster = cluster("t", 3);
    produce(&cluster.brokers, "t", 2, 0, 1_000);
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 2 << 10;
    let ranges = resolve(&options, "b", Bound::Offset(10), Bound::Latest)
        .await
        .unwrap();
    assert_eq!(
        ranges.iter().map(|r| (r.from, r.to)).collect::<Vec<_>>(),
        [(10, 1_000), (10, 1_000), (0, 0)]
    );
    // What comes after the capture is not of the range.
    produce(&cluster.brokers, "t", 3, 1_000, 50);
    let seen = read_ranges(&options, &ranges).await;
    assert_eq!(seen.len(), 2);
    for (offsets, end) in seen.values() {
        assert_eq!(*offsets, (10..1_000).collect::<Vec<_>>());
        assert_eq!(*end, 1_000);
    }
    assert!(
        resolve(
            &KafkaOptions {
                topics: vec!["nope".into()],
                ..options
            },
            "b",
            Bound::Earliest,
            Bound::Latest
        )
        .await
        .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_read_of_what_is_not_there_is_refused() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 10);
    let options = options(&cluster.brokers, "t");
    let range = resolve(&options, "b", Bound::Earliest, Bound::Latest)
        .await
        .unwrap()
        .remove(0);
    for (topic_id, to) in [(&*range.topic_id, 11), ("another", 10)] {
        let wanted = BoundedPartition {
            topic: Arc::clone(&range.topic),
            topic_id: topic_id.into(),
            number: 0,
            from: 0,
            to,
            partition: Arc::new(partition("backfill-1", "b", "t", topic_id, 0)),
            epoch: 1,
        };
        let mut read = BoundedKafka::start(&options, "b", vec![wanted], budget()).unwrap();
        assert_eq!(read.next().await.unwrap().unwrap_err().kind(), Kind::Config);
        assert!(read.next().await.is_none());
    }
}
