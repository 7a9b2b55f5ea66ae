//! Other writers of our tables while a daemon streams; tables of others that we must refuse.

use crate::support::{
    client::Client,
    foreign::{self, field, with_fields},
    home::{Home, text},
    lake,
};
use serde_json::{Value, json};
use std::{fs, time::Duration};

/// Replaces two of the active files by copies, as OPTIMIZE does: removed and added, no data changed.
fn rewrite(root: &std::path::Path) {
    foreign::commit(root, |table| {
        let mut actions = Vec::new();
        for (path, add) in table.adds.iter().take(2) {
            let copy = format!("copy-{}-{path}", fastrand::u64(..));
            fs::copy(root.join(path), root.join(&copy)).unwrap();
            let mut added = add.clone();
            added["path"] = copy.into();
            added["dataChange"] = false.into();
            actions.push(
                json!({"remove": {"path": path, "deletionTimestamp": 0, "dataChange": false}}),
            );
            actions.push(json!({"add": added}));
        }
        actions
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_land_beside_another_writer() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let root = home.lake().join("t");
    client.commit("t", "{\"id\":0}").await;
    let posts = async {
        for id in 1..120 {
            assert_eq!(
                client.post("t", format!("{{\"id\":{id}}}")).await.status,
                200
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let changes = async {
        for round in 0..8 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let root = root.clone();
            let change = move || match round % 4 {
                0 => {
                    foreign::commit(&root, |table| {
                        let name = format!("theirs_{round}");
                        vec![with_fields(table, |fields| {
                            fields.push(field(&name, "string", true))
                        })]
                    });
                }
                1 | 3 => rewrite(&root),
                _ => {
                    foreign::commit(&root, |table| {
                        let mut meta_data = table.meta_data.clone();
                        meta_data["configuration"]["delta.logRetentionDuration"] =
                            "interval 60 days".into();
                        vec![json!({"metaData": meta_data})]
                    });
                }
            };
            tokio::task::spawn_blocking(change).await.unwrap();
        }
    };
    tokio::join!(posts, changes);
    // A column of theirs is a column like any other.
    client
        .commit("t", "{\"id\":120,\"theirs_0\":\"v\",\"ours\":1}")
        .await;
    daemon.stop().await;
    home.assert_audited("web");
    let table = home.table("t");
    assert_eq!(table.numbers("id"), (0..=120).collect::<Vec<_>>());
    assert_eq!(
        table.meta_data["configuration"]["delta.logRetentionDuration"],
        "interval 60 days"
    );
    assert!(table.columns().contains_key("theirs_4"));
    let last = table.row("id", 120);
    assert_eq!((&last["theirs_0"], &last["ours"]), (&json!("v"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_theirs_and_a_table_made_by_them() {
    let home = Home::http("");
    let root = home.lake().join("t");
    foreign::create(
        &root,
        &[field("id", "long", true), field("price", "double", true)],
        &[],
        json!({}),
    );
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client
        .commit("t", "{\"id\":1,\"price\":2}\n{\"id\":2,\"price\":\"x\"}")
        .await;
    daemon.stop().await;
    let table = home.table("t");
    assert_eq!(table.row("id", 1)["price"], 2.0);
    assert_eq!(table.row("id", 2)["price__string"], "x");
    let columns = table.columns();
    for column in ["_source", "_partition", "_offset", "_rescued_data"] {
        assert!(columns.contains_key(column), "{column} of {columns:?}");
    }
}

/// `serve` must end by itself with code 1 and say all of `words`.
fn refused(home: &Home, words: &[&str]) {
    let mut child = home
        .command(&["serve"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
}

#[test]
fn a_table_that_cannot_be_written_is_refused_at_the_start() {
    type Case<'a> = (&'a [&'a str], Value, Vec<Value>, &'a [&'a str]);
    let id = || field("id", "long", true);
    let mut default = id();
    default["metadata"]["CURRENT_DEFAULT"] = "7".into();
    let cases: [Case<'_>; 6] = [
        (
            &["checkConstraints"],
            json!({"delta.constraints.positive": "id > 0"}),
            vec![id()],
            &["checkConstraints", "DROP CONSTRAINT positive", "table=`t`"],
        ),
        (
            &["generatedColumns"],
            json!({}),
            vec![id()],
            &["generatedColumns"],
        ),
        (
            &["someNewFeature"],
            json!({}),
            vec![id()],
            &["someNewFeature"],
        ),
        (
            &[],
            json!({}),
            vec![field("id", "long", false)],
            &["NOT NULL", "columns=`id`"],
        ),
        (
            &["allowColumnDefaults"],
            json!({}),
            vec![default],
            &["DROP DEFAULT"],
        ),
        (
            &[],
            json!({"delta.setTransactionRetentionDuration": "interval 1 days"}),
            vec![id()],
            &["delta.setTransactionRetentionDuration"],
        ),
    ];
    for (features, properties, fields, words) in cases {
        let home = Home::http("[tables.t]\nsource = \"web\"\n");
        foreign::create(&home.lake().join("t"), &fields, features, properties);
        refused(&home, words);
        let table = lake::Table::at(&home.lake().join("t"));
        assert_eq!(table.versions.len(), 1, "something was written: {words:?}");
    }
}
