//! Ranges with an end.

use super::*;

pub(super) async fn read_ranges(
    options: &KafkaOptions,
    ranges: &[TopicRange],
) -> BTreeMap<i32, (Vec<Offset>, Offset)> {
    read_ranges_within(options, ranges, ByteBudget::new(1 << 20)).await
}

async fn read_ranges_within(
    options: &KafkaOptions,
    ranges: &[TopicRange],
    budget: ByteBudget,
) -> BTreeMap<i32, (Vec<Offset>, Offset)> {
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

/// Every lane holds a part of a batch and all together spend the budget: none of them is full, and nobody else could
/// give a byte back.
#[tokio::test(flavor = "multi_thread")]
async fn part_filled_batches_of_many_ranges_do_not_wait_for_each_other() {
    let cluster = cluster("t", 32);
    produce_long(&cluster.brokers, "t", 32, 256, 4 << 10);
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 4 << 20;
    // Small fetches, so that all partitions advance together.
    options
        .properties
        .insert("max.partition.fetch.bytes".into(), "65536".into());
    let ranges = resolve(&options, "b", Bound::Earliest, Bound::Latest)
        .await
        .unwrap();
    let budget = ByteBudget::new(16 << 20);
    let seen = read_ranges_within(&options, &ranges, budget).await;
    assert_eq!(seen.len(), 32);
    for (offsets, end) in seen.values() {
        assert_eq!((offsets, *end), (&ascending(256), 256));
    }
}
