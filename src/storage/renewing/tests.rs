//! By a store in memory that is told when to refuse.
//!
//! Past 500 lines: that store stands beside them.

use super::*;
use crate::storage::Result as StorageResult;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{MultipartId, ObjectStoreExt, memory::InMemory, multipart::PartId};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

/// Takes its answers from a list; then all is well. `each A,B` is one answer for each path of a deletion.
#[derive(Debug, Default)]
struct Gate {
    inner: Arc<InMemory>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
    asked: Arc<AtomicU64>,
    /// Lists as a hierarchical namespace does, folder by folder.
    by_folder: bool,
}

impl Gate {
    fn pass(&self) -> Result<()> {
        self.asked.fetch_add(1, SeqCst);
        match self.answers.lock().pop_front() {
            None | Some("") => Ok(()),
            Some(code) => Err(object_store::Error::Generic {
                store: "gate",
                source: code.into(),
            }),
        }
    }

    /// Pages of two, each of which may be refused.
    fn pages(
        &self,
        items: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let gate = Gate {
            inner: self.inner.clone(),
            answers: self.answers.clone(),
            asked: self.asked.clone(),
            by_folder: self.by_folder,
        };
        let by_folder = self.by_folder;
        let ordered = async move {
            let mut items: Vec<Result<ObjectMeta>> = items.collect().await;
            let name = |meta: &ObjectMeta| meta.location.to_string().replace('/', "\0");
            if by_folder {
                items.sort_by_key(|item| item.as_ref().ok().map(name));
            }
            stream::iter(items)
        };
        stream::once(ordered)
            .flatten()
            .chunks(2)
            .flat_map(move |page| match gate.pass() {
                Ok(()) => stream::iter(page),
                Err(error) => stream::iter(vec![Err(error)]),
            })
            .boxed()
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn put_opts(
        &self,
        to: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.pass()?;
        self.inner.put_opts(to, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("parts go by MultipartStore")
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.pass()?;
        self.inner.get_opts(from, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.pass() {
            Ok(()) => self.inner.delete_stream(paths),
            Err(error) => match error.to_string().split_once("each ") {
                None => stream::iter([Err(error)]).boxed(),
                Some((_, words)) => {
                    let words: Vec<String> = words.split(',').map(str::to_owned).collect();
                    let answer = move |(n, path): (usize, Result<Path>)| -> Result<Path> {
                        let path = path?;
                        match words.get(n).map(String::as_str) {
                            None | Some("ok") => Ok(path),
                            Some("gone") => Err(object_store::Error::NotFound {
                                path: path.to_string(),
                                source: "gone".into(),
                            }),
                            Some(word) => Err(object_store::Error::Generic {
                                store: "gate",
                                source: word.to_owned().into(),
                            }),
                        }
                    };
                    paths.enumerate().map(answer).boxed()
                }
            },
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.pass()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.pass()?;
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Gate {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.pass()?;
        self.inner.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.pass()?;
        self.inner.put_part(path, id, index, data).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.pass()?;
        self.inner.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.pass()?;
        self.inner.abort_multipart(path, id).await
    }
}

#[derive(Debug, Default)]
struct Counted(AtomicU64);

#[async_trait]
impl Renewable for Counted {
    fn generation(&self) -> u64 {
        self.0.load(SeqCst)
    }

    async fn renew(&self, seen: u64) -> StorageResult<()> {
        let _ = self.0.compare_exchange(seen, seen + 1, SeqCst, SeqCst);
        Ok(())
    }
}

#[derive(Debug)]
struct Words {
    by_folder: bool,
}

impl Dialect for Words {
    fn verdict(&self, error: &object_store::Error) -> Verdict {
        match error.to_string() {
            text if text.contains("ended") => Verdict::Ended,
            text if text.contains("silent") => Verdict::Suspicious,
            text if text.contains("crossed") => Verdict::Crossed,
            _ => Verdict::Other,
        }
    }

    fn lists_in_byte_order(&self) -> bool {
        !self.by_folder
    }

    fn explain(
        &self,
        operation: Operation,
        _: Option<&Path>,
        error: object_store::Error,
    ) -> object_store::Error {
        object_store::Error::Generic {
            store: "explained",
            source: format!("{}: {error}", operation.as_str()).into(),
        }
    }
}

struct Bench {
    store: Renewing<Gate>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
    asked: Arc<AtomicU64>,
    credentials: Arc<Counted>,
}

impl Bench {
    fn new() -> Self {
        Self::listing(false)
    }

    fn listing(by_folder: bool) -> Self {
        let gate = Gate {
            by_folder,
            ..Gate::default()
        };
        let (answers, asked) = (gate.answers.clone(), gate.asked.clone());
        let credentials = Arc::new(Counted::default());
        Self {
            store: Renewing::new(gate, credentials.clone(), Words { by_folder }),
            answers,
            asked,
            credentials,
        }
    }

    fn script(&self, answers: &[&'static str]) {
        *self.answers.lock() = answers.iter().copied().collect();
        self.asked.store(0, SeqCst);
    }

    async fn fill(&self, many: usize) {
        for n in 0..many {
            let path = Path::from(format!("t/{n:03}"));
            self.store.put(&path, "x".into()).await.unwrap();
        }
    }

    fn renewals(&self) -> u64 {
        self.credentials.generation()
    }
}

#[tokio::test]
async fn each_request_is_replayed_once_after_one_renewal() {
    let bench = Bench::new();
    let (a, b) = (Path::from("t/a"), Path::from("t/b"));
    bench.script(&["ended"]);
    bench.store.put(&a, "1".into()).await.unwrap();
    bench.script(&["ended"]);
    assert_eq!(bench.store.head(&a).await.unwrap().size, 1);
    bench.script(&["ended"]);
    assert_eq!(
        bench.store.get(&a).await.unwrap().bytes().await.unwrap(),
        "1"
    );
    bench.script(&["ended"]);
    bench.store.copy(&a, &b).await.unwrap();
    bench.script(&["ended"]);
    assert_eq!(
        bench
            .store
            .list_with_delimiter(None)
            .await
            .unwrap()
            .common_prefixes
            .len(),
        1
    );
    bench.script(&["ended"]);
    bench.store.delete(&a).await.unwrap();
    assert_eq!(bench.renewals(), 6);
    bench.script(&["ended", "ended"]);
    let error = bench.store.head(&b).await.unwrap_err().to_string();
    assert!(
        error.contains("explained") && error.contains("head"),
        "{error}"
    );
    assert_eq!(bench.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_create_that_was_refused_is_tried_again_and_one_that_lost_is_not() {
    let bench = Bench::new();
    let path = Path::from("t/0.json");
    let create = || PutOptions::from(PutMode::Create);
    bench.script(&["ended"]);
    bench
        .store
        .put_opts(&path, "mine".into(), create())
        .await
        .unwrap();
    bench.script(&["ended"]);
    assert!(
        bench
            .store
            .put_opts(&path, "other".into(), create())
            .await
            .is_err()
    );
    assert_eq!(
        bench.store.get(&path).await.unwrap().bytes().await.unwrap(),
        "mine"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_crossed_another_one_is_sent_again_a_few_times() {
    let bench = Bench::new();
    let path = Path::from("t/0.json");
    bench.script(&["crossed", "ended", "crossed"]);
    let create = PutOptions::from(PutMode::Create);
    bench
        .store
        .put_opts(&path, "mine".into(), create)
        .await
        .unwrap();
    assert_eq!(bench.asked.load(SeqCst), 4);
    assert_eq!(bench.renewals(), 1);
    bench.script(&["crossed", "crossed", "crossed", "crossed"]);
    bench.store.put(&path, "x".into()).await.unwrap_err();
    assert_eq!(bench.asked.load(SeqCst), 3);
    assert_eq!(bench.renewals(), 1);
}

#[tokio::test]
async fn parts_keep_their_places_across_renewals() {
    let bench = Bench::new();
    let path = Path::from("t/big");
    bench.script(&["ended"]);
    let mut upload = bench.store.put_multipart(&path).await.unwrap();
    bench.script(&["ended", "", "", "", "", "", "ended", "ended"]);
    let parts: Vec<_> = (0..6)
        .map(|n| upload.put_part(Bytes::from(format!("{n}")).into()))
        .collect();
    // In their order: the store in memory takes no other.
    let stored: Vec<_> = stream::iter(parts).then(|part| part).collect().await;
    let failed = stored.iter().filter(|part| part.is_err()).count();
    assert_eq!(failed, 1, "two refusals in a row are more than one replay");
    bench.script(&[]);
    assert!(upload.complete().await.is_err());
    assert_eq!(bench.asked.load(SeqCst), 0, "a part is missing");
    let mut upload = bench.store.put_multipart(&path).await.unwrap();
    bench.script(&["ended", "", "", "ended", "", "", "", "", "ended"]);
    let parts: Vec<_> = (0..6)
        .map(|n| upload.put_part(Bytes::from(format!("{n}")).into()))
        .collect();
    for part in parts {
        part.await.unwrap();
    }
    upload.complete().await.unwrap();
    assert_eq!(
        bench.store.get(&path).await.unwrap().bytes().await.unwrap(),
        "012345"
    );
    let mut upload = bench.store.put_multipart(&path).await.unwrap();
    bench.script(&["ended"]);
    upload.abort().await.unwrap();
}

#[tokio::test]
async fn a_list_goes_on_after_its_last_item() {
    let bench = Bench::new();
    bench.fill(11).await;
    bench.script(&["ended", "", "", "ended", "", "ended"]);
    let prefix = Path::from("t");
    let listed: Vec<_> = bench.store.list(Some(&prefix)).try_collect().await.unwrap();
    let names: Vec<String> = listed
        .iter()
        .map(|meta| meta.location.to_string())
        .collect();
    let expected: Vec<String> = (0..11).map(|n| format!("t/{n:03}")).collect();
    assert_eq!(names, expected);
    assert_eq!(bench.renewals(), 3);
    bench.script(&["", "ended"]);
    let after = Path::from("t/004");
    let listed: Vec<_> = bench
        .store
        .list_with_offset(Some(&prefix), &after)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(listed.len(), 6);
    bench.script(&["", "ended", "ended"]);
    let listed: Vec<_> = bench.store.list(Some(&prefix)).collect().await;
    assert_eq!(listed.iter().filter(|item| item.is_ok()).count(), 2);
    assert_eq!(listed.len(), 3, "after an error it has ended");
}

#[tokio::test]
async fn a_list_in_an_order_of_its_own_skips_nothing_and_gives_nothing_twice() {
    let bench = Bench::listing(true);
    let folders = ["t/a", "t/a-b", "t/a.c", "t/b"];
    let expected: Vec<String> = folders
        .iter()
        .flat_map(|folder| (0..3).map(move |n| format!("{folder}/{n}")))
        .collect();
    for name in &expected {
        let path = Path::from(name.as_str());
        bench.store.put(&path, "x".into()).await.unwrap();
    }
    let prefix = Path::from("t");
    let names = |listed: Vec<ObjectMeta>| -> Vec<String> {
        let name = |meta: &ObjectMeta| meta.location.to_string();
        listed.iter().map(name).collect()
    };
    bench.script(&["", "", "ended", "", "", "", "ended"]);
    let listed: Vec<ObjectMeta> = bench.store.list(Some(&prefix)).try_collect().await.unwrap();
    assert_eq!(names(listed), expected);
    assert_eq!(bench.renewals(), 2);
    bench.script(&["", "ended"]);
    let after = Path::from("t/a-b/0");
    let listed = bench.store.list_with_offset(Some(&prefix), &after);
    let listed: Vec<ObjectMeta> = listed.try_collect().await.unwrap();
    let beyond: Vec<String> = expected
        .iter()
        .filter(|name| name.as_str() > "t/a-b/0")
        .cloned()
        .collect();
    assert_eq!(names(listed), beyond);
    bench.script(&["", "ended", "", "ended"]);
    let listed: Vec<_> = bench.store.list(Some(&prefix)).collect().await;
    assert_eq!(listed.len(), 3, "without progress it is not begun anew");
    assert!(listed.last().unwrap().is_err());
}

#[tokio::test]
async fn deletions_are_replayed_in_groups() {
    let bench = Bench::new();
    bench.fill(600).await;
    let paths: Vec<_> = (0..600)
        .map(|n| Ok(Path::from(format!("t/{n:03}"))))
        .collect();
    bench.script(&["ended"]);
    let gone: Vec<_> = bench
        .store
        .delete_stream(stream::iter(paths).boxed())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(gone.len(), 600);
    assert!(bench.store.list(None).next().await.is_none());
}

#[tokio::test]
async fn of_a_group_only_what_an_ended_credential_left_is_deleted_again() {
    let bench = Bench::new();
    let delete = async |names: [&'static str; 4]| -> Vec<Option<String>> {
        let paths = names.map(|name| Ok(Path::from(name)));
        let results = bench.store.delete_stream(stream::iter(paths).boxed());
        let told = |result: Result<Path>| result.ok().map(|path| path.to_string());
        results.map(told).collect().await
    };
    let names = ["a", "b", "c", "d"];
    let deleted = names.map(|name| Some(name.to_owned()));
    bench.script(&["each ok,denied,ended,silent", "each gone,ok"]);
    let told = delete(names).await;
    assert_eq!(
        told,
        [
            deleted[0].clone(),
            None,
            deleted[2].clone(),
            deleted[3].clone()
        ]
    );
    assert_eq!(bench.asked.load(SeqCst), 2);
    assert_eq!(bench.renewals(), 1);
    bench.script(&["ended", "each gone,ok,denied,gone"]);
    let told = delete(names).await;
    assert_eq!(
        told,
        [
            deleted[0].clone(),
            deleted[1].clone(),
            None,
            deleted[3].clone()
        ]
    );
    bench.script(&["each ok,ended,ended,ok", "denied"]);
    let told = delete(names).await;
    assert_eq!(told, [deleted[0].clone(), None, None, deleted[3].clone()]);
}

#[tokio::test(start_paused = true)]
async fn refusals_without_a_reason_cause_few_renewals_and_others_none() {
    let bench = Bench::new();
    let path = Path::from("t/a");
    for _ in 0..100 {
        bench.script(&["denied", "denied"]);
        bench.store.head(&path).await.unwrap_err();
        assert_eq!(bench.asked.load(SeqCst), 1);
    }
    assert_eq!(bench.renewals(), 0);
    for _ in 0..600 {
        bench.script(&["silent", "silent"]);
        bench.store.head(&path).await.unwrap_err();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!((1..=8).contains(&bench.renewals()), "{}", bench.renewals());
}
