//! By a server of our own, which says what a store would.

use super::*;
use axum::{Router, extract::State, http::Request, response::Response};
use object_store::{ObjectStoreExt, aws::AmazonS3Builder, path::Path};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc, time::Instant};

type Script = Arc<Mutex<VecDeque<Response>>>;

async fn answer(State(script): State<Script>, _: Request<axum::body::Body>) -> Response {
    let next = script.lock().pop_front();
    next.unwrap_or_else(|| Response::new(axum::body::Body::from("whole")))
}

fn response(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response {
    let mut response = axum::http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(axum::body::Body::from(body)).unwrap()
}

async fn store(answers: Vec<Response>) -> impl object_store::ObjectStore {
    let script: Script = Arc::new(Mutex::new(answers.into()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(script);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let options = StoreOptions {
        allow_http: true,
        ..StoreOptions::default()
    };
    AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(format!("http://{address}"))
        .with_access_key_id("AKID")
        .with_secret_access_key("secret")
        .with_client_options(client_options(&options).unwrap())
        .with_http_connector(Connector::new("lake"))
        .with_retry(retries())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_store_that_asks_for_a_pause_gets_it() {
    let busy = || {
        response(
            503,
            &[("retry-after", "1")],
            "<Error><Code>SlowDown</Code></Error>",
        )
    };
    let store = store(vec![busy(), busy()]).await;
    let began = Instant::now();
    let got = store.get(&Path::from("a")).await.unwrap();
    assert_eq!(got.bytes().await.unwrap(), "whole");
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn pauses_are_seconds_or_dates_and_have_a_limit() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
    let after = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        retry_after(&headers, now)
    };
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert_eq!(after("86400"), Some(LONGEST_WAIT));
    assert_eq!(
        after("Wed, 21 Oct 2015 07:28:00 GMT"),
        Some(Duration::from_secs(10))
    );
    assert_eq!(after("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(after("soon"), None);
    assert_eq!(after("-1"), None);
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

#[tokio::test]
async fn what_only_headers_say_reaches_the_error() {
    let region = [("x-amz-bucket-region", "eu-central-1")];
    let store = store(vec![
        response(301, &region, ""),
        response(403, &[("x-ms-error-code", "AuthenticationFailed")], ""),
        response(403, &[("x-amz-bucket-region", "<x>")], ""),
    ])
    .await;
    let path = Path::from("a");
    let error = store.head(&path).await.unwrap_err().to_string();
    assert!(error.contains("<Region>eu-central-1</Region>"), "{error}");
    let error = store.head(&path).await.unwrap_err().to_string();
    assert!(
        error.contains("<Code>AuthenticationFailed</Code>"),
        "{error}"
    );
    let error = store.head(&path).await.unwrap_err().to_string();
    assert!(!error.contains("Region"), "{error}");
}

#[tokio::test]
async fn what_a_store_repeats_of_a_request_is_cut_out() {
    let body = "<Error><Code>InvalidToken</Code><Token-0>planted</Token-0><StringToSign>planted</StringToSign><Token-0>planted";
    let store = store(vec![response(400, &[], body)]).await;
    let error = store.get(&Path::from("a")).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("InvalidToken") && !text.contains("planted"),
        "{text}"
    );
}

#[test]
fn limits_of_time_that_are_none_are_refused() {
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = StoreOptions {
            request_timeout_seconds: seconds,
            ..StoreOptions::default()
        };
        let error = client_options(&options).unwrap_err();
        assert!(error.contains("request_timeout_seconds"), "{error}");
    }
}
