use super::*;
use crate::{
    event::Epoch,
    pipeline::{
        Pipeline,
        lane::Lane,
        testing::{partition, pipeline, raw_batch},
        tracker::Feed,
    },
};

/// A worker whose loop does not run, with the other ends of its channels.
struct Bench {
    worker: Worker,
    events: mpsc::UnboundedReceiver<crate::event::SourceEvent>,
    send: mpsc::UnboundedSender<crate::event::SourceEvent>,
    jobs: Option<mpsc::Receiver<Job>>,
    done: mpsc::UnboundedSender<Done>,
    control: mpsc::UnboundedSender<Control>,
    _pipeline: Pipeline,
    _lake: tempfile::TempDir,
}

async fn bench() -> Bench {
    let (pipeline, config, lake) = pipeline().await;
    let shared = pipeline.shared().clone();
    let (jobs, queue) = mpsc::channel(4);
    let (ask, control) = mpsc::unbounded_channel();
    let (say_done, done) = mpsc::unbounded_channel();
    let (send, events) = mpsc::unbounded_channel();
    let worker = Worker {
        table: "t".into(),
        settings: Arc::new(TableSettings::new(&config, "t").unwrap()),
        desk: None,
        log: pipeline.tables().log("t").unwrap(),
        inbox: Inbox::new(4),
        control,
        jobs,
        done,
        gauges: Arc::default(),
        generation: Arc::default(),
        state: State::new(&shared.budget, 1),
        shared,
    };
    Bench {
        worker,
        events,
        send,
        jobs: Some(queue),
        done: say_done,
        control: ask,
        _pipeline: pipeline,
        _lake: lake,
    }
}

impl Bench {
    fn registry(&self) -> &Registry {
        &self.worker.shared.registry
    }

    /// The partition's next epoch, of which `t` is fed and takes `[0, 4)`.
    async fn taken(&mut self) -> Epoch {
        let epoch = self.registry().next_epoch(&partition(), &self.send);
        self.give(epoch, 0).await;
        epoch
    }

    async fn give(&mut self, epoch: Epoch, start: Offset) {
        let raw = raw_batch(epoch, start..start + 4, start, start + 4);
        self.give_batch(raw).await;
    }

    /// Four records, all the table's.
    async fn give_batch(&mut self, raw: RawBatch) {
        let start = raw.start;
        let feed = Feed {
            table: self.worker.table.clone(),
            first: start,
            withhold: false,
        };
        let given = self.registry().read(&raw, &[feed]).unwrap();
        assert!(matches!(
            given[..],
            [super::super::tracker::Given::Numbered(_)]
        ));
        let raw = Arc::new(raw);
        let what = What::Rows(RoutedBatch { raw, select: None });
        let share = start / 4;
        self.worker.take(Delivery { share, what }).await.unwrap();
    }

    fn lane(&self) -> Option<&Lane> {
        self.worker.state.lanes.get(&partition().id)
    }

    /// A flush under way that holds everything taken.
    fn hand_on(&mut self) -> Vec<(SourcePartition, Epoch, Offset)> {
        let state = &mut self.worker.state;
        state.in_flight += 1;
        let lanes = state.lanes.values_mut();
        let ends = lanes.map(|lane| (lane.partition.id.clone(), lane.epoch, lane.hand_on()));
        let ends = ends.collect();
        state.open.reset(&self.worker.shared.budget);
        self.worker.note_progress(true);
        ends
    }

    /// From now on every flush lands.
    fn land_all(&mut self) {
        let (mut jobs, done) = (self.jobs.take().unwrap(), self.done.clone());
        tokio::spawn(async move {
            while let Some(job) = jobs.recv().await {
                let settled = Done::Settled {
                    ends: job.ends,
                    version: None,
                    state: None,
                };
                done.send(settled).ok();
            }
        });
    }

    fn stand_still(&self) {
        self.worker.gauges.stand_still();
    }

    fn withheld(&self) -> Option<Option<Offset>> {
        let seen = self.registry().seen();
        seen[0].withheld.get("t").copied()
    }
}

#[tokio::test]
async fn a_release_does_not_touch_the_assignment_that_followed() {
    let mut bench = bench().await;
    bench.land_all();
    let id = partition().id.clone();
    bench.taken().await;
    let released = bench.registry().release(&id).unwrap().epoch;
    // The partition comes back, and its first batch is taken before the release is heard.
    let next = bench.taken().await;
    bench
        .worker
        .on_control(Control::Release(id.clone(), released));
    assert_eq!(bench.lane().map(|lane| lane.epoch), Some(next));
    bench.give(next, 4).await;
    assert_eq!(bench.lane().map(Lane::accepted), Some(8));
    // Its own release is heard.
    let released = bench.registry().release(&id).unwrap().epoch;
    bench.worker.on_control(Control::Release(id, released));
    assert!(bench.lane().is_none());
}

#[tokio::test]
async fn uploads_that_fail_are_given_up_with_nothing_else_held() {
    let mut bench = bench().await;
    bench.taken().await;
    bench.hand_on();
    bench.stand_still();
    bench.worker.on_control(Control::Shed);
    assert!(
        bench.lane().is_some(),
        "an upload that hangs may still land"
    );
    bench
        .worker
        .gauges
        .upload_fails
        .store(true, Ordering::Release);
    bench.worker.on_control(Control::Shed);
    assert!(bench.lane().is_none());
    assert_eq!(bench.worker.generation.load(Ordering::Acquire), 1);
    assert_eq!(bench.withheld(), Some(Some(0)));
}

