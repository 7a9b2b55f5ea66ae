//! The records of one lane, file by file.

use super::{
    FileEntry, FilesError,
    csv_types::CsvTypes,
    format,
    input::{Input, Reading},
    inputs::stat,
    records::{Chunk, RecordReader},
};
use crate::{event::Offset, source::slab};
use std::sync::Arc;

/// Records of one file of a lane.
pub(crate) struct LaneChunk {
    pub(crate) path: Arc<str>,
    /// When the file changed last: the records' event time.
    pub(crate) event_time: i64,
    /// The offset of the first record; the others follow without gaps.
    pub(crate) start: Offset,
    pub(crate) chunk: Chunk,
}

/// A file and its records.
type Open = (Input, Box<dyn RecordReader>);

/// Blocking; moved to a thread for blocking work and back for each chunk.
pub(crate) struct LaneReader {
    files: Vec<FileEntry>,
    types: Arc<CsvTypes>,
    reading: Reading,
    /// The file that is open, or else comes next.
    index: usize,
    open: Option<Open>,
    offset: Offset,
    /// Met behind the records last handed on; a reader is not asked again after an error.
    failed: Option<FilesError>,
}

impl LaneReader {
    pub(crate) fn new(files: Vec<FileEntry>, types: Arc<CsvTypes>, reading: Reading) -> Self {
        Self {
            files,
            types,
            reading,
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
        while let Some((input, reader)) = self.current()? {
            let path = input.name().clone();
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
            let input = Input::of(file, &*self.reading.stores)?;
            check_unchanged(file, &input)?;
            let reader = format::open(
                &input,
                file.format,
                file.compression,
                &self.types,
                &self.reading,
            )?;
            self.open = Some((input, reader));
        }
        Ok(self.open.as_mut())
    }

    /// Leaves a file that was read to its end, if it is still the one of the manifest.
    fn close(&mut self) -> Result<(), FilesError> {
        if let (Some(file), Some((input, _))) = (self.files.get(self.index), &self.open) {
            check_unchanged(file, input)?;
        }
        self.open = None;
        self.index += 1;
        Ok(())
    }
}

/// Of a file only: whatever is read of an object says by itself what it is of.
fn check_unchanged(file: &FileEntry, input: &Input) -> Result<(), FilesError> {
    let Input::File(path) = input else {
        return Ok(());
    };
    match stat(path)?.is_same(file.size, file.modified_us, None) {
        true => Ok(()),
        false => Err(FilesError::ChangedWhileRead(path.to_string())),
    }
}
