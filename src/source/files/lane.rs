//! The records of one lane, file by file.

use super::{
    FileEntry, FilesError,
    csv_types::CsvTypes,
    format,
    inputs::stat,
    records::{Chunk, RecordReader},
    text::BytesRead,
};
use crate::{event::Offset, source::slab};
use std::sync::Arc;

/// Records of one file of a lane.
pub(crate) struct LaneChunk {
    pub(crate) path: Arc<str>,
    /// Modification time of the file: the records' event time.
    pub(crate) event_time: i64,
    /// The offset of the first record; the others follow without gaps.
    pub(crate) start: Offset,
    pub(crate) chunk: Chunk,
}

/// A file's path and its records.
type Open = (Arc<str>, Box<dyn RecordReader>);

/// Blocking; moved to a thread for blocking work and back for each chunk.
pub(crate) struct LaneReader {
    files: Vec<FileEntry>,
    types: Arc<CsvTypes>,
    bytes: BytesRead,
    /// The file that is open, or else comes next.
    index: usize,
    open: Option<Open>,
    offset: Offset,
    /// Met behind the records last handed on; a reader is not asked again after an error.
    failed: Option<FilesError>,
}

impl LaneReader {
    pub(crate) fn new(files: Vec<FileEntry>, types: Arc<CsvTypes>, bytes: BytesRead) -> Self {
        Self {
            files,
            types,
            bytes,
            index: 0,
            open: None,
            offset: 0,
            failed: None,
        }
    }

    /// The offset of the next record.
    pub(crate) fn offset(&self) -> Offset {
        self.offset
    }

    /// How many files were read to their end.
    pub(crate) fn files_read(&self) -> usize {
        self.index
    }

    /// Passes `n` records; how many there were, if fewer.
    pub(crate) fn skip(&mut self, n: u64) -> Result<u64, FilesError> {
        let mut left = n;
        while left > 0 {
            let Some((_, reader)) = self.current()? else {
                break;
            };
            let skipped = reader.skip(left)?;
            self.offset += skipped;
            left -= skipped;
            if left > 0 {
                self.close()?;
            }
        }
        Ok(n - left)
    }

    /// The next records, all of one file; `None` at the end of the lane.
    pub(crate) fn next(&mut self, target_bytes: usize) -> Result<Option<LaneChunk>, FilesError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let start = self.offset;
        while let Some((path, reader)) = self.current()? {
            let path = path.clone();
            let mut chunk = Chunk {
                slab: slab::take(target_bytes),
                records: Vec::new(),
            };
            let read = reader.read(&mut chunk, target_bytes);
            let event_time = self.files.get(self.index).map_or(0, |f| f.modified_us);
            match read {
                Ok(true) => {}
                Ok(false) => self.close()?,
                Err(e) if chunk.records.is_empty() => return Err(e),
                // What precedes the damage is handed on first.
                Err(e) => self.failed = Some(e),
            }
            if !chunk.records.is_empty() {
                chunk
                    .slab
                    .truncate(chunk.records.last().map_or(0, |r| r.0.end as usize));
                self.offset += chunk.records.len() as u64;
                return Ok(Some(LaneChunk {
                    path,
                    event_time,
                    start,
                    chunk,
                }));
            }
        }
        Ok(None)
    }

    fn current(&mut self) -> Result<Option<&mut Open>, FilesError> {
        if self.open.is_none() {
            let Some(file) = self.files.get(self.index) else {
                return Ok(None);
            };
            let path = check_unchanged(file)?;
            let reader = format::open(
                &path,
                file.format,
                file.compression,
                &self.types,
                self.bytes.clone(),
            )?;
            self.open = Some((path.into(), reader));
        }
        Ok(self.open.as_mut())
    }

    /// Leaves a file that was read to its end, if it is still the one of the manifest.
    fn close(&mut self) -> Result<(), FilesError> {
        if let Some(file) = self.files.get(self.index) {
            check_unchanged(file)?;
        }
        self.open = None;
        self.index += 1;
        Ok(())
    }
}

fn check_unchanged(file: &FileEntry) -> Result<String, FilesError> {
    let path = file.path()?;
    let now = stat(&path)?;
    if now.size != file.size || now.modified_us != file.modified_us {
        return Err(FilesError::ChangedWhileRead(path));
    }
    Ok(path)
}
