//! The source as a whole, over real connections, with a stand-in for the pipeline: what is taken, how
//! it is answered, and what lands. `refusals.rs` has what is not taken, `recovery.rs` what kills,
//! rewinds and restored disks do.

mod pipeline;
mod recovery;
mod refusals;

use super::*;
use crate::{event::SourceEvent, secret::Secret};
use flate2::{Compression, write::GzEncoder};
use futures::StreamExt;
use parking_lot::Mutex;
use pipeline::Pipeline;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::io::Write;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

struct Fixture {
    folder: TempDir,
    pipeline: Arc<Pipeline>,
    client: Client,
    health: Arc<Mutex<Vec<std::result::Result<(), String>>>>,
}

fn options() -> HttpOptions {
    HttpOptions {
        listen: "127.0.0.1:0".into(),
        ..HttpOptions::default()
    }
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            pipeline: Pipeline::new(),
            client: Client::new(),
            health: Arc::default(),
        }
    }

    async fn try_start(
        &self,
        options: HttpOptions,
        spool_options: spool::Options,
    ) -> Result<Running> {
        let health = Arc::clone(&self.health);
        HttpSource::start(Start {
            options,
            spool_folder: self.folder.path(),
            spool_options,
            pipeline: "p",
            source: "web",
            intake: Arc::clone(&self.pipeline) as _,
            budget: ByteBudget::new(64 << 20),
            health: Arc::new(move |name, now| {
                assert_eq!(name, "spool/web");
                health.lock().push(now);
            }),
            shutdown: CancellationToken::new(),
        })
        .await
    }

    async fn start(&self, options: HttpOptions) -> Running {
        self.try_start(options, spool::Options::default())
            .await
            .unwrap()
    }

    fn post(
        &self,
        running: &Running,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> RequestBuilder {
        self.client
            .post(format!("http://{}/v1/events/{path}", running.address()))
            .body(body)
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let retry = response.headers().contains_key("retry-after");
    let text = response.text().await.unwrap();
    let body: Value =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} without JSON: {text}"));
    if !status.is_success() {
        for part in ["code", "message", "remedy"] {
            assert!(
                body["error"][part]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{body}"
            );
        }
        assert_eq!(
            retry,
            matches!(status.as_u16(), 429 | 503),
            "Retry-After of {status}"
        );
    }
    (status, body)
}

async fn refused(request: RequestBuilder, status: u16, code: &str) {
    let (got, body) = answer(request).await;
    assert_eq!(
        (got.as_u16(), body["error"]["code"].as_str()),
        (status, Some(code)),
        "{body}"
    );
}

