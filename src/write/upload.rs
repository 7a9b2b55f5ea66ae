//! Encoded files to storage, again and again until they are there.

use super::{EncodedFile, Error, Result, UploadOptions};
use crate::{
    event::DataFile,
    storage::{TableLocation, kind_of},
};
use futures::{StreamExt, stream::FuturesUnordered};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tokio::{sync::Semaphore, time::Instant};

/// How long an abort may take.
const ABORT_LIMIT: Duration = Duration::from_secs(2);

/// Puts a file where its path says, below the table's folder.
///
/// Errors of a retryable kind are tried again until `options.cancel` is cancelled; the caller's budget keeps what
/// waits here from growing. An attempt that failed may have landed, and the next one replaces it by the same
/// bytes at the same path; nothing reads the file before a version names it. A path is kept for
/// `options.rename_after`: whatever attempts before then left is an orphan, which a sweep removes and no later
/// attempt brings back. Large files go in parts; a failed attempt's parts are aborted.
///
/// Errors: [`Error::Cancelled`], and what trying again at once does not mend: `Unauthorized`, `Unsupported`,
/// `Config`. Whoever waits for that to be mended gives the file a new name first ([`EncodedFile::rename`]).
pub async fn upload(
    location: &TableLocation,
    file: EncodedFile,
    options: &UploadOptions,
) -> Result<DataFile> {
    let mut file = file;
    let mut path = location.object_path(&file.path)?;
    let started = Instant::now();
    let mut named = started;
    let mut attempt = 1_u32;
    while let Err(failure) = put(&location.store, &path, &file, options).await {
        let error = match failure {
            Failure::Cancelled => return Err(Error::Cancelled { path: file.path }),
            Failure::Store(error) => error,
        };
        options.failing.store(true, Ordering::Release);
        let kind = kind_of(&error);
        metrics::counter!("alluvium_errors_total", "stage" => "write", "kind" => kind.as_str())
            .increment(1);
        if !kind.is_retryable() {
            return Err(Error::Upload {
                path: file.path,
                source: error,
            });
        }
        // The first, second, fourth, eighth, … failure: a store that is down for a day fills no log.
        if attempt.is_power_of_two() {
            tracing::warn!(
                path = file.path, attempt, %error, waited_seconds = started.elapsed().as_secs(),
                "an upload failed and will be tried again until it succeeds"
            );
        }
        tokio::select! {
            biased;
            () = options.cancel.cancelled() => return Err(Error::Cancelled { path: file.path }),
            () = tokio::time::sleep(backoff(options, attempt)) => {}
        }
        attempt = attempt.saturating_add(1);
        if named.elapsed() >= options.rename_after {
            file.rename();
            path = location.object_path(&file.path)?;
            named = Instant::now();
        }
    }
    if attempt > 1 {
        tracing::info!(
            path = file.path,
            attempt,
            "an upload succeeded after failures"
        );
    }
    metrics::counter!("alluvium_write_files_total").increment(1);
    metrics::histogram!("alluvium_write_file_size_bytes").record(file.size as f64);
    metrics::histogram!("alluvium_write_upload_seconds").record(started.elapsed().as_secs_f64());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(file.into_data_file(i64::try_from(now.as_millis()).unwrap_or(i64::MAX)))
}

/// Doubles by attempt up to the longest; between half of it and the whole is waited, so that many uploads that
/// failed together do not come back together.
fn backoff(options: &UploadOptions, attempt: u32) -> Duration {
    let doubled = options
        .first_backoff
        .saturating_mul(1 << (attempt - 1).min(20));
    doubled
        .min(options.longest_backoff)
        .mul_f64(0.5 + fastrand::f64() / 2.0)
}

enum Failure {
    Cancelled,
    Store(object_store::Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Failure::Store(error)
    }
}

async fn put(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    file: &EncodedFile,
    options: &UploadOptions,
) -> Result<(), Failure> {
    if file.size <= options.multipart_threshold_bytes as u64 {
        tokio::select! {
            biased;
            () = options.cancel.cancelled() => return Err(Failure::Cancelled),
            put = in_turn(&options.requests, store.put(path, file.payload())) => put?,
        };
        return Ok(());
    }
    let mut upload = tokio::select! {
        biased;
        () = options.cancel.cancelled() => return Err(Failure::Cancelled),
        upload = store.put_multipart(path) => upload?,
    };
    let sent = tokio::select! {
        biased;
        () = options.cancel.cancelled() => Err(Failure::Cancelled),
        sent = send_parts(upload.as_mut(), file.parts(options.part_size_bytes), options) => sent,
    };
    if sent.is_err() {
        // Parts left behind cost money on S3 until a life-cycle rule removes them; nothing more can be done here,
        // and a store that hangs must not hold up the next attempt or the shutdown.
        match tokio::time::timeout(ABORT_LIMIT, upload.abort()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%path, %error, "aborting an upload failed"),
            Err(_) => tracing::debug!(%path, "aborting an upload took too long"),
        }
    }
    sent
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    parts: Vec<PutPayload>,
    options: &UploadOptions,
) -> Result<(), Failure> {
    let mut in_flight = FuturesUnordered::new();
    for part in parts {
        if in_flight.len() >= options.max_concurrent_parts.max(1) {
            in_flight.next().await.transpose()?;
        }
        in_flight.push(in_turn(&options.requests, upload.put_part(part)));
    }
    while let Some(part) = in_flight.next().await {
        part?;
    }
    upload.complete().await?;
    Ok(())
}

/// Makes a request when there are few enough.
async fn in_turn<T>(requests: &Semaphore, request: impl Future<Output = T>) -> T {
    // It is never closed.
    let _turn = requests.acquire().await;
    request.await
}

#[cfg(test)]
mod tests;
