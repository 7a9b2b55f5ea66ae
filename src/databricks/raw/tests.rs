//! The raw request: its retry matrix, and where the token goes.

use super::*;
use crate::databricks::{
    http::{Body, Failure},
    testing::*,
};
use serde_json::json as j;
use std::sync::Arc;
use tokio::time::Instant;

const METHODS: [&str; 10] = [
    "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH", "LINK", "PURGE", "UNLINK",
];
const IDEMPOTENT: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

type First = Arc<dyn Fn() -> Reply + Send + Sync>;

fn answers() -> Vec<(&'static str, First)> {
    let mut all: Vec<(&'static str, First)> = Vec::new();
    for status in [
        200u16, 204, 301, 302, 304, 400, 403, 404, 408, 409, 422, 429, 500, 501, 502, 503, 504,
    ] {
        let name: &'static str = status.to_string().leak();
        all.push((name, Arc::new(move || text(status, ""))));
    }
    all.push((
        "unreachable",
        Arc::new(|| Reply::Fail(Failure::Unreachable("refused".into()))),
    ));
    all.push((
        "wrong address",
        Arc::new(|| Reply::Fail(Failure::WrongAddress("certificate".into()))),
    ));
    all.push((
        "lost",
        Arc::new(|| Reply::Fail(Failure::Lost("reset".into()))),
    ));
    all.push((
        "timeout",
        Arc::new(|| {
            Reply::After(
                std::time::Duration::from_secs(1_000),
                Box::new(text(200, "")),
            )
        }),
    ));
    all
}

#[tokio::test(start_paused = true)]
async fn the_matrix_of_method_answer_and_flag() {
    let mut cells = 0;
    for method in METHODS {
        for (what, first) in answers() {
            for all in [false, true] {
                let answer = Arc::clone(&first);
                let fake = Fake::new(move |_, _| answer());
                let mut raw = RawRequest::new(method, "/2.0/x");
                raw.retry_on_all_errors = all;
                raw.max_retries = 2;
                let _ = workspace(&pat(), &fake).raw(raw).await;
                let status: Option<u16> = what.parse().ok();
                // Written out apart from the code: the table of the module's head.
                let expected = match (what, status) {
                    (_, Some(200..=299)) => false,
                    ("unreachable" | "lost", _) => true,
                    ("wrong address", _) => all,
                    ("timeout", _) => all,
                    (_, Some(429 | 500..)) => all || IDEMPOTENT.contains(&method),
                    _ => all,
                };
                assert_eq!(
                    fake.seen().len(),
                    if expected { 3 } else { 1 },
                    "{method} {what} all={all}"
                );
                assert!(
                    fake.seen()
                        .iter()
                        .all(|(_, request)| request.method == method)
                );
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 10 * 21 * 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_repeated_unasked() {
    let fake = Fake::new(|_, _| text(503, ""));
    let answer = workspace(&pat(), &fake)
        .raw(RawRequest::new("get", "/2.0/x"))
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.tries, fake.seen().len()),
        (503, 1, 1)
    );
    assert!(answer.into_result().is_err());
}

/// The pauses between the tries of a request that fails for ever.
async fn pauses(
    raw: RawRequest,
    answer: impl Fn() -> Reply + Send + Sync + 'static,
) -> Vec<Duration> {
    let fake = Fake::new(move |_, _| answer());
    let _ = workspace(&pat(), &fake).raw(raw).await;
    let at: Vec<Instant> = fake.seen().iter().map(|(at, _)| *at).collect();
    at.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn retried(times: u32) -> RawRequest {
    RawRequest {
        max_retries: times,
        ..RawRequest::new("GET", "/2.0/x")
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_are_fixed_or_grow_and_heed_the_service() {
    let ms = Duration::from_millis;
    let failed = || text(500, "");
    let told = || with(503, "retry-after", "2");
    let delayed = |delay: u64| RawRequest {
        retry_delay: ms(delay),
        ..retried(3)
    };
    // The shortest pause is the service's.
    type Case = (u64, fn() -> Reply, u64);
    let cases: [Case; 4] = [
        (0, failed, 0),
        (250, failed, 250),
        (250, told, 2_000),
        (5_000, told, 5_000),
    ];
    for (delay, answer, expected) in cases {
        let pauses = pauses(delayed(delay), answer).await;
        // The virtual clock counts whole milliseconds.
        let near = |pause: &Duration| *pause >= ms(expected) && *pause <= ms(expected + 2);
        assert!(
            pauses.len() == 3 && pauses.iter().all(near),
            "{delay} {pauses:?}"
        );
    }
    // Growing pauses do not know the fixed one.
    let growing = RawRequest {
        exponential_backoff: true,
        ..delayed(250)
    };
    let grown = pauses(
        RawRequest {
            max_retries: 11,
            ..growing
        },
        || text(500, ""),
    )
    .await;
    let mut base = 200;
    for (index, pause) in grown.iter().enumerate() {
        let at_most = base.min(60_000);
        assert!(
            *pause >= ms(at_most) && *pause <= ms(at_most * 6 / 5 + 2),
            "{index} {pause:?}"
        );
        base *= 2;
    }
    assert!(grown.len() >= 9, "{grown:?}");
    assert!(
        grown.iter().sum::<Duration>() < Duration::from_secs(300),
        "a pause is a minute at most, and a fifth"
    );
}

#[tokio::test(start_paused = true)]
async fn the_token_goes_to_the_workspace_and_trusted_hosts_only() {
    let fake = Fake::new(|_, _| text(200, "{}"));
    let mut options = pat();
    options.trusted_hosts = vec!["accounts.cloud.databricks.com".into()];
    options.workspace_id = Some("42".into());
    let workspace = workspace(&options, &fake);
    for (url, token, id) in [
        ("/2.0/x", true, true),
        ("https://H.cloud.databricks.com:443/api/2.0/x", true, true),
        (
            "https://accounts.cloud.databricks.com/api/2.0/accounts/a/scim/v2/Groups",
            true,
            false,
        ),
        ("https://h.cloud.databricks.com:8443/x", false, false),
        (
            "https://h.cloud.databricks.com.evil.example/x",
            false,
            false,
        ),
        ("https://other.cloud.databricks.com/x", false, false),
        ("http://127.0.0.1:9/x", false, false),
    ] {
        workspace.raw(RawRequest::new("GET", url)).await.unwrap();
        let (_, sent) = fake.seen().pop().unwrap();
        assert_eq!(header(&sent, "authorization").is_some(), token, "{url}");
        assert_eq!(
            header(&sent, "x-databricks-workspace-id").is_some(),
            id,
            "{url}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_of_every_sort() {
    let fake = Fake::new(|_, _| text(200, "{}"));
    let workspace = workspace(&pat(), &fake);
    let send = async |raw: RawRequest| {
        let result = workspace.raw(raw).await;
        result.map(|_| fake.seen().pop().unwrap().1)
    };
    let post = || RawRequest::new("POST", "/2.0/x?a=1");
    for (data, kind, bytes) in [
        (
            RawData::Json(j!({ "a": [1] })),
            "application/json",
            &br#"{"a":[1]}"#[..],
        ),
        (
            RawData::Text("{\"b\": 1.50}".into()),
            "application/json",
            &b"{\"b\": 1.50}"[..],
        ),
        (
            RawData::Text("a=1&b=2".into()),
            "application/x-www-form-urlencoded",
            &b"a=1&b=2"[..],
        ),
        (
            RawData::Bytes(Bytes::from_static(b"\xff\x00")),
            "application/octet-stream",
            &b"\xff\x00"[..],
        ),
    ] {
        let sent = send(RawRequest {
            data: Some(data.clone()),
            query: vec![("b".into(), "x y&z".into()), ("b".into(), "2".into())],
            ..post()
        })
        .await
        .unwrap();
        assert_eq!(header(&sent, "content-type").unwrap(), kind);
        assert!(matches!(&sent.body, Body::Bytes(sent) if sent == bytes));
        assert_eq!(sent.url.query(), Some("a=1&b=x+y%26z&b=2"));
        let own = RawRequest {
            data: Some(data),
            headers: vec![("Content-Type".into(), "text/x".into())],
            ..post()
        };
        assert_eq!(
            header(&send(own).await.unwrap(), "content-type").unwrap(),
            "text/x"
        );
    }
    let file = |key: &str| FilePart {
        key: key.into(),
        data: Bytes::from_static(b"z"),
        file_name: None,
    };
    let form = RawRequest {
        form: vec![("f".into(), "1".into())],
        files: vec![file("a"), file("b")],
        ..post()
    };
    let names = BTreeMap::from([("b".to_owned(), "b.csv".to_owned())]);
    let sent = send(form.clone().file_names(&names).unwrap())
        .await
        .unwrap();
    let Body::Multipart(parts) = &sent.body else {
        panic!("a form")
    };
    let shown: Vec<_> = parts
        .iter()
        .map(|part| (part.key.as_str(), part.file_name.as_deref()))
        .collect();
    assert_eq!(shown, [("f", None), ("a", Some("a")), ("b", Some("b.csv"))]);
    assert!(
        form.clone()
            .file_names(&BTreeMap::from([("c".to_owned(), "x".to_owned())]))
            .is_err()
    );
    let both = RawRequest {
        data: Some(RawData::Text("x".into())),
        ..form
    };
    assert!(
        send(both)
            .await
            .unwrap_err()
            .to_string()
            .contains("either data or a form")
    );
    let before = fake.seen().len();
    for bad in [
        RawRequest::new("GE T", "/x"),
        RawRequest::new("GET", ""),
        RawRequest {
            headers: vec![("a".into(), "b\nc".into())],
            ..post()
        },
    ] {
        assert!(send(bad).await.is_err());
    }
    assert_eq!(fake.seen().len(), before, "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn answers_by_their_type() {
    let fake = Fake::new(|request, _| match request.url.path() {
        "/api/json" => text(200, r#"{"a":1}"#),
        "/api/none" => text(204, ""),
        "/api/refused" => json(404, j!({ "error_code": "NOT_FOUND", "message": "no" })),
        "/api/moved" => with(302, "location", "https://evil.example/"),
        _ => text(200, "plain"),
    });
    let workspace = workspace(&pat(), &fake);
    let get = async |path: &str, kind: ResponseType| {
        let raw = RawRequest {
            response_type: kind,
            ..RawRequest::new("GET", path)
        };
        workspace.raw(raw).await.unwrap()
    };
    assert_eq!(
        get("json", ResponseType::Json).await.body,
        RawBody::Json(j!({ "a": 1 }))
    );
    assert_eq!(
        get("json", ResponseType::Text).await.body,
        RawBody::Text(r#"{"a":1}"#.into())
    );
    assert_eq!(
        get("json", ResponseType::Binary).await.body,
        RawBody::Binary(Bytes::from_static(br#"{"a":1}"#))
    );
    assert_eq!(
        get("none", ResponseType::Json).await.body,
        RawBody::Json(j!(null))
    );
    assert_eq!(
        get("words", ResponseType::Json).await.body,
        RawBody::Text("plain".into())
    );
    let refused = get("refused", ResponseType::Json).await;
    assert_eq!(
        (refused.status, refused.error.as_ref().unwrap().kind),
        (404, crate::databricks::Kind::NotFound)
    );
    let moved = get("moved", ResponseType::Text).await;
    assert_eq!(
        (moved.status, moved.headers[0].1.as_str()),
        (302, "https://evil.example/")
    );
    assert!(
        fake.seen()
            .iter()
            .all(|(_, request)| request.url.host_str() == Some("h.cloud.databricks.com"))
    );
}

/// What is no UTF-8 is lost by no type but `text`, and there it is shown as such; nothing is no fault of any type.
#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_text_and_no_bytes_at_all() {
    const BYTES: &[u8] = b"{\"a\":\"\xff\"}";
    let fake = Fake::new(|request, _| match request.url.path() {
        "/api/none" => text(204, ""),
        _ => Reply::Answer(200, Vec::new(), Bytes::from_static(BYTES)),
    });
    let workspace = workspace(&pat(), &fake);
    let shown = RawBody::Text("{\"a\":\"\u{fffd}\"}".into());
    for (path, kind, expected) in [
        (
            "bytes",
            ResponseType::Binary,
            RawBody::Binary(Bytes::from_static(BYTES)),
        ),
        ("bytes", ResponseType::Text, shown.clone()),
        ("bytes", ResponseType::Json, shown),
        ("none", ResponseType::Binary, RawBody::Binary(Bytes::new())),
        ("none", ResponseType::Text, RawBody::Text(String::new())),
    ] {
        let raw = RawRequest {
            response_type: kind,
            ..RawRequest::new("GET", path)
        };
        let answer = workspace.raw(raw).await.unwrap();
        assert_eq!(answer.body, expected, "{path} {kind:?}");
        assert!(answer.into_result().is_ok(), "{path} {kind:?}");
    }
}

/// Who says how often and how long means that, and not the connection's budget.
#[tokio::test(start_paused = true)]
async fn as_many_tries_are_made_as_were_asked_for() {
    let fake = Fake::new(|_, _| with(503, "retry-after", "30"));
    let short = crate::databricks::ConnectionOptions {
        retry_budget_seconds: Some(60.0),
        ..pat()
    };
    let answer = workspace(&short, &fake).raw(retried(5)).await.unwrap();
    assert_eq!((answer.status, answer.tries), (503, 6));
    let fake = Fake::new(|_, _| Reply::Fail(Failure::TimedOut));
    let raw = RawRequest {
        timeout: Some(Duration::from_secs(90)),
        retry_delay: Duration::from_secs(90),
        retry_on_all_errors: true,
        ..retried(3)
    };
    workspace(&short, &fake).raw(raw).await.unwrap_err();
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_of_one_try() {
    let fake = Fake::new(|_, _| Reply::After(Duration::from_secs(60), Box::new(text(200, ""))));
    let started = Instant::now();
    let raw = RawRequest {
        timeout: Some(Duration::from_millis(1_500)),
        retry_on_all_errors: true,
        ..retried(1)
    };
    let error = workspace(&pat(), &fake).raw(raw).await.unwrap_err();
    assert_eq!(
        (error.kind(), started.elapsed()),
        (crate::databricks::Kind::Timeout, Duration::from_secs(3))
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_token_is_renewed_once_beside_the_count() {
    let fake = Fake::new(|request, number| match request.url.path() {
        "/oidc/v1/token" => token(number, 3600),
        "/api/2.0/x" if number < 3 => json(401, j!({})),
        "/api/2.0/x" => text(200, "{}"),
        _ => text(404, ""),
    });
    let answer = workspace(&m2m(), &fake)
        .raw(RawRequest::new("POST", "/2.0/x"))
        .await
        .unwrap();
    assert_eq!((answer.status, answer.tries), (200, 1));
    assert_eq!(fake.count("/api/2.0/x"), 2);
}
