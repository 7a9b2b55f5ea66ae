//! `POST /v1/events/{table}`: one request from its headers to its answer.

use super::{
    answer::{self, Commit, Refusal, Response},
    auth::{Keys, is_table_name},
    body::{self, Coding, Room},
    options::{HttpAck, HttpOptions},
    split::{self, Flaw, Limits, Split},
};
use crate::{
    event::{ByteBudget, Intake, OffsetRange},
    source::spool::{Answer, Append, Begin, BodyHash, KeyHash, Spool},
};
use axum::http::{HeaderMap, Method, Request, StatusCode, header, request::Parts};
use bytes::Bytes;
use hyper::body::Incoming;
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// Before the name of a table in a path.
const EVENTS: &str = "/v1/events/";
/// Bodies above this are split and hashed off the run time's threads.
const INLINE_BYTES: usize = 512 << 10;
/// No option lets a body be longer: offsets in it are 32 bits, and an event is one record of the spool.
const MAX_BODY_BYTES: u64 = 1 << 30;
/// How long a request waits for bytes of others to reach the disk before it is answered 429.
const ROOM_WAIT: Duration = Duration::from_millis(500);
/// Room a request asks for before its body is read.
const FIRST_BYTES: u64 = 4 << 10;

/// What every request needs.
pub(super) struct App {
    pub(super) source: Arc<str>,
    pub(super) options: HttpOptions,
    pub(super) keys: Keys,
    pub(super) spool: Arc<Spool>,
    pub(super) intake: Arc<dyn Intake>,
    pub(super) requests: Semaphore,
    pub(super) bodies: ByteBudget,
    pub(super) draining: CancellationToken,
    pub(super) request_timeout: Duration,
    pub(super) commit_timeout: Duration,
    pub(super) meters: Meters,
}

/// The metrics of every request, looked up once.
pub(super) struct Meters {
    answered: metrics::Counter,
    seconds: metrics::Histogram,
    accepted: metrics::Counter,
    rejected: metrics::Counter,
    bytes: metrics::Counter,
}

impl Meters {
    pub(super) fn new(source: &str) -> Self {
        let events = |outcome: &'static str| metrics::counter!("alluvium_http_events_total", "source" => source.to_owned(), "outcome" => outcome);
        Self {
            answered: metrics::counter!("alluvium_http_requests_total", "source" => source.to_owned(), "status" => "200"),
            seconds: metrics::histogram!("alluvium_http_request_duration_seconds", "source" => source.to_owned()),
            accepted: events("accepted"),
            rejected: events("rejected"),
            bytes: metrics::counter!("alluvium_http_bytes_total", "source" => source.to_owned()),
        }
    }
}

/// Answers one request.
pub(super) async fn respond(app: &App, request: Request<Incoming>) -> Response {
    let Some(table) = request.uri().path().strip_prefix(EVENTS) else {
        return Refusal::not_found().into_response();
    };
    if table.is_empty() || table.contains('/') {
        return Refusal::not_found().into_response();
    }
    if request.method() != Method::POST {
        return Refusal::method_not_allowed().into_response();
    }
    let table: Arc<str> = decoded(table).into();
    let began = std::time::Instant::now();
    let response = app.take(table, request).await.unwrap_or_else(|refusal| {
        tracing::debug!(source = &*app.source, code = refusal.code, "a request was refused");
        metrics::counter!("alluvium_http_refused_total", "source" => app.source.to_string(), "code" => refusal.code)
            .increment(1);
        refusal.into_response()
    });
    match response.status() {
        StatusCode::OK => app.meters.answered.increment(1),
        status => {
            metrics::counter!("alluvium_http_requests_total", "source" => app.source.to_string(), "status" => status.as_str().to_owned())
                .increment(1);
        }
    }
    app.meters.seconds.record(began.elapsed().as_secs_f64());
    response
}

/// A body ready for the spool.
struct Prepared {
    body: Bytes,
    split: Split,
    key: Option<(KeyHash, BodyHash)>,
    room: Room,
}

/// A request whose body may be read.
struct Admitted<'a> {
    ack: HttpAck,
    lines: bool,
    coding: Coding,
    key: Option<KeyHash>,
    /// The body's length, where the request tells it.
    declared: Option<u64>,
    at_work: SemaphorePermit<'a>,
    room: Room,
}

