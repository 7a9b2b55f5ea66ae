//! Ranges of topics beside a daemon, and topics that are refused.

use crate::support::{
    daemon::Daemon,
    home::text,
    kafka::{Cluster, PARTITIONS, expected, home, is_event, produce, spots, until_rows},
    until,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_a_range_is_landed_once_and_refused_where_a_daemon_has_been() {
    let cluster = Cluster::start("events", PARTITIONS);
    produce(&cluster, 0..200);
    let home = home(
        &cluster.brokers,
        "start = \"latest\"",
        "[tables.clicks]\nsource = \"k\"\n",
    );
    let daemon = home.serve().await;
    // Positioned at the end before more comes.
    until("its start is recorded", || {
        home.table("_dead_letters").positions.len() >= 4
    })
    .await;
    produce(&cluster, 200..300);
    until_rows(
        &home,
        "clicks",
        expected(300, |o| o >= 200 && is_event(o)).len(),
    )
    .await;
    let overlap = home.run(&["backfill", "--source", "k", "--from", "100", "--to", "250"]);
    let said = text(&overlap);
    assert!(
        matches!(overlap.status.code(), Some(2 | 6)),
        "{:?} {said}",
        overlap.status
    );
    assert!(
        said.contains("overlap") || said.contains("clicks"),
        "{said}"
    );
    let before = home.run(&["backfill", "--source", "k", "--from", "0", "--to", "200"]);
    let said = text(&before);
    // Malformed records are dead letters: exit code 5, or 0 where there are none.
    assert!(matches!(before.status.code(), Some(0 | 5)), "{said}");
    let again = home.run(&["backfill", "--source", "k", "--from", "0", "--to", "200"]);
    assert!(text(&again).contains("nothing to do"), "{}", text(&again));
    daemon.stop().await;
    assert_eq!(
        spots(&home.table("clicks"), "clicks"),
        expected(300, is_event)
    );
    home.assert_audited("k");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_killed_at_random_moments_is_landed_once() {
    let cluster = Cluster::start("events", PARTITIONS);
    produce(&cluster, 0..2_000);
    let home = home(&cluster.brokers, "", "[tables.clicks]\nsource = \"k\"\n");
    let words = ["backfill", "--source", "k", "--to", "1990"];
    let mut longest = 200;
    let status = loop {
        let mut run = Daemon::spawn(home.command(&words));
        let life = Duration::from_millis(fastrand::u64(longest / 2..longest));
        longest += 150;
        assert!(longest < 10_000, "it never ends");
        tokio::time::sleep(life).await;
        if !run.is_running() {
            break run.ended().await;
        }
        run.kill();
    };
    assert!(
        matches!(status.0.code(), Some(0 | 5)),
        "{} {}",
        status.0,
        status.1
    );
    assert_eq!(
        spots(&home.table("clicks"), "clicks"),
        expected(1_990, is_event)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_registrys_framing_stops_the_daemon_with_an_explanation() {
    let cluster = Cluster::start("events", 1);
    cluster.produce(
        "events",
        0,
        [Some(&b"{\"n\":0}"[..]), Some(&[0, 0, 0, 0, 7, 2, 2][..])],
    );
    let home = home(&cluster.brokers, "", "");
    let (status, said) = Daemon::spawn(home.command(&["serve"])).ended().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("schema id 7"), "{said}");
    assert!(
        home.table("_dead_letters").rows().is_empty(),
        "not a dead letter"
    );
}
