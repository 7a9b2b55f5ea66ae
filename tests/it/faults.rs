//! A lake that cannot be written: HTTP goes on while the spool has room, says 503 when it has none, and heals.

use crate::support::{broken::Broken, client::Client, daemon::Daemon, home::Home, until};
use std::{fs, time::Duration};

async fn ready(daemon: &Daemon) -> u16 {
    let url = format!("http://{}/readyz", daemon.admin);
    reqwest::get(url).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_takes_what_the_lake_cannot_then_says_503_then_heals() {
    let spool = "[spool]\nmax_bytes = 1048576\nsegment_bytes = 65536\n";
    let home = Home::http(spool);
    let text = fs::read_to_string(home.config()).unwrap();
    home.configure(&text.replace("listen = \"\"", "listen = \"127.0.0.1:0\""));
    let mut daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.commit("t", "{\"id\":0,\"pad\":\"\"}").await;
    let log = home.lake().join("t/_delta_log");
    let broken = Broken::new(&log);
    let mut ids = vec![0];
    let mut next = 1;
    let full = loop {
        assert!(next < 10_000, "the spool never fills");
        let pad = "x".repeat(10_000);
        let answer = client
            .post("t", format!("{{\"id\":{next},\"pad\":\"{pad}\"}}"))
            .await;
        if answer.status != 200 {
            break answer;
        }
        ids.push(next);
        next += 1;
    };
    assert_eq!(full.status, 503, "{}", full.body);
    assert_eq!(full.body["error"]["code"], "spool_full");
    assert!(full.retry_after.is_some());
    assert!(ids.len() > 30, "the spool took only {}", ids.len());
    // What is left goes to small events.
    let mut status = 200;
    while status == 200 {
        status = client
            .post("t", format!("{{\"id\":{next},\"pad\":\"\"}}"))
            .await
            .status;
        if status == 200 {
            ids.push(next);
            next += 1;
        }
    }
    assert_eq!(status, 503);
    daemon.run_for(Duration::from_millis(300)).await;
    assert_eq!(ready(&daemon).await, 503, "a full spool is not ready");
    broken.heal();
    let mut taken = 0;
    for _ in 0..300 {
        taken = client
            .post("t", format!("{{\"id\":{next},\"pad\":\"\"}}"))
            .await
            .status;
        if taken == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(taken, 200, "it never healed");
    ids.push(next);
    until("it is all there", || {
        home.table("t").adds.len() > 1 && home.table("t").numbers("id").len() >= ids.len()
    })
    .await;
    assert_eq!(ready(&daemon).await, 200);
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_the_lake_is_away_loses_nothing() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.commit("t", "{\"id\":0}").await;
    let log = home.lake().join("t/_delta_log");
    let broken = Broken::new(&log);
    for id in 1..50 {
        assert_eq!(
            client.post("t", format!("{{\"id\":{id}}}")).await.status,
            200
        );
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    daemon.kill();
    broken.heal();
    let daemon = home.serve().await;
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_in_its_bounds_under_a_flood_with_a_stalled_lake() {
    const BUDGET: u64 = 32 << 20;
    let home = Home::http("[spool]\nmax_bytes = 268435456\nsegment_bytes = 8388608\n");
    let text = fs::read_to_string(home.config()).unwrap();
    home.configure(&format!("memory_budget_bytes = {BUDGET}\n{text}"));
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.commit("t", "{\"id\":0,\"pad\":\"\"}").await;
    let log = home.lake().join("t/_delta_log");
    let broken = Broken::new(&log);
    let body: String = (0..1_000)
        .map(|id| format!("{{\"id\":{id},\"pad\":\"{}\"}}\n", "x".repeat(1_000)))
        .collect();
    let (mut highest, mut accepted) = (0, 0);
    for _ in 0..25 {
        let posts = (0..4).map(|_| client.post("t", body.clone()));
        for answer in futures::future::join_all(posts).await {
            assert!(
                [200, 429, 503].contains(&answer.status),
                "{} {}",
                answer.status,
                answer.body
            );
            accepted += u64::from(answer.status == 200);
        }
        highest = highest.max(daemon.resident_bytes());
    }
    assert!(
        accepted * body.len() as u64 > 2 * BUDGET,
        "no flood: {accepted} bodies"
    );
    assert!(
        highest < BUDGET + (200 << 20),
        "{} MiB resident",
        highest >> 20
    );
    broken.heal();
    eprintln!("{} MiB resident, {accepted} bodies of 1 MB", highest >> 20);
}