impl App {
    async fn take(&self, table: Arc<str>, request: Request<Incoming>) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        match self.admit(&table, &parts).await {
            Ok(admitted) => self.land(table, body, admitted).await,
            Err(refusal) => {
                // A connection closed under a body that is still being sent hides the answer.
                body::discard(body).await;
                Err(refusal)
            }
        }
    }

    /// All that is asked of a request before its body is read.
    async fn admit(&self, table: &str, parts: &Parts) -> Result<Admitted<'_>, Refusal> {
        let headers = &parts.headers;
        let sender = self.keys.sender(headers)?;
        if !is_table_name(table) {
            return Err(Refusal::bad_request(
                "invalid_table",
                "the path does not name a table",
                "use letters, digits, `_`, `-` and `.`, at most 128, not beginning with `.` or `_`",
            ));
        }
        self.keys.allow(&sender, table)?;
        let ack = self.ack(parts.uri.query())?;
        let lines = is_ndjson(headers)?;
        let coding = Coding::of(headers)?;
        let key = idempotency_key(headers)?.map(|key| KeyHash::new(sender.id(), table, key));
        if self.draining.is_cancelled() {
            return Err(Refusal::draining());
        }
        // The spool takes what the tables cannot yet; only its own trouble stops requests.
        if let Some(error) = self.spool.trouble() {
            return Err(error.into());
        }
        let at_work = self
            .requests
            .try_acquire()
            .map_err(|_| Refusal::too_many("too many requests are at work"))?;
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let room = self.room().await?;
        Ok(Admitted {
            ack,
            lines,
            coding,
            key,
            declared,
            at_work,
            room,
        })
    }

    async fn land(
        &self,
        table: Arc<str>,
        body: Incoming,
        admitted: Admitted<'_>,
    ) -> Result<Response, Refusal> {
        let Admitted {
            ack,
            lines,
            coding,
            key,
            declared,
            at_work,
            mut room,
        } = admitted;
        let read = body::read(body, self.options.max_body_bytes, declared, &mut room);
        let sent = tokio::time::timeout(self.request_timeout, read)
            .await
            .map_err(|_| Refusal::timed_out())??;
        let prepared = self.prepare(sent, coding, lines, key, room).await?;
        let (listed, answer, replayed) = self.store(&table, prepared).await?;
        drop(at_work);
        let commit = match ack {
            HttpAck::Spool => Commit::None,
            // Dead letters alone make no version of this table.
            HttpAck::Commit if answer.accepted == 0 => Commit::None,
            HttpAck::Commit => self.committed(&table, answer.range).await,
        };
        let (good, bad) = (answer.accepted as usize, answer.rejected as usize);
        Ok(answer::accepted(good, bad, &listed, replayed, commit))
    }

    fn ack(&self, query: Option<&str>) -> Result<HttpAck, Refusal> {
        let mut ack = self.options.ack;
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            ack = match (&*name, &*value) {
                ("ack", "commit") => HttpAck::Commit,
                ("ack", "spool") => HttpAck::Spool,
                ("ack", _) => {
                    return Err(Refusal::bad_request(
                        "invalid_ack",
                        "`ack` is not known",
                        "use ack=spool or ack=commit",
                    ));
                }
                _ => ack,
            };
        }
        Ok(ack)
    }

    async fn room(&self) -> Result<Room, Refusal> {
        let permit = match self.bodies.try_acquire(FIRST_BYTES) {
            Some(permit) => permit,
            None => tokio::time::timeout(ROOM_WAIT, self.bodies.acquire(FIRST_BYTES))
                .await
                .map_err(|_| Refusal::too_many("too many bytes are on their way to the disk"))?,
        };
        Ok(Room::new(self.bodies.clone(), permit))
    }

    async fn prepare(
        &self,
        sent: Bytes,
        coding: Coding,
        lines: bool,
        key: Option<KeyHash>,
        mut room: Room,
    ) -> Result<Prepared, Refusal> {
        let limit = self.options.max_decompressed_bytes.min(MAX_BODY_BYTES);
        let limits = Limits {
            event_bytes: self.options.max_event_bytes,
            events: self.options.max_events,
        };
        let inline = coding == Coding::Identity && sent.len() <= INLINE_BYTES;
        let work = move || {
            if sent.len() as u64 > limit {
                return Err(Refusal::too_large(
                    "the body",
                    limit,
                    "max_decompressed_bytes",
                ));
            }
            let body = body::decompress(coding, &sent, limit, &mut room)?;
            let split = split::split(&body, lines, limits).map_err(|flaw| match flaw {
                Flaw::TooMany => {
                    Refusal::too_large("the number of events", limits.events as u64, "max_events")
                }
                Flaw::Malformed(what) => Refusal::bad_request(
                    "malformed_body",
                    format!("{what}; nothing was taken"),
                    "send NDJSON, a JSON array of objects, or one object",
                ),
            })?;
            let key = key.map(|key| (key, BodyHash::new(&body)));
            Ok(Prepared {
                body,
                split,
                key,
                room,
            })
        };
        if inline {
            return work();
        }
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Refusal::internal())?
    }

    /// Makes a request durable, once for its key. Returns the rejected events, what to answer and
    /// whether that was answered before.
    async fn store(
        &self,
        table: &Arc<str>,
        prepared: Prepared,
    ) -> Result<(Vec<(u32, crate::event::RejectReason)>, Answer, bool), Refusal> {
        let Prepared {
            body,
            split,
            key,
            room,
        } = prepared;
        let rejected = split.rejected.len() as u32;
        let accepted = split.events.len() as u32 - rejected;
        let received_at = chrono::Utc::now().timestamp_micros();
        let answer = |range| Answer {
            range,
            accepted,
            rejected,
            received_at,
        };
        if split.events.is_empty() {
            // Nothing to keep, so nothing to remember: an empty body is an empty success.
            return Ok((Vec::new(), answer(OffsetRange { start: 0, end: 0 }), false));
        }
        let claim = match key {
            None => None,
            Some((key, hash)) => match self.spool.keys().begin(key, hash, received_at).await {
                Begin::New(claim) => Some(claim),
                Begin::Done(answer) => return Ok((split.rejected, answer, true)),
                Begin::OtherBody => return Err(Refusal::other_body()),
            },
        };
        let listed = split
            .rejected
            .iter()
            .take(answer::MAX_LISTED + 1)
            .cloned()
            .collect();
        let bytes = body.len() as u64;
        let append = self.spool.append(Append {
            table: Arc::clone(table),
            body,
            events: split.events,
            rejected: split.rejected,
            received_at,
            claim,
            permit: Some(room.permit),
        });
        let range = append.await?;
        self.meters.accepted.increment(accepted.into());
        self.meters.rejected.increment(rejected.into());
        self.meters.bytes.increment(bytes);
        Ok((listed, answer(range), false))
    }

    /// Waits for the table's version, at most `commit_timeout_seconds`.
    async fn committed(&self, table: &str, range: OffsetRange) -> Commit {
        // The identity of the numbers may change under the wait (rule 17), and then the wait ends by time.
        let Some(partition) = self.spool.partition_of(range.start) else {
            return Commit::Later;
        };
        let wait = self.intake.committed(table, &partition, range.end);
        match tokio::time::timeout(self.commit_timeout, wait).await {
            Ok(Ok(version)) => Commit::Version(version),
            Ok(Err(error)) => {
                tracing::warn!(source = &*self.source, table, %error, "a request's events are durable, but their commit is not known");
                Commit::Later
            }
            Err(_) => Commit::Later,
        }
    }
}

