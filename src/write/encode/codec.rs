//! Compression of pages.

use crate::write::options::Compression;
use parquet::errors::{ParquetError, Result};
use zstd::zstd_safe;

/// The base 2 logarithm of places remembered by [`Search::Near`].
const NEAR_PLACES: u32 = 10;

/// How far back Zstandard looks for what it has seen; the other codecs have one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Search {
    /// As its level says.
    #[default]
    Far,
    /// It remembers the last few places only. Of values that hardly repeat it finds little else anyway, most of it the lengths
    /// between them, which are everywhere: that takes half the time, and a near place takes fewer bits to name.
    Near,
}

/// Compression contexts, made when first needed and used for all pages of all columns after.
#[derive(Default)]
pub(super) struct Compressor {
    zstd: Option<((i32, Search), zstd::bulk::Compressor<'static>)>,
    snappy: Option<snap::raw::Encoder>,
    /// Zstandard's output, which need not be cleared before it is written.
    fresh: Vec<u8>,
    /// Output of the others; its length never shrinks.
    reused: Vec<u8>,
}

impl Compressor {
    /// `raw` compressed; valid until the next call.
    pub(super) fn compress<'a>(
        &'a mut self,
        compression: Compression,
        search: Search,
        raw: &'a [u8],
    ) -> Result<&'a [u8]> {
        match compression {
            Compression::None => Ok(raw),
            Compression::Zstd { level } => {
                let wanted = (level.clamp(1, 22), search);
                let context = match &mut self.zstd {
                    Some((is, context)) => {
                        if *is != wanted {
                            set(context, wanted)?;
                            *is = wanted;
                        }
                        context
                    }
                    none => {
                        let mut context = zstd::bulk::Compressor::new(wanted.0)?;
                        set(&mut context, wanted)?;
                        &mut none.insert((wanted, context)).1
                    }
                };
                self.fresh.clear();
                self.fresh.reserve(zstd_safe::compress_bound(raw.len()));
                context.compress_to_buffer(raw, &mut self.fresh)?;
                Ok(&self.fresh)
            }
            Compression::Snappy => {
                let room = room(&mut self.reused, snap::raw::max_compress_len(raw.len()));
                let encoder = self.snappy.get_or_insert_with(snap::raw::Encoder::new);
                let length = encoder.compress(raw, room).map_err(external)?;
                Ok(&self.reused[..length])
            }
            Compression::Lz4 => {
                let most = lz4_flex::block::get_maximum_output_size(raw.len());
                let room = room(&mut self.reused, most);
                let length = lz4_flex::block::compress_into(raw, room).map_err(external)?;
                Ok(&self.reused[..length])
            }
        }
    }

    /// Bytes of the output buffers.
    pub(super) fn memory(&self) -> usize {
        self.fresh.capacity() + self.reused.capacity()
    }
}

/// Says what bytes weigh once compressed.
pub(super) struct Scale<'a> {
    pub(super) compressor: &'a mut Compressor,
    pub(super) compression: Compression,
}

impl Scale<'_> {
    pub(super) fn weigh(&mut self, raw: &[u8]) -> Result<usize> {
        let small = self
            .compressor
            .compress(self.compression, Search::Far, raw)?;
        Ok(small.len().min(raw.len()))
    }
}

fn set(
    context: &mut zstd::bulk::Compressor<'static>,
    (level, search): (i32, Search),
) -> std::io::Result<()> {
    context.set_compression_level(level)?;
    // 0 is the level's own.
    let places = match search {
        Search::Far => 0,
        Search::Near => NEAR_PLACES,
    };
    context.set_parameter(zstd_safe::CParameter::HashLog(places))
}

fn room(buffer: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    &mut buffer[..size]
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}
