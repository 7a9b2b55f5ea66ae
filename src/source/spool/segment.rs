//! Segment files: their names, their header, and the scan that judges one when a spool is opened.

use super::{
    error::{Result, SpoolError},
    keys::Answer,
    record::{self, Flaw, KeyPart},
};
use crate::event::{Offset, OffsetRange};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

const MAGIC: [u8; 8] = *b"ALVSPL01";
/// magic 8 · first sequence 8 · created µs 8 · reserved 4 · crc32 4
pub(super) const HEADER: u64 = 32;

/// A segment as readers see it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    /// The sequence of its first event, which is in its name.
    pub(super) first: Offset,
    /// The sequence after its last durable event.
    pub(super) end: Offset,
    /// Durable bytes.
    pub(super) len: u64,
}

pub(super) fn path(folder: &Path, first: Offset) -> PathBuf {
    folder.join(format!("{first:020}.seg"))
}

/// The number in a name like `00000000000000000042.seg`; `None` for another's file.
pub(super) fn number(path: &Path, extension: &str) -> Option<Offset> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

pub(super) fn header(first: Offset, created: i64) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&first.to_le_bytes());
    bytes[16..24].copy_from_slice(&created.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn header_holds(bytes: &[u8], first: Offset) -> bool {
    bytes.get(..HEADER as usize).is_some_and(|bytes| {
        bytes[..8] == MAGIC
            && bytes[8..16] == first.to_le_bytes()
            && bytes[28..] == crc32fast::hash(&bytes[..28]).to_le_bytes()
    })
}

/// What a scan found.
#[derive(Debug)]
pub(super) struct Scan {
    /// Bytes up to the end of the last whole request.
    pub(super) good: u64,
    /// Bytes in the file.
    pub(super) len: u64,
    /// The sequence after the last whole request.
    pub(super) end: Offset,
    pub(super) keys: Vec<(KeyPart, Answer)>,
}

/// Reads a segment from front to back and checks everything.
///
/// `last`: whether it is the newest segment, the only one that may end in a write cut short. Bytes of
/// an older one, or below what a later record calls durable, were acknowledged once: there a flaw is
/// [`SpoolError::Corrupt`].
pub(super) fn scan(path: &Path, file: &File, first: Offset, last: bool) -> Result<Scan> {
    let io = |error| SpoolError::io("read", path)(error);
    let corrupt = |offset, what: &str| SpoolError::Corrupt {
        path: path.into(),
        offset,
        what: what.into(),
    };
    let mut window = Window::new(file).map_err(io)?;
    let mut scan = Scan {
        good: HEADER,
        len: window.len,
        end: first,
        keys: Vec::new(),
    };
    if !header_holds(window.get(0, HEADER as usize).map_err(io)?, first) {
        // The header is durable before the first record is written: a short file is one whose
        // creation was cut short.
        if last && window.len <= HEADER {
            scan.good = 0;
            return Ok(scan);
        }
        return Err(corrupt(
            0,
            "the header of a segment does not match its name or checksum",
        ));
    }
    let mut at = HEADER;
    let mut next = first;
    let mut open: Option<Request> = None;
    let mut synced = HEADER;
    let flaw = loop {
        if at == window.len {
            break open
                .is_some()
                .then_some("a request ends before its last record");
        }
        let prefix = window.get(at, record::PREFIX).map_err(io)?;
        let want = record::length(prefix).unwrap_or(record::PREFIX);
        let record = match record::decode(window.get(at, want).map_err(io)?) {
            Ok(record) => record,
            Err(Flaw::Short(_)) => break Some("the file ends inside a record"),
            Err(Flaw::Bad(what)) => break Some(what),
        };
        if record.sequence != next {
            break Some("a record does not follow the one before it");
        }
        if record.first_chunk == open.is_some() {
            break Some("the records of a request do not join");
        }
        synced = synced.max(record.synced);
        next = record.end();
        at += record.len as u64;
        let request = open.get_or_insert(Request {
            start: record.sequence,
            received: record.received,
            key: record.key,
        });
        if record.last_chunk {
            if let Some(key) = request.key {
                scan.keys
                    .push((key, answer(&key, request.start, next, request.received)));
            }
            scan.good = at;
            scan.end = next;
            open = None;
        }
    };
    if let Some(what) = flaw {
        let durable = if last {
            synced.max(synced_after(&mut window, scan.good).map_err(io)?)
        } else {
            scan.len
        };
        if scan.good < durable {
            return Err(corrupt(at, what));
        }
    }
    Ok(scan)
}

struct Request {
    start: Offset,
    received: i64,
    key: Option<KeyPart>,
}

pub(super) fn answer(key: &KeyPart, start: Offset, end: Offset, received_at: i64) -> Answer {
    Answer {
        range: OffsetRange { start, end },
        accepted: key.accepted,
        rejected: key.rejected,
        received_at,
    }
}

/// The highest `synced` of any record header beyond a flaw.
fn synced_after(window: &mut Window<'_>, from: u64) -> io::Result<u64> {
    let finder = memchr::memmem::Finder::new(&record::MAGIC);
    let mut highest = 0;
    let mut at = from;
    while at < window.len {
        // Steps overlap, so that a header on a border is seen whole by one of them.
        let bytes = window.get(at, Window::BYTES)?;
        for found in finder.find_iter(bytes) {
            highest = highest.max(record::synced_at(&bytes[found..]).unwrap_or(0));
        }
        at += (Window::BYTES / 2) as u64;
    }
    Ok(highest)
}

/// A file read forward through one buffer.
struct Window<'a> {
    file: &'a File,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    const BYTES: usize = 1 << 20;

    fn new(file: &'a File) -> io::Result<Self> {
        Ok(Self {
            file,
            len: file.metadata()?.len(),
            start: 0,
            bytes: Vec::new(),
        })
    }

    /// At least `want` bytes from `at`, fewer only where the file ends.
    fn get(&mut self, at: u64, want: usize) -> io::Result<&[u8]> {
        let want = want.min(self.len.saturating_sub(at) as usize);
        let held = self.start + self.bytes.len() as u64;
        if at < self.start || at + want as u64 > held {
            let size = want
                .max(Self::BYTES)
                .min(self.len.saturating_sub(at) as usize);
            self.bytes.resize(size, 0);
            self.start = at;
            if let Err(error) = self.file.read_exact_at(&mut self.bytes, at) {
                self.bytes.clear();
                return Err(error);
            }
        }
        Ok(&self.bytes[(at - self.start) as usize..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_number() {
        let path = path(Path::new("/spool"), 42);
        assert_eq!(number(&path, "seg"), Some(42));
        assert_eq!(number(&path, "keys"), None);
        assert_eq!(number(Path::new("/spool/42.seg"), "seg"), None);
        assert_eq!(
            number(Path::new("/spool/+0000000000000000042.seg"), "seg"),
            None
        );
    }

    #[test]
    fn a_header_belongs_to_its_name() {
        assert!(header_holds(&header(7, 1), 7));
        assert!(!header_holds(&header(7, 1), 8));
    }
}
