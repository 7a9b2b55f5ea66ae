//! Bytes of a text file: decompressed, counted, with errors that say where.

use super::{
    Compression, FilesError, MAX_RECORD_BYTES,
    input::{Input, Reading, Source},
};
use rustix::buffer::spare_capacity;
use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const BUFFER_BYTES: usize = 256 << 10;

/// Of what is read in pieces: a piece is mostly more, and passes the buffer by.
const OUTER_BUFFER_BYTES: usize = 64 << 10;

/// The most read onto a slab at once where it is cleared before: it should be in the core's cache still when it is written.
const PIECE_BYTES: usize = 128 << 10;

/// Bytes of the file itself (compressed, if it is) read so far; shared with the progress bar.
pub(crate) type BytesRead = Arc<AtomicU64>;

struct Counted<R> {
    inner: R,
    bytes: BytesRead,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// A reader of what lies behind a buffer, which can pass the buffer by.
trait Text: BufRead + Send {
    /// Reads at most `n` bytes onto the end of `out`.
    fn read_onto(&mut self, out: &mut Vec<u8>, n: usize) -> io::Result<usize> {
        read_cleared(self, out, n)
    }
}

fn read_cleared(from: &mut (impl Read + ?Sized), out: &mut Vec<u8>, n: usize) -> io::Result<usize> {
    let start = out.len();
    out.resize(start + n.min(PIECE_BYTES), 0);
    let read = from.read(&mut out[start..]);
    out.truncate(start + *read.as_ref().unwrap_or(&0));
    read
}

impl Text for BufReader<Counted<Source>> {
    /// Of a local file without clearing the memory before, where no more than `n` bytes would fit.
    fn read_onto(&mut self, out: &mut Vec<u8>, n: usize) -> io::Result<usize> {
        let is_buffered = !self.buffer().is_empty();
        let counted = self.get_ref();
        out.reserve(n);
        match &counted.inner {
            Source::File(file) if !is_buffered && out.capacity() - out.len() <= n => {
                let read = rustix::io::read(file, spare_capacity(out))?;
                counted.bytes.fetch_add(read as u64, Ordering::Relaxed);
                Ok(read)
            }
            _ => read_cleared(self, out, n),
        }
    }
}

impl<R: Read + Send> Text for BufReader<flate2::read::MultiGzDecoder<R>> {}
impl<R: BufRead + Send> Text for BufReader<zstd::stream::read::Decoder<'static, R>> {}

/// A buffered reader of a file's text that knows its file and how many records it gave.
pub(crate) struct TextFile {
    input: Box<dyn Text>,
    path: String,
    compression: Compression,
    pub(crate) records: u64,
}

impl TextFile {
    /// Opens the file and passes a UTF-8 byte order mark.
    pub(crate) fn open(
        input: &Input,
        compression: Compression,
        reading: &Reading,
    ) -> Result<Self, FilesError> {
        let source = input.open(reading)?;
        Self::over(source, input.name(), compression, reading)
    }

    /// The same over a source that is open.
    pub(crate) fn over(
        source: Source,
        path: &str,
        compression: Compression,
        reading: &Reading,
    ) -> Result<Self, FilesError> {
        let counted = Counted {
            inner: source,
            bytes: reading.bytes.clone(),
        };
        let input: Box<dyn Text> = match compression {
            Compression::None => Box::new(BufReader::with_capacity(OUTER_BUFFER_BYTES, counted)),
            Compression::Gzip => Box::new(BufReader::with_capacity(
                OUTER_BUFFER_BYTES,
                flate2::read::MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, counted)),
            )),
            Compression::Zstd => Box::new(BufReader::with_capacity(
                OUTER_BUFFER_BYTES,
                zstd::stream::read::Decoder::new(counted).map_err(|e| FilesError::open(path, e))?,
            )),
        };
        let mut text = Self {
            input,
            path: path.to_owned(),
            compression,
            records: 0,
        };
        if text.fill()?.starts_with(b"\xef\xbb\xbf") {
            text.consume(3);
        }
        Ok(text)
    }

    /// The next bytes; empty at the end of the file.
    pub(crate) fn fill(&mut self) -> Result<&[u8], FilesError> {
        loop {
            match self.input.fill_buf() {
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        // A second call, because a borrow that leaves by the match above would last until the return.
        self.input
            .fill_buf()
            .map_err(|e| io_failed(&self.path, self.compression, self.records, e))
    }

    /// Reads at most `n` bytes onto the end of `out`; how many, 0 at the end of the file.
    pub(crate) fn read_onto(&mut self, out: &mut Vec<u8>, n: usize) -> Result<usize, FilesError> {
        loop {
            match self.input.read_onto(out, n) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|e| self.failed(e)),
            }
        }
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.input.consume(n);
    }

    /// A reader over the same bytes, for parsers that want one.
    pub(crate) fn into_read(self) -> impl Read + Send {
        self.input
    }

    pub(crate) fn failed(&self, error: io::Error) -> FilesError {
        io_failed(&self.path, self.compression, self.records, error)
    }

    pub(crate) fn damaged(&self, problem: impl Into<String>) -> FilesError {
        FilesError::Damaged {
            path: self.path.clone(),
            records: self.records,
            problem: problem.into(),
        }
    }

    pub(crate) fn check_length(&self, bytes: usize) -> Result<(), FilesError> {
        if bytes <= MAX_RECORD_BYTES {
            return Ok(());
        }
        Err(FilesError::RecordTooLong {
            path: self.path.clone(),
            records: self.records,
            limit: MAX_RECORD_BYTES,
        })
    }
}

/// A decompressor's complaint is damage; what a disk says may pass.
pub(crate) fn io_failed(
    path: &str,
    compression: Compression,
    records: u64,
    error: io::Error,
) -> FilesError {
    let error = match error.downcast::<FilesError>() {
        // Of an object's bytes, not of what they say.
        Ok(error) => return error,
        Err(error) => error,
    };
    let damaged = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    );
    match compression {
        // zstd reports every problem of a frame as `Other`.
        Compression::Zstd if damaged || error.kind() == io::ErrorKind::Other => {
            FilesError::Damaged {
                path: path.to_owned(),
                records,
                problem: format!("the zstd stream is cut short or broken: {error}"),
            }
        }
        Compression::Gzip if damaged => FilesError::Damaged {
            path: path.to_owned(),
            records,
            problem: format!("the gzip stream is cut short or broken: {error}"),
        },
        _ => FilesError::Read {
            path: path.to_owned(),
            records,
            source: error,
        },
    }
}

/// JSON's whitespace.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
