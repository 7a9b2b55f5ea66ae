//! The source against librdkafka's mock cluster, and against a broker at `ALLUVIUM_TEST_KAFKA` where one is.

use super::*;
use crate::{
    error::{Error, Kind, Result},
    event::{
        Acked, Assignment, ByteBudget, Epoch, Intake, Offer, Offset, Partition, RawBatch,
        RecordKind, SourceEvent, SourcePartition,
    },
};
use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(40);

/// What is committed, shared by the daemons of a test.
#[derive(Default)]
struct Table {
    positions: HashMap<SourcePartition, Offset>,
    records: BTreeMap<(Arc<str>, i32), Vec<Record>>,
}

#[derive(Clone, Debug)]
struct Record {
    offset: Offset,
    value: Vec<u8>,
    key: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
    kind: RecordKind,
}

#[derive(Default)]
struct State {
    epochs: HashMap<SourcePartition, Epoch>,
    last_epoch: Epoch,
    /// Partitions answered `Full`.
    full: HashSet<i32>,
    hold: bool,
    held: Vec<RawBatch>,
    assign_failures: Vec<Kind>,
    starts: Vec<(i32, Offset)>,
    drained: usize,
    released: usize,
    batches: usize,
}

/// A pipeline that commits at once.
struct Fake {
    table: Arc<Mutex<Table>>,
    state: Mutex<State>,
    events: mpsc::UnboundedSender<SourceEvent>,
    receiver: tokio::sync::Mutex<mpsc::UnboundedReceiver<SourceEvent>>,
}

impl Fake {
    fn new(table: &Arc<Mutex<Table>>) -> Arc<Self> {
        let (events, receiver) = mpsc::unbounded_channel();
        Arc::new(Self {
            table: Arc::clone(table),
            state: Mutex::default(),
            events,
            receiver: tokio::sync::Mutex::new(receiver),
        })
    }

    fn count(&self) -> usize {
        self.table.lock().records.values().map(Vec::len).sum()
    }

    fn offsets(&self, number: i32) -> Vec<Offset> {
        let table = self.table.lock();
        let records = table.records.iter().filter(|((_, n), _)| *n == number);
        records
            .flat_map(|(_, r)| r.iter().map(|r| r.offset))
            .collect()
    }

    fn position(&self, number: i32) -> Option<Offset> {
        let table = self.table.lock();
        let end = format!("/{number}");
        table
            .positions
            .iter()
            .find(|(p, _)| p.app_id().ends_with(&end))
            .map(|(_, o)| *o)
    }

    fn commit(&self, batch: &RawBatch) {
        let mut table = self.table.lock();
        let p = &batch.partition;
        if let Some(at) = table.positions.insert(p.id.clone(), batch.end) {
            assert_eq!(at, batch.start, "ranges join");
        }
        let records = table
            .records
            .entry((Arc::clone(&p.topic), p.number))
            .or_default();
        let mut next = batch.start;
        for r in &batch.records {
            assert!(
                r.offset >= next && r.offset < batch.end,
                "in order, inside the range"
            );
            next = r.offset + 1;
            records.push(Record {
                offset: r.offset,
                value: batch.value(r).to_vec(),
                key: batch.key(r).map(<[u8]>::to_vec),
                headers: batch.headers(r).map(<[u8]>::to_vec),
                kind: r.kind.clone(),
            });
        }
        let _ = self.events.send(SourceEvent::Acked(Acked {
            partition: Arc::clone(p),
            epoch: batch.epoch,
            low_water: batch.end,
        }));
    }
}

