//! A store whose credentials may end in the middle of anything.
//!
//! What holds: an answer that says the credential has ended brings about one renewal, shared by all who got such an
//! answer, and one replay of the request; the store had refused it before it did anything, so that a replay is safe
//! for every request. Whoever is refused for another reason is told so in our words and nobody is asked for anything.

use super::{
    credentials::{Pace, Renewable},
    explain::{Dialect, Operation, Verdict},
};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    multipart::MultipartStore, path::Path,
};
use parking_lot::Mutex;
use std::{fmt, future::Future, sync::Arc, time::Duration};

mod listing;
mod upload;

use upload::Upload;

/// A store that renews its credentials and explains its errors.
#[derive(Debug)]
pub(super) struct Renewing<S>(Arc<Core<S>>);

struct Core<S> {
    store: S,
    credentials: Arc<dyn Renewable>,
    dialect: Box<dyn Dialect>,
    /// Refusals without a reason may be for lack of a right, however often the credential is renewed.
    suspicions: Mutex<Pace>,
}

/// How long after a renewal on mere suspicion the next one may follow, and at most.
const SUSPICION: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// After these pauses a request that crossed another one is sent again.
const CROSSED: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

impl<S: ObjectStore> Renewing<S> {
    /// `credentials` are what `store` signs with.
    pub(super) fn new(store: S, credentials: Arc<dyn Renewable>, dialect: impl Dialect) -> Self {
        Self(Arc::new(Core {
            store,
            credentials,
            dialect: Box::new(dialect),
            suspicions: Mutex::new(Pace::new(SUSPICION.0, SUSPICION.1)),
        }))
    }
}

impl<S: ObjectStore> Core<S> {
    /// Runs a request, once more if the credential had ended, and a few times if it crossed another one.
    async fn ask<T, F>(
        &self,
        operation: Operation,
        path: Option<&Path>,
        request: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let seen = self.credentials.generation();
        let mut pauses = CROSSED.into_iter();
        let mut may_renew = true;
        loop {
            let error = match request().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let again = match self.dialect.verdict(&error) {
                Verdict::Crossed => match pauses.next() {
                    Some(pause) => {
                        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                        true
                    }
                    None => false,
                },
                _ => std::mem::take(&mut may_renew) && self.renewed(seen, &error).await,
            };
            if !again {
                return Err(self.dialect.explain(operation, path, error));
            }
        }
    }

    /// HEAD is refused without a reason. GET of the first byte has one, which tells a credential that has ended from
    /// a right that is missing, without asking the issuer of credentials.
    async fn head(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let error = match self.store.get_opts(path, options).await {
            Err(error) if self.dialect.verdict(&error) == Verdict::Suspicious => error,
            answer => return answer,
        };
        let first = GetOptions {
            range: Some((0..1).into()),
            ..GetOptions::default()
        };
        match self.store.get_opts(path, first).await {
            Err(reason) => Err(reason),
            Ok(_) => Err(error),
        }
    }

    /// Whether `error`, got with the credential of generation `seen` or a newer one, is worth a replay.
    async fn renewed(&self, seen: u64, error: &object_store::Error) -> bool {
        match self.dialect.verdict(error) {
            Verdict::Other | Verdict::Crossed => return false,
            Verdict::Suspicious => {
                let known = self.credentials.generation() == seen;
                if known && !self.suspicions.lock().admit() {
                    return false;
                }
            }
            Verdict::Ended => {}
        }
        match self.credentials.renew(seen).await {
            Ok(()) => true,
            Err(failure) => {
                // Told where it was fetched; here it only means that there is no replay.
                tracing::debug!(error = %failure, "no other credential");
                false
            }
        }
    }
}

