//! CSV with a header: each row an object of column name to value.
//!
//! Quoting per RFC 4180; the separator is a comma, or a tab in `.tsv`. An empty value is null, quoted
//! or not. A row with more or fewer values than the header, or one that is not UTF-8, is a record that
//! the source rejects: its original values, as a CSV row, become a dead letter.

use super::{
    Compression, CsvType, FilesError, MAX_RECORD_BYTES,
    csv_types::{CsvTypes, Guess, is_number},
    input::{Input, Reading},
    records::{Chunk, RecordReader},
    text::{TextFile, io_failed},
};
use crate::event::{RecordKind, RejectReason};
use ::csv::{ByteRecord, Reader, ReaderBuilder};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

struct Column {
    /// `"name":`
    key: Vec<u8>,
    kind: CsvType,
}

pub(crate) struct CsvReader {
    rows: Rows,
    columns: Vec<Column>,
}

/// The rows below the header.
struct Rows {
    reader: Reader<Box<dyn Read + Send>>,
    /// What may be read before the row at hand must have ended.
    left: Arc<AtomicUsize>,
    header: Vec<String>,
    path: String,
    compression: Compression,
    separator: u8,
    records: u64,
    row: ByteRecord,
}

impl Rows {
    fn open(
        input: &Input,
        compression: Compression,
        separator: u8,
        reading: &Reading,
    ) -> Result<Self, FilesError> {
        let left = Arc::new(AtomicUsize::new(MAX_RECORD_BYTES));
        let text: Box<dyn Read + Send> = Box::new(Bounded {
            inner: TextFile::open(input, compression, reading)?.into_read(),
            left: left.clone(),
        });
        let mut rows = Self {
            reader: ReaderBuilder::new()
                .delimiter(separator)
                .has_headers(false)
                .flexible(true)
                .buffer_capacity(64 << 10)
                .from_reader(text),
            left,
            header: Vec::new(),
            path: input.name().to_string(),
            compression,
            separator,
            records: 0,
            row: ByteRecord::new(),
        };
        rows.read_header()?;
        Ok(rows)
    }

    /// An empty file has no columns and no rows.
    fn read_header(&mut self) -> Result<(), FilesError> {
        if !self.advance()? {
            return Ok(());
        }
        let bad = |problem: String| FilesError::Header {
            path: self.path.clone(),
            problem,
        };
        let mut seen = BTreeSet::new();
        let mut header = Vec::with_capacity(self.row.len());
        for (i, name) in self.row.iter().enumerate() {
            let name = std::str::from_utf8(name)
                .map_err(|_| bad(format!("column {} is not UTF-8", i + 1)))?
                .trim();
            if name.is_empty() {
                return Err(bad(format!("column {} has no name", i + 1)));
            }
            if !seen.insert(name) {
                return Err(bad(format!("the name stands twice column=`{name}`")));
            }
            header.push(name.to_owned());
        }
        self.header = header;
        Ok(())
    }

    /// Reads the next row into `self.row`; false at the end.
    fn advance(&mut self) -> Result<bool, FilesError> {
        self.left.store(MAX_RECORD_BYTES, Ordering::Relaxed);
        match self.reader.read_byte_record(&mut self.row) {
            Ok(more) => Ok(more),
            Err(e) => {
                let message = e.to_string();
                Err(match e.into_kind() {
                    ::csv::ErrorKind::Io(io) if io.kind() == io::ErrorKind::FileTooLarge => {
                        FilesError::RecordTooLong {
                            path: self.path.clone(),
                            records: self.records,
                            limit: MAX_RECORD_BYTES,
                        }
                    }
                    ::csv::ErrorKind::Io(io) => {
                        io_failed(&self.path, self.compression, self.records, io)
                    }
                    _ => FilesError::Damaged {
                        path: self.path.clone(),
                        records: self.records,
                        problem: message,
                    },
                })
            }
        }
    }

