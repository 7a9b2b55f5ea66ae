//! Brokers, records and pipelines that fail.

use super::{bounded::read_ranges, *};
use crate::source::kafka::positions::group_consumer;
use metrics_exporter_prometheus::PrometheusBuilder;
use rdkafka::{
    consumer::Consumer,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tracing_subscriber::{Layer, layer::SubscriberExt};

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_pipeline_that_cannot_pass_stops_the_source() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 1);
    let fake = Fake::new(&Arc::default());
    fake.state.lock().assign_failures = vec![Kind::Corrupt];
    let mut running = start(&options(&cluster.brokers, "t"), &fake, &budget());
    assert_eq!(running.finished().await.unwrap_err().kind(), Kind::Corrupt);
}

/// Counts lines of the levels that are logged by default: (warnings and errors, all).
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<(usize, usize)>>);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let level = *event.metadata().level();
        let mut lines = self.0.lock();
        lines.0 += usize::from(level <= tracing::Level::WARN);
        lines.1 += usize::from(level <= tracing::Level::INFO);
    }
}

#[test]
fn a_dead_port_is_told_seldom_and_counted_always() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut options = options(&format!("127.0.0.1:{port}"), "t");
    // As fast as it goes.
    for key in ["reconnect.backoff.ms", "reconnect.backoff.max.ms"] {
        options.properties.insert(key.into(), "20".into());
    }
    let lines = Lines::default();
    let log = tracing_subscriber::registry().with(lines.clone());
    let recorder = PrometheusBuilder::new().build_recorder();
    // Callbacks run on the thread that polls, which is this one.
    ::metrics::with_local_recorder(&recorder, || {
        tracing::subscriber::with_default(log, || {
            let consumer = group_consumer(&"s".into(), &options, 1 << 20).unwrap();
            consumer.subscribe(&["t"]).unwrap();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(4) {
                let _ = consumer.poll(Duration::from_millis(100));
            }
        });
    });
    let (loud, all) = *lines.0.lock();
    assert!((1..=4).contains(&loud) && all <= 6, "{loud} of {all} lines");
    let text = recorder.handle().render();
    let errors: usize = text
        .lines()
        .filter(|line| line.starts_with("alluvium_errors_total{stage=\"source\""))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum();
    assert!(errors > 2 * loud, "{errors} counted\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_decoded_stop_the_source_and_the_range() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 10);
    let options = options(&cluster.brokers, "t");
    let fake = Fake::new(&Arc::default());
    let mut running = start(&options, &fake, &budget());
    until("arrived", || fake.count() == 10).await;
    let broken = [RDKafkaRespErr::RD_KAFKA_RESP_ERR__BAD_MSG; 2];
    cluster._mock.request_errors(RDKafkaApiKey::Fetch, &broken);
    let error = tokio::time::timeout(PATIENCE, running.finished())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidData);
    let text = error.to_string();
    assert!(text.contains("source=`s` partition=`t/0 at 10`"), "{text}");
    let ranges = resolve(&options, "b", Bound::Earliest, Bound::Latest)
        .await
        .unwrap();
    cluster._mock.clear_request_errors(RDKafkaApiKey::Fetch);
    assert_eq!(read_ranges(&options, &ranges).await[&0].1, 10);
    cluster._mock.request_errors(RDKafkaApiKey::Fetch, &broken);
    let range = &ranges[0];
    let wanted = BoundedPartition {
        topic: Arc::clone(&range.topic),
        topic_id: Arc::clone(&range.topic_id),
        number: 0,
        from: 0,
        to: 10,
        partition: Arc::new(partition("backfill-1", "b", "t", &range.topic_id, 0)),
        epoch: 1,
    };
    let mut read = BoundedKafka::start(&options, "b", vec![wanted], budget()).unwrap();
    let error = loop {
        match tokio::time::timeout(PATIENCE, read.next()).await.unwrap() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the range ended as if its records were gaps"),
        }
    };
    assert_eq!(error.kind(), Kind::InvalidData);
}

