//! Topics of mock brokers into tables: every (partition, offset) once, whoever dies.

use crate::support::{
    home::Home,
    kafka::{
        Cluster, PARTITIONS, configure, count, expected, home, is_event, is_malformed, produce,
        spots, until_rows,
    },
    lake,
};
use std::time::Duration;

const EACH: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn rule_14_two_daemons_in_a_group_one_of_them_killed() {
    let cluster = Cluster::start("events", PARTITIONS);
    produce(&cluster, 0..EACH / 2);
    let home = home(&cluster.brokers, "", "[tables.clicks]\nsource = \"k\"\n");
    let first = home.serve().await;
    let second = home.serve().await;
    until_rows(&home, "clicks", 1_000).await;
    second.kill();
    produce(&cluster, EACH / 2..EACH);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let second = home.serve().await;
    let events = expected(EACH, is_event);
    until_rows(&home, "clicks", events.len()).await;
    let letters = expected(EACH, is_malformed);
    until_rows(&home, "_dead_letters", letters.len()).await;
    tokio::join!(first.stop(), second.stop());
    assert_eq!(spots(&home.table("clicks"), "clicks"), events);
    assert_eq!(
        spots(&home.table("_dead_letters"), "_dead_letters"),
        letters
    );
    home.assert_audited("k");
    let row = home.table("_dead_letters").rows().remove(0);
    assert!(lake::bytes(&row["value"]).ends_with(b"broken"));
}

const KINDS: [&str; 3] = ["events_a", "events_b", "events_c"];

/// Every table by `kind` holds what it should of the first `offsets` of each partition.
async fn all_by_kind(home: &Home, offsets: usize) {
    for (kind, name) in KINDS.iter().enumerate() {
        let wanted = expected(offsets, |o| is_event(o) && o % 3 == kind);
        until_rows(home, name, wanted.len()).await;
        assert_eq!(spots(&home.table(name), name), wanted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_9_a_field_decides_the_table_and_a_restart_goes_on_at_the_low_water_mark() {
    let cluster = Cluster::start("events", PARTITIONS);
    // A group of its own for each life: nobody waits for the session of the one killed, and what
    // another group acknowledged does not matter, for positions are in the tables.
    let life = |n: usize| format!("group = \"life-{n}\"\ntable = \"events_{{kind}}\"");
    let home = home(&cluster.brokers, &life(0), "");
    let mut produced = 0;
    for (n, name) in KINDS.iter().enumerate().take(2) {
        configure(&home, &cluster.brokers, &life(n), "");
        let before = count(&home, name);
        produce(&cluster, produced..produced + 2_000);
        produced += 2_000;
        let daemon = home.serve().await;
        until_rows(&home, name, before as usize + 1).await;
        // Some tables have committed, others not yet.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..100))).await;
        daemon.kill();
    }
    configure(&home, &cluster.brokers, &life(3), "");
    produce(&cluster, produced..produced + 100);
    produced += 100;
    let daemon = home.serve().await;
    all_by_kind(&home, produced).await;
    let log = daemon.stop().await;
    let ledger = home.table("_dead_letters");
    let marks: Vec<i64> = ledger
        .positions
        .iter()
        .filter(|(id, _)| id.contains("/events#") && id.ends_with("low-water"))
        .map(|(_, position)| *position)
        .collect();
    assert_eq!(marks, [produced as i64; 4], "{:?} {log}", ledger.positions);
    produce(&cluster, produced..produced + 100);
    let daemon = home.serve().await;
    all_by_kind(&home, produced + 100).await;
    let reading = daemon.event("reading").expect("a line for each partition");
    assert_eq!(reading["start"], produced, "{reading}");
    daemon.stop().await;
    home.assert_audited("k");
    let letters = spots(&home.table("_dead_letters"), "_dead_letters");
    assert_eq!(letters, expected(produced + 100, is_malformed));
}

/// The crash between the letters' commit and the rows': the table's log cannot be written, the ledger's can.
#[tokio::test(flavor = "multi_thread")]
async fn rule_11_verdicts_are_final_though_the_limits_changed() {
    let cluster = Cluster::start("events", 1);
    let long = format!("{{\"n\":1,\"pad\":\"{}\"}}", "x".repeat(500));
    let produce =
        |values: &[&str]| cluster.produce("events", 0, values.iter().map(|v| Some(v.as_bytes())));
    produce(&["{\"n\":0,\"pad\":\"\"}"]);
    let table = |max: u32| format!("[tables.clicks]\nsource = \"k\"\nmax_event_bytes = {max}\n");
    let home = home(&cluster.brokers, "group = \"one\"", &table(1_000));
    let daemon = home.serve().await;
    until_rows(&home, "clicks", 1).await;
    // The version is on disk a moment before the daemon knows: without its log the daemon would look for
    // that commit for ever, and what comes after would wait behind it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (log, away) = (
        home.lake().join("clicks/_delta_log"),
        home.lake().join("clicks/away"),
    );
    std::fs::rename(&log, &away).unwrap();
    std::fs::write(&log, "not a folder").unwrap();
    produce(&[&long, "{\"n\":2,", "{\"n\":3}"]);
    until_rows(&home, "_dead_letters", 1).await;
    daemon.kill();
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&away, &log).unwrap();
    assert_eq!(home.table("clicks").numbers("n"), [0]);
    // Now the long one would be a letter too: but the letters of these offsets are already told.
    configure(&home, &cluster.brokers, "group = \"two\"", &table(100));
    let daemon = home.serve().await;
    until_rows(&home, "clicks", 3).await;
    produce(&[&long, "{\"n\":5}"]);
    until_rows(&home, "clicks", 4).await;
    until_rows(&home, "_dead_letters", 2).await;
    daemon.stop().await;
    let table = home.table("clicks");
    assert_eq!(table.numbers("n"), [0, 1, 3, 5]);
    assert_eq!(table.numbers("_offset"), [0, 1, 3, 5]);
    assert_eq!(home.table("_dead_letters").numbers("_offset"), [2, 4]);
}
