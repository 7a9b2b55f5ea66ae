//! A store that fails by script, for tests of whatever uses a store.
//!
//! Wrap any store, add [`Rule`]s, run the code under test, look at [`FaultyStore::calls`]. To try a fault at
//! every operation of some work: run it once without rules, take the number of calls, then run it once for each
//! `n` below with `Rule::nth(n)`.
//!
//! Past 500 lines: rules, faults and the store that obeys them are used together or not at all.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, Result, UploadPart, path::Path,
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc, time::Duration};

/// What is asked of a store. A `head` is a [`Operation::Get`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Put,
    PutMultipart,
    PutPart,
    Complete,
    Abort,
    Get,
    List,
    Delete,
    Copy,
    Rename,
}

/// The error a fault answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A broken connection, a 5xx, a timeout.
    Unavailable,
    PermissionDenied,
    NotFound,
    AlreadyExists,
    Precondition,
    /// An HTTP status that object_store knows no variant for, in its words.
    Status(u16),
    /// 200 where a range was asked for.
    NotPartial,
    /// A listing holds a name with an empty part.
    InvalidPath,
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not done.
    Fail(Failure),
    /// It is done, late.
    Delay(Duration),
    /// It is done, but its answer is an error.
    LoseAnswer(Failure),
    /// A `get` whose body breaks off after so many bytes.
    CutBody(u64),
    /// A `get` whose body ends after so many bytes as if these were all.
    EndBody(u64),
    /// It is not done, and nothing is from here on: the process died just before.
    DieBefore,
    /// It is done, but nobody hears of it, and nothing is from here on.
    DieAfter,
}

/// Which operations a fault befalls.
#[derive(Clone, Debug)]
pub struct Rule {
    nth: Option<u64>,
    operation: Option<Operation>,
    path: Option<glob::Pattern>,
    skip: u64,
    times: u64,
    fault: Fault,
}

impl Rule {
    /// The `n`-th operation of the store, from 0, of whatever kind.
    pub fn nth(n: u64, fault: Fault) -> Self {
        Self {
            nth: Some(n),
            ..Self::always(fault)
        }
    }

    /// Every operation of a kind.
    pub fn on(operation: Operation, fault: Fault) -> Self {
        Self {
            operation: Some(operation),
            ..Self::always(fault)
        }
    }

    /// Every operation.
    pub fn always(fault: Fault) -> Self {
        Self {
            nth: None,
            operation: None,
            path: None,
            skip: 0,
            times: u64::MAX,
            fault,
        }
    }

    /// Only on paths like `glob`, in which `*` matches slashes too (`*/_delta_log/*.json`).
    ///
    /// # Panics
    /// On a malformed glob.
    pub fn path(mut self, glob: &str) -> Self {
        self.path = Some(glob::Pattern::new(glob).expect("a glob"));
        self
    }

    /// Lets the first `n` that match pass.
    pub fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// Befalls at most `n`.
    pub fn times(mut self, n: u64) -> Self {
        self.times = n;
        self
    }

