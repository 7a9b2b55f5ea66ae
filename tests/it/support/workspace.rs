//! A workspace of a test's own: answers by method and path, and remembers what it was asked.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `METHOD PATH`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What goes out.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self::of(200, body)
    }

    pub(crate) fn of(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }

    /// In the envelope of the API.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::of(status, json!({"error_code": code, "message": message}))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Told each request with its number, from 0, among those of the same method and path.
type Rules = dyn Fn(&Asked, usize) -> Option<Answer> + Send + Sync;

/// A server on a port of its own, until the process ends.
#[derive(Clone)]
pub(crate) struct Workspace {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Workspace {
    /// What `rules` do not answer is 404.
    pub(crate) fn start(
        rules: impl Fn(&Asked, usize) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (heard, rules): (_, Arc<Rules>) = (Arc::clone(&asked), Arc::new(rules));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, rules) = (Arc::clone(&heard), Arc::clone(&rules));
                thread::spawn(move || serve(stream, &heard, &*rules));
            }
        });
        Self { url, asked }
    }

    /// An address at which nobody listens.
    pub(crate) fn nowhere() -> Self {
        Self {
            url: "http://127.0.0.1:1".into(),
            asked: Arc::default(),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().iter().map(Asked::line).collect()
    }
}

fn serve(stream: TcpStream, heard: &Mutex<Vec<Asked>>, rules: &Rules) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut stream = stream;
    while let Some(asked) = read(&mut reader) {
        let number = {
            let mut heard = heard.lock();
            let number = heard
                .iter()
                .filter(|other| other.line() == asked.line())
                .count();
            heard.push(asked.clone());
            number
        };
        let unknown = || Answer::error(404, "ENDPOINT_NOT_FOUND", "no API found");
        let answer = rules(&asked, number).unwrap_or_else(unknown);
        let mut text = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n",
            answer.status,
            answer.body.len()
        );
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        if asked.method != "HEAD" {
            bytes.extend_from_slice(&answer.body);
        }
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let of = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let mut body = Vec::new();
    if of("transfer-encoding").is_some_and(|how| how.contains("chunked")) {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = u64::from_str_radix(size.trim(), 16).ok()?;
            reader.by_ref().take(size).read_to_end(&mut body).ok()?;
            reader.read_line(&mut String::new()).ok()?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = of("content-length").and_then(|text| text.parse().ok()) {
        reader.by_ref().take(length).read_to_end(&mut body).ok()?;
    }
    Some(Asked {
        method,
        path,
        headers,
        body,
    })
}