async fn taken(request: RequestBuilder, accepted: u64) -> Value {
    let (status, body) = answer(request).await;
    assert_eq!(
        (status, body["accepted"].as_u64()),
        (StatusCode::OK, Some(accepted)),
        "{body}"
    );
    body
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Starts anew over the same spool, once the one that was dropped has let go of it.
async fn restart(it: &Fixture) -> Running {
    for _ in 0..200 {
        match it.try_start(options(), spool::Options::default()).await {
            Ok(running) => return running,
            Err(error) if error.to_string().contains("another process") => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the spool stayed locked");
}

#[tokio::test]
async fn events_of_every_form_and_encoding_land_as_sent() {
    let it = Fixture::new();
    let running = it.start(options()).await;
    let zlib = {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"{\"n\":6}").unwrap();
        zlib.finish().unwrap()
    };
    taken(it.post(&running, "a", "{\"n\":0}\n{\"n\": 1 }\n"), 2).await;
    taken(
        it.post(&running, "b", "[{\"n\":2}, {\"n\":3}]")
            .header("content-type", "application/json; charset=utf-8"),
        2,
    )
    .await;
    taken(
        it.post(&running, "a", "{\n\"n\":4}")
            .header("content-type", "text/plain"),
        1,
    )
    .await;
    taken(
        it.post(&running, "a", gzip(b"{\"n\":5}"))
            .header("content-encoding", "gzip"),
        1,
    )
    .await;
    taken(
        it.post(&running, "a", zlib)
            .header("content-encoding", "deflate"),
        1,
    )
    .await;
    let zstd = zstd::encode_all(&b"{\"n\":7}"[..], 1).unwrap();
    taken(
        it.post(&running, "a", zstd)
            .header("content-encoding", "zstd")
            .header("content-type", "application/x-ndjson"),
        1,
    )
    .await;
    it.pipeline.wait(8).await;
    let landed = it.pipeline.landed();
    let values: Vec<_> = landed.iter().map(|landed| landed.value.as_str()).collect();
    assert_eq!(
        values,
        [
            "{\"n\":0}",
            "{\"n\": 1 }",
            "{\"n\":2}",
            "{\"n\":3}",
            "{\n\"n\":4}",
            "{\"n\":5}",
            "{\"n\":6}",
            "{\"n\":7}"
        ]
    );
    assert_eq!(landed[2].table, "b");
    assert!(landed[0].partition.starts_with("p/web/spool-"));
    assert_eq!(
        *it.pipeline.starts.lock(),
        [0],
        "the first offset is made durable before it is read"
    );
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn bad_events_are_dead_letters_and_are_listed() {
    let it = Fixture::new();
    let running = it.start(options()).await;
    let body = taken(
        it.post(&running, "a", "{\"n\":1}\n{\"n\":\n[]\n{\"n\":2}"),
        2,
    )
    .await;
    assert_eq!(body["rejected"], 2);
    assert_eq!(body["rejected_events"][0]["index"], 1);
    assert_eq!(body["rejected_events"][0]["code"], "malformed");
    assert!(
        body["rejected_events"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("EOF")
    );
    assert_eq!(
        (
            &body["rejected_events"][1]["index"],
            &body["rejected_events"][1]["code"]
        ),
        (&json!(2), &json!("not_an_object"))
    );
    it.pipeline.wait(4).await;
    let kinds: Vec<_> = it
        .pipeline
        .landed()
        .iter()
        .map(|landed| landed.rejected)
        .collect();
    assert_eq!(
        kinds,
        [None, Some("malformed"), Some("not_an_object"), None]
    );
    assert_eq!(
        it.pipeline.values()[1],
        "{\"n\":",
        "a dead letter keeps its bytes"
    );
    let many = taken(it.post(&running, "a", "7\n".repeat(150)), 0).await;
    assert_eq!(many["rejected"], 150);
    assert_eq!(many["rejected_events"].as_array().unwrap().len(), 100);
    assert_eq!(many["rejected_events_truncated"], true);
    let empty = taken(it.post(&running, "a", "\n"), 0).await;
    assert_eq!(empty["rejected"], 0);
}

#[tokio::test]
async fn rule_19_an_idempotency_key_makes_a_resend_a_no_op() {
    let it = Fixture::new();
    let running = it.start(options()).await;
    let send = |running: &Running, body: &'static str| {
        it.post(running, "a", body).header("idempotency-key", "k-1")
    };
    let body = "{\"n\":1}\n7";
    let first = taken(send(&running, body), 1).await;
    assert_eq!(first.get("replayed"), None);
    let again = taken(send(&running, body), 1).await;
    assert_eq!(
        (
            &again["replayed"],
            &again["rejected"],
            &again["rejected_events"]
        ),
        (&json!(true), &json!(1), &first["rejected_events"])
    );
    // The same events, compressed this time.
    taken(
        it.post(&running, "a", gzip(body.as_bytes()))
            .header("content-encoding", "gzip")
            .header("idempotency-key", "k-1"),
        1,
    )
    .await;
    refused(send(&running, "{\"n\":2}"), 422, "idempotency_key_reused").await;
    taken(
        it.post(&running, "b", body)
            .header("idempotency-key", "k-1"),
        1,
    )
    .await;
    it.pipeline.wait(4).await;
    drop(running);
    let running = restart(&it).await;
    taken(send(&running, body), 1).await;
    refused(send(&running, "{\"n\":2}"), 422, "idempotency_key_reused").await;
    // Many at once with one new key: one append.
    let many = (0..20).map(|_| {
        taken(
            it.post(&running, "a", "{\"many\":1}")
                .header("idempotency-key", "k-2"),
            1,
        )
    });
    let answers = futures::future::join_all(many).await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.get("replayed").is_none())
            .count(),
        1
    );
    it.pipeline.wait(5).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(it.pipeline.values().len(), 5);
}

#[tokio::test]
async fn rule_18_ack_commit_waits_for_the_version() {
    let it = Fixture::new();
    let running = it
        .start(HttpOptions {
            commit_timeout_seconds: 0.3,
            ..options()
        })
        .await;
    assert_eq!(
        taken(it.post(&running, "a?ack=commit", "{}"), 1).await["version"],
        41
    );
    assert_eq!(
        taken(it.post(&running, "a", "{}"), 1).await.get("version"),
        None
    );
    assert_eq!(
        taken(it.post(&running, "a?ack=commit", "7"), 0)
            .await
            .get("version"),
        None
    );
    it.pipeline.hold.send_replace(true);
    let (status, body) = answer(it.post(&running, "a?ack=commit", "{}")).await;
    assert_eq!(
        (status, &body["accepted"], &body["version"]),
        (StatusCode::ACCEPTED, &json!(1), &Value::Null)
    );
    it.pipeline.hold.send_replace(false);
    it.pipeline.wait(4).await;
}

#[tokio::test]
async fn a_hundred_posts_at_once_all_land() {
    let it = Fixture::new();
    let running = it.start(options()).await;
    let posts = (0..100).map(|i| taken(it.post(&running, "a", format!("{{\"n\":{i}}}")), 1));
    futures::future::join_all(posts).await;
    it.pipeline.wait(100).await;
    assert!(it.health.lock().iter().all(|health| health.is_ok()));
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let it = Fixture::new();
    let running = it.start(options()).await;
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    for _ in 0..3 {
        let request = b"POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 1_000];
        let n = stream.read(&mut answer).await.unwrap();
        assert!(
            answer[..n].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer[..n])
        );
    }
}
