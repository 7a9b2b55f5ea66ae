//! A table that stands still does not hold up the others; when its store is mended it catches up, every record once.

use crate::support::{
    broken::Broken,
    client::Client,
    daemon::Daemon,
    home::Home,
    kafka::{Cluster, PARTITIONS, count, expected, home as kafka_home, is_event, produce, spots},
    until,
};
use std::{
    fs,
    time::{Duration, Instant},
};

/// How long tables stand still.
const STALL: Duration = Duration::from_secs(21);
/// The flush interval plus a few seconds, on a machine that does much else: the patience of the source with
/// the table that stands still is in it once.
const LATENCY: Duration = Duration::from_secs(10);
/// The same where the budget is spent: a table whose store merely does not answer has fifteen seconds before
/// it must give up what it holds, for that has to be read again.
const BUDGET_LATENCY: Duration = Duration::from_secs(20);
/// For what was held up to be read again and committed by a debug build.
const CATCH_UP: Duration = Duration::from_secs(150);
const LEFT_BEHIND: &str = "the table stands still and is left behind";

fn http(budget: u64, flush_interval_seconds: f64) -> Home {
    let home = Home::http("[spool]\nsegment_bytes = 4194304\n");
    let text = fs::read_to_string(home.config()).unwrap();
    home.configure(
        &format!("memory_budget_bytes = {budget}\n{text}")
            .replace("listen = \"\"", "listen = \"127.0.0.1:0\"")
            .replace(
                "flush_interval_seconds = 0.2",
                &format!("flush_interval_seconds = {flush_interval_seconds}"),
            ),
    );
    home
}

/// Events `ids`, of about `bytes` each, hard to compress.
fn body(ids: std::ops::Range<i64>, bytes: usize) -> String {
    ids.map(|id| {
        let pad: String = (0..bytes).map(|_| fastrand::alphanumeric()).collect();
        format!("{{\"id\":{id},\"pad\":\"{pad}\"}}\n")
    })
    .collect()
}

/// Bodies to each of `slow` again and again, and single events to `fast` whose commits are waited for: how long
/// each of these took.
struct Load {
    slow: Vec<String>,
    fast: Vec<String>,
    /// Ids that every slow table was sent, and every fast one.
    sent: (i64, i64),
}

const EVENTS: i64 = 50;
const MOST_EVENTS: i64 = 2_000;