    /// Why the row cannot be an object, if so.
    fn rejected(&self) -> Option<RejectReason> {
        if self.row.len() != self.header.len() {
            let line = self.row.position().map_or(0, ::csv::Position::line);
            return Some(RejectReason {
                code: "malformed",
                detail: format!(
                    "the CSV row has {} values, the header {} line=`{line}`",
                    self.row.len(),
                    self.header.len()
                )
                .into(),
            });
        }
        let not_text = self
            .row
            .iter()
            .zip(&self.header)
            .find(|(value, _)| std::str::from_utf8(value).is_err())?;
        Some(RejectReason {
            code: "invalid_utf8",
            detail: format!("a CSV value is not UTF-8 column=`{}`", not_text.1).into(),
        })
    }
}

impl CsvReader {
    pub(crate) fn open(
        input: &Input,
        compression: Compression,
        separator: u8,
        types: &CsvTypes,
        reading: &Reading,
    ) -> Result<Self, FilesError> {
        let rows = Rows::open(input, compression, separator, reading)?;
        let columns = rows
            .header
            .iter()
            .map(|name| {
                let mut key = Vec::with_capacity(name.len() + 3);
                json_text(&mut key, name);
                key.push(b':');
                Column {
                    key,
                    kind: types.get(name).copied().unwrap_or_default(),
                }
            })
            .collect();
        Ok(Self { rows, columns })
    }

    fn object(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (value, column) in self.rows.row.iter().zip(&self.columns) {
            if value.is_empty() {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(&column.key);
            let literal = match column.kind {
                CsvType::Text => false,
                CsvType::Number => is_number(value),
                CsvType::Boolean => matches!(value, b"true" | b"false"),
            };
            if literal {
                out.extend_from_slice(value);
            } else {
                // `rejected` has seen that it is UTF-8.
                json_text(out, &String::from_utf8_lossy(value));
            }
        }
        out.push(b'}');
    }

    /// The row as CSV, byte for byte but for its quotes.
    fn original(&self, out: &mut Vec<u8>) -> Result<(), FilesError> {
        let mut writer = ::csv::WriterBuilder::new()
            .delimiter(self.rows.separator)
            .flexible(true)
            .terminator(::csv::Terminator::Any(b'\n'))
            .from_writer(Vec::new());
        let written = writer
            .write_byte_record(&self.rows.row)
            .map_err(|e| e.to_string())
            .and_then(|()| writer.into_inner().map_err(|e| e.to_string()));
        let bytes = written.map_err(FilesError::Task)?;
        out.extend_from_slice(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        Ok(())
    }
}

impl RecordReader for CsvReader {
    fn read(&mut self, chunk: &mut Chunk, target_bytes: usize) -> Result<bool, FilesError> {
        while !chunk.is_full(target_bytes) {
            if !self.rows.advance()? {
                return Ok(false);
            }
            let start = chunk.slab.len();
            match self.rows.rejected() {
                None => {
                    self.object(&mut chunk.slab);
                    chunk.push(start, RecordKind::Event);
                }
                Some(reason) => {
                    self.original(&mut chunk.slab)?;
                    chunk.push(start, RecordKind::Rejected(reason));
                }
            }
            self.rows.records += 1;
        }
        Ok(true)
    }

    fn skip(&mut self, n: u64) -> Result<u64, FilesError> {
        for skipped in 0..n {
            if !self.rows.advance()? {
                return Ok(skipped);
            }
            self.rows.records += 1;
        }
        Ok(n)
    }
}

/// Ends a row that does not end (a quote that is never closed) before it fills the memory.
struct Bounded<R> {
    inner: R,
    left: Arc<AtomicUsize>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let n = self.inner.read(buf)?;
        self.left.store(left.saturating_sub(n), Ordering::Relaxed);
        Ok(n)
    }
}

/// Reads the whole file for what its columns' values have in common. Rows that will be rejected do
/// not count.
pub(crate) fn guess_types(
    input: &Input,
    compression: Compression,
    separator: u8,
    reading: &Reading,
) -> Result<BTreeMap<String, Guess>, FilesError> {
    let mut rows = Rows::open(input, compression, separator, reading)?;
    let mut guesses = vec![Guess::default(); rows.header.len()];
    while rows.advance()? {
        if rows.row.len() == guesses.len() {
            for (guess, value) in guesses.iter_mut().zip(rows.row.iter()) {
                guess.observe(value);
            }
        }
        rows.records += 1;
    }
    Ok(rows.header.into_iter().zip(guesses).collect())
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}
