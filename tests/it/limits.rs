//! Routes by field, and limits: what does not fit is kept elsewhere, never lost.

use crate::support::{client::Client, home::Home, lake};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn letters(home: &Home) -> Vec<(String, Vec<u8>)> {
    let rows = home.table("_dead_letters").rows();
    let mut letters: Vec<(String, Vec<u8>)> = rows
        .iter()
        .map(|row| {
            (
                row["reason"].as_str().unwrap().to_owned(),
                lake::bytes(&row["value"]),
            )
        })
        .collect();
    letters.sort();
    letters
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_event_names_its_table() {
    let home = Home::http("table = \"{table}_{kind}\"\n");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let body = "{\"id\":1,\"kind\":\"a\"}\n{\"id\":2,\"kind\":\"b\"}\n{\"id\":3}\n{\"id\":4,\"kind\":\"../x\"}\n{\"id\":5,\"kind\":\"a\"}";
    let answer = client.post("t?ack=commit", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    daemon.stop().await;
    assert_eq!(home.table("t_a").numbers("id"), [1, 5]);
    assert_eq!(home.table("t_b").numbers("id"), [2]);
    let names: Vec<_> = std::fs::read_dir(home.lake())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    // A hostile name is made harmless or a dead letter; it never leaves the lake.
    let landed = letters(&home).len()
        + names
            .iter()
            .filter(|n| n.to_string_lossy().starts_with("t_"))
            .count();
    assert!(
        landed >= 3 && !home.path("x").exists(),
        "{names:?} {:?}",
        letters(&home)
    );
    home.assert_audited("web");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tables_than_allowed_are_dead_letters() {
    let home = Home::http("");
    let text = std::fs::read_to_string(home.config()).unwrap();
    home.configure(&text.replace("[admin]", "max_tables = 4\n[admin]"));
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    for n in 0..8 {
        assert_eq!(
            client
                .post(&format!("t{n}"), format!("{{\"id\":{n}}}"))
                .await
                .status,
            200
        );
    }
    daemon.stop().await;
    let mut ids = BTreeSet::new();
    for n in 0..8 {
        let table = home.table(&format!("t{n}"));
        if !table.versions.is_empty() {
            ids.extend(table.numbers("id"));
        }
    }
    let dead: Vec<i64> = letters(&home)
        .iter()
        .map(|(reason, value)| {
            assert_eq!(reason, "unroutable");
            serde_json::from_slice::<Value>(value).unwrap()["id"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert!(!dead.is_empty() && !ids.is_empty(), "{dead:?} {ids:?}");
    ids.extend(dead);
    assert_eq!(ids, (0..8).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_wide_and_long_events() {
    let home = Home::http("max_event_bytes = 20000\n[tables.t]\nmax_columns = 30\nmax_depth = 4\n");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let deep = format!(
        "{{\"id\":1,\"d\":{}1{}}}",
        "{\"x\":".repeat(10),
        "}".repeat(10)
    );
    let wide: serde_json::Map<String, Value> =
        (0..100).map(|n| (format!("f{n}"), json!(n))).collect();
    let mut wide = Value::Object(wide);
    wide["id"] = json!(2);
    let long = format!("{{\"id\":3,\"pad\":\"{}\"}}", "x".repeat(30_000));
    let bottomless = format!(
        "{{\"id\":4,\"d\":{}{}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let odd = "{\"id\":5,\"\":1,\"a b\":2,\"ü,;{}()=\":3,\"ID\":6,\"_offset\":99}";
    let body = [deep, wide.to_string(), long, bottomless].join("\n");
    let answer = client.post("t?ack=commit", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    client.commit("t", odd).await;
    client.commit("t", "{\"id\":6}").await;
    daemon.stop().await;
    let table = home.table("t");
    assert!(table.columns().len() <= 30 + 7, "{}", table.columns().len());
    let row = table.row("id", 2);
    let rescued: Value = serde_json::from_str(row["_rescued_data"].as_str().unwrap()).unwrap();
    for n in 0..100 {
        let name = format!("f{n}");
        let kept = row.get(&name).or_else(|| rescued.get(&name));
        assert_eq!(kept, Some(&json!(n)), "{name}");
    }
    let row = table.row("id", 1);
    let whole = format!(
        "{}{}",
        row.get("d").unwrap_or(&Value::Null),
        row["_rescued_data"]
    );
    assert!(whole.contains('1'), "{row:?}");
    let row = table.row("id", 5);
    assert_eq!(
        table
            .rows()
            .iter()
            .filter(|row| row["_offset"] == 99)
            .count(),
        0,
        "{row:?}"
    );
    assert!(
        row["_rescued_data"].as_str().unwrap().contains("99"),
        "{row:?}"
    );
    let ids: BTreeSet<i64> = table.numbers("id").into_iter().collect();
    assert!(ids.is_superset(&[1, 2, 5, 6].into()), "{ids:?}");
    let dead = letters(&home);
    assert!(
        dead.iter()
            .any(|(reason, value)| reason == "too_large" && value.len() > 30_000),
        "the long one"
    );
    assert_eq!(
        ids.len() + dead.len(),
        6,
        "{:?}",
        dead.iter().map(|d| &d.0).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_changes_wait_and_their_fields_are_kept() {
    let home = Home::http(
        "[tables.t]\nevolution = \"plan\"\n[[tables.t.columns]]\nname = \"id\"\ntype = \"long\"\n",
    );
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.commit("t", "{\"id\":1,\"new\":{\"a\":1}}").await;
    client.commit("t", "{\"id\":2,\"new\":{\"a\":2}}").await;
    daemon.stop().await;
    let table = home.table("t");
    assert!(!table.columns().contains_key("new"));
    for id in [1, 2] {
        let rescued: Value =
            serde_json::from_str(table.row("id", id)["_rescued_data"].as_str().unwrap()).unwrap();
        assert_eq!(rescued["new"], json!({"a": id}));
    }
    let shown = home.run(&["table", "show", "t"]);
    let said = crate::support::home::text(&shown);
    assert!(said.contains("new"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_tables_are_refused() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let long = "x".repeat(200);
    for name in [
        "_dead_letters",
        ".spool",
        "a%2Fb",
        "..",
        "a b",
        "",
        &long,
        "%ff",
    ] {
        let status = client.post(name, "{\"id\":1}").await.status;
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
    for body in ["", "\n\n", "[]"] {
        let answer = client.post("empty", body).await;
        assert!(
            answer.status < 500,
            "{body:?}: {} {}",
            answer.status,
            answer.body
        );
    }
    daemon.stop().await;
    assert!(home.table("_dead_letters").rows().is_empty());
    assert!(home.table("empty").versions.is_empty());
}
