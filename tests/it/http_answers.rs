//! What clients are told of their events is true, also after a restart.

use crate::support::{client::Client, home::Home};
use std::time::{Duration, Instant};

const KEY: [(&str, &str); 1] = [("idempotency-key", "one")];

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_that_waits_for_its_commit_is_told_a_version_that_holds_it() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    for id in 0..3 {
        client.commit("t", format!("{{\"id\":{id}}}")).await;
    }
    let first = client
        .try_post("t?ack=commit", "{\"id\":3}", &KEY)
        .await
        .unwrap();
    assert_eq!(first.body["version"], 3, "{}", first.body);
    let again = client
        .try_post("t?ack=commit", "{\"id\":3}", &KEY)
        .await
        .unwrap();
    assert_eq!(again.status, 200);
    assert!(again.body["version"].as_u64() >= Some(3), "{}", again.body);
    daemon.kill();
    for clean in [false, true] {
        let daemon = if clean {
            let daemon = home.serve().await;
            daemon.stop().await;
            home.serve().await
        } else {
            home.serve().await
        };
        let client = Client::of(&daemon.http);
        let begun = Instant::now();
        let again = client
            .try_post("t?ack=commit", "{\"id\":3}", &KEY)
            .await
            .unwrap();
        assert_eq!(again.status, 200, "clean {clean}: {}", again.body);
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(
            again.body["version"].as_u64() >= Some(3),
            "clean {clean}: {}",
            again.body
        );
        daemon.kill();
    }
}