    fn strikes(&mut self, nth: u64, operation: Operation, path: &str) -> bool {
        let matches = self.nth.is_none_or(|n| n == nth)
            && self.operation.is_none_or(|o| o == operation)
            && self.path.as_ref().is_none_or(|p| p.matches(path))
            && self.times > 0;
        if !matches {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// One operation that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub operation: Operation,
    pub path: String,
    /// What befell it.
    pub fault: Option<Fault>,
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    calls: Vec<Call>,
    dead: bool,
}

/// A store around a store. Clones share rules and calls.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    script: Arc<Mutex<Script>>,
}

impl FaultyStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            script: Arc::default(),
        }
    }

    /// The first rule that matches an operation decides.
    pub fn add(&self, rule: Rule) {
        self.script.lock().rules.push(rule);
    }

    /// Forgets all rules and calls; the dead live again.
    pub fn reset(&self) {
        *self.script.lock() = Script::default();
    }

    /// Everything asked for since the last reset, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.script.lock().calls.clone()
    }

    pub fn count(&self, operation: Operation) -> usize {
        let script = self.script.lock();
        script
            .calls
            .iter()
            .filter(|c| c.operation == operation)
            .count()
    }

    /// Whether a [`Fault::DieBefore`] or [`Fault::DieAfter`] struck.
    pub fn is_dead(&self) -> bool {
        self.script.lock().dead
    }

    fn strike(&self, operation: Operation, path: &Path) -> Result<Option<Fault>> {
        let mut script = self.script.lock();
        let nth = script.calls.len() as u64;
        let path = path.to_string();
        let fault = script
            .rules
            .iter_mut()
            .find_map(|r| r.strikes(nth, operation, &path).then_some(r.fault));
        script.calls.push(Call {
            operation,
            path: path.clone(),
            fault,
        });
        if script.dead {
            return Err(error(Failure::Unavailable, &path));
        }
        match fault {
            Some(Fault::Fail(failure)) => Err(error(failure, &path)),
            Some(Fault::DieBefore) => {
                script.dead = true;
                Err(error(Failure::Unavailable, &path))
            }
            Some(Fault::DieAfter) => {
                script.dead = true;
                Ok(fault)
            }
            _ => Ok(fault),
        }
    }

    async fn run<T>(
        &self,
        operation: Operation,
        path: &Path,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fault = self.strike(operation, path)?;
        self.done(fault, path, work).await
    }

    async fn done<T>(
        &self,
        fault: Option<Fault>,
        path: &Path,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if let Some(Fault::Delay(delay)) = fault {
            tokio::time::sleep(delay).await;
        }
        let result = work.await;
        match fault {
            Some(Fault::LoseAnswer(failure)) => {
                result.and_then(|_| Err(error(failure, path.as_ref())))
            }
            Some(Fault::DieAfter) => {
                result.and_then(|_| Err(error(Failure::Unavailable, path.as_ref())))
            }
            _ => result,
        }
    }

    fn run_stream(
        &self,
        path: Path,
        work: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = self.clone();
        stream::once(async move { store.run(Operation::List, &path, async { Ok(work) }).await })
            .flat_map(|listing| match listing {
                Ok(listing) => listing,
                Err(e) => stream::once(async { Err(e) }).boxed(),
            })
            .boxed()
    }
}

type Body = BoxStream<'static, Result<Bytes>>;

fn with_body(answer: GetResult, change: impl FnOnce(Body) -> Body) -> GetResult {
    GetResult {
        meta: answer.meta.clone(),
        range: answer.range.clone(),
        attributes: answer.attributes.clone(),
        payload: GetResultPayload::Stream(change(answer.into_stream())),
    }
}

/// The first bytes of a body.
fn first(body: Body, mut bytes: u64) -> impl futures::Stream<Item = Result<Bytes>> + Send {
    body.map_ok(move |mut part| {
        part.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        bytes -= part.len() as u64;
        part
    })
}