#[tokio::test]
async fn what_a_flush_held_is_withheld_when_it_is_given_up_after_its_lane() {
    let mut bench = bench().await;
    let epoch = bench.taken().await;
    let ends = bench.hand_on();
    bench.give(epoch, 4).await;
    bench.hand_on();
    bench.give(epoch, 8).await;
    bench.stand_still();
    bench.worker.on_control(Control::Shed);
    assert_eq!(bench.withheld(), Some(Some(8)));
    assert_eq!(bench.registry().open_tables(&partition().id).len(), 1);
    bench.worker.on_done(Done::Settled {
        ends,
        version: Some(1),
        state: None,
    });
    bench.worker.on_done(Done::Skipped);
    assert_eq!(bench.withheld(), Some(Some(4)));
    assert!(bench.registry().open_tables(&partition().id).is_empty());
    assert_eq!(bench.registry().low_water(&partition().id), Some(4));
    assert!(bench.events.try_recv().is_ok(), "it was told the mark");
}

#[tokio::test]
async fn giving_up_is_no_progress_and_the_inbox_stays_shut_until_the_store_answers() {
    let mut bench = bench().await;
    bench.taken().await;
    bench.hand_on();
    bench.worker.inbox.shed(Instant::now());
    bench.stand_still();
    bench.worker.on_done(Done::Skipped);
    assert!(bench.worker.gauges.stands_still(Instant::now()));
    for _ in 0..2 {
        bench.worker.note_progress(true);
        assert!(bench.worker.inbox.shut_since().is_some());
    }
    assert!(bench.worker.store_deadline().unwrap() > Instant::now());
    bench.worker.ask_store().await.unwrap();
    bench.worker.note_progress(true);
    assert!(
        bench.worker.inbox.shut_since().is_some(),
        "it is not asked yet"
    );
    bench.worker.state.ask_store = Some(Instant::now());
    bench.worker.ask_store().await.unwrap();
    bench.worker.note_progress(true);
    assert!(bench.worker.inbox.shut_since().is_none());
}

#[tokio::test]
async fn the_slabs_that_wait_for_inference_are_counted_whole() {
    let mut bench = bench().await;
    let epoch = bench.registry().next_epoch(&partition(), &bench.send);
    let mut raw = raw_batch(epoch, 0..100, 0, 100);
    raw.slab = vec![b' '; 5 << 20].into();
    let feed = Feed {
        table: "t".into(),
        first: 7,
        withhold: false,
    };
    bench.registry().read(&raw, &[feed]).unwrap();
    let batch = RoutedBatch {
        raw: Arc::new(raw),
        select: Some(vec![7]),
    };
    let delivery = Delivery {
        share: 0,
        what: What::Rows(batch),
    };
    bench.worker.take(delivery).await.unwrap();
    bench.worker.note_held();
    let held = bench.worker.gauges.open_bytes.load(Ordering::Relaxed);
    assert!(held >= 5 << 20, "{held}");
    bench.worker.gather().await.unwrap();
    assert!(bench.worker.state.waiting.is_empty(), "it is decoded");
    bench.worker.note_held();
    let held = bench.worker.gauges.open_bytes.load(Ordering::Relaxed);
    assert!(held < 1 << 20, "{held}");
}

#[tokio::test]
async fn that_others_need_the_budget_is_heard_while_a_store_is_waited_for() {
    let mut bench = bench().await;
    let epoch = bench.taken().await;
    bench.hand_on();
    bench.give(epoch, 4).await;
    assert!(bench.worker.state.open.is_open());
    bench.stand_still();
    for control in [Control::Flush(FlushReason::Asked), Control::Shed] {
        bench.control.send(control).unwrap();
    }
    bench.done.send(Done::Skipped).unwrap();
    // Its next epoch waits for what is under way of this one.
    let next = bench.registry().next_epoch(&partition(), &bench.send);
    bench.give(next, 0).await;
    let state = &bench.worker.state;
    assert_eq!(state.dropped[&partition().id], epoch);
    assert_eq!(state.open.rows(), 0);
    assert!(matches!(state.postponed[0], Control::Flush(_)));
    assert_eq!(bench.lane().map(|lane| lane.epoch), Some(next));
}

/// A request that waits for its rows asks every moment, for as long as the store is down.
#[tokio::test]
async fn what_is_asked_again_and_again_is_put_off_once() {
    let mut bench = bench().await;
    for _ in 0..3 {
        for end in [4, 8] {
            bench
                .worker
                .overhear(Control::Urge(partition().id.clone(), end));
        }
    }
    assert_eq!(bench.worker.state.postponed.len(), 2);
}

/// Its lanes are gone, so nothing would tell which offsets its rows are.
#[tokio::test]
async fn a_batch_in_hand_is_dropped_with_what_is_given_up() {
    let mut bench = bench().await;
    let epoch = bench.taken().await;
    bench.hand_on();
    let mut raw = raw_batch(epoch, 4..8, 4, 8);
    raw.slab = b"{\"a\":1}".as_slice().into();
    raw.records
        .iter_mut()
        .for_each(|record| record.value = 0..7);
    bench.give_batch(raw).await;
    bench.stand_still();
    bench.control.send(Control::Shed).unwrap();
    bench.done.send(Done::Skipped).unwrap();
    // Its first fields wait for the flush under way, which may make the table.
    bench.worker.flush(FlushReason::Asked).await.unwrap();
    assert_eq!(bench.worker.state.in_flight, 0);
    assert!(bench.jobs.as_mut().unwrap().try_recv().is_err());
    assert_eq!(bench.withheld(), Some(Some(0)));
}