#[async_trait]
impl Intake for Fake {
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut state = self.state.lock();
        if let Some(kind) = state.assign_failures.pop() {
            return Err(Error::new(kind, "store does not answer"));
        }
        let table = self.table.lock();
        Ok(partitions
            .into_iter()
            .map(|partition| {
                state.last_epoch += 1;
                let epoch = state.last_epoch;
                state.epochs.insert(partition.id.clone(), epoch);
                let resume = table.positions.get(&partition.id).copied();
                Assignment {
                    partition,
                    epoch,
                    resume,
                }
            })
            .collect())
    }

    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()> {
        for (assignment, start) in starts {
            self.state
                .lock()
                .starts
                .push((assignment.partition.number, start));
            self.table
                .lock()
                .positions
                .insert(assignment.partition.id.clone(), start);
        }
        Ok(())
    }

    fn offer(&self, batch: RawBatch) -> Offer {
        let mut state = self.state.lock();
        if state.epochs.get(&batch.partition.id) != Some(&batch.epoch) {
            return Offer::Stale;
        }
        if state.full.contains(&batch.partition.number) {
            return Offer::Full(batch);
        }
        // Another writer was here: fenced, as a commit would find.
        if self.table.lock().positions.get(&batch.partition.id) != Some(&batch.start) && !state.hold
        {
            state.epochs.remove(&batch.partition.id);
            let partition = Arc::clone(&batch.partition);
            let _ = self.events.send(SourceEvent::Rewind {
                partition,
                epoch: batch.epoch,
            });
            return Offer::Stale;
        }
        state.batches += 1;
        if state.hold {
            state.held.push(batch);
        } else {
            self.commit(&batch);
        }
        Offer::Accepted
    }

    async fn send(&self, batch: RawBatch) -> Result<()> {
        self.offer(batch);
        Ok(())
    }

    async fn drain(&self, partitions: &[Arc<Partition>], _: Duration) -> Vec<Acked> {
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.state.lock().drained += partitions.len();
        self.forget(partitions);
        Vec::new()
    }

    fn release(&self, partitions: &[Arc<Partition>]) {
        self.state.lock().released += partitions.len();
        self.forget(partitions);
    }

    async fn event(&self) -> Option<SourceEvent> {
        self.receiver.lock().await.recv().await
    }

    async fn committed(&self, _: &str, _: &Partition, _: Offset) -> Result<u64> {
        Err(Error::new(Kind::Unsupported, "not in this test"))
    }
}

