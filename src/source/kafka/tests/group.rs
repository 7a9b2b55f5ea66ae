//! Members that join and leave.

use super::*;

/// Members join and leave while records come; every record is committed once.
pub(super) async fn members_join_and_leave(
    brokers: &str,
    topic: &str,
    strategy: &str,
    per_partition: usize,
) {
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
