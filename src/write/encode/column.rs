//! One column of the file that is being written: a page in the making, and the pages of its chunk.

use super::{
    bounds::Extremes,
    codec::{Compressor, Scale, Search},
    levels::Levels,
    page,
    scratch::{Buffers, Scratch},
    values::Values,
};
use crate::write::options::Compression;
use arrow::{array::Array, buffer::NullBuffer};
use bytes::Bytes;
use parquet::{
    basic::{self, Encoding, PageType},
    errors::{ParquetError, Result},
    file::metadata::{ColumnChunkMetaData, PageEncodingStats},
    schema::types::ColumnDescPtr,
};

/// A page that shrinks less than to this share is not worth reading through a decompressor.
const WORTHWHILE_PERCENT: usize = 95;

/// Looking near is good enough if a page is not larger than to this share for it.
const NEAR_PERCENT: usize = 105;

pub(super) struct Column {
    descr: ColumnDescPtr,
    max_definition: u8,
    max_repetition: u8,
    compression: Compression,
    /// Memory that a page's values and levels may use before they are encoded.
    page_bytes: usize,
    definition: Levels,
    repetition: Levels,
    values: Values,
    chunk: Chunk,
}

/// What a column chunk has so far.
#[derive(Default)]
struct Chunk {
    /// Chosen with the first page: a chunk has one codec.
    compression: Option<Compression>,
    /// How plain strings are compressed; chosen with the first page of them.
    search: Option<Search>,
    /// Headers and contents in turn.
    pages: Vec<Bytes>,
    /// Bytes in `pages`.
    stored: usize,
    /// Bytes of the same pages before compression.
    raw: usize,
    slots: usize,
    values: usize,
    encodings: Vec<PageEncodingStats>,
}

/// A chunk that is complete: its bytes in file order, and what the footer says of it.
pub(super) struct Finished {
    pub(super) pages: Vec<Bytes>,
    pub(super) metadata: ColumnChunkMetaData,
}

impl Column {
    pub(super) fn new(
        descr: ColumnDescPtr,
        values: Values,
        compression: Compression,
        page_bytes: usize,
    ) -> Self {
        Self {
            max_definition: descr.max_def_level() as u8,
            max_repetition: descr.max_rep_level() as u8,
            descr,
            compression,
            page_bytes,
            definition: Levels::default(),
            repetition: Levels::default(),
            values,
            chunk: Chunk::default(),
        }
    }

    /// The definition levels of the page, to add to; each stands for a value, a null or an empty list.
    pub(super) fn definition(&mut self) -> &mut Levels {
        &mut self.definition
    }

    /// The repetition levels of the page, to add to; as many as definition levels where the column is in a list.
    pub(super) fn repetition(&mut self) -> &mut Levels {
        &mut self.repetition
    }

    /// Adds those values of `array` that `nulls` does not hide.
    pub(super) fn add(
        &mut self,
        array: &dyn Array,
        nulls: Option<&NullBuffer>,
        buffers: &mut Buffers,
    ) -> Result<()> {
        self.values.add(array, nulls, buffers)
    }

    /// Ends the page if it is long enough. Called between rows, so that no row spans two pages.
    pub(super) fn end_row(&mut self, scratch: &mut Scratch) -> Result<()> {
        let buffered = self.values.buffered() + self.definition.bytes() + self.repetition.bytes();
        if buffered >= self.page_bytes || self.values.is_full() {
            self.end_page(scratch, true)?;
        }
        Ok(())
    }

    /// `more`: further pages are likely.
    fn end_page(&mut self, scratch: &mut Scratch, more: bool) -> Result<()> {
        let slots = self.definition.len();
        if slots == 0 {
            return Ok(());
        }
        let Scratch {
            compressor,
            page: raw,
            ..
        } = scratch;
        raw.clear();
        if self.max_repetition > 0 {
            self.repetition.encode(self.max_repetition, raw);
        }
        if self.max_definition > 0 {
            self.definition.encode(self.max_definition, raw);
        }
        self.chunk.slots += slots;
        self.chunk.values += self.values.len();
        let mut scale = Scale {
            compressor,
            compression: self.compression,
        };
        let encoding = self.values.page(raw, &mut scale)?;
        let raw: &[u8] = raw;
        self.definition.clear();
        self.repetition.clear();

        let search = match self.chunk.search {
            _ if encoding != Encoding::PLAIN || !matches!(self.values, Values::Bytes(_)) => {
                Search::Far
            }
            Some(chosen) => chosen,
            None if more => *self
                .chunk
                .search
                .insert(search(compressor, self.compression, raw)?),
            None => Search::Far,
        };
        let stored = match self.chunk.compression {
            Some(chosen) => compressor.compress(chosen, search, raw)?,
            None => {
                let small = compressor.compress(self.compression, search, raw)?;
                // Entries of a dictionary mostly shrink even where their indices do not.
                let is_worthwhile = encoding == Encoding::RLE_DICTIONARY
                    || small.len() * 100 < raw.len() * WORTHWHILE_PERCENT;
                if is_worthwhile {
                    self.chunk.compression = Some(self.compression);
                    small
                } else {
                    self.chunk.compression = Some(Compression::None);
                    raw
                }
            }
        };
        check_length(raw.len())?;
        let header = page::data_page(raw.len(), stored.len(), slots, encoding);
        let raw = header.len() + raw.len();
        self.chunk.push(header, stored, raw);
        self.chunk.count(PageType::DATA_PAGE, encoding);
        Ok(())
    }

