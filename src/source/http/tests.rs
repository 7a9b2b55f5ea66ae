//! The source as a whole, over real connections, with a stand-in for the pipeline.

use super::*;
use crate::{
    event::{Acked, Assignment, Offer, Offset, Partition, RawBatch, RecordKind, SourceEvent},
    secret::Secret,
};
use async_trait::async_trait;
use flate2::{Compression, write::GzEncoder};
use futures::StreamExt;
use parking_lot::Mutex;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Write};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

/// What a record became in the stand-in.
#[derive(Clone, Debug, PartialEq)]
struct Landed {
    partition: String,
    table: String,
    value: String,
    rejected: Option<&'static str>,
}

/// A pipeline that remembers what it was given and commits it at once, unless told to hold.
struct Pipeline {
    landed: Mutex<BTreeMap<Offset, Landed>>,
    /// By app id: what `assign` says.
    resume: Mutex<BTreeMap<String, Offset>>,
    highest: Mutex<Option<Offset>>,
    starts: Mutex<Vec<Offset>>,
    epoch: Mutex<u64>,
    unavailable: Mutex<bool>,
    hold: watch::Sender<bool>,
    events: mpsc::UnboundedSender<SourceEvent>,
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<SourceEvent>>,
}

impl Pipeline {
    fn new() -> Arc<Self> {
        let (events, inbox) = mpsc::unbounded_channel();
        Arc::new(Self {
            landed: Mutex::default(),
            resume: Mutex::default(),
            highest: Mutex::default(),
            starts: Mutex::default(),
            epoch: Mutex::default(),
            unavailable: Mutex::default(),
            hold: watch::Sender::new(false),
            events,
            inbox: tokio::sync::Mutex::new(inbox),
        })
    }

    fn landed(&self) -> Vec<Landed> {
        self.landed.lock().values().cloned().collect()
    }

    fn values(&self) -> Vec<String> {
        self.landed()
            .into_iter()
            .map(|landed| landed.value)
            .collect()
    }

