//! The commands that look at a lake: before a daemon runs, beside it, and after it.

use crate::support::{
    client::Client,
    home::{Home, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_landed_is_shown_and_proved() {
    let home = Home::http("[tables.plan]\nevolution = \"plan\"\n");
    let before = home.run(&["check"]);
    assert!(before.status.success(), "{}", text(&before));
    assert!(before.stdout.ends_with(b"Success!\n"), "{}", text(&before));

    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    for n in 0..5 {
        client
            .commit("clicks", format!("{{\"id\":{n}}}\n{{\"id\":\"x\"}}"))
            .await;
        client
            .commit("plan", format!("{{\"id\":{n}}}\nnot json\n{{\"id\":1.5}}"))
            .await;
    }
    daemon.stop().await;
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.commit("clicks", "{\"id\":9}").await;
    daemon.stop().await;

    let audit = home.run(&["audit", "--source", "web"]);
    assert!(audit.status.success(), "{}", text(&audit));
    assert!(
        text(&audit).contains("PROVED: 26 offsets of 1 source partition"),
        "{}",
        text(&audit)
    );
    let table = home.run(&["table", "audit", "plan"]);
    assert!(
        text(&table).contains("5 in the dead letters"),
        "{}",
        text(&table)
    );
    let positions = home.run(&["table", "positions", "clicks"]);
    assert!(
        text(&positions).contains("low-water mark"),
        "{}",
        text(&positions)
    );
    let shown = home.run(&["table", "show", "plan"]);
    let statement = "alter table `plan` add columns (`id` double);";
    assert!(text(&shown).contains(statement), "{}", text(&shown));
}
