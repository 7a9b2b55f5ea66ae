//! What is not taken: limits, keys, TLS, and too much of anything.

use super::*;

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

/// A sender that writes its whole body before it reads must find the answer, not a closed connection.
#[tokio::test]
async fn a_refusal_before_the_body_is_read_reaches_a_sender_that_writes_it_all_first() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let it = Fixture::new();
    let keys = vec![HttpKey {
        key: Secret::new("all"),
        tables: vec!["*".into()],
    }];
    let running = it.start(HttpOptions { keys, ..options() }).await;
    let body = vec![b' '; 900 << 10];
    for _ in 0..5 {
        let mut connection = tokio::net::TcpStream::connect(running.address())
            .await
            .unwrap();
        let head = format!(
            "POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        for part in body.chunks(64 << 10) {
            connection.write_all(part).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
    }
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
        cert: Secret::new(include_str!("../testdata/localhost.pem")),
        key: Secret::new(include_str!("../testdata/localhost.key")),
    };
    let running = it
        .start(HttpOptions {
            tls: Some(tls.clone()),
            ..options()
        })
        .await;
    let ca = reqwest::Certificate::from_pem(include_bytes!("../testdata/ca.pem")).unwrap();
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