    /// Waits until this many records landed.
    async fn wait(&self, n: usize) {
        for _ in 0..1_000 {
            if self.landed.lock().len() >= n {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{n} records did not land, only {:?}", self.values());
    }

    fn unavailable(&self) -> Result<()> {
        match *self.unavailable.lock() {
            true => Err(Error::new(Kind::Unavailable, "injected")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Intake for Pipeline {
    async fn assign(&self, partitions: Vec<Arc<Partition>>) -> Result<Vec<Assignment>> {
        self.unavailable()?;
        *self.epoch.lock() += 1;
        let resume = self.resume.lock();
        let assign = |partition: Arc<Partition>| Assignment {
            epoch: *self.epoch.lock(),
            resume: resume.get(partition.id.app_id()).copied(),
            partition,
        };
        Ok(partitions.into_iter().map(assign).collect())
    }

    async fn record_start(&self, starts: Vec<(Assignment, Offset)>) -> Result<()> {
        self.starts
            .lock()
            .extend(starts.into_iter().map(|(_, start)| start));
        Ok(())
    }

    fn offer(&self, _: RawBatch) -> Offer {
        unreachable!("an HTTP source sends")
    }

    async fn send(&self, batch: RawBatch) -> Result<()> {
        let _ = self.hold.subscribe().wait_for(|hold| !hold).await;
        if batch.epoch != *self.epoch.lock() {
            return Ok(());
        }
        let mut landed = self.landed.lock();
        for record in &batch.records {
            let before = landed.insert(
                record.offset,
                Landed {
                    partition: batch.partition.id.app_id().into(),
                    table: batch.tables[record.table as usize].to_string(),
                    value: String::from_utf8_lossy(batch.value(record)).into_owned(),
                    rejected: match &record.kind {
                        RecordKind::Rejected(reason) => Some(reason.code),
                        _ => None,
                    },
                },
            );
            assert!(before.is_none(), "offset {} landed twice", record.offset);
        }
        drop(landed);
        self.resume
            .lock()
            .insert(batch.partition.id.app_id().into(), batch.end);
        let acked = Acked {
            partition: batch.partition,
            epoch: batch.epoch,
            low_water: batch.end,
        };
        let _ = self.events.send(SourceEvent::Acked(acked));
        Ok(())
    }

    async fn drain(&self, partitions: &[Arc<Partition>], _: Duration) -> Vec<Acked> {
        let resume = self.resume.lock();
        let mark = |partition: &Arc<Partition>| {
            Some(Acked {
                partition: Arc::clone(partition),
                epoch: *self.epoch.lock(),
                low_water: *resume.get(partition.id.app_id())?,
            })
        };
        partitions.iter().filter_map(mark).collect()
    }

    fn release(&self, _: &[Arc<Partition>]) {}

    async fn event(&self) -> Option<SourceEvent> {
        self.inbox.lock().await.recv().await
    }

    async fn committed(&self, _: &str, partition: &Partition, end: Offset) -> Result<u64> {
        loop {
            let position = self.resume.lock().get(partition.id.app_id()).copied();
            if position >= Some(end) {
                return Ok(41);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn highest_position(&self, _: &Partition) -> Result<Option<Offset>> {
        self.unavailable()?;
        Ok(*self.highest.lock())
    }
}

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
async fn what_cannot_be_taken_is_refused_with_what_to_do() {
    let it = Fixture::new();
    let options = HttpOptions {
        max_body_bytes: 1_000,
        max_decompressed_bytes: 2_000,
        max_event_bytes: 500,
        max_events: 20,
        request_timeout_seconds: 0.3,
        ..options()
    };
    let running = it.start(options).await;
    let base = format!("http://{}", running.address());
    refused(it.client.get(format!("{base}/nothing")), 404, "not_found").await;
    refused(
        it.client.get(format!("{base}/v1/events/a")),
        405,
        "method_not_allowed",
    )
    .await;
    refused(
        it.post(&running, "_dead_letters", "{}"),
        400,
        "invalid_table",
    )
    .await;
    refused(it.post(&running, "a%2Fb", "{}"), 400, "invalid_table").await;
    refused(it.post(&running, "%ff", "{}"), 400, "invalid_table").await;
    refused(it.post(&running, "a?ack=never", "{}"), 400, "invalid_ack").await;
    refused(it.post(&running, "a", "[{}"), 400, "malformed_body").await;
    refused(
        it.post(&running, "a", "{}")
            .header("content-encoding", "gzip"),
        400,
        "broken_encoding",
    )
    .await;
    refused(
        it.post(&running, "a", "{}")
            .header("content-encoding", "br"),
        415,
        "unsupported_encoding",
    )
    .await;
    refused(
        it.post(&running, "a", "{}")
            .header("content-encoding", "gzip, gzip"),
        415,
        "unsupported_encoding",
    )
    .await;
    refused(
        it.post(&running, "a", "{}")
            .header("content-type", "text/csv"),
        415,
        "unsupported_media_type",
    )
    .await;
    refused(
        it.post(&running, "a", "{}")
            .header("idempotency-key", "x".repeat(256)),
        400,
        "invalid_idempotency_key",
    )
    .await;
    refused(it.post(&running, "a", "x".repeat(1_001)), 413, "too_large").await;
    let chunked = futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100])));
    refused(
        it.post(&running, "a", reqwest::Body::wrap_stream(chunked)),
        413,
        "too_large",
    )
    .await;
    refused(
        it.post(&running, "a", gzip(&[b' '; 2_001]))
            .header("content-encoding", "gzip"),
        413,
        "too_large",
    )
    .await;
    refused(it.post(&running, "a", "{}\n".repeat(21)), 413, "too_large").await;
    let slow = futures::stream::once(async { Ok::<_, std::io::Error>("{") })
        .chain(futures::stream::pending());
    refused(
        it.post(&running, "a", reqwest::Body::wrap_stream(slow)),
        408,
        "request_timeout",
    )
    .await;
    let large = taken(
        it.post(&running, "a", format!("{{\"a\":\"{}\"}}", "x".repeat(500))),
        0,
    )
    .await;
    assert_eq!(large["rejected_events"][0]["code"], "too_large");
    it.pipeline.wait(1).await;
    assert_eq!(
        it.pipeline.values().len(),
        1,
        "of what was refused nothing landed"
    );
}

#[tokio::test]
async fn keys_say_who_may_send_where() {
    let it = Fixture::new();
    let key = |key: &str, table: &str| HttpKey {
        key: Secret::new(key),
        tables: vec![table.into()],
    };
    let running = it
        .start(HttpOptions {
            keys: vec![key("planted-secret", "a"), key("all", "*")],
            ..options()
        })
        .await;
    taken(
        it.post(&running, "a", "{}").bearer_auth("planted-secret"),
        1,
    )
    .await;
    taken(
        it.post(&running, "a", "{}")
            .basic_auth("anyone", Some("planted-secret")),
        1,
    )
    .await;
    taken(it.post(&running, "b", "{}").bearer_auth("all"), 1).await;
    let denied = it
        .post(&running, "a", "{}")
        .bearer_auth("planted")
        .send()
        .await
        .unwrap();
    assert_eq!(
        denied.headers()["www-authenticate"],
        "Bearer realm=\"alluvium\""
    );
    refused(it.post(&running, "a", "{}"), 401, "unauthorized").await;
    refused(
        it.post(&running, "b", "{}").bearer_auth("planted-secret"),
        403,
        "forbidden",
    )
    .await;
    // One client's idempotency key is not another's.
    let with_key = |who: &str| {
        it.post(&running, "a", format!("{{\"w\":\"{who}\"}}"))
            .bearer_auth(who)
            .header("idempotency-key", "1")
    };
    taken(with_key("planted-secret"), 1).await;
    taken(with_key("all"), 1).await;
}

#[tokio::test]
async fn only_loopback_is_open_without_keys() {
    let it = Fixture::new();
    let open = HttpOptions {
        listen: "0.0.0.0:0".into(),
        ..options()
    };
    let error = it
        .try_start(open.clone(), spool::Options::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("allow_anonymous"), "{error}");
    let allowed = HttpOptions {
        allow_anonymous: true,
        ..open
    };
    it.start(allowed).await;
}

#[tokio::test]
async fn tls_is_spoken_with_the_certificate_given() {
    let it = Fixture::new();
    let tls = TlsOptions {
        cert: Secret::new(include_str!("testdata/localhost.pem")),
        key: Secret::new(include_str!("testdata/localhost.key")),
    };
    let running = it
        .start(HttpOptions {
            tls: Some(tls.clone()),
            ..options()
        })
        .await;
    let ca = reqwest::Certificate::from_pem(include_bytes!("testdata/ca.pem")).unwrap();
    let client = Client::builder().add_root_certificate(ca).build().unwrap();
    let url = format!("https://localhost:{}/v1/events/a", running.address().port());
    taken(client.post(&url).body("{}"), 1).await;
    assert!(
        it.client.post(&url).body("{}").send().await.is_err(),
        "an unknown authority"
    );
    for (cert, key) in [
        ("", tls.key.expose()),
        (tls.cert.expose(), "planted"),
        (tls.key.expose(), tls.key.expose()),
    ] {
        let tls = TlsOptions {
            cert: Secret::new(cert),
            key: Secret::new(key),
        };
        let broken = HttpOptions {
            tls: Some(tls),
            ..options()
        };
        let error = it
            .try_start(broken, spool::Options::default())
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind(), Kind::Config);
        assert!(!error.to_string().contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_a_resend_a_no_op() {
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
async fn what_was_answered_survives_kills_and_lands_once() {
    let it = Fixture::new();
    let mut sent = Vec::new();
    for round in 0..5 {
        let running = restart(&it).await;
        // Held in every other round: the events are then found in the spool by a later one.
        it.pipeline.hold.send_replace(round % 2 == 0);
        let events = (0..20).map(|i| format!("{{\"n\":{}}}", round * 100 + i));
        let posts = events.map(|event| {
            let (it, running) = (&it, &running);
            async move {
                taken(it.post(running, "a", event.clone()), 1).await;
                event
            }
        });
        sent.extend(futures::future::join_all(posts).await);
        drop(running);
    }
    it.pipeline.hold.send_replace(false);
    let running = restart(&it).await;
    it.pipeline.wait(sent.len()).await;
    running.stop(Duration::from_secs(5)).await.unwrap();
    let mut landed = it.pipeline.values();
    landed.sort();
    sent.sort();
    assert_eq!(landed, sent);
}

#[tokio::test]
async fn ack_commit_waits_for_the_version() {
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
async fn too_much_at_once_is_answered_429() {
    let it = Fixture::new();
    let running = it
        .start(HttpOptions {
            max_requests: 1,
            max_inflight_bytes: 8 << 10,
            ..options()
        })
        .await;
    // A body that does not end holds the one place.
    let (parts, stream) =
        mpsc::unbounded_channel::<std::result::Result<&'static str, std::io::Error>>();
    let stream = futures::stream::unfold(stream, |mut stream| async move {
        Some((stream.recv().await?, stream))
    });
    parts.send(Ok("{")).unwrap();
    let held = tokio::spawn(
        it.post(&running, "a", reqwest::Body::wrap_stream(stream))
            .send(),
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    refused(it.post(&running, "a", "{}"), 429, "too_many_requests").await;
    parts.send(Ok("}")).unwrap();
    drop(parts);
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    taken(it.post(&running, "a", "{}"), 1).await;
    // Alone even a body above the bound passes.
    taken(
        it.post(
            &running,
            "a",
            format!("{{\"a\":\"{}\"}}", "x".repeat(20_000)),
        ),
        1,
    )
    .await;
}

#[tokio::test]
async fn a_full_spool_is_answered_503_until_commits_make_room() {
    let it = Fixture::new();
    it.pipeline.hold.send_replace(true);
    let small = spool::Options {
        max_bytes: 64 << 10,
        segment_bytes: 4 << 10,
        ..spool::Options::default()
    };
    let running = it.try_start(options(), small).await.unwrap();
    let event = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    let mut n = 0;
    let full = loop {
        let (status, body) = answer(it.post(&running, "a", event.clone())).await;
        if status != StatusCode::OK {
            break (status, body);
        }
        n += 1;
    };
    assert_eq!(
        (full.0.as_u16(), &full.1["error"]["code"]),
        (503, &json!("spool_full"))
    );
    assert!(n >= 8);
    // Larger than the spool is no matter of time.
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    let (status, _) = answer(it.post(&running, "a", huge)).await;
    assert!(status == 413 || status == 503);
    it.pipeline.hold.send_replace(false);
    it.pipeline.wait(n).await;
    for _ in 0..200 {
        if it
            .post(&running, "a", event.clone())
            .send()
            .await
            .unwrap()
            .status()
            == 200
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("commits made no room");
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
async fn a_stop_finishes_requests_and_commits_what_was_taken() {
    let it = Fixture::new();
    it.pipeline.hold.send_replace(true);
    let mut running = it.start(options()).await;
    let waiting = tokio::spawn(answer(it.post(&running, "a?ack=commit", "{\"n\":1}")));
    taken(it.post(&running, "a", "{\"n\":2}"), 1).await;
    let address = running.address();
    assert!(
        !running.stop_intake(Duration::from_millis(100)).await,
        "a request still waits for its commit"
    );
    assert!(
        it.client
            .post(format!("http://{address}/v1/events/a"))
            .body("{}")
            .send()
            .await
            .is_err()
    );
    it.pipeline.hold.send_replace(false);
    assert!(running.stop_intake(Duration::from_secs(5)).await);
    assert_eq!(waiting.await.unwrap().0, 200);
    running.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(it.pipeline.values().len(), 2);
    // Closed and released: it can be opened at once.
    let spool = Spool::open(it.folder.path(), "p", "web", spool::Options::default()).unwrap();
    assert_eq!(spool.durable(), 2);
}

#[tokio::test]
async fn events_are_taken_while_the_tables_cannot_be_reached() {
    let it = Fixture::new();
    *it.pipeline.unavailable.lock() = true;
    let running = it.start(options()).await;
    taken(it.post(&running, "a", "{}"), 1).await;
    *it.pipeline.unavailable.lock() = false;
    it.pipeline.wait(1).await;
    running.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
async fn a_rewind_reads_again_from_the_tables_position() {
    let it = Fixture::new();
    let running = it.start(options()).await;
    taken(it.post(&running, "a", "{\"n\":0}\n{\"n\":1}"), 2).await;
    it.pipeline.wait(2).await;
    let partition = running.spool().generations().pop().unwrap().partition;
    // As if record 1 had not been committed after all.
    it.pipeline.landed.lock().remove(&1);
    it.pipeline
        .resume
        .lock()
        .insert(partition.id.app_id().into(), 1);
    let old = SourceEvent::Rewind {
        partition: Arc::clone(&partition),
        epoch: 99,
    };
    it.pipeline.events.send(old).unwrap();
    let epoch = *it.pipeline.epoch.lock();
    it.pipeline
        .events
        .send(SourceEvent::Rewind { partition, epoch })
        .unwrap();
    it.pipeline.wait(2).await;
    assert_eq!(it.pipeline.values(), ["{\"n\":0}", "{\"n\":1}"]);
    assert_eq!(
        *it.pipeline.epoch.lock(),
        epoch + 1,
        "another epoch's rewind is none"
    );
}

#[tokio::test]
async fn a_restored_disk_goes_on_under_a_new_identity_and_loses_nothing() {
    let it = Fixture::new();
    it.pipeline.hold.send_replace(true);
    let running = it.start(options()).await;
    taken(it.post(&running, "a", "{\"n\":0}\n{\"n\":1}\n{\"n\":2}"), 3).await;
    let old = running.spool().generations().pop().unwrap().partition;
    drop(running);
    // The tables hold what this copy of the disk never saw: one stands at 200, the slowest at 1.
    *it.pipeline.highest.lock() = Some(200);
    it.pipeline.resume.lock().insert(old.id.app_id().into(), 1);
    let running = restart(&it).await;
    taken(it.post(&running, "a", "{\"n\":3}"), 1).await;
    it.pipeline.hold.send_replace(false);
    it.pipeline.wait(3).await;
    let landed = it.pipeline.landed();
    let who: Vec<_> = landed
        .iter()
        .map(|landed| (landed.value.as_str(), landed.partition == old.id.app_id()))
        .collect();
    assert_eq!(
        who,
        [
            ("{\"n\":1}", true),
            ("{\"n\":2}", true),
            ("{\"n\":3}", false)
        ]
    );
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_position_above_all_that_was_given_out_stops_the_source() {
    let it = Fixture::new();
    let mut running = it.start(options()).await;
    taken(it.post(&running, "a", "{}"), 1).await;
    it.pipeline.wait(1).await;
    let partition = running.spool().generations().pop().unwrap().partition;
    it.pipeline
        .resume
        .lock()
        .insert(partition.id.app_id().into(), 500);
    let epoch = *it.pipeline.epoch.lock();
    it.pipeline
        .events
        .send(SourceEvent::Rewind { partition, epoch })
        .unwrap();
    let error = tokio::time::timeout(Duration::from_secs(5), running.ended())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    taken(it.post(&running, "a", "{}"), 1).await;
}

#[tokio::test]
async fn silent_and_surplus_connections_do_not_hold_others_up_for_ever() {
    let it = Fixture::new();
    let running = it
        .start(HttpOptions {
            max_connections: 1,
            request_timeout_seconds: 0.3,
            ..options()
        })
        .await;
    let mut silent = TcpStream::connect(running.address()).await.unwrap();
    silent.write_all(b"POST /v1/ev").await.unwrap();
    let began = Instant::now();
    taken(it.post(&running, "a", "{}"), 1).await;
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "the one place was taken"
    );
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
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
