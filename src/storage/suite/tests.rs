//! The stores that need no server.

use super::*;
use crate::storage::{
    DurableLocal,
    guard::Guard,
    single_writer::SingleWriter,
    testing::{Conditions, Unconditional},
};
use object_store::memory::InMemory;

const PART: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_what_wraps_it() {
    let expect = Expect {
        sorted: true,
        part_bytes: PART,
    };
    let wrapped = Guard::new(Arc::new(SingleWriter::new(Arc::new(InMemory::new()))));
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(InMemory::new()), Arc::new(wrapped)];
    for store in stores {
        assert_eq!(run(store, &Path::from("suite"), expect).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().canonicalize().unwrap();
    let root = Path::from_absolute_path(&folder).unwrap();
    let expect = Expect {
        sorted: false,
        part_bytes: PART,
    };
    let store = Arc::new(DurableLocal::new(&folder));
    assert_eq!(run(store, &root, expect).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_overwrites_is_found_out() {
    let expect = Expect {
        sorted: true,
        part_bytes: PART,
    };
    let store = Arc::new(Unconditional::new(Conditions::Ignored));
    let told = run(store, &Path::from("suite"), expect).await.unwrap_err();
    assert!(
        told.contains("create once") && told.contains("racing creators"),
        "{told}"
    );
}
