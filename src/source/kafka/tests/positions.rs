//! Where reading begins, and begins again.

use super::*;

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
            "alluvium table positions reset TABLE --config FILE --source s --topic t --partition 0 --to earliest"
        ),
        "{text}"
    );
    running.finished().await.unwrap();
}
