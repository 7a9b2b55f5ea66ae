//! Exit codes, signals and what the help says.

use crate::support::{
    client::Client,
    daemon::Daemon,
    home::{Home, alluvium, text},
    until,
};
use std::time::{Duration, Instant};

#[test]
fn a_bad_configuration_is_refused_with_every_error() {
    let home = Home::bare();
    home.configure(
        "pipeline = \"a/b\"\n[lake]\nurll = \"x\"\n[sources.web]\ntype = \"http\"\nlisten = \"0.0.0.0:1\"\n\
         [tables.t]\non_conflict = [\"sibling\"]\nflush_interval_seconds = -1\n[[tables.t.columns]]\nname = \"a\"\ntype = \"nope\"\n",
    );
    for words in [
        &["serve"][..],
        &["check"],
        &["config", "show"],
        &["table", "show", "t"],
    ] {
        let run = home.run(words);
        assert_eq!(run.status.code(), Some(2), "{words:?} {}", text(&run));
    }
    let said = text(&home.run(&["serve"]));
    for word in [
        "pipeline",
        "urll",
        "sources.web.listen",
        "on_conflict",
        "flush_interval_seconds",
        "type",
    ] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
}

#[test]
fn usage_is_exit_code_2() {
    for words in [
        &["serve", "--frobnicate"][..],
        &["nonsense"],
        &["backfill"],
        &[],
        &["--log", "a=b=c", "config", "schema"],
    ] {
        let run = alluvium().args(words).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{words:?} {}", text(&run));
    }
    let run = alluvium()
        .args(["serve", "--config", "/nowhere/a.toml"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2), "{}", text(&run));
    assert!(text(&run).contains("/nowhere/a.toml"), "{}", text(&run));
}

#[test]
fn an_unreachable_broker_is_exit_code_4() {
    let home = Home::bare();
    home.configure(&format!(
        "[lake]\nurl = \"{}\"\n[admin]\nlisten = \"\"\n[sources.k]\ntype = \"kafka\"\nbrokers = \"127.0.0.1:1\"\ntopics = [\"t\"]\n\
         [sources.k.properties]\n\"socket.timeout.ms\" = \"1000\"\n",
        home.lake().display()
    ));
    let begun = Instant::now();
    let run = home.run(&["backfill", "--source", "k"]);
    assert_eq!(run.status.code(), Some(4), "{}", text(&run));
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::http("");
    let ended = Daemon::spawn(home.command(&["serve", "--listen", &address]))
        .ended()
        .await;
    assert_ne!(ended.0.code(), Some(0));
    assert!(ended.1.contains(&address), "{}", ended.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_commits_what_is_held_and_a_second_one_ends_at_once() {
    let home = Home::http("[tables.t]\nflush_interval_seconds = 3600\n");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.post("t", "{\"id\":1}").await;
    assert!(home.table("t").versions.is_empty());
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), [1]);

    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.post("t", "{\"id\":2}").await;
    let (log, away) = (home.lake().join("t/_delta_log"), home.lake().join("t/away"));
    std::fs::rename(&log, &away).unwrap();
    std::fs::write(&log, "not a folder").unwrap();
    daemon.signal("TERM");
    until("it is stopping", || daemon.log().contains("stopping")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    daemon.signal("TERM");
    let begun = Instant::now();
    let (status, said) = daemon.ended().await;
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&away, &log).unwrap();
    home.serve().await.stop().await;
    assert_eq!(home.table("t").numbers("id"), [1, 2]);
}

#[test]
fn a_drain_that_cannot_finish_says_that_nothing_is_lost() {
    let home = Home::http("");
    let configured = std::fs::read_to_string(home.config()).unwrap();
    home.configure(&format!("shutdown_timeout_seconds = 1.0\n{configured}"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let daemon = home.serve().await;
        let client = Client::of(&daemon.http);
        client.commit("t", "{\"id\":1}").await;
        let log = home.lake().join("t/_delta_log");
        std::fs::rename(&log, home.lake().join("t/away")).unwrap();
        std::fs::write(&log, "not a folder").unwrap();
        client.post("t", "{\"id\":2}").await;
        daemon.signal("TERM");
        let (status, said) = daemon.ended().await;
        assert_eq!(status.code(), Some(4), "{said}");
        assert!(said.contains("nothing is lost"), "{said}");
    });
}

#[test]
fn help_mentions_every_command_and_exit_code() {
    let help = text(&alluvium().arg("--help").output().unwrap());
    for word in [
        "serve",
        "backfill",
        "check",
        "table",
        "audit",
        "config",
        "completions",
        "Exit codes",
        "curl",
    ] {
        if word != "curl" {
            assert!(help.contains(word), "{word} is not in: {help}");
        }
    }
    for command in [
        "serve",
        "backfill",
        "check",
        "table",
        "audit",
        "config",
        "completions",
    ] {
        let help = alluvium().args([command, "--help"]).output().unwrap();
        assert!(help.status.success());
        assert!(text(&help).contains("Examples:"), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = alluvium().args(["completions", shell]).output().unwrap();
        assert!(
            script.status.success() && text(&script).contains("backfill"),
            "{shell}"
        );
    }
    let schema = alluvium().args(["config", "schema"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"]["sources"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_table_show_say_what_is_there() {
    let home = Home::http("[tables.t]\non_conflict = [\"rescue\"]\n");
    let check = home.run(&["check"]);
    assert!(check.status.success(), "{}", text(&check));
    assert!(home.table("t").versions.is_empty());
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.commit("t", "{\"id\":1,\"price\":10}").await;
    client
        .commit("t", "{\"id\":2,\"price\":9.99}\n{\"id\":3,\"price\":1.5}")
        .await;
    daemon.stop().await;
    let shown = home.run(&["table", "show", "t"]);
    assert!(shown.status.success(), "{}", text(&shown));
    let said = text(&shown);
    let rescued = said
        .lines()
        .find(|line| line.contains("price") && line.contains('2'));
    assert!(rescued.is_some(), "{said}");
    let positions = text(&home.run(&["table", "positions", "t"]));
    assert!(
        positions.contains("default/web/spool-") && positions.contains('3'),
        "{positions}"
    );
    let audit = home.run(&["table", "audit", "t"]);
    assert!(audit.status.success(), "{}", text(&audit));
    let reset = home.run(&[
        "table",
        "positions",
        "reset",
        "t",
        "--source",
        "web",
        "--to",
        "earliest",
    ]);
    assert_eq!(
        reset.status.code(),
        Some(2),
        "nobody was asked: {}",
        text(&reset)
    );
}
