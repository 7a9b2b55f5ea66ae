//! Compression of pages.

use crate::write::options::Compression;
use parquet::errors::{ParquetError, Result};
use zstd::zstd_safe;

/// Compression contexts, made when first needed and used for all pages of all columns after.
#[derive(Default)]
pub(super) struct Compressor {
    zstd: Option<(i32, zstd::bulk::Compressor<'static>)>,
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
        raw: &'a [u8],
    ) -> Result<&'a [u8]> {
        match compression {
            Compression::None => Ok(raw),
            Compression::Zstd { level } => {
                let level = level.clamp(1, 22);
                let context = match &mut self.zstd {
                    Some((at, context)) => {
                        if *at != level {
                            context.set_compression_level(level)?;
                            *at = level;
                        }
                        context
                    }
                    none => &mut none.insert((level, zstd::bulk::Compressor::new(level)?)).1,
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

fn room(buffer: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    &mut buffer[..size]
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}