/// librdkafka's batch call counts the offset that an error names as read; nobody may believe it. The call meets errors when
/// the reader was kept busy meanwhile, here by a pipeline that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn rule_15_a_fetch_that_fails_passes_over_no_record_of_a_group() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 1);
    let fake = Fake::new(&Arc::default());
    let running = start(&options(&cluster.brokers, "t"), &fake, &budget());
    until("the first arrived", || fake.count() == 1).await;
    tokio::task::block_in_place(|| {
        let _unanswered = fake.state.lock();
        produce(&cluster.brokers, "t", 1, 1, 1);
        std::thread::sleep(Duration::from_millis(500));
        cluster
            ._mock
            .request_errors(RDKafkaApiKey::Fetch, &[FAILED; 3]);
        std::thread::sleep(Duration::from_secs(2));
    });
    // Longer than a silent partition's position is left alone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    produce(&cluster.brokers, "t", 1, 2, 5);
    until("the others arrived", || fake.count() >= 7).await;
    assert_eq!(fake.offsets(0), ascending(7));
    assert_eq!(
        fake.state.lock().last_epoch,
        1,
        "what waits to be committed is not read again"
    );
    running.stop().await.unwrap();
}

/// Errors that come again and again must not throw away what is read between them: nothing would ever be committed.
#[tokio::test(flavor = "multi_thread")]
async fn fetches_that_fail_between_others_keep_what_waits_for_room() {
    let cluster = cluster("t", 1);
    produce(&cluster.brokers, "t", 1, 0, 1);
    let fake = Fake::new(&Arc::default());
    let mut options = options(&cluster.brokers, "t");
    // Nothing is handed on before the end but what a rewind would read again.
    options.batch_milliseconds = 8_000;
    let running = start(&options, &fake, &budget());
    for n in 1..4 {
        tokio::time::sleep(Duration::from_millis(800)).await;
        let errors = &[FAILED; 2];
        cluster._mock.request_errors(RDKafkaApiKey::Fetch, errors);
        produce(&cluster.brokers, "t", 1, n, 1);
    }
    until("all arrived", || fake.count() == 4).await;
    let (epochs, batches) = {
        let state = fake.state.lock();
        (state.last_epoch, state.batches)
    };
    assert_eq!((epochs, batches), (1, 1));
    assert_eq!(fake.offsets(0), ascending(4));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_15_a_fetch_that_fails_passes_over_no_record_of_a_range() {
    let cluster = cluster("t", 1);
    // Two fetches: the mock cluster answers with one batch a time.
    produce(&cluster.brokers, "t", 1, 0, 10);
    produce(&cluster.brokers, "t", 1, 10, 1);
    let mut options = options(&cluster.brokers, "t");
    options.batch_bytes = 1;
    let ranges = resolve(&options, "b", Bound::Earliest, Bound::Latest)
        .await
        .unwrap();
    // One answer, then errors for longer than the reader waits for its receiver.
    let mut answers = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR];
    answers.resize(13, FAILED);
    cluster._mock.request_errors(RDKafkaApiKey::Fetch, &answers);
    let wanted = BoundedPartition {
        topic: Arc::clone(&ranges[0].topic),
        topic_id: Arc::clone(&ranges[0].topic_id),
        number: 0,
        from: 0,
        to: 11,
        partition: Arc::new(partition("backfill-1", "b", "t", &ranges[0].topic_id, 0)),
        epoch: 1,
    };
    let mut read = BoundedKafka::start(&options, "b", vec![wanted], budget()).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut offsets = Vec::new();
    while let Some(batch) = tokio::time::timeout(PATIENCE, read.next()).await.unwrap() {
        offsets.extend(batch.unwrap().records.iter().map(|r| r.offset));
    }
    assert_eq!(offsets, ascending(11));
}

/// An error that librdkafka hands on, to fetch again half a second later.
const FAILED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN;
