//! Whether this machine's clock and the store's agree: ages are differences between the two.

use super::candidate::PROBES;
use crate::{
    error::{Error, Kind, Result},
    storage::{TableLocation, kind_of},
};
use chrono::{DateTime, TimeDelta, Utc};
use object_store::ObjectStoreExt;

pub(super) const A_DAY: TimeDelta = TimeDelta::days(1);
/// Between the oldest file that a commit may name and the youngest that is deleted lie at least 12 hours.
const TOLERANCE: TimeDelta = TimeDelta::hours(1);

/// Writes an object and looks when the store says that was. On a local disk the clocks are one.
///
/// # Errors
/// Unsupported where they differ by more than an hour; those of the store.
pub(super) async fn check(location: &TableLocation, now: impl Fn() -> DateTime<Utc>) -> Result<()> {
    if location.url.scheme() == "file" {
        return Ok(());
    }
    let name = format!("{PROBES}/probe-{}", uuid::Uuid::new_v4().simple());
    let path = location.object_path(&name)?;
    let failed = |error: object_store::Error| {
        Error::new(
            kind_of(&error),
            format!(
                "cannot write an object that tells the store's time, without which nothing is deleted, url=`{}`",
                location.url
            ),
        )
        .with_source(error)
    };
    let begun = now();
    location
        .store
        .put(&path, "alluvium table sweep".into())
        .await
        .map_err(failed)?;
    let found = location.store.head(&path).await;
    let ended = now();
    if let Err(error) = location.store.delete(&path).await {
        tracing::debug!(%path, %error, "a probe was not deleted; a later sweep does");
    }
    let there = found.map_err(failed)?.last_modified;
    if there < begun - TOLERANCE || there > ended + TOLERANCE {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "the clocks of this machine and of the store differ, so the age of a file is not known; set the clock, \
                 here=`{}` store=`{}` url=`{}`",
                ended.to_rfc3339(),
                there.to_rfc3339(),
                location.url
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use object_store::{ObjectStore, memory::InMemory, path::Path};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_clock_that_is_hours_off_is_refused_and_nothing_is_left() {
        let location = TableLocation {
            url: "memory:///t/".parse().unwrap(),
            store: Arc::new(InMemory::new()),
            root: Path::from("t"),
        };
        check(&location, Utc::now).await.unwrap();
        for hours in [-2, 2] {
            let off = move || Utc::now() + TimeDelta::hours(hours);
            let error = check(&location, off).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported);
            assert!(error.to_string().contains("set the clock"), "{error}");
        }
        let left: Vec<_> = location.store.list(None).try_collect().await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}
