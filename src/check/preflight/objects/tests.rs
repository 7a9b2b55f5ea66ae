//! Stores that lack one right at a time, hang, or lie.

use super::{super::section::Line, *};
use crate::storage::faulty::{Failure, Fault, FaultyStore, Operation, Rule};
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, ObjectStore, PutMultipartOptions, PutOptions,
    PutResult, memory::InMemory,
};
use std::{fmt, sync::Arc};

fn target(store: &FaultyStore, provider: Provider) -> Target {
    Target {
        location: TableLocation {
            url: "s3://b/lake/_alluvium_probe/".parse().unwrap(),
            store: Arc::new(store.clone()),
            root: Path::from("lake/_alluvium_probe"),
        },
        provider,
        is_vouched: false,
        holds_tables: true,
        thorough: false,
        limit: Duration::from_secs(30),
    }
}

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(InMemory::new()))
}

async fn probed(target: &Target) -> Section {
    let mut section = Section::new("x");
    probe(&mut section, target).await;
    section
}

fn warnings(section: &Section) -> Vec<&str> {
    let lines = section.lines.iter();
    lines
        .filter_map(|line| match line {
            Line::Warning { remedy, .. } => Some(remedy.as_str()),
            _ => None,
        })
        .collect()
}

fn faults(section: &Section) -> Vec<(Kind, &str, &str)> {
    let lines = section.lines.iter();
    lines
        .filter_map(|line| match line {
            Line::Fault { kind, what, remedy } => Some((*kind, what.as_str(), remedy.as_str())),
            _ => None,
        })
        .collect()
}

async fn left(store: &FaultyStore) -> Vec<String> {
    store.reset();
    let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
    listed.iter().map(|o| o.location.to_string()).collect()
}

#[tokio::test]
async fn a_store_with_all_rights_passes_and_nothing_stays() {
    for thorough in [false, true] {
        let store = store();
        let target = Target {
            thorough,
            ..target(&store, Provider::S3)
        };
        let section = probed(&target).await;
        assert!(faults(&section).is_empty(), "{section:?}");
        assert!(warnings(&section).is_empty(), "{section:?}");
        let told = format!("{section:?}");
        assert_eq!(
            told.contains("1001 objects, over two pages"),
            thorough,
            "{told}"
        );
        let puts = store.count(Operation::Put);
        assert!(if thorough { puts > 1_001 } else { puts == 3 }, "{puts}");
        assert_eq!(store.count(Operation::Abort), 1);
        assert_eq!(store.count(Operation::Complete), 1);
        assert_eq!(left(&store).await, [""; 0]);
    }
}

#[tokio::test]
async fn each_missing_right_is_named_alone_and_the_other_steps_go_on() {
    use Operation as O;
    for (operations, right, is_fault) in [
        (&[O::Put, O::PutMultipart][..], "s3:PutObject", true),
        (&[O::Get], "s3:GetObject", true),
        (&[O::List], "s3:ListBucket", true),
        (&[O::Abort], "s3:AbortMultipartUpload", false),
        (&[O::Delete], "s3:DeleteObject", false),
    ] {
        let store = store();
        for operation in operations {
            store.add(Rule::on(*operation, Fault::Fail(Failure::PermissionDenied)));
        }
        let section = probed(&target(&store, Provider::S3)).await;
        let (faults, warnings) = (faults(&section), warnings(&section));
        let remedies: Vec<&str> = faults.iter().map(|(.., remedy)| *remedy).collect();
        let told = if is_fault { &remedies } else { &warnings };
        assert!(!told.is_empty(), "{right} {section:?}");
        for remedy in told {
            assert!(
                remedy.starts_with(&format!("grant {right} ")),
                "{right} {remedy}"
            );
        }
        assert_eq!(
            (faults.is_empty(), warnings.is_empty()),
            (!is_fault, is_fault),
            "{section:?}"
        );
        assert!(faults.iter().all(|(kind, ..)| *kind == Kind::Unauthorized));
        if !operations.contains(&O::List) {
            assert!(store.count(O::List) >= 3, "{right}: listing was asked");
        }
        assert!(store.count(O::Delete) >= 1, "{right}: deleting was asked");
        let may_stay = operations.contains(&O::Delete);
        assert_eq!(left(&store).await.is_empty(), !may_stay, "{right}");
    }
}

