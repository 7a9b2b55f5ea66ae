//! An object as the Parquet reader takes it: pages of many columns in turn, each column in order.
//!
//! Each column chunk of a row group is a stretch with a read-ahead of its own; chunks so small that
//! several fit into one block share one. So what is held follows neither the file nor the row group.

use super::{
    super::{FilesError, input::Reading},
    Ahead, Object,
    ahead::ReadAhead,
};
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::{
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        reader::{ChunkReader, Length},
    },
};
use std::{
    io::{self, Read},
    ops::Range,
    sync::Arc,
};

/// What is read of the end of a file at once: the footer, and a small file whole.
const TAIL_BYTES: u64 = 128 << 10;
const SMALLEST_BLOCK: u64 = 64 << 10;
const LARGEST_BLOCK: u64 = 4 << 20;

/// Clones read on from the same blocks.
#[derive(Clone)]
pub(crate) struct ObjectChunks(Arc<Mutex<Inner>>);

struct Inner {
    object: Arc<Object>,
    reading: Reading,
    /// For the footer and whatever is of no column.
    tail: Ahead,
    /// Where the column chunks of each row group are.
    groups: Vec<Vec<Range<u64>>>,
    /// The row groups at hand, by number: one, or two where rows of both make a batch.
    open: Vec<(usize, Vec<Stretch>)>,
    /// What went wrong: errors pass through Arrow as text alone.
    failed: Option<FilesError>,
}

struct Stretch {
    range: Range<u64>,
    bytes: Ahead,
}

impl ObjectChunks {
    pub(crate) fn new(object: Arc<Object>, reading: &Reading) -> Result<Self, FilesError> {
        let ahead = ReadAhead {
            block_bytes: TAIL_BYTES,
            blocks: 0,
        };
        let mut tail = Ahead::new(object.clone(), 0..object.size(), ahead, reading)?;
        tail.seek(object.size().saturating_sub(TAIL_BYTES));
        tail.fill()?;
        Ok(Self(Arc::new(Mutex::new(Inner {
            object,
            reading: reading.clone(),
            tail,
            groups: Vec::new(),
            open: Vec::new(),
            failed: None,
        }))))
    }

    /// Says where the column chunks are, once the footer has told.
    pub(crate) fn set_row_groups(&self, groups: &[RowGroupMetaData]) {
        self.0.lock().groups = groups.iter().map(chunk_ranges).collect();
    }

    /// The error behind one that Arrow has made text of.
    pub(crate) fn take_failed(&self) -> Option<FilesError> {
        self.0.lock().failed.take()
    }
}

/// Damaged footers name impossible places; those the reader will complain of.
fn chunk_ranges(group: &RowGroupMetaData) -> Vec<Range<u64>> {
    let range = |column: &parquet::file::metadata::ColumnChunkMetaData| {
        let first = column
            .dictionary_page_offset()
            .unwrap_or_else(|| column.data_page_offset());
        let start = u64::try_from(first).ok()?;
        let length = u64::try_from(column.compressed_size()).ok()?;
        Some(start..start.checked_add(length)?)
    };
    let mut ranges: Vec<_> = group.columns().iter().filter_map(range).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// The stretches of a row group, and how long their blocks are so that all together hold about `bytes`:
/// each has a block at hand and one being fetched.
fn stretches(chunks: &[Range<u64>], bytes: u64) -> (Vec<Range<u64>>, u64) {
    let mut joined: Vec<Range<u64>> = chunks.to_vec();
    loop {
        let block = (bytes / 2 / joined.len().max(1) as u64).clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
        let mut fewer: Vec<Range<u64>> = Vec::new();
        for chunk in chunks {
            match fewer.last_mut() {
                // The bytes between two chunks, if there are any, come along.
                Some(last) if chunk.start >= last.end && chunk.end - last.start <= block => {
                    last.end = chunk.end;
                }
                _ => fewer.push(chunk.clone()),
            }
        }
        if fewer.len() >= joined.len() {
            return (fewer, block);
        }
        joined = fewer;
    }
}

impl Inner {
    /// The stretch that holds this byte, at that byte.
    fn at(&mut self, start: u64) -> Result<&mut Ahead, FilesError> {
        self.tail.seek(start);
        if self.tail.is_at_hand() {
            return Ok(&mut self.tail);
        }
        let group = match self.open.iter().find(|(_, s)| holder(s, start).is_some()) {
            Some((group, _)) => Some(*group),
            None => {
                let holds = |chunks: &Vec<Range<u64>>| chunks.iter().any(|c| c.contains(&start));
                let group = self.groups.iter().position(holds);
                if let Some(group) = group {
                    self.open_group(group)?;
                }
                group
            }
        };
        let stretch = self
            .open
            .iter_mut()
            .find(|(number, _)| Some(*number) == group)
            .and_then(|(_, stretches)| {
                let i = holder(stretches, start)?;
                stretches.get_mut(i)
            });
        match stretch {
            Some(stretch) => {
                stretch.bytes.seek(start);
                Ok(&mut stretch.bytes)
            }
            None => Ok(&mut self.tail),
        }
    }

    /// Begins to fetch all columns of a row group. The one before it stays: some columns may still be there.
    fn open_group(&mut self, group: usize) -> Result<(), FilesError> {
        self.open.retain(|(number, _)| number + 1 == group);
        // What stays is a block a column at most, for nothing is fetched of a group that ends: half as
        // much again as a group alone.
        let bytes = self.reading.ahead.total_bytes() * 2 / 3;
        let (ranges, block_bytes) = stretches(&self.groups[group], bytes);
        let mut stretches = Vec::with_capacity(ranges.len());
        for range in ranges {
            let end = range.end.min(self.object.size());
            let ahead = ReadAhead {
                block_bytes,
                blocks: 1,
            };
            let mut bytes =
                Ahead::new(self.object.clone(), range.start..end, ahead, &self.reading)?;
            bytes.start();
            stretches.push(Stretch { range, bytes });
        }
        self.open.push((group, stretches));
        Ok(())
    }

    fn bytes(&mut self, start: u64, length: usize) -> Result<Bytes, FilesError> {
        self.at(start)?.bytes(length)
    }

    fn read(&mut self, start: u64, out: &mut [u8]) -> io::Result<usize> {
        let read = self
            .at(start)
            .and_then(|bytes| bytes.read(out).map_err(FilesError::from_io));
        read.map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            io::Error::other(text)
        })
    }
}

fn holder(stretches: &[Stretch], start: u64) -> Option<usize> {
    stretches.iter().position(|s| s.range.contains(&start))
}

impl Length for ObjectChunks {
    fn len(&self) -> u64 {
        self.0.lock().object.size()
    }
}

impl ChunkReader for ObjectChunks {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> parquet::errors::Result<ChunkRead> {
        Ok(ChunkRead {
            chunks: self.clone(),
            position: start,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut inner = self.0.lock();
        match inner.bytes(start, length) {
            Ok(bytes) if bytes.len() == length => Ok(bytes),
            Ok(bytes) => Err(ParquetError::EOF(format!(
                "expected to read {length} bytes, read only {}",
                bytes.len()
            ))),
            Err(error) => {
                let text = error.to_string();
                inner.failed = Some(error);
                Err(ParquetError::General(text))
            }
        }
    }
}

/// Reads on from a place, for the headers of pages, whose length nobody knows before.
pub(crate) struct ChunkRead {
    chunks: ObjectChunks,
    position: u64,
}

impl Read for ChunkRead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.chunks.0.lock().read(self.position, out)?;
        self.position += n as u64;
        Ok(n)
    }
}