fn error(failure: Failure, path: &str) -> Error {
    let path = path.to_owned();
    let source = "by the script of a test".into();
    match failure {
        Failure::Unavailable => Error::Generic {
            store: "FaultyStore",
            source,
        },
        Failure::PermissionDenied => Error::PermissionDenied { path, source },
        Failure::NotFound => Error::NotFound { path, source },
        Failure::AlreadyExists => Error::AlreadyExists { path, source },
        Failure::Precondition => Error::Precondition { path, source },
        Failure::Status(status) => Error::Generic {
            store: "FaultyStore",
            source: format!("Server returned non-2xx status code: {status} {source}").into(),
        },
        Failure::NotPartial => Error::Generic {
            store: "FaultyStore",
            source: "Received non-partial response when range requested".into(),
        },
        Failure::InvalidPath => Error::InvalidPath {
            source: object_store::path::Error::EmptySegment { path },
        },
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let work = self.inner.put_opts(location, payload, options);
        self.run(Operation::Put, location, work).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let work = self.inner.put_multipart_opts(location, options);
        let inner = self.run(Operation::PutMultipart, location, work).await?;
        Ok(Box::new(FaultyUpload {
            store: self.clone(),
            path: location.clone(),
            inner,
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.strike(Operation::Get, location)?;
        let work = self.inner.get_opts(location, options);
        let answer = self.done(fault, location, work).await?;
        Ok(match fault {
            Some(Fault::CutBody(bytes)) => with_body(answer, |body| {
                let broken = Err(error(Failure::Unavailable, location.as_ref()));
                first(body, bytes).chain(stream::iter([broken])).boxed()
            }),
            Some(Fault::EndBody(bytes)) => with_body(answer, |body| first(body, bytes).boxed()),
            _ => answer,
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |path| {
                let store = store.clone();
                async move {
                    let path = path?;
                    store
                        .run(Operation::Delete, &path, store.inner.delete(&path))
                        .await?;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.run_stream(prefix.cloned().unwrap_or_default(), self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.run_stream(
            prefix.cloned().unwrap_or_default(),
            self.inner.list_with_offset(prefix, offset),
        )
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        self.run(
            Operation::List,
            &path,
            self.inner.list_with_delimiter(prefix),
        )
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.run(Operation::Copy, to, self.inner.copy_opts(from, to, options))
            .await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.run(
            Operation::Rename,
            to,
            self.inner.rename_opts(from, to, options),
        )
        .await
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[derive(Debug)]
struct FaultyUpload {
    store: FaultyStore,
    path: Path,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let work = self.inner.put_part(payload);
        let (store, path) = (self.store.clone(), self.path.clone());
        Box::pin(async move { store.run(Operation::PutPart, &path, work).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let work = self.inner.complete();
        self.store.run(Operation::Complete, &self.path, work).await
    }

    async fn abort(&mut self) -> Result<()> {
        let work = self.inner.abort();
        self.store.run(Operation::Abort, &self.path, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn store() -> FaultyStore {
        FaultyStore::new(Arc::new(InMemory::new()))
    }

    #[tokio::test]
    async fn rules_choose_by_kind_path_and_turn() {
        let store = store();
        let fault = Fault::Fail(Failure::Unavailable);
        store.add(
            Rule::on(Operation::Put, fault)
                .path("*/_delta_log/*.json")
                .skip(1)
                .times(1),
        );
        let commit = Path::from("t/_delta_log/1.json");
        store
            .put(&Path::from("t/part.parquet"), "x".into())
            .await
            .unwrap();
        store.put(&commit, "x".into()).await.unwrap();
        assert!(store.put(&commit, "y".into()).await.is_err());
        store.put(&commit, "z".into()).await.unwrap();
        assert_eq!(store.count(Operation::Put), 4);
        assert_eq!(store.calls()[2].fault, Some(fault));
    }

    #[tokio::test]
    async fn a_lost_answer_has_landed_and_a_failure_has_not() {
        let store = store();
        let path = Path::from("a");
        store.add(Rule::nth(0, Fault::Fail(Failure::Unavailable)));
        store.add(Rule::nth(2, Fault::LoseAnswer(Failure::Precondition)));
        assert!(store.put(&path, "1".into()).await.is_err());
        assert!(store.get(&path).await.is_err());
        let lost = store.put(&path, "2".into()).await.unwrap_err();
        assert!(matches!(lost, Error::Precondition { .. }));
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "2");
    }

    #[tokio::test]
    async fn the_dead_do_nothing_more() {
        for (fault, landed) in [(Fault::DieBefore, false), (Fault::DieAfter, true)] {
            let inner = Arc::new(InMemory::new());
            let store = FaultyStore::new(inner.clone());
            store.add(Rule::on(Operation::Put, fault).times(1));
            let path = Path::from("a");
            assert!(store.put(&path, "1".into()).await.is_err());
            assert!(store.put(&path, "2".into()).await.is_err());
            assert!(store.list(None).next().await.unwrap().is_err());
            assert!(store.is_dead());
            assert_eq!(inner.head(&path).await.is_ok(), landed);
            store.reset();
            assert_eq!(store.get(&path).await.is_ok(), landed);
        }
    }

    #[tokio::test]
    async fn listings_deletes_and_parts_are_struck_too() {
        let store = store();
        let path = Path::from("a");
        for operation in [
            Operation::List,
            Operation::Delete,
            Operation::Complete,
            Operation::PutPart,
        ] {
            store.add(Rule::on(operation, Fault::Fail(Failure::PermissionDenied)).times(1));
        }
        assert!(store.list_with_delimiter(None).await.is_err());
        assert!(store.delete(&path).await.is_err());
        let mut upload = store.put_multipart(&path).await.unwrap();
        assert!(upload.put_part("x".into()).await.is_err());
        upload.put_part("x".into()).await.unwrap();
        assert!(upload.complete().await.is_err());
        upload.abort().await.unwrap();
    }
}
