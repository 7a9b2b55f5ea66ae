//! What every store must do, tried: one suite for memory, a disk, and running servers.
//!
//! [`run`] works below a folder of its own and takes away what it made. Its answer names what a store does not
//! do as the rest of this crate relies on it.

mod create;
mod list;
mod read;
mod upload;

use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use std::{fmt::Display, sync::Arc};

/// Why a store is not to be relied on, in words.
pub type Outcome = Result<(), String>;

/// What a store under test is not asked for.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// Listings are sorted by key, as S3 and Azure promise; a disk's are not.
    pub sorted: bool,
    /// The least size of a part that is not the last: 5 MiB in S3.
    pub part_bytes: usize,
}

/// A store, and the folder of it that is ours.
pub(crate) struct Bench {
    store: Arc<dyn ObjectStore>,
    root: Path,
    expect: Expect,
}

/// Runs every case below `root` and deletes what is left there.
///
/// # Errors
/// Every case that failed, one a line.
pub async fn run(store: Arc<dyn ObjectStore>, root: &Path, expect: Expect) -> Outcome {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let bench = Bench {
        store,
        root: root.clone().join(id),
        expect,
    };
    let mut failed = Vec::new();
    let mut note = |case: &str, outcome: Outcome| {
        if let Err(error) = outcome {
            failed.push(format!("{case}: {error}"));
        }
    };
    note("write and read", read::write_and_read(&bench).await);
    note("ranges", read::ranges(&bench).await);
    note("what is not there", read::absent(&bench).await);
    note("names", read::names(&bench).await);
    note("create once", create::once(&bench).await);
    note("racing creators", create::race(&bench).await);
    note("copy", create::copy(&bench).await);
    note("delete", create::delete(&bench).await);
    note("list", list::list(&bench).await);
    note("list by pages", list::pages(&bench).await);
    note("multipart", upload::sizes(&bench).await);
    note("aborted upload", upload::abort(&bench).await);
    note("clean up", bench.clean().await);
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("\n")),
    }
}

impl Bench {
    fn path(&self, name: &str) -> Path {
        let whole = format!("{}/{name}", self.root);
        Path::parse(&whole).unwrap_or_else(|_| self.root.clone().join(name))
    }

    async fn content(&self, path: &Path) -> Result<Vec<u8>, String> {
        let found = self.store.get(path).await.map_err(told("reading"))?;
        let bytes = found.bytes().await.map_err(told("reading"))?;
        Ok(bytes.to_vec())
    }

    async fn expect_content(&self, path: &Path, content: &[u8]) -> Outcome {
        let found = self.content(path).await?;
        ensure(found == content, || {
            format!(
                "other bytes come back than were written, path=`{path}` written=`{}` read=`{}`",
                content.len(),
                found.len()
            )
        })
    }

    async fn expect_absent(&self, path: &Path) -> Outcome {
        match self.store.head(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            answer => Err(format!("it should not be there, path=`{path}`: {answer:?}")),
        }
    }

    async fn clean(&self) -> Outcome {
        for path in list::all(&self.store, &self.root).await? {
            self.store.delete(&path).await.map_err(told("deleting"))?;
        }
        match list::all(&self.store, &self.root).await?.first() {
            None => Ok(()),
            Some(left) => Err(format!("it was deleted and is listed, path=`{left}`")),
        }
    }
}

fn told<E: Display>(doing: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{doing} fails: {error}")
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    match holds {
        true => Ok(()),
        false => Err(otherwise()),
    }
}

/// Bytes without a pattern that parts or pages could repeat.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[cfg(test)]
mod tests;
