//! Planted secrets appear nowhere: logs at trace level, metrics, `config show`, errors.

use crate::support::{
    client::Client,
    daemon::Daemon,
    home::{Home, text},
    kafka::Cluster,
};
use std::time::Duration;

const KEY: &str = "planted-key-4f1c9a";
const PASSWORD: &str = "planted-sasl-password-77e0";
const PEM: &str = include_str!("../../src/source/http/testdata/localhost.pem");
const PRIVATE: &str = include_str!("../../src/source/http/testdata/localhost.key");

fn planted() -> Vec<String> {
    let middle = PRIVATE.lines().nth(1).expect("a key").to_owned();
    vec![
        KEY.into(),
        PASSWORD.into(),
        middle,
        "planted-env-3b8d".into(),
    ]
}

fn assert_clean(where_from: &str, text: &str) {
    for secret in planted() {
        assert!(
            !text.contains(&secret),
            "{where_from} shows {secret}: {text}"
        );
    }
}

fn home(brokers: &str) -> Home {
    let home = Home::bare();
    home.write("tls.crt", PEM);
    home.write("tls.key", PRIVATE);
    home.write("sasl", PASSWORD);
    let dir = home.dir.path().display().to_string();
    home.configure(&format!(
        "[lake]\nurl = \"{dir}/lake\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[table_defaults]\nflush_interval_seconds = 0.2\n\
         [sources.web]\ntype = \"http\"\nlisten = \"127.0.0.1:0\"\n\
         keys = [{{ key = \"{KEY}\", tables = [\"t\"] }}, {{ key = \"${{PLANTED}}\", tables = [\"*\"] }}]\n\
         tls = {{ cert = \"file:{dir}/tls.crt\", key = \"file:{dir}/tls.key\" }}\n\
         [sources.k]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\ntopics = [\"clicks\"]\n\
         [sources.k.properties]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
         \"sasl.username\" = \"alluvium\"\n\"sasl.password\" = \"file:{dir}/sasl\"\n\"debug\" = \"all\"\n"
    ));
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_at_trace_level_shows_no_secret() {
    // The mock brokers speak no SASL: the password is sent to nobody, and errors about it are many.
    let cluster = Cluster::start("clicks", 1);
    let home = home(&cluster.brokers);
    let mut command = home.command(&[
        "--log",
        "trace,alluvium=trace,rdkafka=trace,librdkafka=trace",
        "serve",
    ]);
    command.env("PLANTED", "planted-env-3b8d");
    let daemon = Daemon::start(command).await;
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let url = format!("https://{}/v1/events/t", daemon.http);
    for (key, status) in [
        (KEY, 200),
        ("planted-env-3b8d", 200),
        ("planted-key-4f1c9aX", 401),
    ] {
        let answer = client
            .post(&url)
            .bearer_auth(key)
            .body("{\"id\":1}")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{key}");
        assert_clean("an answer", &answer.text().await.unwrap());
    }
    let answer = client
        .post(&url)
        .basic_auth("x", Some(KEY))
        .body("{oops")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_clean("/metrics", &daemon.metrics().await);
    daemon.signal("TERM");
    let (_, log) = daemon.ended().await;
    assert!(
        log.lines().count() > 50,
        "the log is not at trace level: {log}"
    );
    assert_clean("the log", &log);
}

#[test]
fn config_show_and_errors_show_no_secret() {
    let home = home("127.0.0.1:1");
    let mut shown = home.command(&["config", "show"]);
    let shown = shown.env("PLANTED", "planted-env-3b8d").output().unwrap();
    assert!(shown.status.success(), "{}", text(&shown));
    assert!(text(&shown).contains("keys"), "{}", text(&shown));
    assert_clean("config show", &text(&shown));
    // Every mistake beside a secret.
    let configured = std::fs::read_to_string(home.config()).unwrap();
    for mistake in [
        "\n[sources.k2]\ntype = \"kafka\"\nproperties = { \"sasl.password\" = [\"planted-sasl-password-77e0\"] }\n",
        "\n[sources.w2]\ntype = \"http\"\nkeys = [\"planted-key-4f1c9a\"]\n",
        "\n[sources.w3]\ntype = \"http\"\nkeys = [{ key = \"planted-key-4f1c9a\", tabels = [\"*\"] }]\n",
        "\n[sources.w4]\ntype = \"http\"\nkeys = [{ key = \"planted-key-4f1c9a\" tables = [\"*\"] }]\n",
        "\n[sources.w5]\ntype = \"http\"\ntls = { cert = \"planted-key-4f1c9a\", key = \"planted-key-4f1c9a\" }\n",
    ] {
        home.configure(&format!("{configured}{mistake}"));
        let mut run = home.command(&["serve"]);
        let run = run.env("PLANTED", "planted-env-3b8d").output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{mistake} {}", text(&run));
        assert_clean("an error", &text(&run));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_writes_its_tables_alone() {
    let home = Home::http("keys = [{ key = \"one\", tables = [\"t\"] }]\n");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let with = [("authorization", "Bearer one")];
    assert_eq!(
        client
            .try_post("t", "{\"id\":1}", &with)
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        client
            .try_post("u", "{\"id\":1}", &with)
            .await
            .unwrap()
            .status,
        403
    );
    assert_eq!(client.post("t", "{\"id\":1}").await.status, 401);
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), [1]);
    assert!(home.table("u").versions.is_empty());
}