#[tokio::test]
async fn azure_names_a_letter() {
    let store = store();
    store.add(Rule::on(
        Operation::List,
        Fault::Fail(Failure::PermissionDenied),
    ));
    let section = probed(&target(&store, Provider::AzureSignature)).await;
    let found = faults(&section);
    assert_eq!(found.len(), 1, "{section:?}");
    assert!(
        found[0].2.contains("SAS `sp` letter l (list)"),
        "{section:?}"
    );
}

#[tokio::test]
async fn where_no_table_lies_writing_is_not_missed_but_reading_is() {
    let store = store();
    for operation in [Operation::Put, Operation::PutMultipart, Operation::Get] {
        store.add(Rule::on(operation, Fault::Fail(Failure::PermissionDenied)));
    }
    let target = Target {
        holds_tables: false,
        ..target(&store, Provider::S3)
    };
    let section = probed(&target).await;
    let found = faults(&section);
    assert_eq!(found.len(), 1, "{section:?}");
    assert!(found[0].2.contains("s3:GetObject"));
}

#[tokio::test]
async fn a_word_of_the_operator_is_no_proof() {
    let store = store();
    let target = Target {
        is_vouched: true,
        ..target(&store, Provider::S3)
    };
    let section = probed(&target).await;
    assert!(faults(&section).is_empty(), "{section:?}");
    assert!(
        format!("{section:?}").contains("operator's word"),
        "{section:?}"
    );
    assert!(
        !format!("{section:?}").contains("so two writers cannot"),
        "{section:?}"
    );
}

#[tokio::test]
async fn a_store_that_is_away_is_asked_once() {
    let store = store();
    store.add(Rule::always(Fault::Fail(Failure::Unavailable)));
    let section = probed(&target(&store, Provider::S3)).await;
    let found = faults(&section);
    assert_eq!(found.len(), 1, "{section:?}");
    assert_eq!(found[0].0, Kind::Unavailable);
    assert_eq!(store.count(Operation::Put), 1);
    assert_eq!(
        section.lines.len(),
        1,
        "nothing is said to stay: {section:?}"
    );
}

#[tokio::test]
async fn a_step_that_hangs_ends_and_what_was_made_is_removed() {
    for operation in [Operation::Get, Operation::PutPart, Operation::Complete] {
        let store = store();
        let hangs = Fault::Delay(Duration::from_secs(3_600));
        store.add(Rule::on(operation, hangs).times(1));
        let target = Target {
            limit: Duration::from_millis(100),
            ..target(&store, Provider::S3)
        };
        let section = probed(&target).await;
        let found = faults(&section);
        assert_eq!(found.len(), 1, "{section:?}");
        assert!(found[0].1.contains("no answer within"), "{section:?}");
        if operation != Operation::Get {
            assert!(store.count(Operation::Abort) >= 1, "{operation:?}");
        }
        assert_eq!(left(&store).await, [""; 0], "{operation:?}");
    }
}

/// Overwrites where it should create.
#[derive(Debug)]
struct Careless(InMemory);

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Careless")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Careless {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        _: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.0.put(path, payload).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_store_that_creates_twice_is_refused() {
    let store = FaultyStore::new(Arc::new(Careless(InMemory::new())));
    let section = probed(&target(&store, Provider::S3)).await;
    let found = faults(&section);
    assert_eq!(found.len(), 1, "{section:?}");
    assert_eq!(found[0].0, Kind::Unsupported);
    assert!(found[0].2.contains("single_writer = true"), "{section:?}");
    assert_eq!(left(&store).await, [""; 0]);
}

#[tokio::test]
async fn leftovers_of_earlier_checks_go_and_nothing_else() {
    let store = store();
    let target = target(&store, Provider::S3);
    for name in [
        "probe-old",
        "probe-old-pages/00001",
        "start-1",
        "of-another",
    ] {
        let path = target.location.object_path(name).unwrap();
        store.put(&path, "x".into()).await.unwrap();
    }
    let mut section = Section::new("x");
    let mut probe = Probe {
        target: &target,
        id: "1".into(),
        made: Vec::new(),
        upload: None,
        may_delete: true,
    };
    probe.leftovers(&mut section, Utc::now()).await.unwrap();
    assert!(probe.made.is_empty(), "they are fresh");
    let later = Utc::now() + TimeDelta::hours(25);
    probe.leftovers(&mut section, later).await.unwrap();
    probe.clean(&mut section).await;
    assert!(
        format!("{section:?}").contains("3 leftovers"),
        "{section:?}"
    );
    assert_eq!(left(&store).await, ["lake/_alluvium_probe/of-another"]);
}
