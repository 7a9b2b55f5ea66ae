//! What arrives, and as what.

use super::*;

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
