//! The real client against a loopback server.

use super::*;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Answers every connection with these bytes after a request of so many bytes at least; none: closes it.
async fn server(answer: Option<&'static str>) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!(
        "http://{}/api/x?token=planted",
        listener.local_addr().unwrap()
    ))
    .unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let read = socket.read(&mut buffer).await.unwrap_or(0);
                text.extend_from_slice(&buffer[..read]);
                let head = text.windows(4).position(|four| four == b"\r\n\r\n");
                let length = String::from_utf8_lossy(&text).to_lowercase();
                let length = length
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
                if read == 0
                    || head.is_some_and(|head| text.len() >= head + 4 + length.unwrap_or(0))
                {
                    break;
                }
            }
            told.lock()
                .push(String::from_utf8_lossy(&text).into_owned());
            if let Some(answer) = answer {
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        }
    });
    (url, seen)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

fn get(url: Url) -> Outgoing {
    Outgoing::get(url, Duration::from_secs(5))
}

#[tokio::test]
async fn a_request_names_us_and_a_redirect_is_not_followed() {
    let (url, seen) = server(Some("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")).await;
    let answer = client(true).unwrap().send(get(url)).await.unwrap();
    assert_eq!(answer.status, 302);
    let told = seen.lock()[0].to_lowercase();
    assert!(
        told.contains(concat!("user-agent: alluvium/", env!("CARGO_PKG_VERSION"))),
        "{told}"
    );
    assert_eq!(seen.lock().len(), 1);
}

#[tokio::test]
async fn any_method_and_a_form_with_files() {
    let (url, seen) = server(Some(OK)).await;
    let http = client(true).unwrap();
    for method in ["LINK", "PURGE", "UNLINK", "PATCH"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        http.send(Outgoing {
            method,
            ..get(url.clone())
        })
        .await
        .unwrap();
    }
    let lines: Vec<String> = seen
        .lock()
        .iter()
        .map(|text| text.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(lines, ["LINK", "PURGE", "UNLINK", "PATCH"]);
    let part = |key: &str, data: &'static str, name: Option<&str>| Part {
        key: key.into(),
        data: data.into(),
        file_name: name.map(str::to_owned),
    };
    let body = Body::Multipart(vec![part("a", "1", None), part("f", "x,y", Some("f.csv"))]);
    http.send(Outgoing {
        method: Method::POST,
        body,
        ..get(url)
    })
    .await
    .unwrap();
    let told = seen.lock().last().unwrap().clone();
    let boundary = told
        .split("boundary=")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap()
        .to_owned();
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"f\"; \
         filename=\"f.csv\"\r\nContent-Type: application/octet-stream\r\n\r\nx,y\r\n--{boundary}--\r\n"
    );
    assert!(told.ends_with(&expected), "{told}");
}

#[tokio::test]
async fn failures_are_told_apart_and_hold_no_url() {
    let http = client(true).unwrap();
    let (closing, _) = server(None).await;
    let (silent, _held) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!(
            "http://{}/?token=planted",
            listener.local_addr().unwrap()
        ))
        .unwrap();
        (url, listener)
    };
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Url::parse(&format!(
            "http://{}/?token=planted",
            listener.local_addr().unwrap()
        ))
        .unwrap()
    };
    let failed = async |url: Url| {
        let failure = http
            .send(Outgoing {
                timeout: Duration::from_millis(500),
                ..get(url)
            })
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(!format!("{failure:?}").contains("planted"), "{failure:?}");
        failure
    };
    assert!(matches!(failed(closing).await, Failure::Lost(_)));
    assert!(matches!(failed(nobody).await, Failure::Unreachable(_)));
    assert_eq!(failed(silent).await, Failure::TimedOut);
    let half = server(Some(
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nhalf",
    ))
    .await
    .0;
    assert!(matches!(failed(half).await, Failure::Lost(_)));
}

#[tokio::test]
async fn a_wrong_address_is_told_from_one_that_does_not_answer() {
    // A server without TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 64];
            let _ = socket.read(&mut buffer).await;
            let _ = socket
                .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let http = client(true).unwrap();
    let failure = http
        .send(get(Url::parse(&url).unwrap()))
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(failure, Failure::WrongAddress(_)), "{failure:?}");
    assert!(is_wrong_address(
        "dns error: failed to lookup address information: Name or service not known"
    ));
    assert!(is_wrong_address("invalid peer certificate: UnknownIssuer"));
    assert!(!is_wrong_address(
        "dns error: Temporary failure in name resolution"
    ));
    assert!(!is_wrong_address("tls handshake eof"));
    assert!(!is_wrong_address(
        "tcp connect error: Connection refused (os error 111)"
    ));
}
