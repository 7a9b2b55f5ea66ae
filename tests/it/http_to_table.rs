//! Events over HTTP become rows, columns, rescued values or dead letters.

use crate::support::{client::Client, home::Home, lake, until};
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn lines_arrays_and_single_objects_become_rows() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let lines = "{\"id\":1,\"page\":\"/a\"}\n{\"id\":2,\"page\":\"/ü\"}\n";
    assert_eq!(
        client.commit("clicks", lines).await,
        0,
        "version 0 holds the first rows"
    );
    let array = json!([{"id": 3, "page": null}, {"id": 4, "page": "/d", "ms": 1.5}]).to_string();
    client.commit("clicks", array).await;
    let version = client.commit("clicks", r#"{"id": 5}"#).await;
    let table = home.table("clicks");
    assert_eq!(table.numbers("id"), [1, 2, 3, 4, 5]);
    assert_eq!(table.versions.len() as u64, version + 1);
    assert_eq!(table.row("id", 2)["page"], "/ü");
    assert!(!table.row("id", 3).contains_key("page"));
    assert_eq!(table.row("id", 4)["ms"], 1.5);
    for column in [
        "_source",
        "_partition",
        "_offset",
        "_event_time",
        "_ingested_at",
    ] {
        assert!(table.row("id", 1).contains_key(column), "{column}");
    }
    assert_eq!(table.numbers("_offset"), [0, 1, 2, 3, 4]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_fields_become_columns_nested_ones_too() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client.commit("t", r#"{"id":1,"user":{"name":"a"}}"#).await;
    client
        .commit(
            "t",
            r#"{"id":2,"user":{"name":"b","geo":{"lat":1.25}},"tags":["x","y"]}"#,
        )
        .await;
    client
        .commit(
            "t",
            r#"{"id":3,"user":{"vip":true},"lines":[{"sku":"q","n":2}]}"#,
        )
        .await;
    // Later elements of a known list bring a field too.
    client
        .commit(
            "t",
            r#"{"id":4,"lines":[{"sku":"r"},{"sku":"s","price":9.5}]}"#,
        )
        .await;
    let table = home.table("t");
    assert_eq!(table.row("id", 1)["user"], json!({"name": "a"}));
    assert_eq!(
        table.row("id", 2)["user"],
        json!({"name": "b", "geo": {"lat": 1.25}})
    );
    assert_eq!(table.row("id", 2)["tags"], json!(["x", "y"]));
    assert_eq!(table.row("id", 3)["user"], json!({"vip": true}));
    assert_eq!(table.row("id", 3)["lines"], json!([{"sku": "q", "n": 2}]));
    assert_eq!(
        table.row("id", 4)["lines"],
        json!([{"sku": "r"}, {"sku": "s", "price": 9.5}])
    );
    assert_eq!(table.columns()["id"], "long");
    assert!(
        table
            .rows()
            .iter()
            .all(|row| !row.contains_key("_rescued_data"))
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_events_are_dead_letters_with_their_bytes() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let bad: [&[u8]; 4] = [
        b"{\"id\": 2,}",
        b"not json \xff\xfe",
        b"[1, 2]",
        b"{\"id\":3",
    ];
    let mut body = b"{\"id\":1}\n".to_vec();
    for line in bad {
        body.extend_from_slice(line);
        body.push(b'\n');
    }
    body.extend_from_slice(b"{\"id\":9}\n");
    let answer = client.post("t?ack=commit", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["accepted"], 2, "{}", answer.body);
    assert_eq!(answer.body["rejected"], 4, "{}", answer.body);
    let listed: Vec<u64> = answer.body["rejected_events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["index"].as_u64().unwrap())
        .collect();
    assert_eq!(listed, [1, 2, 3, 4]);
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), [1, 9]);
    let letters = home.table("_dead_letters");
    let by_offset: BTreeMap<i64, Vec<u8>> = letters
        .rows()
        .iter()
        .map(|row| (row["_offset"].as_i64().unwrap(), lake::bytes(&row["value"])))
        .collect();
    let values: Vec<&[u8]> = by_offset.values().map(Vec::as_slice).collect();
    assert_eq!(values, bad);
    assert_eq!(by_offset.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(letters.rows().iter().all(|row| row["table"] == "t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_fifty_tables_from_one_spool() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    for round in 0..4 {
        let posts = (0..50).map(|n| {
            let client = &client;
            async move {
                let body: String = (0..5)
                    .map(|i| format!("{{\"id\":{},\"t\":{n}}}\n", round * 5 + i))
                    .collect();
                assert_eq!(client.post(&format!("t{n}"), body).await.status, 200);
            }
        });
        futures::future::join_all(posts).await;
    }
    daemon.stop().await;
    for n in 0..50 {
        let table = home.table(&format!("t{n}"));
        assert_eq!(table.numbers("id"), (0..20).collect::<Vec<_>>(), "t{n}");
        assert!(table.rows().iter().all(|row| row["t"] == n));
    }
    home.assert_audited("web");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_and_refusals() {
    let home = Home::http(
        "max_body_bytes = 4096\nmax_decompressed_bytes = 8192\nmax_event_bytes = 8192\n",
    );
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, b"{\"id\":1}\n{\"id\":2}").unwrap();
    let body = gzip.finish().unwrap();
    let answer = client
        .try_post("t", body, &[("content-encoding", "gzip")])
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = zstd::encode_all(&b"[{\"id\":3}]"[..], 1).unwrap();
    let answer = client
        .try_post("t", body, &[("content-encoding", "zstd")])
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let bomb = zstd::encode_all(&vec![b' '; 1 << 20][..], 1).unwrap();
    let answer = client
        .try_post("t", bomb, &[("content-encoding", "zstd")])
        .await
        .unwrap();
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert_eq!(client.post("t", vec![b' '; 5000]).await.status, 413);
    let answer = client
        .try_post("t", "{}", &[("content-encoding", "br")])
        .await
        .unwrap();
    assert_eq!(answer.status, 415, "{}", answer.body);
    assert_eq!(client.post("..%2Fetc", "{}").await.status, 400);
    until("the rows land", || !home.table("t").adds.is_empty()).await;
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), [1, 2, 3]);
}
