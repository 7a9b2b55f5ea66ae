//! Stand-ins for token issuers and metadata services.

use super::oauth::{Answer, Http, Transport};
use async_trait::async_trait;
use parking_lot::Mutex;
use reqwest::{Request, header::HeaderMap};
use std::sync::Arc;

/// A request as it was sent.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Asked {
    pub(in crate::storage) method: String,
    pub(in crate::storage) url: String,
    pub(in crate::storage) headers: HeaderMap,
    pub(in crate::storage) body: String,
}

impl Asked {
    pub(in crate::storage) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }
}

type Handler = dyn Fn(&Asked) -> Result<Answer, String> + Send + Sync;

/// A service that answers by a function, and remembers what it was asked.
#[derive(Clone)]
pub(in crate::storage) struct Service {
    handler: Arc<Handler>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    pub(in crate::storage) fn new(
        handler: impl Fn(&Asked) -> Result<Answer, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            handler: Arc::new(handler),
            asked: Arc::default(),
        }
    }

    pub(in crate::storage) fn http(&self) -> Http {
        Arc::new(self.clone())
    }

    pub(in crate::storage) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

#[async_trait]
impl Transport for Service {
    async fn send(&self, request: Request) -> Result<Answer, String> {
        let body = request
            .body()
            .and_then(|body| body.as_bytes())
            .unwrap_or_default();
        let asked = Asked {
            method: request.method().to_string(),
            url: request.url().to_string(),
            headers: request.headers().clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        self.asked.lock().push(asked.clone());
        // Answers take a moment, in which others go on.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        (self.handler)(&asked)
    }
}

pub(in crate::storage) fn answer(status: u16, body: impl Into<String>) -> Result<Answer, String> {
    Ok(Answer {
        status: status.try_into().unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into_bytes(),
    })
}

/// A loopback server of one answer a request; gives its address and what it was asked.
pub(in crate::storage) async fn serve(
    answers: Vec<(u16, &'static str)>,
) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            asked.push(String::from_utf8(head).unwrap());
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            socket.write_all(text.as_bytes()).await.unwrap();
        }
        asked
    });
    (address, served)
}
