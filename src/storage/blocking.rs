//! Disk work away from the threads that run futures.

/// Runs `work` on the runtime's blocking pool; inline where no runtime runs.
pub(super) async fn blocking<T, F>(work: F) -> object_store::Result<T>
where
    F: FnOnce() -> object_store::Result<T> + Send + 'static,
    T: Send + 'static,
{
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await?,
        Err(_) => work(),
    }
}
