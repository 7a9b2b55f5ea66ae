//! A pipeline without room: full partitions, a spent budget.

use super::*;

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

/// Pausing throws away what was fetched: a table that was only busy for a moment is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn room_that_comes_back_in_moments_pauses_nothing() {
    let cluster = cluster("t", 2);
    produce(&cluster.brokers, "t", 2, 0, 3_000);
    let fake = Fake::new(&Arc::default());
    fake.state.lock().stutters = true;
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 1 << 10;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let running = ::metrics::with_local_recorder(&recorder, || start(&options, &fake, &budget()));
    until("all arrived", || fake.count() == 6_000).await;
    for number in [0, 1] {
        assert_eq!(fake.offsets(number), ascending(3_000));
    }
    running.stop().await.unwrap();
    let text = recorder.handle().render();
    let paused = r#"alluvium_source_pauses_total{source="s",reason="full"} "#;
    let paused = text.lines().find_map(|line| line.strip_prefix(paused));
    let paused: u64 = paused.expect(&text).parse().unwrap();
    let refusals = fake.state.lock().refusals;
    // A busy machine may be late now and then.
    assert!(
        refusals > 10 && paused * 10 <= refusals,
        "{paused} of {refusals}"
    );
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

/// As of the bounded read; here only the age of the batches would have ended the wait.
#[tokio::test(flavor = "multi_thread")]
async fn part_filled_batches_of_many_partitions_are_handed_on_when_they_spend_the_budget() {
    let cluster = cluster("t", 32);
    produce_long(&cluster.brokers, "t", 32, 256, 4 << 10);
    let fake = Fake::new(&Arc::default());
    let budget = ByteBudget::new(16 << 20);
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 4 << 20;
    options.batch_milliseconds = 60_000;
    let running = start(&options, &fake, &budget);
    // All but what fits in the budget, and some: 16 MiB of the 32.
    until("more than the budget arrived", || fake.count() > 4_000).await;
    running.stop_intake();
    running.intake_stopped().await;
    running.stop().await.unwrap();
    for partition in 0..32 {
        let offsets = fake.offsets(partition);
        assert_eq!(offsets, ascending(offsets.len()));
    }
    assert_eq!(budget.used(), 0);
}
