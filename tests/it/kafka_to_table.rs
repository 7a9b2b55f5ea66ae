//! Topics of mock brokers into tables: every (partition, offset) once, whoever dies.

use crate::support::{PATIENCE, daemon::Daemon, home::Home, kafka::Cluster, lake, until};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const PARTITIONS: i32 = 4;
const EACH: usize = 5_000;

/// What stands at an offset of every partition: mostly events of three kinds, some malformed, some tombstones.
fn value(offset: usize) -> Option<Vec<u8>> {
    match offset {
        o if o % 501 == 500 => None,
        o if o % 250 == 249 => Some(format!("{{\"n\": {o}, broken").into_bytes()),
        o => Some(format!("{{\"n\":{o},\"kind\":\"{}\"}}", ["a", "b", "c"][o % 3]).into_bytes()),
    }
}

fn produce(cluster: &Cluster, offsets: std::ops::Range<usize>) {
    for partition in 0..PARTITIONS {
        let values: Vec<Option<Vec<u8>>> = offsets.clone().map(value).collect();
        cluster.produce("events", partition, values.iter().map(Option::as_deref));
    }
}

fn home(brokers: &str, source: &str, rest: &str) -> Home {
    let home = Home::bare();
    configure(&home, brokers, source, rest);
    home
}

fn configure(home: &Home, brokers: &str, source: &str, rest: &str) {
    home.configure(&format!(
        "[lake]\nurl = \"{}\"\n[admin]\nlisten = \"\"\n[table_defaults]\nflush_interval_seconds = 0.2\n\
         [sources.k]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\ntopics = [\"events\"]\n{source}\n\
         [sources.k.properties]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n{rest}",
        home.lake().display()
    ));
}

type Spot = (i64, i64);

/// Where each row of a table came from; a spot that stands twice fails.
fn spots(table: &lake::Table, name: &str) -> BTreeSet<Spot> {
    let mut spots = BTreeSet::new();
    for row in table.rows() {
        let spot = (
            row["_partition"].as_i64().unwrap(),
            row["_offset"].as_i64().unwrap(),
        );
        assert!(spots.insert(spot), "{spot:?} stands twice in {name}");
        if let Some(n) = row.get("n") {
            assert_eq!(n.as_i64(), Some(spot.1), "another record's value");
        }
    }
    spots
}

fn expected(count: usize, wanted: impl Fn(usize) -> bool) -> BTreeSet<Spot> {
    let offsets = |partition| {
        (0..count)
            .filter(|o| wanted(*o))
            .map(move |o| (i64::from(partition), o as i64))
            .collect::<Vec<_>>()
    };
    (0..PARTITIONS).flat_map(offsets).collect()
}

fn is_event(offset: usize) -> bool {
    value(offset).is_some_and(|v| v.ends_with(b"}"))
}

fn is_malformed(offset: usize) -> bool {
    value(offset).is_some_and(|v| !v.ends_with(b"}"))
}

/// Rows in a table by its statistics, which is quicker than reading it.
fn count(home: &Home, table: &str) -> u64 {
    let adds = home.table(table).adds;
    let of = |add: &serde_json::Value| -> u64 {
        let stats: serde_json::Value =
            serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
        stats["numRecords"].as_u64().unwrap()
    };
    adds.values().map(of).sum()
}

async fn until_rows(home: &Home, table: &str, rows: usize) {
    let begun = Instant::now();
    while count(home, table) < rows as u64 {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} of {rows} rows in {table}",
            count(home, table)
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_in_a_group_one_of_them_killed() {
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
    let row = home.table("_dead_letters").rows().remove(0);
    assert!(lake::bytes(&row["value"]).ends_with(b"broken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_decides_the_table_and_a_restart_goes_on_at_the_low_water_mark() {
    let cluster = Cluster::start("events", PARTITIONS);
    produce(&cluster, 0..1_000);
    let home = home(&cluster.brokers, "table = \"events_{kind}\"", "");
    let wanted = |kind: usize| move |o: usize| is_event(o) && o % 3 == kind;
    // Killed while it commits, several times.
    for life in [700, 900, 1_100] {
        let daemon = home.serve().await;
        tokio::time::sleep(Duration::from_millis(life)).await;
        daemon.kill();
    }
    let daemon = home.serve().await;
    for (kind, name) in ["events_a", "events_b", "events_c"].iter().enumerate() {
        until_rows(&home, name, expected(1_000, wanted(kind)).len()).await;
    }
    daemon.stop().await;
    let ledger = home.table("_dead_letters");
    let marks: Vec<i64> = ledger
        .positions
        .iter()
        .filter(|(id, _)| id.contains("/events#") && id.ends_with("low-water"))
        .map(|(_, position)| *position)
        .collect();
    assert_eq!(marks, [1_000; 4], "{:?}", ledger.positions);
    produce(&cluster, 1_000..2_000);
    let daemon = home.serve().await;
    for (kind, name) in ["events_a", "events_b", "events_c"].iter().enumerate() {
        until_rows(&home, name, expected(2_000, wanted(kind)).len()).await;
    }
    daemon.stop().await;
    for (kind, name) in ["events_a", "events_b", "events_c"].iter().enumerate() {
        assert_eq!(
            spots(&home.table(name), name),
            expected(2_000, wanted(kind)),
            "{name}"
        );
    }
    let letters = spots(&home.table("_dead_letters"), "_dead_letters");
    assert_eq!(letters, expected(2_000, is_malformed));
}

/// The crash between the letters' commit and the rows': the table's log cannot be written, the ledger's can.
#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_final_though_the_limits_changed() {
    let cluster = Cluster::start("events", 1);
    let long = format!("{{\"n\":1,\"pad\":\"{}\"}}", "x".repeat(500));
    let produce =
        |values: &[&str]| cluster.produce("events", 0, values.iter().map(|v| Some(v.as_bytes())));
    produce(&["{\"n\":0,\"pad\":\"\"}"]);
    let table = |max: u32| format!("[tables.clicks]\nsource = \"k\"\nmax_event_bytes = {max}\n");
    let home = home(&cluster.brokers, "", &table(1_000));
    let daemon = home.serve().await;
    until_rows(&home, "clicks", 1).await;
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
    configure(&home, &cluster.brokers, "", &table(100));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_landed_once_and_refused_where_a_daemon_has_been() {
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
    let said = crate::support::home::text(&overlap);
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
    let said = crate::support::home::text(&before);
    // Malformed records are dead letters: exit code 5, or 0 where there are none.
    assert!(matches!(before.status.code(), Some(0 | 5)), "{said}");
    let again = home.run(&["backfill", "--source", "k", "--from", "0", "--to", "200"]);
    assert!(
        crate::support::home::text(&again).contains("nothing to do"),
        "{}",
        crate::support::home::text(&again)
    );
    daemon.stop().await;
    assert_eq!(
        spots(&home.table("clicks"), "clicks"),
        expected(300, is_event)
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
