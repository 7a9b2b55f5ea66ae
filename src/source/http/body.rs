//! From a request's body to its decompressed bytes, inside limits.

use super::answer::Refusal;
use crate::{
    event::{ByteBudget, BytePermit},
    source::slab,
};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use std::{
    future::poll_fn,
    io::{self, Read},
    pin::Pin,
    time::Duration,
};

/// The most memory a body gets before its bytes are there.
const MOST_AT_ONCE: u64 = 1 << 20;
/// Bodies up to this size are copied out of the connection's buffer.
const SMALL_BYTES: usize = 4 << 10;
/// What is read of a body that is refused, and how long that may take: clients that send more see
/// their connection closed.
const DISCARD_BYTES: usize = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Reads a refused body to its end, so that its sender comes to read the answer.
pub(super) async fn discard(mut body: Incoming) {
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = part(&mut body).await {
            bytes += chunk.len();
            if bytes > DISCARD_BYTES {
                return;
            }
        }
    };
    // Whatever ends it, the refusal is answered.
    let _ = tokio::time::timeout(DISCARD_TIME, read).await;
}

/// The next bytes of a body; `None` at its end. Trailers are passed.
async fn part(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    loop {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await? {
            Err(error) => return Some(Err(error)),
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
        }
    }
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
    Deflate,
}

impl Coding {
    /// One coding at most: several in sequence multiply what a small body can become.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut codings = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .map(|coding| coding.trim_ascii().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != b"identity");
        let remedy = "send one of gzip, zstd, deflate, or none";
        let coding = match codings.next().as_deref() {
            None => Self::Identity,
            Some(b"gzip" | b"x-gzip") => Self::Gzip,
            Some(b"zstd") => Self::Zstd,
            Some(b"deflate") => Self::Deflate,
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                return Err(Refusal::unsupported(
                    "unsupported_encoding",
                    format!("Content-Encoding `{other}` is not known"),
                    remedy,
                ));
            }
        };
        match codings.next() {
            None => Ok(coding),
            Some(_) => Err(Refusal::unsupported(
                "unsupported_encoding",
                "more than one Content-Encoding",
                remedy,
            )),
        }
    }
}

/// Bytes on their way into the spool, and the room they take.
pub(super) struct Room {
    budget: ByteBudget,
    pub(super) permit: BytePermit,
}

impl Room {
    pub(super) fn new(budget: ByteBudget, permit: BytePermit) -> Self {
        Self { budget, permit }
    }

    /// Charges `bytes` in all; refuses if others leave none.
    fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.permit.bytes());
        let others = self.budget.used().saturating_sub(self.permit.bytes());
        if more > 0 && others > 0 && self.budget.used() + more > self.budget.limit() {
            return Err(Refusal::too_many(
                "too many bytes of other requests are on their way to the disk",
            ));
        }
        self.permit.resize(bytes.max(self.permit.bytes()));
        Ok(())
    }
}

/// Reads a body as sent. The caller bounds the time.
pub(super) async fn read(
    mut body: Incoming,
    limit: u64,
    declared: Option<u64>,
    room: &mut Room,
) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::too_large("the body as sent", limit, "max_body_bytes");
    if declared.is_some_and(|bytes| bytes > limit) {
        return Err(too_large());
    }
    let mut all = Vec::new();
    let mut first = Bytes::new();
    while let Some(part) = part(&mut body).await {
        let part = part.map_err(|error| {
            Refusal::bad_request(
                "incomplete_body",
                format!("the body could not be read: {error}"),
                "send the whole body",
            )
        })?;
        let len = (first.len() + all.len() + part.len()) as u64;
        if len > limit {
            return Err(too_large());
        }
        room.grow(len)?;
        // A small body is one part, which is taken as it is.
        if first.is_empty() && all.capacity() == 0 {
            first = part;
            continue;
        }
        if !first.is_empty() {
            // For all of it, if it says how much that is; a claim alone gets no more than this.
            let whole = declared
                .unwrap_or(2 * len)
                .clamp(len, MOST_AT_ONCE.max(len));
            all = slab::take(whole as usize);
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&part);
    }
    Ok(match all.is_empty() {
        // The connection reads the next request into the same buffer, unless some of it is held.
        true if first.len() <= SMALL_BYTES => Bytes::copy_from_slice(&first),
        true => first,
        false => slab::share(all),
    })
}