/// A part of a path without its percent signs. One that is not UTF-8 then names no table.
fn decoded(part: &str) -> Cow<'_, str> {
    if !part.contains('%') {
        return Cow::Borrowed(part);
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default().into()
}

/// Whether the content type says lines; others leave the form to `split.rs`.
fn is_ndjson(headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(false);
    };
    let value = value.as_bytes();
    let essence = value.split(|&byte| byte == b';').next().unwrap_or(value);
    match essence.trim_ascii().to_ascii_lowercase().as_slice() {
        b"application/x-ndjson"
        | b"application/ndjson"
        | b"application/jsonl"
        | b"application/x-jsonlines" => Ok(true),
        // The last is what curl -d and some SDKs send for whatever they are given.
        b""
        | b"application/json"
        | b"text/plain"
        | b"text/json"
        | b"application/x-www-form-urlencoded"
        | b"application/octet-stream" => Ok(false),
        other => Err(Refusal::unsupported(
            "unsupported_media_type",
            format!(
                "Content-Type `{}` is not known",
                String::from_utf8_lossy(other)
            ),
            "send application/x-ndjson, application/json or text/plain",
        )),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Refusal> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > 255 || keys.next().is_some() {
        return Err(Refusal::bad_request(
            "invalid_idempotency_key",
            "Idempotency-Key is empty, longer than 255 bytes or given twice",
            "send one random key, such as a UUID, with each request",
        ));
    }
    Ok(Some(key.as_bytes()))
}
