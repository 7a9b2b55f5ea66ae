//! A file in a store, sent in parts as it is written.
//!
//! `object_store`'s `BufWriter` does the same, but lets go of an upload whose last parts fail
//! without aborting it, and cannot be told to: what was sent would be kept, and paid for, for ever.

use bytes::Bytes;
use futures::future::BoxFuture;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, path::Path};
use parquet::{arrow::async_writer::AsyncFileWriter, errors::ParquetError};
use std::sync::Arc;

/// Writes an object: by one PUT where it is smaller than a part, else part by part.
pub(super) struct PartWriter {
    store: Arc<dyn ObjectStore>,
    path: Path,
    part_bytes: usize,
    /// Less than a part.
    buffer: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl PartWriter {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path, part_bytes: usize) -> Self {
        Self {
            store,
            path,
            part_bytes,
            buffer: Vec::new(),
            upload: None,
        }
    }

    async fn put(&mut self, mut bytes: Bytes) -> object_store::Result<()> {
        while self.buffer.len() + bytes.len() >= self.part_bytes {
            let rest = bytes.split_to(self.part_bytes - self.buffer.len());
            self.buffer.extend_from_slice(&rest);
            self.send().await?;
        }
        self.buffer.extend_from_slice(&bytes);
        Ok(())
    }

    async fn send(&mut self) -> object_store::Result<()> {
        let part = std::mem::take(&mut self.buffer);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let upload = self.store.put_multipart(&self.path).await?;
                self.upload.insert(upload)
            }
        };
        upload.put_part(part.into()).await
    }

    async fn finish(&mut self) -> object_store::Result<()> {
        if self.upload.is_none() {
            let whole = std::mem::take(&mut self.buffer);
            self.store.put(&self.path, whole.into()).await?;
            return Ok(());
        }
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        Ok(())
    }

    /// Lets the parts go that were sent, if any were.
    pub(super) async fn abort(self) {
        if let Some(mut upload) = self.upload
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(path = %self.path, %error, "aborting an upload failed");
        }
    }
}

impl AsyncFileWriter for PartWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, parquet::errors::Result<()>> {
        Box::pin(async { self.put(bytes).await.map_err(external) })
    }

    fn complete(&mut self) -> BoxFuture<'_, parquet::errors::Result<()>> {
        Box::pin(async { self.finish().await.map_err(external) })
    }
}

/// As an I/O error, whose kind tells what may pass by itself.
fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(std::io::Error::from(error)))
}