impl Fake {
    fn forget(&self, partitions: &[Arc<Partition>]) {
        let mut state = self.state.lock();
        for partition in partitions {
            state.epochs.remove(&partition.id);
        }
    }
}

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
async fn the_start_policy_holds_where_no_position_is() {
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
async fn a_position_past_the_topics_end_is_refused() {
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
        text.contains("alluvium table positions reset TABLE --source s --partition t/0"),
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
async fn partitions_move_between_members_cooperatively() {
    let cluster = cluster("t", 4);
    members_join_and_leave(&cluster.brokers, "t", "cooperative-sticky", 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_move_between_members_eagerly() {
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
async fn a_bounded_read_ends_at_its_bounds() {
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

/// `ALLUVIUM_TEST_KAFKA=127.0.0.1:19092 cargo test --lib source::kafka -- --ignored`: what the mock
/// cluster cannot show (transactions, topic ids, deleted records, a real group coordinator).
mod real {
    use super::*;
    use rdkafka::{
        admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
        client::DefaultClientContext,
    };

    fn brokers() -> String {
        std::env::var("ALLUVIUM_TEST_KAFKA").unwrap_or_else(|_| "127.0.0.1:19092".into())
    }

    fn admin() -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .create()
            .unwrap()
    }

    async fn create(topic: &str, partitions: i32) {
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let made = admin()
            .create_topics([&topic], &AdminOptions::new())
            .await
            .unwrap();
        made.into_iter().for_each(|r| {
            r.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    fn fresh(name: &str) -> String {
        format!("{name}-{:08x}", fastrand::u32(..))
    }

    fn group_options(topic: &str) -> KafkaOptions {
        KafkaOptions {
            group: format!("g-{topic}"),
            ..options(&brokers(), topic)
        }
    }

    fn transaction(topic: &str, records: usize, commit: bool) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .set("transactional.id", format!("tx-{:x}", fastrand::u64(..)))
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        for n in 0..records {
            let value = format!("{{\"n\":{n}}}");
            let record = BaseRecord::<str, str>::to(topic)
                .partition(0)
                .payload(&value);
            producer.send(record).map_err(|(e, _)| e).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn markers_and_aborted_records_are_gaps() {
        let topic = fresh("tx");
        create(&topic, 1).await;
        transaction(&topic, 100, true); // 0..100, marker 100
        transaction(&topic, 50, false); // 101..151, marker 151
        transaction(&topic, 10, true); // 152..162, marker 162
        transaction(&topic, 5, false); // 163..168, marker 168
        let wanted: Vec<Offset> = (0..100).chain(152..162).collect();
        let options = group_options(&topic);
        let fake = Fake::new(&Arc::default());
        let running = start(&options, &fake, &budget());
        until("the trailing gap is passed", || {
            fake.position(0) == Some(169)
        })
        .await;
        assert_eq!(fake.offsets(0), wanted);
        assert_eq!(running.stop().await.map_err(|e| e.to_string()), Ok(()));
        let ranges = resolve(&options, "b", Bound::Earliest, Bound::Latest)
            .await
            .unwrap();
        assert_eq!((ranges[0].from, ranges[0].to), (0, 169));
        assert_eq!(read_ranges(&options, &ranges).await[&0], (wanted, 169));
        // An end in the midst of aborted records.
        let ranges = resolve(&options, "b", Bound::Earliest, Bound::Offset(120))
            .await
            .unwrap();
        assert_eq!(
            read_ranges(&options, &ranges).await[&0],
            (ascending(100), 120)
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn a_topic_recreated_while_it_is_read_stops_the_source() {
        let topic = fresh("re");
        create(&topic, 1).await;
        produce(&brokers(), &topic, 1, 0, 10);
        let fake = Fake::new(&Arc::default());
        let mut running = start(&group_options(&topic), &fake, &budget());
        until("arrived", || fake.count() == 10).await;
        let id = fake
            .table
            .lock()
            .positions
            .keys()
            .next()
            .unwrap()
            .app_id()
            .to_owned();
        assert!(id.contains('#') && !id.contains("#-"), "{id}");
        admin()
            .delete_topics(&[&topic], &AdminOptions::new())
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        create(&topic, 1).await;
        // More records than were read: offsets alone would not show it.
        produce(&brokers(), &topic, 1, 0, 1_000);
        let begun = Instant::now();
        let error = tokio::time::timeout(PATIENCE, running.finished())
            .await
            .unwrap()
            .unwrap_err();
        tracing::info!(
            "after {:?}, {} records: {error}",
            begun.elapsed(),
            fake.count()
        );
        assert_eq!(error.kind(), Kind::InvalidData);
        assert!(error.to_string().contains("recreated"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn records_deleted_before_they_were_read_are_refused_and_times_are_found() {
        let topic = fresh("del");
        create(&topic, 1).await;
        produce(&brokers(), &topic, 1, 0, 100);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let time = chrono::Utc::now().timestamp_millis();
        tokio::time::sleep(Duration::from_millis(50)).await;
        produce(&brokers(), &topic, 1, 100, 20);
        let mut options = group_options(&topic);
        options.start = StartPolicy::Timestamp(time);
        let table: Arc<Mutex<Table>> = Arc::default();
        let fake = Fake::new(&table);
        let running = start(&options, &fake, &budget());
        until("arrived", || fake.count() == 20).await;
        assert_eq!(fake.state.lock().starts, vec![(0, 100)]);
        running.stop().await.unwrap();
        for position in table.lock().positions.values_mut() {
            *position = 40;
        }
        let mut upto = rdkafka::TopicPartitionList::new();
        upto.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(90))
            .unwrap();
        admin()
            .delete_records(&upto, &AdminOptions::new())
            .await
            .unwrap();
        let mut running = start(&options, &Fake::new(&table), &budget());
        let error = running.finished().await.unwrap_err();
        assert!(
            error.to_string().starts_with("50 offsets were deleted"),
            "{error}"
        );
        assert!(
            resolve(&options, "b", Bound::Offset(40), Bound::Latest)
                .await
                .is_err()
        );
        let ranges = resolve(&options, "b", Bound::Time(time), Bound::Latest)
            .await
            .unwrap();
        assert_eq!((ranges[0].from, ranges[0].to), (100, 120));
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn members_of_a_real_group() {
        for strategy in ["cooperative-sticky", "range"] {
            let topic = fresh("grp");
            create(&topic, 4).await;
            members_join_and_leave(&brokers(), &topic, strategy, 4_000).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn a_running_partition_overrun_by_retention_is_told() {
        let topic = fresh("run");
        create(&topic, 1).await;
        produce(&brokers(), &topic, 1, 0, 2_000);
        let fake = Fake::new(&Arc::default());
        fake.state.lock().full.insert(0);
        let mut options = group_options(&topic);
        options.batch_bytes = 1 << 10;
        let mut running = start(&options, &fake, &budget());
        until("one batch waits", || !fake.state.lock().starts.is_empty()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut upto = rdkafka::TopicPartitionList::new();
        upto.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(1_900))
            .unwrap();
        admin()
            .delete_records(&upto, &AdminOptions::new())
            .await
            .unwrap();
        let partition = {
            let mut state = fake.state.lock();
            state.full.clear();
            let id = state.epochs.keys().next().unwrap().app_id().to_owned();
            let topic_id = id.split(['#', '/']).nth(3).unwrap().to_owned();
            Arc::new(partition("p", "s", &topic, &topic_id, 0))
        };
        fake.events.send(SourceEvent::Room(partition)).unwrap();
        let error = tokio::time::timeout(PATIENCE, running.finished())
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidData);
        assert!(error.to_string().contains("retention"), "{error}");
        let read = fake.offsets(0);
        assert_eq!(read, ascending(read.len()), "no jump");
    }

    /// Runs until killed; a process of its own for the next test.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn member_to_be_killed() {
        let Ok(topic) = std::env::var("ALLUVIUM_TEST_TOPIC") else {
            return;
        };
        let fake = Fake::new(&Arc::default());
        let _running = start(&group_options(&topic), &fake, &budget());
        until("it reads", || fake.count() > 0).await;
        std::fs::write(std::env::var("ALLUVIUM_TEST_READY").unwrap(), "").unwrap();
        std::future::pending::<()>().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn a_killed_member_is_replaced_within_fifteen_seconds() {
        let topic = fresh("kill");
        create(&topic, 4).await;
        produce(&brokers(), &topic, 4, 0, 10);
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let mut member = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "source::kafka::tests::real::member_to_be_killed",
            ])
            .env("ALLUVIUM_TEST_TOPIC", &topic)
            .env("ALLUVIUM_TEST_READY", &ready)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        until("the member reads", || ready.exists()).await;
        member.kill().unwrap();
        member.wait().unwrap();
        let killed = Instant::now();
        let fake = Fake::new(&Arc::default());
        let running = start(&group_options(&topic), &fake, &budget());
        until("its partitions are read", || fake.count() == 40).await;
        tracing::info!("resumed {:?} after the kill", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(15));
        running.stop().await.unwrap();
    }

    /// `ALLUVIUM_TEST_KAFKA_SASL` is a SASL_PLAINTEXT listener with SCRAM user bob, PLAIN user alice.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn credentials_are_used_and_bad_ones_stop_the_source() {
        let Ok(sasl) = std::env::var("ALLUVIUM_TEST_KAFKA_SASL") else {
            return;
        };
        let topic = fresh("sasl");
        create(&topic, 1).await;
        produce(&brokers(), &topic, 1, 0, 10);
        let login = |mechanism: &str, user: &str, password: &str| {
            let mut options = group_options(&topic);
            options.brokers = sasl.clone();
            options.group = fresh("g");
            for (key, value) in [
                ("security.protocol", "SASL_PLAINTEXT"),
                ("sasl.mechanism", mechanism),
                ("sasl.username", user),
                ("sasl.password", password),
            ] {
                options.properties.insert(key.into(), value.into());
            }
            options
        };
        for options in [
            login("SCRAM-SHA-512", "bob", "bob-secret"),
            login("SCRAM-SHA-256", "bob", "bob-secret"),
            login("PLAIN", "alice", "alice-secret"),
        ] {
            let fake = Fake::new(&Arc::default());
            let running = start(&options, &fake, &budget());
            until("arrived", || fake.count() == 10).await;
            running.stop().await.unwrap();
        }
        let mut running = start(
            &login("SCRAM-SHA-512", "bob", "wrong-secret"),
            &Fake::new(&Arc::default()),
            &budget(),
        );
        let begun = Instant::now();
        let error = tokio::time::timeout(2 * PATIENCE, running.finished())
            .await
            .unwrap()
            .unwrap_err();
        tracing::info!("after {:?}: {error}", begun.elapsed());
        assert_eq!(error.kind(), Kind::Unauthorized);
        assert!(!format!("{error:?}").contains("wrong-secret"));
    }

    /// Needs a listener that takes unsecured tokens (Kafka's default validator).
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a broker"]
    async fn a_bearer_token_from_a_command_is_used() {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let Ok(sasl) = std::env::var("ALLUVIUM_TEST_KAFKA_OAUTH") else {
            return;
        };
        let topic = fresh("oauth");
        create(&topic, 1).await;
        produce(&brokers(), &topic, 1, 0, 10);
        let now = chrono::Utc::now().timestamp();
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let token = format!(
            "{}.{}.",
            part(r#"{"alg":"none"}"#.into()),
            part(format!(
                r#"{{"sub":"svc","iat":{now},"exp":{}}}"#,
                now + 3_600
            ))
        );
        let mut options = group_options(&topic);
        options.brokers = sasl;
        options
            .properties
            .insert("security.protocol".into(), "SASL_PLAINTEXT".into());
        options
            .properties
            .insert("sasl.mechanism".into(), "OAUTHBEARER".into());
        options.oauth = Some(OauthOptions {
            token_command: Some(vec!["echo".into(), token]),
            ..OauthOptions::default()
        });
        let fake = Fake::new(&Arc::default());
        let running = start(&options, &fake, &budget());
        until("arrived", || fake.count() == 10).await;
        running.stop().await.unwrap();
        let ranges = resolve(&options, "b", Bound::Earliest, Bound::Latest)
            .await
            .unwrap();
        assert_eq!(
            read_ranges(&options, &ranges).await[&0],
            (ascending(10), 10)
        );
    }
}
