//! `kill -9` at any moment: what was answered 200 is in the table once, nothing is there twice.

use crate::support::{client::Client, home::Home};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

const KILLS: usize = 20;
const CLIENTS: u64 = 4;
const BATCH: u64 = 20;

/// Where the daemon is now, and what its clients were told.
#[derive(Default)]
struct World {
    address: Mutex<String>,
    next: AtomicU64,
    answered: Mutex<BTreeSet<u64>>,
    resent: AtomicU64,
    stop: AtomicBool,
}

impl World {
    /// Posts batches with ids of their own, each under an `Idempotency-Key` until it is answered. Every
    /// third is sent again although it was.
    async fn client(self: Arc<Self>) {
        while !self.stop.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let body: String = (first..first + BATCH)
                .map(|id| {
                    format!(
                        "{{\"id\":{id},\"pad\":\"{}\"}}\n",
                        "x".repeat((id % 97) as usize)
                    )
                })
                .collect();
            let key = format!("batch-{first}");
            let mut answers = 0;
            let wanted = if (first / BATCH).is_multiple_of(3) {
                2
            } else {
                1
            };
            while answers < wanted {
                let client = Client::of(&self.address.lock().clone());
                let sent = client
                    .try_post("t", body.clone(), &[("idempotency-key", &key)])
                    .await;
                match sent {
                    Ok(answer) if answer.status == 200 => {
                        answers += 1;
                        self.answered.lock().extend(first..first + BATCH);
                    }
                    Ok(answer) => assert!([429, 503].contains(&answer.status), "{}", answer.body),
                    Err(_) => {
                        self.resent.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        if self.stop.load(Ordering::Relaxed) && answers == 0 {
                            return;
                        }
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_18_every_answered_event_lands_once_over_twenty_kills() {
    let home =
        Home::http("[spool]\nsegment_bytes = 65536\n[tables.t]\nflush_interval_seconds = 0.05\n");
    let mut daemon = home.serve().await;
    let world = Arc::new(World::default());
    *world.address.lock() = daemon.http.clone();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(world.clone().client()))
        .collect();
    for kill in 0..KILLS {
        // From before the first commit to several commits in; short waits also kill during recovery.
        let wait = if kill % 4 == 0 {
            20
        } else {
            fastrand::u64(50..500)
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        daemon.kill();
        daemon = home.serve().await;
        *world.address.lock() = daemon.http.clone();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let sent = world.next.load(Ordering::Relaxed);
    daemon.stop().await;

    let table = home.table("t");
    let ids = table.numbers("id");
    let distinct: HashSet<i64> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "ids stand twice");
    home.assert_audited("web");
    let answered = world.answered.lock();
    let lost: Vec<&u64> = answered
        .iter()
        .filter(|id| !distinct.contains(&(**id as i64)))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered are lost: {lost:?}",
        lost.len(),
        answered.len()
    );
    assert!(ids.iter().all(|id| (*id as u64) < sent));
    let offsets = table.numbers("_offset");
    assert!(
        offsets.windows(2).all(|pair| pair[0] < pair[1]),
        "an offset stands twice"
    );
    assert!(
        answered.len() as u64 > BATCH * 20,
        "only {} were answered",
        answered.len()
    );
    assert!(
        world.resent.load(Ordering::Relaxed) > 0,
        "no kill hit a request"
    );
    eprintln!(
        "{} answered, {} rows, {} versions",
        answered.len(),
        ids.len(),
        table.versions.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_19_a_resend_of_an_answered_request_is_answered_the_same() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let key = [("idempotency-key", "one")];
    let client = Client::of(&daemon.http);
    let first = client
        .try_post("t", "{\"id\":1}\n{\"id\":", &key)
        .await
        .unwrap();
    assert_eq!(first.status, 200);
    daemon.kill();
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let again = client
        .try_post("t", "{\"id\":1}\n{\"id\":", &key)
        .await
        .unwrap();
    assert_eq!(again.status, 200);
    assert_eq!(again.body["replayed"], true);
    assert_eq!(again.body["accepted"], first.body["accepted"]);
    let other = client.try_post("t", "{\"id\":2}", &key).await.unwrap();
    assert_eq!(other.status, 422, "{}", other.body);
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), [1]);
    assert_eq!(home.table("_dead_letters").rows().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_with_a_spool_each_share_a_table() {
    let homes = [Home::http(""), Home::http("")];
    let lake = homes[0].lake().display().to_string();
    let mut tasks = Vec::new();
    for (n, home) in homes.iter().enumerate() {
        let spool = home.path("spool").display().to_string();
        let mut command = home.command(&["serve", "--lake", &lake]);
        command.env("ALLUVIUM_SPOOL_PATH", spool);
        let daemon = crate::support::daemon::Daemon::start(command).await;
        tasks.push(tokio::spawn(async move {
            let client = Client::of(&daemon.http);
            for i in 0..30 {
                // Each brings columns that the other does not know yet.
                let id = 2 * i + n;
                let body = format!("{{\"id\":{id},\"c{n}_{}\":1}}", i / 10);
                client.commit("t", body).await;
            }
            daemon.stop().await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let table = homes[0].table("t");
    assert_eq!(table.numbers("id"), (0..60).collect::<Vec<_>>());
    for column in ["c0_0", "c0_1", "c0_2", "c1_0", "c1_1", "c1_2"] {
        let rows = table.rows();
        assert_eq!(
            rows.iter().filter(|row| row.contains_key(column)).count(),
            10,
            "{column}"
        );
    }
}