/// Decompresses, stopping at the first byte beyond `limit`. Blocks.
pub(super) fn decompress(
    coding: Coding,
    body: &Bytes,
    limit: u64,
    room: &mut Room,
) -> Result<Bytes, Refusal> {
    let broken = |error: io::Error| {
        Refusal::bad_request(
            "broken_encoding",
            format!("the body does not decompress: {error}; nothing was taken"),
            "check that Content-Encoding says how the body is compressed, and that it is whole",
        )
    };
    match coding {
        Coding::Identity => Ok(body.clone()),
        Coding::Gzip => read_all(
            flate2::read::MultiGzDecoder::new(&body[..]),
            body.len(),
            limit,
            room,
            broken,
        ),
        // RFC 9110 means zlib by deflate; some senders leave its two bytes of header out.
        Coding::Deflate if is_zlib(body) => read_all(
            flate2::read::ZlibDecoder::new(&body[..]),
            body.len(),
            limit,
            room,
            broken,
        ),
        Coding::Deflate => read_all(
            flate2::read::DeflateDecoder::new(&body[..]),
            body.len(),
            limit,
            room,
            broken,
        ),
        Coding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&body[..]).map_err(broken)?;
            // 8 MiB, the most RFC 9659 lets an HTTP sender ask for.
            decoder.window_log_max(23).map_err(broken)?;
            read_all(decoder, body.len(), limit, room, broken)
        }
    }
}

fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [a, b, ..] if a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0)
}

fn read_all(
    mut decoder: impl Read,
    sent: usize,
    limit: u64,
    room: &mut Room,
    broken: impl Fn(io::Error) -> Refusal,
) -> Result<Bytes, Refusal> {
    const STEP: usize = 64 << 10;
    let mut out = Vec::with_capacity(sent.saturating_mul(4).clamp(STEP, 1 << 20));
    let mut step = vec![0; STEP];
    loop {
        match decoder.read(&mut step) {
            Ok(0) => return Ok(out.into()),
            Ok(n) => {
                if (out.len() + n) as u64 > limit {
                    return Err(Refusal::too_large(
                        "the decompressed body",
                        limit,
                        "max_decompressed_bytes",
                    ));
                }
                room.grow((sent + out.len() + n) as u64)?;
                out.extend_from_slice(&step[..n]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write;

    fn room(limit: u64) -> Room {
        let budget = ByteBudget::new(limit);
        let permit = budget.charge(0);
        Room::new(budget, permit)
    }

    #[test]
    fn deflate_with_and_without_its_header() {
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(b"{\"a\":1}").unwrap();
        let raw = Bytes::from(raw.finish().unwrap());
        assert_eq!(
            &decompress(Coding::Deflate, &raw, 100, &mut room(1_000)).unwrap()[..],
            b"{\"a\":1}"
        );
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        for (coding, bomb) in [
            (
                Coding::Zstd,
                zstd::encode_all(&vec![0u8; 10 << 20][..], 3).unwrap(),
            ),
            (Coding::Gzip, {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
                gzip.write_all(&vec![0u8; 10 << 20]).unwrap();
                gzip.finish().unwrap()
            }),
        ] {
            let mut room = room(1 << 30);
            let most = (1 << 20) + bomb.len() as u64;
            let refusal = decompress(coding, &Bytes::from(bomb), 1 << 20, &mut room).unwrap_err();
            assert_eq!(refusal.code, "too_large");
            assert!(room.permit.bytes() <= most);
        }
    }

    #[test]
    fn a_body_alone_may_pass_the_budget_but_not_beside_others() {
        let mut alone = room(10);
        assert!(alone.grow(50).is_ok());
        let other = alone.budget.charge(1);
        assert!(alone.grow(60).is_err());
        drop(other);
        assert!(alone.grow(60).is_ok());
    }

    #[test]
    fn several_codings_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "identity, GZip".parse().unwrap());
        assert_eq!(Coding::of(&headers).unwrap(), Coding::Gzip);
        headers.append(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(
            Coding::of(&headers).unwrap_err().code,
            "unsupported_encoding"
        );
    }
}