#[async_trait]
impl<S: ObjectStore + MultipartStore> ObjectStore for Renewing<S> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let operation = match opts.mode {
            PutMode::Create => Operation::Create,
            _ => Operation::Put,
        };
        self.0
            .ask(operation, Some(location), || {
                self.0
                    .store
                    .put_opts(location, payload.clone(), opts.clone())
            })
            .await
    }

    /// Attributes and tags of uploads in parts are refused: the interface that lets parts be sent again has none.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() || !opts.tags.encoded().is_empty() {
            return Err(object_store::Error::NotSupported {
                source: "attributes and tags of an upload in parts".into(),
            });
        }
        Ok(Box::new(Upload::begin(&self.0, location).await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self
                .0
                .ask(Operation::Head, Some(location), || {
                    self.0.head(location, options.clone())
                })
                .await;
        }
        self.0
            .ask(Operation::Get, Some(location), || {
                self.0.store.get_opts(location, options.clone())
            })
            .await
    }

    /// Objects are deleted in groups, as their paths come; what a group's replay finds gone already is deleted too.
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let core = Arc::clone(&self.0);
        locations
            .try_chunks(GROUP)
            .map(move |paths| {
                let core = Arc::clone(&core);
                async move {
                    match paths {
                        Ok(paths) => stream::iter(core.delete(paths).await),
                        Err(error) => stream::iter(vec![Err(error.1)]),
                    }
                }
            })
            .buffered(4)
            .flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        listing::list(&self.0, prefix.cloned(), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        listing::list(&self.0, prefix.cloned(), Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0
            .ask(Operation::List, prefix, || {
                self.0.store.list_with_delimiter(prefix)
            })
            .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0
            .ask(Operation::Copy, Some(to), || {
                self.0.store.copy_opts(from, to, options.clone())
            })
            .await
    }
}

/// How many objects one request deletes; Azure takes 256, S3 1000.
const GROUP: usize = 256;

impl<S: ObjectStore> Core<S> {
    async fn delete(&self, paths: Vec<Path>) -> Vec<Result<Path>> {
        let seen = self.credentials.generation();
        let mut results = self.delete_once(paths.clone()).await;
        let verdict = |result: &Result<Path>| match result {
            Ok(_) => Verdict::Other,
            Err(error) => self.dialect.verdict(error),
        };
        let verdicts: Vec<Verdict> = results.iter().map(verdict).collect();
        let first = |wanted: Verdict| verdicts.iter().position(|verdict| *verdict == wanted);
        let ended = first(Verdict::Ended).or_else(|| first(Verdict::Suspicious));
        let replay = match ended.and_then(|at| results.get(at)) {
            Some(Err(error)) => self.renewed(seen, error).await,
            _ => false,
        };
        // One result for each path, but where the request failed as a whole.
        if replay && results.len() == paths.len() {
            let ended = |n: &usize| matches!(verdicts[*n], Verdict::Ended | Verdict::Suspicious);
            let again: Vec<usize> = (0..paths.len()).filter(ended).collect();
            let asked = again.iter().map(|n| paths[*n].clone()).collect();
            let replayed = self.delete_once(asked).await;
            // If it failed as a whole, the first path is told so, and the others what they were before.
            for (n, result) in again.into_iter().zip(replayed) {
                results[n] = gone(result, &paths[n]);
            }
        } else if replay {
            results = self.delete_once(paths.clone()).await;
            if results.len() == paths.len() {
                let replayed = results.into_iter().zip(&paths);
                results = replayed.map(|(result, path)| gone(result, path)).collect();
            }
        }
        let each = results.len() == paths.len();
        let explained = results.into_iter().enumerate().map(|(n, result)| {
            let path = paths.get(n).filter(|_| each);
            result.map_err(|error| self.dialect.explain(Operation::Delete, path, error))
        });
        explained.collect()
    }

    async fn delete_once(&self, paths: Vec<Path>) -> Vec<Result<Path>> {
        let paths = stream::iter(paths.into_iter().map(Ok)).boxed();
        self.store.delete_stream(paths).collect().await
    }
}

/// What a replay does not find is deleted.
fn gone(result: Result<Path>, path: &Path) -> Result<Path> {
    match result {
        Err(object_store::Error::NotFound { .. }) => Ok(path.clone()),
        result => result,
    }
}

impl<S: fmt::Display> fmt::Display for Renewing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.store.fmt(f)
    }
}

impl<S: fmt::Debug> fmt::Debug for Core<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[cfg(test)]
mod tests;
