//! A workspace for tests: a loopback server whose answers a test writes, and the journal of what it was asked.

use super::{AuthOptions, ConnectionOptions, PatOptions, Workspace};
use crate::secret::LiveSecret;
use parking_lot::Mutex;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

pub(crate) const TOKEN: &str = "dapi-planted-token";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) at: Instant,
    /// How many came before it.
    pub(crate) number: usize,
}

impl Seen {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

pub(crate) enum Reply {
    Json(u16, Value),
    Bytes(u16, Vec<u8>),
    /// The connection is closed without an answer.
    Cut,
}

impl From<Value> for Reply {
    fn from(body: Value) -> Self {
        Reply::Json(200, body)
    }
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

pub(crate) struct Server {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let journal = Arc::clone(&seen);
        let script: Script = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&journal)));
            }
        });
        // A virtual clock leaps to the next timer whenever all tasks wait, and waiting for a socket counts as that. So there
        // is a timer that is always near.
        tokio::spawn(async {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Self { address, seen }
    }

    pub(crate) fn workspace(&self) -> Workspace {
        self.workspace_with(|_| {})
    }

    pub(crate) fn workspace_with(&self, change: impl FnOnce(&mut ConnectionOptions)) -> Workspace {
        let mut options = ConnectionOptions {
            host: Some(self.address.clone()),
            auth: AuthOptions::Pat(PatOptions {
                token: LiveSecret::new(TOKEN),
            }),
            ..ConnectionOptions::default()
        };
        change(&mut options);
        Workspace::new("test", &options).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Methods and paths, in their order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen.lock().iter().map(Seen::line).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    journal: Arc<Mutex<Vec<Seen>>>,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let length = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0);
        buffer.drain(..end + 4);
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        let body = String::from_utf8_lossy(&buffer[..length]).into_owned();
        buffer.drain(..length);
        let seen = {
            let mut journal = journal.lock();
            let seen = Seen {
                method,
                path,
                headers,
                body,
                at: Instant::now(),
                number: journal.len(),
            };
            journal.push(seen.clone());
            seen
        };
        let (status, kind, body) = match script(&seen) {
            Reply::Json(status, body) => {
                (status, "application/json", body.to_string().into_bytes())
            }
            Reply::Bytes(status, body) => (status, "application/octet-stream", body),
            Reply::Cut => return None,
        };
        let head = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // In one piece: a second one would wait for an acknowledgement in real time, while the virtual one runs on.
        let answer = [head.into_bytes(), body].concat();
        stream.write_all(&answer).await.ok()?;
    }
}

/// An error as the service answers it.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::Json(
        status,
        serde_json::json!({ "error_code": code, "message": message }),
    )
}
