//! `cargo test --lib source::kafka -- --ignored`: what the mock cluster cannot show (transactions, topic ids, deleted and
//! broken records, a real group coordinator, logins). `tests/acceptance/checks/kafka_source.py` starts the broker and
//! sets what [`variable`] asks for:
//!
//! - `ALLUVIUM_TEST_KAFKA`, `ALLUVIUM_TEST_KAFKA_SASL`, `ALLUVIUM_TEST_KAFKA_OAUTH`: addresses of a listener without a
//!   login, of one with SASL (bob by SCRAM, alice by PLAIN), and of one that takes unsecured tokens (Kafka's default)
//! - `ALLUVIUM_TEST_KAFKA_PASSWORD`: bob's and alice's
//! - `ALLUVIUM_TEST_KAFKA_LOG`: the broker's data folder, in which a record is broken

use super::{bounded::read_ranges, group::members_join_and_leave, *};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}, as told at the top of this file"))
}

fn brokers() -> String {
    variable("ALLUVIUM_TEST_KAFKA")
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

/// Reads until killed.
async fn be_the_member(topic: &str) {
    let fake = Fake::new(&Arc::default());
    let _running = start(&group_options(topic), &fake, &budget());
    until("it reads", || fake.count() > 0).await;
    std::fs::write(variable("ALLUVIUM_TEST_READY"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_killed_member_is_replaced_within_fifteen_seconds() {
    // This test runs itself once more as the process that is killed.
    if let Ok(topic) = std::env::var("ALLUVIUM_TEST_TOPIC") {
        return be_the_member(&topic).await;
    }
    let topic = fresh("kill");
    create(&topic, 4).await;
    produce(&brokers(), &topic, 4, 0, 10);
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut member = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "source::kafka::tests::real::a_killed_member_is_replaced_within_fifteen_seconds",
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn credentials_are_used_and_bad_ones_stop_the_source() {
    let sasl = variable("ALLUVIUM_TEST_KAFKA_SASL");
    let right = variable("ALLUVIUM_TEST_KAFKA_PASSWORD");
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
        login("SCRAM-SHA-512", "bob", &right),
        login("SCRAM-SHA-256", "bob", &right),
        login("PLAIN", "alice", &right),
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_bearer_token_from_a_command_is_used() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let sasl = variable("ALLUVIUM_TEST_KAFKA_OAUTH");
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_static_member_that_is_back_in_time_causes_no_rebalance() {
    let topic = fresh("static");
    create(&topic, 4).await;
    produce(&brokers(), &topic, 4, 0, 10);
    let member = |name: &str| {
        let mut options = group_options(&topic);
        options.instance_id = Some(name.into());
        options
            .properties
            .insert("session.timeout.ms".into(), "30000".into());
        options
    };
    let table: Arc<Mutex<Table>> = Arc::default();
    let (stays, leaves) = (Fake::new(&table), Fake::new(&table));
    let a = start(&member("a"), &stays, &budget());
    until("the first reads", || stays.count() == 40).await;
    let b = start(&member("b"), &leaves, &budget());
    let owned = |fake: &Fake| {
        fake.state
            .lock()
            .epochs
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    until("both have partitions", || {
        owned(&stays).len() == 2 && owned(&leaves).len() == 2
    })
    .await;
    let had = owned(&leaves);
    let seen = |fake: &Fake| {
        let state = fake.state.lock();
        (state.last_epoch, state.drained, state.released)
    };
    let before = seen(&stays);
    b.stop_intake();
    b.intake_stopped().await;
    b.stop().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let back = Fake::new(&table);
    let b = start(&member("b"), &back, &budget());
    produce(&brokers(), &topic, 4, 10, 10);
    until("all arrived", || back.count() == 80).await;
    assert_eq!(owned(&back), had, "the same partitions");
    // A heartbeat or two, by which a rebalance would be known.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(seen(&stays), before, "the other member was left alone");
    b.stop().await.unwrap();
    a.stop().await.unwrap();
}

/// The broker sends what is on its disk without looking at it; librdkafka would go on behind the broken batch.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_batch_broken_on_the_brokers_disk_stops_the_source() {
    let topic = fresh("broken");
    create(&topic, 1).await;
    for batch in 0..3 {
        produce(&brokers(), &topic, 1, 10 * batch, 10);
    }
    let log = std::path::Path::new(&variable("ALLUVIUM_TEST_KAFKA_LOG"))
        .join(format!("{topic}-0"))
        .join("00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(4).position(|w| w == b":15}").unwrap();
    bytes[at + 1] = b'7';
    std::fs::write(&log, bytes).unwrap();
    let options = group_options(&topic);
    let fake = Fake::new(&Arc::default());
    let mut running = start(&options, &fake, &budget());
    let error = tokio::time::timeout(PATIENCE, running.finished())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidData);
    let text = error.to_string();
    assert!(text.contains("CRC32C"), "{text}");
    assert!(
        text.contains(&format!("partition=`{topic}/0 at ")),
        "{text}"
    );
    let read = fake.offsets(0);
    assert_eq!(read, ascending(read.len()), "nothing from behind it");
    assert!(read.len() <= 15);
}
