//! One creator wins, whatever the store can.

use super::*;
use crate::storage::testing::{Conditions, Unconditional};
use object_store::memory::InMemory;

fn path() -> Path {
    Path::from("t/_delta_log/0.json")
}

fn create() -> PutOptions {
    PutMode::Create.into()
}

async fn text(store: &dyn ObjectStore) -> String {
    let bytes = store.get(&path()).await.unwrap().bytes().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_second_create_fails_in_every_store() {
    let stores: [Arc<dyn ObjectStore>; 4] = [
        Arc::new(InMemory::new()),
        Arc::new(Unconditional::new(Conditions::Ignored)),
        Arc::new(Unconditional::new(Conditions::Refused)),
        Arc::new(Unconditional::new(Conditions::Answered501)),
    ];
    for inner in stores {
        let store = SingleWriter::new(inner);
        store
            .put_opts(&path(), "one".into(), create())
            .await
            .unwrap();
        let second = store.put_opts(&path(), "two".into(), create()).await;
        assert!(
            matches!(second, Err(Error::AlreadyExists { .. })),
            "{store}"
        );
        assert_eq!(text(&store).await, "one");
        store.put(&path(), "three".into()).await.unwrap();
        assert_eq!(text(&store).await, "three");
        let copied = store.copy_if_not_exists(&path(), &path()).await;
        assert!(matches!(copied, Err(Error::AlreadyExists { .. })));
        store
            .copy_if_not_exists(&path(), &Path::from("other"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_look_that_fails_creates_nothing() {
    use crate::storage::faulty::{Failure, Fault, FaultyStore, Operation, Rule};
    let inside = Arc::new(InMemory::new());
    let faulty = FaultyStore::new(inside.clone());
    faulty.add(Rule::on(Operation::Get, Fault::Fail(Failure::Unavailable)));
    let store = SingleWriter::new(Arc::new(faulty));
    assert!(
        store
            .put_opts(&path(), "one".into(), create())
            .await
            .is_err()
    );
    assert!(inside.head(&path()).await.is_err());
}