    /// Ends the chunk, which begins at `offset` in the file, and begins a new one. `told` is given its number of nulls
    /// and its range.
    pub(super) fn finish(
        &mut self,
        offset: usize,
        scratch: &mut Scratch,
        told: impl FnOnce(u64, Extremes<'_>),
    ) -> Result<Finished> {
        self.end_page(scratch, false)?;
        let mut chunk = std::mem::take(&mut self.chunk);
        let mut data_offset = offset;
        let Scratch {
            compressor,
            page: raw,
            ..
        } = scratch;
        raw.clear();
        let dictionary = self.values.dictionary(raw);
        if let Some(entries) = dictionary {
            check_length(raw.len())?;
            let compression = chunk.compression.unwrap_or(self.compression);
            let stored = compressor.compress(compression, Search::Far, raw)?;
            let header = page::dictionary_page(raw.len(), stored.len(), entries);
            let raw = header.len() + raw.len();
            let before = chunk.stored;
            chunk.push(header, stored, raw);
            chunk.pages.rotate_right(1);
            chunk.count(PageType::DICTIONARY_PAGE, Encoding::PLAIN);
            chunk.encodings.rotate_right(1);
            data_offset += chunk.stored - before;
        }
        let nulls = (chunk.slots - chunk.values) as u64;
        told(nulls, self.values.extremes());
        let mut encodings: Vec<Encoding> = chunk.encodings.iter().map(|s| s.encoding).collect();
        if self.max_definition > 0 || self.max_repetition > 0 {
            encodings.push(Encoding::RLE);
        }
        let metadata = ColumnChunkMetaData::builder(self.descr.clone())
            .set_encodings(encodings)
            .set_page_encoding_stats(chunk.encodings)
            .set_compression(codec(chunk.compression.unwrap_or(self.compression)))
            .set_num_values(chunk.slots as i64)
            .set_total_compressed_size(chunk.stored as i64)
            .set_total_uncompressed_size(chunk.raw as i64)
            .set_data_page_offset(data_offset as i64)
            .set_dictionary_page_offset(dictionary.map(|_| offset as i64))
            .set_statistics(self.values.statistics(nulls))
            .build()?;
        self.values.reset();
        Ok(Finished {
            pages: chunk.pages,
            metadata,
        })
    }

    /// What the chunk would weigh if ended now, about.
    pub(super) fn size(&self) -> usize {
        let pending =
            self.values.pending() + (self.definition.bytes() + self.repetition.bytes()) / 8;
        let shrunk = match (self.chunk.raw, self.compression) {
            (0, Compression::None) => pending,
            (0, _) => pending / 2,
            (raw, _) => (pending as u64 * self.chunk.stored as u64 / raw as u64) as usize,
        };
        self.chunk.stored + shrunk
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.chunk.stored
            + self.values.memory()
            + self.definition.memory()
            + self.repetition.memory()
    }
}

impl Chunk {
    fn push(&mut self, mut header: Vec<u8>, content: &[u8], raw: usize) {
        header.reserve_exact(content.len());
        header.extend_from_slice(content);
        self.stored += header.len();
        self.raw += raw;
        self.pages.push(header.into());
    }

    fn count(&mut self, page_type: PageType, encoding: Encoding) {
        let same = |s: &&mut PageEncodingStats| s.page_type == page_type && s.encoding == encoding;
        match self.encodings.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => self.encodings.push(PageEncodingStats {
                page_type,
                encoding,
                count: 1,
            }),
        }
    }
}

/// How to compress plain strings such as those in `raw`.
fn search(compressor: &mut Compressor, compression: Compression, raw: &[u8]) -> Result<Search> {
    let Compression::Zstd { .. } = compression else {
        return Ok(Search::Far);
    };
    let near = compressor.compress(compression, Search::Near, raw)?.len();
    let far = compressor.compress(compression, Search::Far, raw)?.len();
    Ok(if near * 100 <= far * NEAR_PERCENT {
        Search::Near
    } else {
        Search::Far
    })
}

/// A page's header states its length in 31 bits.
fn check_length(bytes: usize) -> Result<()> {
    match i32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(ParquetError::General(format!(
            "a page of {bytes} bytes is too long"
        ))),
    }
}

fn codec(compression: Compression) -> basic::Compression {
    match compression {
        Compression::Zstd { level } => basic::Compression::ZSTD(
            basic::ZstdLevel::try_new(level.clamp(1, 22)).unwrap_or_default(),
        ),
        Compression::Snappy => basic::Compression::SNAPPY,
        Compression::Lz4 => basic::Compression::LZ4_RAW,
        Compression::None => basic::Compression::UNCOMPRESSED,
    }
}