impl Load {
    async fn run(
        &mut self,
        client: &Client,
        event_bytes: usize,
        length: Duration,
    ) -> Vec<Duration> {
        let (begun, mut took) = (Instant::now(), Vec::new());
        while begun.elapsed() < length {
            let first = self.sent.0;
            self.sent.0 += EVENTS;
            let text = body(first..first + EVENTS, event_bytes);
            // A debug build must be able to catch up.
            if first > MOST_EVENTS {
                self.sent.0 = first;
            }
            for table in self.slow.iter().filter(|_| first <= MOST_EVENTS) {
                let answer = client.post(table, text.clone()).await;
                assert_eq!(answer.status, 200, "{table}: {}", answer.body);
            }
            let id = self.sent.1;
            self.sent.1 += 1;
            for table in &self.fast {
                let asked = Instant::now();
                client.commit(table, body(id..id + 1, 10)).await;
                took.push(asked.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        took.sort();
        took
    }

    /// Loads until the daemon says that a table is left behind.
    async fn until_behind(
        &mut self,
        client: &Client,
        daemon: &Daemon,
        event_bytes: usize,
    ) -> Vec<Duration> {
        let (begun, mut took) = (Instant::now(), Vec::new());
        while !daemon.log().contains(LEFT_BEHIND) {
            assert!(begun.elapsed() < CATCH_UP, "{}", daemon.log());
            took.extend(self.run(client, event_bytes, Duration::from_secs(1)).await);
        }
        took
    }

    async fn until_all(&self, home: &Home) {
        let begun = Instant::now();
        let wanted = u64::try_from(self.sent.0).unwrap();
        for table in &self.slow {
            while count(home, table) < wanted {
                assert!(
                    begun.elapsed() < CATCH_UP,
                    "{} of {wanted} in {table}",
                    count(home, table)
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    fn assert_complete(&self, home: &Home) {
        for (tables, sent) in [(&self.slow, self.sent.0), (&self.fast, self.sent.1)] {
            for table in tables {
                assert_eq!(
                    home.table(table).numbers("id"),
                    (0..sent).collect::<Vec<_>>(),
                    "{table}"
                );
                let audit = home.run(&["table", "audit", table]);
                assert!(
                    audit.status.success(),
                    "{}",
                    crate::support::home::text(&audit)
                );
            }
        }
        home.assert_audited("web");
    }
}

async fn gauge(daemon: &Daemon, name: &str) -> f64 {
    let metrics = daemon.metrics().await;
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_default()
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// Tables that exist, of which the slow ones are broken now.
async fn broken(home: &Home, client: &Client, load: &mut Load) -> Vec<Broken> {
    for table in load.slow.iter().chain(&load.fast) {
        client.commit(table, body(0..1, 10)).await;
    }
    load.sent = (1, 1);
    // A version is on disk a moment before the daemon knows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let logs = load.slow.iter();
    logs.map(|table| Broken::new(&home.lake().join(table).join("_delta_log")))
        .collect()
}

async fn stalled(
    slow: usize,
    fast: usize,
    budget: u64,
    interval: f64,
    event_bytes: usize,
    latency: Duration,
) -> String {
    let home = http(budget, interval);
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let mut load = Load {
        slow: names("slow", slow),
        fast: names("fast", fast),
        sent: (0, 0),
    };
    let away = broken(&home, &client, &mut load).await;
    let mut took = load.until_behind(&client, &daemon, event_bytes).await;
    took.extend(load.run(&client, event_bytes, STALL).await);
    took.sort();
    let lagging = gauge(&daemon, "alluvium_pipeline_lagging_tables").await;
    assert!(lagging >= 1.0, "{lagging}");
    let (middle, longest) = (took[took.len() / 2], took[took.len() - 1]);
    eprintln!(
        "{slow} of {} stand still: {middle:?} and at most {longest:?} over {} commits, {lagging} lag",
        slow + fast,
        took.len()
    );
    assert!(longest < latency, "{took:?}");
    for table in away {
        table.heal();
    }
    load.until_all(&home).await;
    let rereads = gauge(&daemon, "alluvium_pipeline_rereads_total").await;
    assert!(rereads >= 1.0, "{rereads}");
    until("nothing lags", || {
        daemon.log().contains("has what it lacked")
    })
    .await;
    let log = daemon.stop().await;
    load.assert_complete(&home);
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_9_one_table_that_stands_still_does_not_stall_another() {
    stalled(1, 1, 64 << 20, 0.2, 4_000, LATENCY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_9_ten_tables_of_twelve_that_stand_still_do_not_stall_the_others() {
    stalled(10, 2, 64 << 20, 0.2, 1_000, LATENCY).await;
}

/// With a long interval a table holds much before its first flush is due: it must not hold the budget.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_stand_still_give_up_the_budget() {
    let log = stalled(4, 1, 16 << 20, 20.0, 8_000, BUDGET_LATENCY).await;
    assert!(
        log.contains("a table that stands still gave up what it held"),
        "the budget was never needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_table_lags_loses_nothing() {
    let home = http(64 << 20, 0.2);
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let mut load = Load {
        slow: names("slow", 1),
        fast: names("fast", 1),
        sent: (0, 0),
    };
    let mut away = broken(&home, &client, &mut load).await;
    load.until_behind(&client, &daemon, 4_000).await;
    load.run(&client, 4_000, Duration::from_secs(2)).await;
    daemon.kill();
    // It is still broken: the others go on all the same.
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    load.run(&client, 4_000, Duration::from_secs(8)).await;
    away.remove(0).heal();
    // Once more, this time in the middle of catching up.
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..3_000))).await;
    daemon.kill();
    let daemon = home.serve().await;
    load.until_all(&home).await;
    daemon.stop().await;
    load.assert_complete(&home);
}

/// A stop does not wait for what a lagging table was denied: the next run begins at its mark.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_a_table_lags_leaves_it_to_the_next_run() {
    let home = http(64 << 20, 0.2);
    let text = fs::read_to_string(home.config()).unwrap();
    home.configure(&format!("shutdown_timeout_seconds = 4\n{text}"));
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let mut load = Load {
        slow: names("slow", 1),
        fast: names("fast", 1),
        sent: (0, 0),
    };
    let mut away = broken(&home, &client, &mut load).await;
    load.until_behind(&client, &daemon, 4_000).await;
    daemon.signal("TERM");
    let begun = Instant::now();
    // What its flushes hold cannot be committed in time, and it says so.
    let (status, log) = daemon.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{log}");
    assert_eq!(status.code(), Some(4), "{log}");
    away.remove(0).heal();
    let daemon = home.serve().await;
    load.until_all(&home).await;
    daemon.stop().await;
    load.assert_complete(&home);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_9_of_a_topic_that_feeds_three_tables_one_stands_still() {
    const ROUND: usize = 300;
    let cluster = Cluster::start("events", PARTITIONS);
    let home = kafka_home(&cluster.brokers, "table = \"events_{kind}\"", "");
    let text = fs::read_to_string(home.config()).unwrap();
    home.configure(&format!("memory_budget_bytes = {}\n{text}", 64 << 20));
    let kinds = ["events_a", "events_b", "events_c"];
    let wanted = |kind: usize, offsets: usize| expected(offsets, |o| is_event(o) && o % 3 == kind);
    let mut produced = ROUND;
    produce(&cluster, 0..produced);
    let daemon = home.serve().await;
    let begun = Instant::now();
    for (kind, table) in kinds.iter().enumerate() {
        while count(&home, table) < wanted(kind, produced).len() as u64 {
            assert!(begun.elapsed() < CATCH_UP, "{table} never begins");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let away = Broken::new(&home.lake().join("events_a/_delta_log"));
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < STALL {
        produce(&cluster, produced..produced + ROUND);
        produced += ROUND;
        let asked = Instant::now();
        for kind in [1, 2] {
            while count(&home, kinds[kind]) < wanted(kind, produced).len() as u64 {
                assert!(
                    asked.elapsed() < LATENCY,
                    "{} waits\n{}",
                    kinds[kind],
                    daemon.log()
                );
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
        longest = longest.max(asked.elapsed());
    }
    eprintln!("one of three stands still: at most {longest:?}");
    assert!(daemon.log().contains(LEFT_BEHIND), "{}", daemon.log());
    away.heal();
    let begun = Instant::now();
    while count(&home, kinds[0]) < wanted(0, produced).len() as u64 {
        assert!(begun.elapsed() < CATCH_UP, "{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    daemon.stop().await;
    for (kind, table) in kinds.iter().enumerate() {
        assert_eq!(
            spots(&home.table(table), table),
            wanted(kind, produced),
            "{table}"
        );
    }
    home.assert_audited("k");
}
