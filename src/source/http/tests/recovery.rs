//! Kills, stops, rewinds, and disks and tables that disagree.

use super::*;

#[tokio::test]
async fn rule_18_what_was_answered_survives_kills_and_lands_once() {
    let it = Fixture::new();
    let mut sent = Vec::new();
    for round in 0..5 {
        let running = restart(&it).await;
        // Held in every other round: the events are then found in the spool by a later one.
        it.pipeline.hold.send_replace(round % 2 == 0);
        let events = (0..20).map(|i| format!("{{\"n\":{}}}", round * 100 + i));
        let posts = events.map(|event| {
            let (it, running) = (&it, &running);
            async move {
                taken(it.post(running, "a", event.clone()), 1).await;
                event
            }
        });
        sent.extend(futures::future::join_all(posts).await);
        drop(running);
    }
    it.pipeline.hold.send_replace(false);
    let running = restart(&it).await;
    it.pipeline.wait(sent.len()).await;
    running.stop(Duration::from_secs(5)).await.unwrap();
    let mut landed = it.pipeline.values();
    landed.sort();
    sent.sort();
    assert_eq!(landed, sent);
}

#[tokio::test]
async fn a_stop_finishes_requests_and_commits_what_was_taken() {
    let it = Fixture::new();
    it.pipeline.hold.send_replace(true);
    let mut running = it.start(options()).await;
    let waiting = tokio::spawn(answer(it.post(&running, "a?ack=commit", "{\"n\":1}")));
    taken(it.post(&running, "a", "{\"n\":2}"), 1).await;
    let address = running.address();
    assert!(
        !running.stop_intake(Duration::from_millis(100)).await,
        "a request still waits for its commit"
    );
    assert!(
        it.client
            .post(format!("http://{address}/v1/events/a"))
            .body("{}")
            .send()
            .await
            .is_err()
    );
    it.pipeline.hold.send_replace(false);
    assert!(running.stop_intake(Duration::from_secs(5)).await);
    assert_eq!(waiting.await.unwrap().0, 200);
    running.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(it.pipeline.values().len(), 2);
    // Closed and released: it can be opened at once.
    let spool = Spool::open(it.folder.path(), "p", "web", spool::Options::default()).unwrap();
    assert_eq!(spool.durable(), 2);
}

#[tokio::test]
async fn events_are_taken_while_the_tables_cannot_be_reached() {
    let it = Fixture::new();
    *it.pipeline.unavailable.lock() = true;
    let running = it.start(options()).await;
    taken(it.post(&running, "a", "{}"), 1).await;
    *it.pipeline.unavailable.lock() = false;
    it.pipeline.wait(1).await;
    running.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
async fn a_rewind_reads_again_from_the_tables_position() {
    let it = Fixture::new();
    let running = it.start(options()).await;
    taken(it.post(&running, "a", "{\"n\":0}\n{\"n\":1}"), 2).await;
    it.pipeline.wait(2).await;
    let partition = running.spool().generations().pop().unwrap().partition;
    // As if record 1 had not been committed after all.
    it.pipeline.landed.lock().remove(&1);
    it.pipeline
        .resume
        .lock()
        .insert(partition.id.app_id().into(), 1);
    let old = SourceEvent::Rewind {
        partition: Arc::clone(&partition),
        epoch: 99,
    };
    it.pipeline.events.send(old).unwrap();
    let epoch = *it.pipeline.epoch.lock();
    it.pipeline
        .events
        .send(SourceEvent::Rewind { partition, epoch })
        .unwrap();
    it.pipeline.wait(2).await;
    assert_eq!(it.pipeline.values(), ["{\"n\":0}", "{\"n\":1}"]);
    assert_eq!(
        *it.pipeline.epoch.lock(),
        epoch + 1,
        "another epoch's rewind is none"
    );
}

#[tokio::test]
async fn rule_17_a_restored_disk_goes_on_under_a_new_identity_and_loses_nothing() {
    let it = Fixture::new();
    it.pipeline.hold.send_replace(true);
    let running = it.start(options()).await;
    taken(it.post(&running, "a", "{\"n\":0}\n{\"n\":1}\n{\"n\":2}"), 3).await;
    let old = running.spool().generations().pop().unwrap().partition;
    drop(running);
    // The tables hold what this copy of the disk never saw: one stands at 200, the slowest at 1.
    *it.pipeline.highest.lock() = Some(200);
    it.pipeline.resume.lock().insert(old.id.app_id().into(), 1);
    let running = restart(&it).await;
    taken(it.post(&running, "a", "{\"n\":3}"), 1).await;
    it.pipeline.hold.send_replace(false);
    it.pipeline.wait(3).await;
    let landed = it.pipeline.landed();
    let who: Vec<_> = landed
        .iter()
        .map(|landed| (landed.value.as_str(), landed.partition == old.id.app_id()))
        .collect();
    assert_eq!(
        who,
        [
            ("{\"n\":1}", true),
            ("{\"n\":2}", true),
            ("{\"n\":3}", false)
        ]
    );
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_position_above_all_that_was_given_out_stops_the_source() {
    let it = Fixture::new();
    let mut running = it.start(options()).await;
    taken(it.post(&running, "a", "{}"), 1).await;
    it.pipeline.wait(1).await;
    let partition = running.spool().generations().pop().unwrap().partition;
    it.pipeline
        .resume
        .lock()
        .insert(partition.id.app_id().into(), 500);
    let epoch = *it.pipeline.epoch.lock();
    it.pipeline
        .events
        .send(SourceEvent::Rewind { partition, epoch })
        .unwrap();
    let error = tokio::time::timeout(Duration::from_secs(5), running.ended())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    taken(it.post(&running, "a", "{}"), 1).await;
}

/// Each of many sources might else hold a part of the budget for events that come after those it waits to read.
#[tokio::test]
async fn a_source_that_waits_for_room_holds_none() {
    let fixture = Fixture::new();
    let budget = ByteBudget::new(16 << 20);
    let running = HttpSource::start(Start {
        options: options(),
        spool_folder: fixture.folder.path(),
        spool_options: spool::Options::default(),
        pipeline: "p",
        source: "web",
        intake: Arc::clone(&fixture.pipeline) as _,
        budget: budget.clone(),
        health: Arc::new(|_, _| {}),
        shutdown: CancellationToken::new(),
    })
    .await
    .unwrap();
    fixture.pipeline.hold.send_replace(true);
    answer(fixture.post(&running, "a", "{\"n\":1}")).await;
    let first = budget.used();
    // Too long to be kept in memory.
    let line = format!("{{\"x\":\"{}\"}}\n", "y".repeat(1_000));
    answer(fixture.post(&running, "a", line.repeat(1_200))).await;
    let before = budget.used();
    answer(fixture.post(&running, "a", "{\"n\":2}")).await;
    let behind = budget.used() - before;
    assert!(behind > 0, "it is kept in memory");
    // Others have the rest: with `first` given back, the next read finds less room than it takes, by `behind` at most.
    let room = (1 << 20) - behind / 2;
    let others = budget.charge(budget.limit() - (budget.used() - first) - room);
    fixture.pipeline.hold.send_replace(false);
    fixture.pipeline.wait(1_202).await;
    drop(others);
    running.stop(Duration::from_secs(5)).await.unwrap();
}
